import CKernels

/// What a convolution computes from what: outputs from inputs, or the gradients of inputs from those of outputs.
enum ConvolutionDirection {
    case forward
    case inputGradient
}

/// Positions of a target map that meet the same taps of every kernel, and how many of them are computed together.
///
/// Forward, and backward with stride 1, the target is one grid. Backward with stride 2 each parity of row and column
/// has a grid and taps of its own. Grids of at most four columns are split further where their edges meet fewer taps.
struct ConvolutionPart {
    /// A tap as its place in a kernel, and the source line that it meets from position (0, 0) of the part.
    struct Tap: Hashable {
        let index: Int
        let line: Int
    }

    /// Ascending.
    let taps: [Tap]
    /// Those of them that do not meet halo all along a row: in rows between, in the first row, and in the last.
    let rowTaps: [[Tap]]
    /// Links of a dense chain per source, in all lists that differ.
    var denseTapCount: Int { Set(rowTaps).reduce(0) { $0 + $1.count } }
    /// Source lines of one channel that a panel reads.
    var panelLines: Int { positions.panel_blocks * positions.meets_rows * positions.meets_columns }
    /// All but the chains.
    let positions: tk_conv_class

    /// - Parameter byColumns: whether grids of three or four columns are split by columns, too. Sparse chains have
    ///   links of their own at each part: a 4 × 4 map then has 5.4 per weight instead of 2.3.
    static func all(
        _ direction: ConvolutionDirection, _ shape: ConvolutionShape, byColumns: Bool
    ) -> [ConvolutionPart] {
        switch direction {
        case .forward:
            let source = shape.input
            let edge = shape.kernel == 1 ? 1 : 0
            let offsets = (0..<shape.kernel).map { (tap: $0, offset: $0 + edge) }
            return parts(
                rows: Axis(
                    count: shape.output.height, first: 0, targetStep: 1, sourceStep: shape.stride, offsets: offsets,
                    sourceCount: source.height),
                columns: Axis(
                    count: shape.output.width, first: 0, targetStep: 1, sourceStep: shape.stride, offsets: offsets,
                    sourceCount: source.width),
                kernel: shape.kernel, source: source, target: shape.output, byColumns: byColumns)
        case .inputGradient:
            let axes = { (count: Int, sourceCount: Int) in
                (0..<min(shape.stride, count)).map { parity in
                    Axis(
                        count: (count - parity + shape.stride - 1) / shape.stride, first: parity,
                        targetStep: shape.stride, sourceStep: 1,
                        offsets: offsets(parity: parity, kernel: shape.kernel, stride: shape.stride),
                        sourceCount: sourceCount)
                }
            }
            let columns = axes(shape.input.width, shape.output.width)
            return axes(shape.input.height, shape.output.height).flatMap { rows in
                columns.flatMap { columns in
                    parts(
                        rows: rows, columns: columns, kernel: shape.kernel, source: shape.output, target: shape.input,
                        byColumns: byColumns)
                }
            }
        }
    }

    /// The taps that the input pixels of a parity met, and where: output · stride + tap − padding = pixel.
    private static func offsets(parity: Int, kernel: Int, stride: Int) -> [(tap: Int, offset: Int)] {
        (0..<kernel).compactMap { tap in
            let distance = parity + (kernel - 1) / 2 - tap
            return distance % stride == 0 ? (tap, distance / stride + 1) : nil
        }
    }

