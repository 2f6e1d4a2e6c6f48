import CKernels

/// Which source lines each result of a convolution's forward pass or input gradient gathers, in `conv_gather.h`'s form.
///
/// An object holds scratch memory: one thread at a time may use it.
final class ConvolutionPlan {
    private let roles: ConvolutionRoles
    private let mask: ConvolutionMask
    private let instructionSet: InstructionSet
    private let dense: Bool
    private let packing: WeightPacking
    /// Packed weights; none where the links count from compact ones.
    private let weights: AlignedBuffer<Float>
    /// Channels of the target whose chains are computed.
    private let channels: AlignedBuffer<UInt32>
    /// Where the channels of the source that take part start, in lines.
    private let sources: AlignedBuffer<UInt32>
    private let links: AlignedBuffer<tk_conv_link>
    private let segments: AlignedBuffer<UInt32>
    /// Of the pieces of sparse chains.
    private let order: AlignedBuffer<UInt32>
    private let classes: AlignedBuffer<tk_conv_class>
    private let waiting: AlignedBuffer<Float>

    /// What pieces of chains are cut to. Lines are those of the source that a panel meets.
    private struct PieceSize {
        /// Of dense chains. Each line that they read serves several channels.
        let denseLines: Int
        /// Of sparse chains, at least and at most.
        let nearLines, farLines: Int
        /// Links of a sparse chain that outweigh the start and end of a piece of it.
        let links: Double

        /// Dense pieces read their lines from the second-level cache of 1 or 2 MiB as fast as they need them; sparse
        /// ones from the first-level cache of 32 or 48 KiB, as long as chains are not cut too short.
        private static let avx512 = PieceSize(denseLines: 1000, nearLines: 500, farLines: 4096, links: 16)
        /// Three quarters of a first-level cache of 32 KiB, half of a second-level cache of 512 KiB.
        private static let others = PieceSize(denseLines: 384, nearLines: 384, farLines: 4096, links: 32)

        static func of(_ instructionSet: InstructionSet) -> PieceSize { instructionSet == .avx512 ? avx512 : others }
    }
    /// Links of a chain that outweigh asking early for the lines that the next panel meets, where the map is so wide
    /// that a panel meets short pieces of rows. Of narrower maps the processor asks for them by itself.
    private static let fetchedLinks = 8.0
    private static let fetchedWidth = 17
    /// Share of surviving weights up to which lists of links are short enough to have one for each part of a row.
    private static let byColumnsUpTo = 0.25

