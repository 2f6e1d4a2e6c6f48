import CKernels

/// Which taps of a kernel a list of positions is for: every one where it is nil.
struct TapWindow: Hashable {
    let row: Int?
    let column: Int?

    static let all = TapWindow(row: nil, column: nil)
}

/// The positions of an output map in the order of sums, cut into strips; `conv_weight_gradient.h` gives that order.
struct ConvolutionStrips: ~Copyable {
    let blocks: Int
    private let shape: ConvolutionShape
    private let strips: AlignedBuffer<tk_conv_strip>
    private let bounds: AlignedBuffer<UInt32>
    private let positions: AlignedBuffer<tk_conv_position>

    /// - Parameters:
    ///   - length: positions of a strip, at least 16.
    ///   - windows: for each the positions whose x is not in the halo for those taps; the first is `.all`.
    init(shape: ConvolutionShape, blocks: Int, length: Int, windows: [TapWindow]) {
        precondition(length >= 16 && windows.first == .all, "strips of \(length) for \(windows)")
        self.shape = shape
        self.blocks = blocks
        let period = shape.period(length: length)
        var strips: [tk_conv_strip] = []
        var bounds: [UInt32] = []
        var positions: [tk_conv_position] = []
        var lists: [Int] = []
        for block in stride(from: 0, to: blocks, by: period) {
            if block == 0 || blocks - block < period {
                lists = []
                for strip in shape.strips(blocks: min(period, blocks - block), length: length) {
                    lists.append(bounds.count)
                    for window in windows {
                        bounds.append(UInt32(positions.count))
                        positions += strip.lazy.filter { shape.meetsImage($0, window) }.map(shape.place)
                    }
                    bounds.append(UInt32(positions.count))
                }
            }
            for list in lists {
                strips.append(
                    tk_conv_strip(
                        x: block * shape.input.blockLines * 16, dy: block * shape.output.blockLines * 16, list: list))
            }
        }
        self.strips = AlignedBuffer(copying: strips)
        self.bounds = AlignedBuffer(copying: bounds)
        self.positions = AlignedBuffer(copying: positions)
    }

    var byteCount: Int {
        MemoryLayout<tk_conv_strip>.stride * strips.count + 4 * bounds.count
            + MemoryLayout<tk_conv_position>.stride * positions.count
    }

    /// An upper bound of `byteCount` for as many windows.
    static func byteCount(shape: ConvolutionShape, blocks: Int, length: Int, windowCount: Int) -> Int {
        let period = shape.period(length: length)
        // Every period has the same lists, but for one that is shorter.
        let distinct = [min(period, blocks), blocks > period ? blocks % period : 0].map {
            shape.output.height * shape.output.width * $0
        }
        // A strip ends where no further tile of 16 positions has room.
        let lists = distinct.map { $0 == 0 ? 0 : 1 + $0 / (length - 15) }
        let strips = lists[0] * (blocks / max(1, min(period, blocks))) + lists[1]
        return MemoryLayout<tk_conv_strip>.stride * strips + 4 * (windowCount + 1) * (lists[0] + lists[1])
            + MemoryLayout<tk_conv_position>.stride * windowCount * (distinct[0] + distinct[1])
    }

    var code: tk_conv_strips {
        tk_conv_strips(
            count: strips.count, strips: strips.pointer, bounds: bounds.pointer, positions: positions.pointer,
            dy_plane: shape.output.planeLines * 16)
    }
}

/// A value of an output map.
private struct Position {
    let block, row, column: Int
}

extension ConvolutionShape {
    /// Blocks, rows and columns of a tile of the output map.
    var tile: (blocks: Int, rows: Int, columns: Int) {
        output.width > 4 ? (1, 2, 8) : output.width > 2 ? (1, 4, 4) : (4, 2, 2)
    }

    /// Blocks after which the lists of strips repeat: small maps of several blocks make one strip, and the last may be
    /// shorter.
    fileprivate func period(length: Int) -> Int {
        let together = tile.blocks
        return max(1, (length / (output.height * output.width)) / together) * together
    }

    /// The positions in the order of sums: whole tiles, at most `length` positions together.
    fileprivate func strips(blocks: Int, length: Int) -> [[Position]] {
        var strips: [[Position]] = [[]]
        for block in Swift.stride(from: 0, to: blocks, by: tile.blocks) {
            for row in Swift.stride(from: 0, to: output.height, by: tile.rows) {
                for column in Swift.stride(from: 0, to: output.width, by: tile.columns) {
                    var positions: [Position] = []
                    for block in block..<min(block + tile.blocks, blocks) {
                        for row in row..<min(row + tile.rows, output.height) {
                            for column in column..<min(column + tile.columns, output.width) {
                                positions.append(Position(block: block, row: row, column: column))
                            }
                        }
                    }
                    if strips[strips.count - 1].count + positions.count > length { strips.append([]) }
                    strips[strips.count - 1] += positions
                }
            }
        }
        return strips
    }

    fileprivate func meetsImage(_ position: Position, _ window: TapWindow) -> Bool {
        let padding = kernel / 2
        let row = window.row.map { (0..<input.height).contains(position.row * stride + $0 - padding) } ?? true
        let column = window.column.map { (0..<input.width).contains(position.column * stride + $0 - padding) } ?? true
        return row && column
    }

    fileprivate func place(_ position: Position) -> tk_conv_position {
        let x = position.block * input.blockLines + stride * (position.row * input.rowLines + position.column)
        let dy = position.block * output.blockLines + (position.row + 1) * output.rowLines + position.column + 1
        return tk_conv_position(x: UInt32(x * 64), dy: UInt32(dy * 64))
    }
}
