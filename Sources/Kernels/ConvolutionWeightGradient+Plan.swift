import CKernels

extension ConvolutionWeightGradient {
    /// The order in which weights are computed: in blocks whose sums wait in the second-level cache between strips.
    final class Plan {
        let deadOutputs: [Int]
        /// The live ones; the last is repeated to fill a group.
        let outputs: AlignedBuffer<UInt32>
        let sums: AlignedBuffer<Float>
        let biasSums: AlignedBuffer<Float>
        private let shape: ConvolutionShape
        private let length: Int
        private let windows: [TapWindow]
        private let groupSize: Int
        /// Of each channel of x.
        private let newLines: AlignedBuffer<UInt32>
        // Of a dense plan.
        private let panels: AlignedBuffer<tk_conv_panel>
        private var denseBlocks: [(groups: Range<Int>, panels: Range<Int>, inputs: Range<Int>)] = []
        // Of a sparse plan.
        private let rows: AlignedBuffer<tk_conv_row>
        private let lines: AlignedBuffer<UInt32>
        private var sparseBlocks: [SparseOrder.Block] = []
        /// Of the gradients of all weights, in the order of the plan.
        private let places: AlignedBuffer<UInt32>

        /// Sums that wait between strips: a quarter of a megabyte.
        private static let waitingSums = 4096
        /// Lines of dy of a group in a strip of one channel of x: half of the first-level cache.
        private static let groupLines = 256
        /// Positions of a strip of three channels of x.
        private static let channelsLength = 32
        /// Channels of x that a dense block uses, so that a strip of them stays in the second-level cache.
        private static let denseInputs = 16
        /// Positions of a strip of a sparse plan.
        private static let sparseLength = 32
        /// Channels of x that a sparse block uses.
        private static let sparseInputs = 64
        /// Lines of x that rows use before the next channels' turn comes: half of the first-level cache, more where few
        /// weights survive and rows would be short.
        private static let nearLines = 256...2048

        init(
            shape: ConvolutionShape, mask: ConvolutionMask, dense: Bool, outputs live: [Int],
            instructionSet: InstructionSet
        ) {
            self.shape = shape
            groupSize = tk_conv_outputs_at_once(instructionSet.code)
            let groupCount = (live.count + groupSize - 1) / groupSize
            let outputs = (0..<groupCount * groupSize).map { live[min($0, live.count - 1)] }
            self.outputs = AlignedBuffer(copying: outputs.map { UInt32($0) })
            biasSums = AlignedBuffer(zeroed: 16 * (outputs.count + 8))
            let isLive = Set(live)
            newLines = AlignedBuffer(copying: Plan.newLines(shape))
            deadOutputs = (0..<shape.outputs).filter { !isLive.contains($0) }
            if dense {
                let form = DenseForm.of(shape)
                length = Plan.length(shape, dense: true, groupSize: groupSize)
                windows = form.windows
                panels = AlignedBuffer(copying: form.panels.map(\.code))
                rows = AlignedBuffer(zeroed: 0)
                lines = AlignedBuffer(zeroed: 0)
                places = AlignedBuffer(
                    copying: form.places(shape, mask, outputs: outputs, live: live.count, groupSize: groupSize))
                let panelWeights = groupSize * Int(TK_CONV_PANEL_LINES)
                let (width, height) = Plan.denseBlock(shape, panelCount: form.panels.count, groupSize: groupSize)
                for group in stride(from: 0, to: groupCount, by: height) {
                    for panel in stride(from: 0, to: form.panels.count, by: width) {
                        let panels = panel..<min(panel + width, form.panels.count)
                        denseBlocks.append((group..<min(group + height, groupCount), panels, form.inputs(of: panels)))
                    }
                }
                sums = AlignedBuffer(zeroed: 16 * (width * height * panelWeights + 8))
            } else {
                length = Plan.length(shape, dense: false, groupSize: groupSize)
                windows = [.all]
                panels = AlignedBuffer(zeroed: 0)
                let rowSize = tk_conv_weights_at_once(instructionSet.code)
                let order = SparseOrder(
                    shape: shape, mask: mask, outputs: live, inputs: Plan.sparseInputs, capacity: Plan.waitingSums,
                    near: Plan.nearInputs(shape, survivorCount: mask.survivorCount, rowSize: rowSize), rowSize: rowSize)
                rows = AlignedBuffer(copying: order.rows)
                lines = AlignedBuffer(copying: order.lines)
                places = AlignedBuffer(copying: order.places)
                sparseBlocks = order.blocks
                sums = AlignedBuffer(zeroed: 16 * (order.largestBlock + 8))
            }
        }

