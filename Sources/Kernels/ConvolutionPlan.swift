import CKernels

/// Which source lines each result of a convolution's forward pass or input gradient gathers, in `conv_gather.h`'s form.
/// Sources and targets are inputs and outputs forward, outputs and inputs backward.
///
/// An object holds scratch memory: one thread at a time may use it.
final class ConvolutionPlan {
    private let target: PlanesShape
    private let source: PlanesShape
    private let sourceStep: Int
    private let targetStep: Int
    private let dense: Bool
    /// Channels of the target whose chains are computed.
    private let channels: AlignedBuffer<UInt32>
    private let links: AlignedBuffer<tk_conv_link>
    private let segments: AlignedBuffer<UInt32>
    private let classes: AlignedBuffer<tk_conv_class>
    private let waiting: AlignedBuffer<Float>
    private let groupWeights: Int
    private let instructionSet: InstructionSet
    /// Where each weight that `weights` holds is in the compact ones; nil if the links count from those.
    private let places: [UInt32]?
    private let weights: AlignedBuffer<Float>

    /// Source lines of a panel that are read again for other channels: three quarters of a first-level cache of 32 KiB.
    private static let nearLines = 384
    /// Below that many source lines of a panel sparse chains may stay whole: half of a second-level cache of 512 KiB.
    private static let farLines = 4096
    /// Links of a sparse chain that outweigh the start and end of a piece of it.
    private static let longPiece = 32.0

    /// - Parameters:
    ///   - live: which outputs take part.
    ///   - dense: whether chains run over pruned weights, too, as zeros.
    init(
        _ direction: ConvolutionDirection, shape: ConvolutionShape, mask: ConvolutionMask, live: [Bool], dense: Bool,
        instructionSet: InstructionSet
    ) {
        let forward = direction == .forward
        source = forward ? shape.input : shape.output
        target = forward ? shape.output : shape.input
        sourceStep = forward ? shape.stride : 1
        targetStep = forward ? 1 : shape.stride
        self.dense = dense
        self.instructionSet = instructionSet
        let liveOutputs = live.indices.filter { live[$0] }
        let sources = forward ? Array(0..<source.channels) : liveOutputs
        let targets = forward ? liveOutputs : Array(0..<target.channels)
        let kernel = { (source: Int, target: Int) in
            forward ? target * shape.input.channels + source : source * shape.input.channels + target
        }
        let taps = shape.kernel * shape.kernel
        let group = tk_conv_group(instructionSet.code)

        // Where the weights of a chain go, and from where.
        var starts: [Int] = []
        if dense {
            let groups = (targets.count + group - 1) / group
            groupWeights = sources.count * taps * group
            var places = [UInt32](repeating: UInt32(mask.survivorCount), count: groups * groupWeights)
            for g in 0..<groups {
                let first = targets.count * g / groups
                for n in first..<targets.count * (g + 1) / groups {
                    for (s, source) in sources.enumerated() {
                        for tap in 0..<taps {
                            guard let place = mask.place(kernel: kernel(source, targets[n]), tap: tap) else { continue }
                            places[g * groupWeights + (s * taps + tap) * group + n - first] = UInt32(place)
                        }
                    }
                }
            }
            self.places = places
        } else if forward {
            groupWeights = 0
            places = nil
        } else {
            groupWeights = 0
            var places: [UInt32] = []
            places.reserveCapacity(mask.survivorCount)
            starts.reserveCapacity(target.channels * source.channels)
            for target in 0..<target.channels {
                for source in 0..<source.channels {
                    starts.append(places.count)
                    let kernel = kernel(source, target)
                    for n in 0..<mask.count(kernel: kernel) { places.append(UInt32(mask.start(kernel: kernel) + n)) }
                }
            }
            self.places = places
        }
        weights = AlignedBuffer(zeroed: places?.count ?? 0)

        var links: [tk_conv_link] = []
        var segments: [UInt32] = []
        var firstSegments: [Int] = []
        var classes: [tk_conv_class] = []
        let planeLines = source.planeLines
        let sourceCount = source.channels
        for part in ConvolutionPart.all(direction, shape) {
            let chunks = ConvolutionPlan.pieces(
                of: part, sources: sources.count, density: mask.density, dense: dense)
            firstSegments.append(segments.count)
            for chunk in 0..<chunks {
                let now = sources.count * chunk / chunks..<sources.count * (chunk + 1) / chunks
                if dense {
                    segments.append(UInt32(links.count))
                    for s in now {
                        for tap in part.taps {
                            let line = sources[s] * planeLines + tap.line
                            links.append(
                                tk_conv_link(
                                    line: UInt32(line * 16), weight: UInt32((s * taps + tap.index) * group)))
                        }
                    }
                    continue
                }
                for target in targets {
                    segments.append(UInt32(links.count))
                    for s in now {
                        let kernel = kernel(sources[s], target)
                        guard mask.count(kernel: kernel) > 0 else { continue }
                        let start =
                            forward ? mask.start(kernel: kernel) : starts[target * sourceCount + sources[s]]
                        for tap in part.taps {
                            guard let place = mask.place(kernel: kernel, tap: tap.index) else { continue }
                            let line = sources[s] * planeLines + tap.line
                            links.append(
                                tk_conv_link(
                                    line: UInt32(line * 16),
                                    weight: UInt32(start + place - mask.start(kernel: kernel))))
                        }
                    }
                }
            }
            segments.append(UInt32(links.count))
            var positions = part.positions
            positions.chunks = chunks
            classes.append(positions)
        }

        channels = AlignedBuffer(copying: targets.map { UInt32($0) })
        self.links = AlignedBuffer(copying: links)
        self.segments = AlignedBuffer(copying: segments)
        for n in classes.indices {
            classes[n].segments = UnsafePointer(self.segments.pointer + firstSegments[n])
            classes[n].links = UnsafePointer(self.links.pointer)
        }
        self.classes = AlignedBuffer(copying: classes)
        waiting = AlignedBuffer(zeroed: targets.count * (TK_CONV_PANEL + 2) * 16)
    }