    /// - Parameters:
    ///   - live: which outputs take part.
    ///   - dense: whether chains run over pruned weights, too, as zeros.
    init(
        _ direction: ConvolutionDirection, shape: ConvolutionShape, mask: ConvolutionMask, live: [Bool], dense: Bool,
        instructionSet: InstructionSet
    ) {
        let roles = ConvolutionRoles(direction, shape: shape, live: live)
        let group = tk_conv_group(instructionSet.code)
        let parts = ConvolutionPlan.parts(direction, shape: shape, density: mask.density, dense: dense)
        let pieces = ConvolutionPlan.pieces(
            of: parts, sources: roles.sources.count, density: mask.density, dense: dense, instructionSet: instructionSet
        )
        if dense {
            packing = .groups(
                WeightGroups(
                    of: group, sources: roles.sources.count, targets: roles.targets.count, pieces: pieces.first ?? 1,
                    shape: shape))
        } else {
            packing = direction == .forward ? .compact(starts: mask.starts) : .transposed(mask, shape)
        }
        weights = AlignedBuffer(zeroed: packing.count)

        let linkCount = parts.reduce(0) { sum, part in
            guard !dense else { return sum + roles.sources.count * part.denseTapCount }
            return sum
                + roles.targets.reduce(0) { sum, target in
                    sum
                        + roles.sources.reduce(0) { sum, source in
                            sum + mask.count(kernel: roles.kernel(source, target), among: part.taps)
                        }
                }
        }
        links = AlignedBuffer(zeroed: linkCount)
        let links = links.pointer
        var next = 0
        func add(source: Int, _ tap: ConvolutionPart.Tap, weight: Int) {
            let line = source * roles.source.planeLines + tap.line
            links[next] = tk_conv_link(UInt32(weight)) << 32 | tk_conv_link(UInt32(line * 16))
            next += 1
        }

        var segments: [UInt32] = []
        var order: [UInt32] = []
        var first: [(segment: Int, order: Int)] = []
        var classes: [tk_conv_class] = []
        for (part, pieces) in zip(parts, pieces) {
            let sources = roles.sources
            first.append((segments.count, order.count))
            if dense {
                // A kind of rows that meets what the rows between meet shares their links.
                var starts: [[ConvolutionPart.Tap]: Int] = [:]
                for taps in part.rowTaps {
                    if let start = starts[taps] {
                        segments += segments[start...start + pieces]
                        continue
                    }
                    starts[taps] = segments.count
                    for piece in 0..<pieces {
                        segments.append(UInt32(next))
                        let range = sources.count * piece / pieces..<sources.count * (piece + 1) / pieces
                        for n in range {
                            for tap in taps {
                                let place = (n - range.lowerBound) * shape.kernel * shape.kernel + tap.index
                                add(source: sources[n], tap, weight: place * group)
                            }
                        }
                    }
                    segments.append(UInt32(next))
                }
            } else {
                for piece in 0..<pieces {
                    let range = sources.count * piece / pieces..<sources.count * (piece + 1) / pieces
                    let lengths = roles.targets.map { target in
                        sources[range].reduce(0) { $0 + mask.count(kernel: roles.kernel($1, target), among: part.taps) }
                    }
                    let sorted = lengths.indices.sorted { (lengths[$0], $0) < (lengths[$1], $1) }
                    order += sorted.map { UInt32($0) }
                    for target in sorted.map({ roles.targets[$0] }) {
                        segments.append(UInt32(next))
                        for source in sources[range] {
                            let kernel = roles.kernel(source, target)
                            guard mask.count(kernel: kernel) > 0 else { continue }
                            for tap in part.taps {
                                guard let rank = mask.rank(kernel: kernel, tap: tap.index) else { continue }
                                add(source: source, tap, weight: packing.start(kernel: kernel) + rank)
                            }
                        }
                    }
                }
                segments.append(UInt32(next))
            }
            var positions = part.positions
            positions.chunks = pieces
            let links = Double(sources.count * part.taps.count) * (dense ? 1 : mask.density)
            positions.fetches =
                roles.target.width >= ConvolutionPlan.fetchedWidth && links >= ConvolutionPlan.fetchedLinks ? 1 : 0
            classes.append(positions)
        }
        precondition(next == linkCount, "\(next) links where \(linkCount) were counted")

        self.segments = AlignedBuffer(copying: segments)
        self.order = AlignedBuffer(copying: order)
        for n in classes.indices {
            classes[n].segments = UnsafePointer(self.segments.pointer + first[n].segment)
            classes[n].order = UnsafePointer(self.order.pointer + first[n].order)
            classes[n].links = UnsafePointer(links)
        }
        self.classes = AlignedBuffer(copying: classes)
        channels = AlignedBuffer(copying: roles.targets.map { UInt32($0) })
        sources = AlignedBuffer(copying: roles.sources.map { UInt32($0 * roles.source.planeLines) })
        waiting = AlignedBuffer(zeroed: ConvolutionPlan.waitingFloats(targets: roles.targets.count))
        self.roles = roles
        self.mask = mask
        self.instructionSet = instructionSet
        self.dense = dense
    }

    private static func parts(
        _ direction: ConvolutionDirection, shape: ConvolutionShape, density: Double, dense: Bool
    ) -> [ConvolutionPart] {
        ConvolutionPart.all(direction, shape, byColumns: dense || density <= byColumnsUpTo)
    }