        /// Positions of a strip.
        private static func length(_ shape: ConvolutionShape, dense: Bool, groupSize: Int) -> Int {
            guard dense else { return sparseLength }
            return DenseForm.inputsAtOnce(shape) == 1 ? min(64, groupLines / groupSize) : channelsLength
        }

        /// Panels and groups of outputs of a dense block.
        private static func denseBlock(
            _ shape: ConvolutionShape, panelCount: Int, groupSize: Int
        ) -> (width: Int, height: Int) {
            let width = min(panelCount, denseInputs * shape.kernel)
            return (width, max(1, waitingSums / (width * groupSize * Int(TK_CONV_PANEL_LINES))))
        }

        /// Of each channel of x the line that the middle tap of the kernel's last row meets: the rows above it are those of
        /// the strip before, as a rule.
        private static func newLines(_ shape: ConvolutionShape) -> [UInt32] {
            let row = shape.kernel == 1 ? 1 : 2
            return (0..<shape.input.channels).map {
                UInt32($0 * shape.input.planeLines + row * shape.input.rowLines + 1)
            }
        }

        /// Channels of x that rows use before the next ones' turn comes.
        private static func nearInputs(_ shape: ConvolutionShape, survivorCount: Int, rowSize: Int) -> Int {
            let kernels = max(1, shape.outputs * shape.input.channels)
            let filled = rowSize * kernels / max(1, survivorCount)
            let stripLines = shape.stripLines(length: sparseLength)
            return max(1, min(max(filled * stripLines, nearLines.lowerBound), nearLines.upperBound) / stripLines)
        }

        var byteCount: Int {
            4 * (outputs.count + sums.count + biasSums.count + newLines.count + lines.count + places.count)
                + MemoryLayout<tk_conv_panel>.stride * panels.count + MemoryLayout<tk_conv_row>.stride * rows.count
        }

        /// An upper bound of `byteCount` and that of the strips, whatever the mask and the outputs that are live.
        static func byteCount(
            shape: ConvolutionShape, survivorCount: Int, blocks: Int, dense: Bool, instructionSet: InstructionSet
        ) -> Int {
            let groupSize = tk_conv_outputs_at_once(instructionSet.code)
            let outputs = (shape.outputs + groupSize - 1) / groupSize * groupSize
            var bytes = 4 * (outputs + shape.input.channels) + 64 * (outputs + 8)
            if dense {
                let panels = DenseForm.panelCount(shape)
                let (width, height) = denseBlock(shape, panelCount: panels, groupSize: groupSize)
                let panelWeights = groupSize * Int(TK_CONV_PANEL_LINES)
                bytes += 64 * (width * height * panelWeights + 8) + MemoryLayout<tk_conv_panel>.stride * panels
                bytes += 4 * outputs / groupSize * panels * panelWeights
            } else {
                let rowSize = tk_conv_weights_at_once(instructionSet.code)
                let near = nearInputs(shape, survivorCount: survivorCount, rowSize: rowSize)
                // Near channels begin anew with each block's.
                let turns = (0..<(shape.input.channels + sparseInputs - 1) / sparseInputs).reduce(0) { sum, block in
                    let inputs = min(sparseInputs, shape.input.channels - block * sparseInputs)
                    return sum + (inputs + near - 1) / near
                }
                let rows = min(survivorCount, survivorCount / rowSize + shape.outputs * turns)
                bytes += 8 * survivorCount + MemoryLayout<tk_conv_row>.stride * rows
                bytes += 64 * (min(survivorCount, waitingSums) + 8)
            }
            return bytes
                + ConvolutionStrips.byteCount(
                    shape: shape, blocks: blocks, length: length(shape, dense: dense, groupSize: groupSize),
                    windowCount: dense ? DenseForm.windows(shape).count : 1)
        }

        func strips(blocks: Int) -> ConvolutionStrips {
            ConvolutionStrips(shape: shape, blocks: blocks, length: length, windows: windows)
        }

        func forEachDenseBlock(_ body: (UnsafePointer<tk_conv_dense_block>) -> Void) {
            let panelWeights = groupSize * Int(TK_CONV_PANEL_LINES)
            let stride = panels.count * panelWeights
            for block in denseBlocks {
                var code = tk_conv_dense_block(
                    outputs: outputs.pointer + block.groups.lowerBound * groupSize, group_count: block.groups.count,
                    panels: panels.pointer + block.panels.lowerBound, panel_count: block.panels.count,
                    places: places.pointer + block.groups.lowerBound * stride + block.panels.lowerBound * panelWeights,
                    place_stride: stride,
                    needs: needs(
                        outputs: block.groups.lowerBound * groupSize..<block.groups.upperBound * groupSize,
                        inputs: block.inputs))
                body(&code)
            }
        }