    private static func parts(
        rows: Axis, columns: Axis, kernel: Int, source: PlanesShape, target: PlanesShape, byColumns: Bool
    ) -> [ConvolutionPart] {
        let wide = columns.count > 4
        return (wide ? [rows.whole] : rows.alike).flatMap { rowRange, rowTaps in
            (wide || !byColumns && columns.count > 2 ? [columns.whole] : columns.alike).map { columnRange, columnTaps in
                let panelColumns = wide ? 8 : columnRange.count
                let panelRows = wide ? 2 : min(rowRange.count, 8 / panelColumns)
                let panelBlocks = wide ? 1 : 8 / (panelColumns * panelRows)
                var positions = tk_conv_class()
                positions.rows = rowRange.count
                positions.columns = columnRange.count
                positions.source =
                    rowRange.lowerBound * rows.sourceStep * source.rowLines
                    + columnRange.lowerBound * columns.sourceStep
                positions.target =
                    (rows.first + rowRange.lowerBound * rows.targetStep + 1) * target.rowLines + columns.first
                    + columnRange.lowerBound * columns.targetStep + 1
                positions.panel_blocks = panelBlocks
                positions.panel_rows = panelRows
                positions.panel_columns = panelColumns
                func taps(_ rowTaps: Axis.Taps) -> [Tap] {
                    rowTaps.flatMap { row in
                        columnTaps.map { column in
                            Tap(
                                index: row.tap * kernel + column.tap,
                                line: row.offset * source.rowLines + column.offset)
                        }
                    }
                }
                let ofRows = [
                    taps(rowTaps), taps(rows.taps(at: rowRange.lowerBound)),
                    taps(rows.taps(at: rowRange.upperBound - 1)),
                ]
                if columnTaps.count == 3 {
                    // Taps go from left to right forward, and from right to left in an input gradient.
                    let isBackwards = columnTaps[0].offset > columnTaps[2].offset
                    let (withoutFirst, withoutThird) = (
                        columnTaps.dropFirst().map(\.tap), columnTaps.dropLast().map(\.tap)
                    )
                    let columnOf = { columns.taps(at: $0).map(\.tap) }
                    positions.in_threes = 1
                    positions.backwards = isBackwards ? 1 : 0
                    positions.first_meets_halo =
                        columnOf(columnRange.lowerBound) == (isBackwards ? withoutThird : withoutFirst) ? 1 : 0
                    positions.last_meets_halo =
                        columnOf(columnRange.upperBound - 1) == (isBackwards ? withoutFirst : withoutThird) ? 1 : 0
                }
                positions.meets = ofRows[0].map(\.line).min() ?? 0
                positions.meets_rows = rows.sourceLines(positions: min(panelRows, rowRange.count), rowTaps)
                positions.meets_columns = columns.sourceLines(
                    positions: min(panelColumns, columnRange.count), columnTaps)
                return ConvolutionPart(taps: ofRows[0], rowTaps: ofRows, positions: positions)
            }
        }
    }
}

/// Rows or columns of a grid: position p stands at first + p · targetStep of the target map, and its tap at `offset`
/// meets p · sourceStep + offset of the source map, counted from the halo.
private struct Axis {
    let count: Int
    let first: Int
    let targetStep: Int
    let sourceStep: Int
    let offsets: [(tap: Int, offset: Int)]
    let sourceCount: Int

    typealias Taps = [(tap: Int, offset: Int)]

    /// The taps that do not meet the halo at a position.
    func taps(at position: Int) -> Taps {
        offsets.filter { 1...sourceCount ~= position * sourceStep + $0.offset }
    }

    /// All positions with the taps that do not meet only halo.
    var whole: (Range<Int>, Taps) {
        (
            0..<count,
            offsets.filter { offset in (0..<count).contains { taps(at: $0).contains { $0.tap == offset.tap } } }
        )
    }

    /// Positions that meet the same taps.
    var alike: [(Range<Int>, Taps)] {
        var ranges: [(Range<Int>, Taps)] = []
        for position in 0..<count {
            let taps = taps(at: position)
            if let last = ranges.last, last.1.map(\.tap) == taps.map(\.tap) {
                ranges[ranges.count - 1].0 = last.0.lowerBound..<position + 1
            } else {
                ranges.append((position..<position + 1, taps))
            }
        }
        return ranges
    }

    func sourceLines(positions: Int, _ taps: Taps) -> Int {
        guard let first = taps.map(\.offset).min(), let last = taps.map(\.offset).max() else { return 1 }
        return (positions - 1) * sourceStep + last - first + 1
    }
}