    /// Into how many pieces chains are cut at each part; dense ones at all alike, since they share their weights.
    private static func pieces(
        of parts: [ConvolutionPart], sources: Int, density: Double, dense: Bool, instructionSet: InstructionSet
    ) -> [Int] {
        let pieces = parts.map {
            self.pieces(of: $0, sources: sources, density: density, dense: dense, instructionSet: instructionSet)
        }
        return dense ? parts.map { _ in pieces.max() ?? 1 } : pieces
    }

    private static func pieces(
        of part: ConvolutionPart, sources: Int, density: Double, dense: Bool, instructionSet: InstructionSet
    ) -> Int {
        let size = PieceSize.of(instructionSet)
        var channels = max(1, (dense ? size.denseLines : size.nearLines) / part.panelLines)
        if !dense {
            let linksPerSource = density * Double(max(part.taps.count, 1))
            let far = max(1, size.farLines / part.panelLines)
            channels = max(channels, Int(min(size.links / max(linksPerSource, 1e-6), Double(far))))
        }
        return max(1, (sources + channels - 1) / channels)
    }

    /// A panel's sums that wait for the next piece of their chains, and two lines of batch-norm sums a channel.
    private static func waitingFloats(targets: Int) -> Int { targets * (TK_CONV_PANEL + 2) * 16 }

    /// Brings packed weights up to date with compact ones, after which there is a +0.
    func load(_ compact: UnsafePointer<Float>) {
        let weights = weights.pointer
        switch packing {
        case .compact: break
        case .transposed(let places, _):
            places.withUnsafeBufferPointer { places in
                for n in places.indices { weights[n] = compact[Int(places[n])] }
            }
        case .groups(let groups):
            var next = weights
            for piece in 0..<groups.pieces {
                let sources = groups.sources(of: piece)
                for g in 0..<groups.count {
                    let targets = groups.targets(of: g)
                    for source in sources {
                        for (place, target) in targets.enumerated() {
                            let kernel = roles.kernel(roles.sources[source], Int(channels.pointer[target]))
                            mask.unpack(
                                kernel: kernel, taps: groups.taps, from: compact, to: next + place, step: groups.most)
                        }
                        next += groups.sourceWeights
                    }
                }
            }
        }
    }

    /// - Parameters:
    ///   - compact: the weights that were loaded.
    ///   - x: planes of the source.
    ///   - y: planes of the target; nil where `finish` pools.
    func run(
        compact: UnsafePointer<Float>, source x: UnsafePointer<Float>, blocks: Int, finish: tk_conv_finish,
        target y: UnsafeMutablePointer<Float>?
    ) -> Magnitude {
        var plan = tk_conv_plan()
        plan.source_block = roles.source.blockLines
        plan.source_row = roles.sourceStep * roles.source.rowLines
        plan.source_column = roles.sourceStep
        plan.source_line = roles.source.rowLines
        plan.target_block = roles.target.blockLines
        plan.target_plane = roles.target.planeLines
        plan.target_row = roles.targetStep * roles.target.rowLines
        plan.target_column = roles.targetStep
        plan.height = roles.target.height
        plan.width = roles.target.width
        plan.channels = channels.count
        plan.channel = UnsafePointer(channels.pointer)
        plan.sources = sources.count
        plan.source = UnsafePointer(sources.pointer)
        plan.dense = dense ? 1 : 0
        if case .groups(let groups) = packing { plan.source_weights = groups.sourceWeights }
        plan.class_count = classes.count
        plan.classes = UnsafePointer(classes.pointer)
        var finish = finish
        let packed = packing.count == 0 ? compact : UnsafePointer(weights.pointer)
        return Magnitude(
            bits: tk_conv_gather(instructionSet.code, &plan, &finish, packed, x, blocks, waiting.pointer, y))
    }

    /// What a plan keeps in memory.
    var byteCount: Int {
        packing.byteCount
            + 4 * (weights.count + channels.count + sources.count + segments.count + order.count)
            + 8 * links.count + MemoryLayout<tk_conv_class>.stride * classes.count + 4 * waiting.count
    }