        private func needs(outputs range: Range<Int>, inputs: Range<Int>) -> tk_conv_needs {
            tk_conv_needs(
                outputs: outputs.pointer + range.lowerBound, output_count: range.count,
                lines: newLines.pointer + inputs.lowerBound, line_count: inputs.count)
        }

        func forEachSparseBlock(_ body: (UnsafePointer<tk_conv_sparse_block>) -> Void) {
            for block in sparseBlocks {
                var code = tk_conv_sparse_block(
                    rows: rows.pointer + block.rows.lowerBound, row_count: block.rows.count,
                    lines: lines.pointer + block.weights.lowerBound, places: places.pointer + block.weights.lowerBound,
                    weight_count: block.weights.count, needs: needs(outputs: block.outputs, inputs: block.inputs))
                body(&code)
            }
        }
    }
}

/// How a dense plan takes three lines of x at a time.
private struct DenseForm {
    /// Three weights of every output.
    struct Panel {
        let code: tk_conv_panel
        /// The weight of each line; nil where a line is there twice.
        let weights: [(input: Int, tap: Int)?]
    }

    let windows: [TapWindow]
    let panels: [Panel]

    private static let lines = Int(TK_CONV_PANEL_LINES)

    static func of(_ shape: ConvolutionShape) -> DenseForm {
        DenseForm(windows: windows(shape), panels: takesRows(shape) ? rows(of: shape) : channels(of: shape))
    }

    private static func takesRows(_ shape: ConvolutionShape) -> Bool {
        shape.kernel == lines && shape.output.width > 8
    }

    /// Channels of x that a panel reads. Where there are fewer than three, one channel is read three times.
    static func inputsAtOnce(_ shape: ConvolutionShape) -> Int {
        takesRows(shape) || shape.input.channels < lines ? 1 : lines
    }

    static func panelCount(_ shape: ConvolutionShape) -> Int {
        if takesRows(shape) { return shape.input.channels * lines }
        let inputs = inputsAtOnce(shape)
        return (shape.input.channels + inputs - 1) / inputs * shape.kernel * shape.kernel
    }

    /// A list of positions for each way in which a panel meets the halo.
    static func windows(_ shape: ConvolutionShape) -> [TapWindow] {
        if takesRows(shape) { return [.all, TapWindow(row: 0, column: nil), TapWindow(row: 2, column: nil)] }
        return [.all]
            + (0..<shape.kernel * shape.kernel).map { TapWindow(row: $0 / shape.kernel, column: $0 % shape.kernel) }
    }

    /// A row of a kernel at a time. Positions at which all of it meets the halo are left out.
    private static func rows(of shape: ConvolutionShape) -> [Panel] {
        (0..<shape.input.channels * lines).map { n in
            let input = n / lines
            let row = n % lines
            let line = input * shape.input.planeLines + row * shape.input.rowLines
            return Panel(
                code: tk_conv_panel(line: UInt32(line), step: 1, list: [1, 0, 2][row]),
                weights: (0..<lines).map { (input, row * lines + $0) })
        }
    }

    /// One tap of three channels at a time. Positions at which it meets the halo are left out: more than half of them
    /// on maps of 2 × 2.
    private static func channels(of shape: ConvolutionShape) -> [Panel] {
        let inputs = shape.input.channels
        let kernel = shape.kernel
        let edge = kernel == 1 ? 1 : 0
        let channels = inputsAtOnce(shape)
        var panels: [Panel] = []
        for next in stride(from: 0, to: inputs, by: channels) {
            // The last three overlap those before.
            let first = min(next, inputs - channels)
            for tap in 0..<kernel * kernel {
                let corner = (tap / kernel + edge) * shape.input.rowLines + tap % kernel + edge
                let code = tk_conv_panel(
                    line: UInt32(first * shape.input.planeLines + corner),
                    step: channels == 1 ? 0 : UInt32(shape.input.planeLines), list: UInt32(1 + tap))
                let weights = (0..<lines).map { n in
                    n < channels && first + n >= next ? (input: first + n, tap: tap) : nil
                }
                panels.append(Panel(code: code, weights: weights))
            }
        }
        return panels
    }

    /// The channels of x that `panels` read.
    func inputs(of panels: Range<Int>) -> Range<Int> {
        let inputs = self.panels[panels].flatMap { $0.weights.compactMap { $0?.input } }
        return inputs.min()!..<inputs.max()! + 1
    }