    /// Into how many pieces chains are cut at a part.
    private static func pieces(of part: ConvolutionPart, sources: Int, density: Double, dense: Bool) -> Int {
        var channels = max(1, nearLines / part.panelLines)
        if !dense {
            let linksPerSource = density * Double(max(part.taps.count, 1))
            let far = max(1, farLines / part.panelLines)
            channels = max(channels, Int(min(longPiece / max(linksPerSource, 1e-6), Double(far))))
        }
        return max(1, (sources + channels - 1) / channels)
    }

    /// An upper bound of what a plan keeps in memory, if all outputs are live.
    static func byteCount(
        _ direction: ConvolutionDirection, shape: ConvolutionShape, survivorCount: Int, dense: Bool
    ) -> Int {
        let (sources, targets) =
            direction == .forward ? (shape.input.channels, shape.outputs) : (shape.outputs, shape.input.channels)
        let density = Double(survivorCount) / Double(shape.weightCount)
        var bytes = targets * (TK_CONV_PANEL + 2) * 64
        for part in ConvolutionPart.all(direction, shape) {
            let pieces = pieces(of: part, sources: sources, density: density, dense: dense)
            let segments = dense ? pieces : pieces * targets
            let links = sources * part.taps.count * (dense ? 1 : targets)
            bytes += 4 * (segments + 1) + 8 * (dense ? links : min(links, survivorCount))
        }
        // Each packed weight has a place; groups of at most 8 channels are filled up.
        let packed = dense ? (targets + 7) * sources * shape.kernel * shape.kernel : survivorCount
        return bytes + 8 * packed
    }

    /// Brings packed weights up to date with compact ones, after which there is a +0.
    func load(_ compact: UnsafePointer<Float>) {
        guard let places else { return }
        let weights = weights.pointer
        places.withUnsafeBufferPointer { places in
            for n in places.indices { weights[n] = compact[Int(places[n])] }
        }
    }

    func run(
        compact: UnsafePointer<Float>, source x: UnsafePointer<Float>, blocks: Int, finish: tk_conv_finish,
        target y: UnsafeMutablePointer<Float>
    ) -> Magnitude {
        var plan = tk_conv_plan()
        plan.source_block = source.blockLines
        plan.source_row = sourceStep * source.rowLines
        plan.source_column = sourceStep
        plan.target_block = target.blockLines
        plan.target_plane = target.planeLines
        plan.target_row = targetStep * target.rowLines
        plan.target_column = targetStep
        plan.height = target.height
        plan.width = target.width
        plan.channels = channels.count
        plan.channel = UnsafePointer(channels.pointer)
        plan.dense = dense ? 1 : 0
        plan.group_weights = groupWeights
        plan.class_count = classes.count
        plan.classes = UnsafePointer(classes.pointer)
        var finish = finish
        return Magnitude(
            bits: tk_conv_gather(
                instructionSet.code, &plan, &finish, places == nil ? compact : UnsafePointer(weights.pointer), x,
                blocks, waiting.pointer, y))
    }
}

/// A convolution's mask kernel by kernel; kernel output · inputs + input.
struct ConvolutionMask {
    let survivorCount: Int
    let density: Double
    /// Bit t of a kernel: tap t survives.
    private let taps: [UInt16]
    /// Where a kernel's first survivor is in compact weights.
    private let starts: [UInt32]

    /// - Parameter survivors: [output][input][row][column]; nil where all survive.
    init(shape: ConvolutionShape, survivors: [Bool]?) {
        let perKernel = shape.kernel * shape.kernel
        var taps: [UInt16] = []
        var starts: [UInt32] = []
        var count = 0
        for kernel in 0..<shape.outputs * shape.input.channels {
            var word: UInt16 = 0
            for tap in 0..<perKernel where survivors?[kernel * perKernel + tap] ?? true { word |= 1 << UInt16(tap) }
            taps.append(word)
            starts.append(UInt32(count))
            count += word.nonzeroBitCount
        }
        self.taps = taps
        self.starts = starts
        survivorCount = count
        density = Double(count) / Double(shape.weightCount)
    }

    func count(kernel: Int) -> Int { taps[kernel].nonzeroBitCount }

    func start(kernel: Int) -> Int { Int(starts[kernel]) }

    /// Where the weight of a tap is in compact weights, if it survives.
    func place(kernel: Int, tap: Int) -> Int? {
        let bit: UInt16 = 1 << UInt16(tap)
        guard taps[kernel] & bit != 0 else { return nil }
        return Int(starts[kernel]) + (taps[kernel] & (bit - 1)).nonzeroBitCount
    }
}