    /// An upper bound of `byteCount` whatever the mask and the outputs that are live.
    static func byteCount(
        _ direction: ConvolutionDirection, shape: ConvolutionShape, survivorCount: Int, dense: Bool,
        instructionSet: InstructionSet
    ) -> Int {
        let (sources, targets) =
            direction == .forward ? (shape.input.channels, shape.outputs) : (shape.outputs, shape.input.channels)
        let density = Double(survivorCount) / Double(shape.weightCount)
        var bytes = 4 * (targets + sources) + 4 * waitingFloats(targets: targets) + 4 * sources * targets
        let parts = parts(direction, shape: shape, density: density, dense: dense)
        let pieces = pieces(
            of: parts, sources: sources, density: density, dense: dense, instructionSet: instructionSet)
        for (part, pieces) in zip(parts, pieces) {
            let segments = dense ? Int(TK_CONV_ROW_KINDS) * (pieces + 1) : pieces * targets
            let links = dense ? sources * part.denseTapCount : sources * part.taps.count * targets
            bytes += 4 * (2 * segments + 1) + 8 * (dense ? links : min(links, survivorCount))
            bytes += MemoryLayout<tk_conv_class>.stride
        }
        // Groups of at most 8 channels are filled up; of the survivors that are packed each has a place.
        return bytes + (dense ? 4 * (targets + 7) * sources * shape.kernel * shape.kernel : 8 * survivorCount)
    }
}

/// Who gathers from whom: targets from sources, which are outputs and inputs forward, inputs and outputs backward.
private struct ConvolutionRoles {
    let source: PlanesShape
    let target: PlanesShape
    /// Lines or rows of the source map between neighbouring positions, and of the target map.
    let sourceStep: Int
    let targetStep: Int
    /// Channels that take part.
    let sources: [Int]
    let targets: [Int]
    private let direction: ConvolutionDirection
    private let inputs: Int

    init(_ direction: ConvolutionDirection, shape: ConvolutionShape, live: [Bool]) {
        let outputs = live.indices.filter { live[$0] }
        let inputs = Array(0..<shape.input.channels)
        switch direction {
        case .forward:
            (source, target) = (shape.input, shape.output)
            (sourceStep, targetStep) = (shape.stride, 1)
            (sources, targets) = (inputs, outputs)
        case .inputGradient:
            (source, target) = (shape.output, shape.input)
            (sourceStep, targetStep) = (1, shape.stride)
            (sources, targets) = (outputs, inputs)
        }
        self.direction = direction
        self.inputs = inputs.count
    }

    /// The kernel between two channels, as `ConvolutionMask` counts them.
    func kernel(_ source: Int, _ target: Int) -> Int {
        switch direction {
        case .forward: target * inputs + source
        case .inputGradient: source * inputs + target
        }
    }
}

/// Where the weights that a plan's links count from come from. `starts`: where the first survivor of each kernel is
/// among them.
private enum WeightPacking {
    /// Compact weights as they are.
    case compact(starts: [UInt32])
    /// Survivors by (input, output, tap); `places`: where each is in compact weights.
    case transposed(places: [UInt32], starts: [UInt32])
    /// All weights, pruned ones as +0.
    case groups(WeightGroups)

    static func transposed(_ mask: ConvolutionMask, _ shape: ConvolutionShape) -> WeightPacking {
        var places: [UInt32] = []
        places.reserveCapacity(mask.survivorCount)
        var starts = mask.starts
        for input in 0..<shape.input.channels {
            for kernel in stride(from: input, to: starts.count, by: shape.input.channels) {
                let first = mask.starts[kernel]
                starts[kernel] = UInt32(places.count)
                for n in 0..<mask.count(kernel: kernel) { places.append(first + UInt32(n)) }
            }
        }
        return .transposed(places: places, starts: starts)
    }

    /// How many weights are packed.
    var count: Int {
        switch self {
        case .compact: 0
        case .transposed(let places, _): places.count
        case .groups(let groups): groups.weights
        }
    }