    /// - Returns: [group][panel][output][line].
    func places(
        _ shape: ConvolutionShape, _ mask: ConvolutionMask, outputs: [Int], live: Int, groupSize: Int
    ) -> [UInt32] {
        let stride = panels.count * groupSize * DenseForm.lines
        var places = [UInt32](repeating: TK_CONV_NOWHERE, count: outputs.count / groupSize * stride)
        for (n, output) in outputs.enumerated().prefix(live) {
            for (p, panel) in panels.enumerated() {
                for (line, weight) in panel.weights.enumerated() {
                    guard let weight else { continue }
                    let kernel = output * shape.input.channels + weight.input
                    guard let place = mask.place(kernel: kernel, tap: weight.tap) else { continue }
                    let at = n / groupSize * stride + (p * groupSize + n % groupSize) * DenseForm.lines + line
                    places[at] = UInt32(place)
                }
            }
        }
        return places
    }
}

/// The survivors in an order in which x is near: by blocks, near channels, outputs.
private struct SparseOrder {
    struct Block {
        let rows, weights: Range<Int>
        /// Of the live ones.
        let outputs: Range<Int>
        let inputs: Range<Int>
    }

    var rows: [tk_conv_row] = []
    var lines: [UInt32] = []
    var places: [UInt32] = []
    var blocks: [Block] = []

    private let shape: ConvolutionShape
    private let mask: ConvolutionMask
    private let rowSize: Int

    init(
        shape: ConvolutionShape, mask: ConvolutionMask, outputs: [Int], inputs: Int, capacity: Int, near: Int,
        rowSize: Int
    ) {
        self.shape = shape
        self.mask = mask
        self.rowSize = rowSize
        let channels = shape.input.channels
        for first in stride(from: 0, to: channels, by: inputs) {
            let range = first..<min(first + inputs, channels)
            var start = 0
            while start < outputs.count {
                var end = start
                var count = 0
                while end < outputs.count {
                    let kernels = outputs[end] * channels
                    let more = range.reduce(0) { $0 + mask.count(kernel: kernels + $1) }
                    if end > start && count + more > capacity { break }
                    count += more
                    end += 1
                }
                append(outputs: outputs[start..<end], inputs: range, near: near)
                start = end
            }
        }
    }

    var largestBlock: Int { blocks.map(\.weights.count).max() ?? 0 }

    private mutating func append(outputs: ArraySlice<Int>, inputs: Range<Int>, near: Int) {
        let edge = shape.kernel == 1 ? 1 : 0
        let firstRow = rows.count
        let firstWeight = lines.count
        for first in stride(from: inputs.lowerBound, to: inputs.upperBound, by: near) {
            var ready: [(output: Int, weights: ArraySlice<(line: UInt32, place: UInt32)>)] = []
            for output in outputs {
                var weights: [(line: UInt32, place: UInt32)] = []
                for input in first..<min(first + near, inputs.upperBound) {
                    let kernel = output * shape.input.channels + input
                    for tap in 0..<shape.kernel * shape.kernel {
                        guard let place = mask.place(kernel: kernel, tap: tap) else { continue }
                        let row = tap / shape.kernel + edge
                        let line = input * shape.input.planeLines + row * shape.input.rowLines
                        weights.append((UInt32(line + tap % shape.kernel + edge), UInt32(place)))
                    }
                }
                // Rows of the same size, so that none waits for its own sums.
                let parts = (weights.count + rowSize - 1) / rowSize
                for part in 0..<parts {
                    ready.append((output, weights[weights.count * part / parts..<weights.count * (part + 1) / parts]))
                }
            }
            // By size, so that the processor foresees which comes next.
            for size in (1...rowSize).reversed() {
                for row in ready where row.weights.count == size {
                    let start = lines.count - firstWeight
                    lines += row.weights.map(\.line)
                    places += row.weights.map(\.place)
                    rows.append(
                        tk_conv_row(output: UInt32(row.output), first: UInt32(start), last: UInt32(start + size)))
                }
            }
        }
        if rows.count > firstRow {
            blocks.append(
                Block(
                    rows: firstRow..<rows.count, weights: firstWeight..<lines.count, outputs: outputs.indices,
                    inputs: inputs))
        }
    }
}

extension ConvolutionShape {
    /// Lines of one input channel that a strip of the output map reads, about.
    fileprivate func stripLines(length: Int) -> Int {
        if output.width <= 4 {
            let blocks = max(1, length / (output.height * output.width))
            return input.planeLines * blocks
        }
        let tiles = max(1, length / 16)
        let columns = min((output.width + 7) / 8, tiles) * 8
        let rows = min(2 * ((tiles * 8 + columns - 1) / columns), output.height)
        return ((rows - 1) * stride + kernel) * ((columns - 1) * stride + kernel)
    }
}

extension ConvolutionMask {
    /// Where the gradient of a tap is among compact ones, if it survives.
    fileprivate func place(kernel: Int, tap: Int) -> Int? {
        rank(kernel: kernel, tap: tap).map { Int(starts[kernel]) + $0 }
    }
}