    func start(kernel: Int) -> Int {
        switch self {
        case .compact(let starts), .transposed(_, let starts): Int(starts[kernel])
        case .groups: preconditionFailure("kernels of groups of channels lie apart")
        }
    }

    var byteCount: Int {
        switch self {
        case .compact(let starts): 4 * starts.count
        case .transposed(let places, let starts): 4 * (places.count + starts.count)
        case .groups: 0
        }
    }
}

/// Weights as [piece of the chains][group of target channels][source channel of the piece][tap][channel of the group],
/// in the fewest groups of at most `most` channels; those of channels that a group lacks are +0.
///
/// That is the order in which chains read them, so that the processor has them in time however many they are.
private struct WeightGroups {
    let most, taps, count, pieces: Int
    private let sources, targets: Int

    init(of most: Int, sources: Int, targets: Int, pieces: Int, shape: ConvolutionShape) {
        self.most = most
        self.sources = sources
        self.targets = targets
        self.pieces = pieces
        taps = shape.kernel * shape.kernel
        count = (targets + most - 1) / most
    }

    /// Of a group and a source channel.
    var sourceWeights: Int { taps * most }
    var weights: Int { count * sources * sourceWeights }

    /// The channels of a group, by number among those that take part.
    func targets(of group: Int) -> Range<Int> { targets * group / count..<targets * (group + 1) / count }

    /// The channels of a piece, likewise.
    func sources(of piece: Int) -> Range<Int> { sources * piece / pieces..<sources * (piece + 1) / pieces }
}

/// A convolution's mask kernel by kernel; kernel output · inputs + input.
struct ConvolutionMask {
    let survivorCount: Int
    let density: Double
    /// Where a kernel's first survivor is in compact weights.
    let starts: [UInt32]
    /// Bit t of a kernel: tap t survives.
    private let survivors: [UInt16]

    /// - Parameter survivors: [output][input][row][column]; nil where all survive.
    init(shape: ConvolutionShape, survivors: [Bool]?) {
        let taps = shape.kernel * shape.kernel
        var words: [UInt16] = []
        var starts: [UInt32] = []
        var count = 0
        for kernel in 0..<shape.outputs * shape.input.channels {
            var word: UInt16 = 0
            for tap in 0..<taps where survivors?[kernel * taps + tap] ?? true { word |= 1 << UInt16(tap) }
            words.append(word)
            starts.append(UInt32(count))
            count += word.nonzeroBitCount
        }
        self.survivors = words
        self.starts = starts
        survivorCount = count
        density = Double(count) / Double(shape.weightCount)
    }

    func count(kernel: Int) -> Int { survivors[kernel].nonzeroBitCount }

    func count(kernel: Int, among taps: [ConvolutionPart.Tap]) -> Int {
        guard survivors[kernel] != 0 else { return 0 }
        return taps.count { survivors[kernel] >> UInt16($0.index) & 1 == 1 }
    }

    /// How many taps of a kernel survive before this one, if it survives.
    func rank(kernel: Int, tap: Int) -> Int? {
        let bit: UInt16 = 1 << UInt16(tap)
        guard survivors[kernel] & bit != 0 else { return nil }
        return (survivors[kernel] & (bit - 1)).nonzeroBitCount
    }

    /// Writes the weights of a kernel, pruned ones as +0, `step` floats apart.
    /// - Parameter compact: all survivors, and one float more.
    func unpack(
        kernel: Int, taps: Int, from compact: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, step: Int
    ) {
        var next = Int(starts[kernel])
        var word = survivors[kernel]
        // As most kernels on the dense path are.
        if word == 0x1ff, taps == 9 {
            let kernel = compact + next
            for tap in 0..<9 { target[tap * step] = kernel[tap] }
            return
        }
        for tap in 0..<taps {
            target[tap * step] = word & 1 == 1 ? compact[next] : 0
            next += Int(word & 1)
            word >>= 1
        }
    }

    var byteCount: Int { 4 * starts.count + 2 * survivors.count }

    static func byteCount(shape: ConvolutionShape) -> Int { 4 + 6 * shape.outputs * shape.input.channels }
}
