/// Measures kernels at the shapes of the networks that are trained: LeNet-300-100, Conv-6, ResNet-20 and VGG-19.
///
/// An object remembers the machine's limits that it has measured: one thread at a time may use it.
public final class KernelBench {
    let instructionSet: InstructionSet
    let tiles: TileBackend
    private let windows: Int
    private let windowSeconds: Double
    /// Whether a kernel of this name is to be measured, and what is told of each.
    private var isWanted: (String) -> Bool = { _ in true }
    private var found: (KernelMeasurement) -> Void = { _ in }

    /// The best that was measured so far, in operations or bytes per nanosecond.
    private var best: [Limit: Double] = [:]

    /// What computes.
    enum Arithmetic: Hashable {
        case vectors, tiles
    }

    private enum Limit: Hashable {
        case arithmetic(Arithmetic)
        case memory(Traffic)
    }

    /// - Parameter windows: whose median counts, each of at least `windowSeconds`.
    public init(
        instructionSet: InstructionSet = .current, tiles: TileBackend = .current, windows: Int = 5,
        windowSeconds: Double = 0.05
    ) {
        precondition(windows > 0, "\(windows) windows")
        self.instructionSet = instructionSet
        self.tiles = tiles
        self.windows = windows
        self.windowSeconds = windowSeconds
    }

    /// Measures the kernels whose names are wanted, and no limit that none of them needs.
    /// - Parameter found: is called with each measurement as it is there.
    public func run(
        where isWanted: @escaping (String) -> Bool = { _ in true }, _ found: @escaping (KernelMeasurement) -> Void
    ) {
        FloatingPointMode.flushDenormals()
        self.isWanted = isWanted
        self.found = found
        for (inputs, outputs) in [(784, 300), (300, 100)] {
            dense(inputs: inputs, outputs: outputs)
            for density in [0.1, 0.02] { sparse(inputs: inputs, outputs: outputs, density: density) }
            tileDense(inputs: inputs, outputs: outputs)
        }
        parameters()
        examples()
        for (channels, side, stride) in [
            (64, 32, 1), (128, 16, 1), (256, 8, 1), (512, 4, 1), (512, 2, 1), (16, 32, 1), (32, 16, 1), (32, 16, 2),
        ] {
            convolutions(channels: channels, side: side, outputs: channels * stride, kernel: 3, stride: stride)
        }
        for (channels, side) in [(16, 32), (32, 16)] {
            convolutions(channels: channels, side: side, outputs: 2 * channels, kernel: 1, stride: 2)
        }
        for (channels, side) in [(64, 32), (128, 16), (256, 8)] { pooledConvolution(channels: channels, side: side) }
        for (channels, side) in [(16, 32), (64, 8)] {
            let shape = PlanesShape(channels: channels, height: side, width: side)
            maps(shape, blocks: 8, inPairs: false)
            maps(shape, blocks: 8, inPairs: true)
        }
    }

    func wantsAny(_ names: [String]) -> Bool { names.contains { isWanted($0) } }

    /// A kernel that computes.
    /// - Parameter reason: why it cannot come near the limit, if that is so.
    func report(
        _ kernel: String, _ shape: String, _ density: Double = 1, flops: Double, by arithmetic: Arithmetic = .vectors,
        _ traffic: Traffic, because reason: String? = nil, _ body: () -> Void
    ) {
        report(kernel, shape, density, .gigaflops, flops, arithmetic, traffic, because: reason, body)
    }

    /// A kernel that moves bytes.
    /// - Parameter reason: as above.
    func report(
        _ kernel: String, _ shape: String, _ traffic: Traffic, because reason: String? = nil, _ body: () -> Void
    ) {
        report(kernel, shape, 1, .gigabytes, 0, .vectors, traffic, because: reason, body)
    }

    private func report(
        _ kernel: String, _ shape: String, _ density: Double, _ unit: KernelMeasurement.Unit, _ flops: Double,
        _ arithmetic: Arithmetic, _ traffic: Traffic, because reason: String?, _ body: () -> Void
    ) {
        guard isWanted(kernel) else { return }
        /// Nanoseconds that each takes at the least.
        func limits() -> (arithmetic: Double, memory: Double) {
            (
                flops > 0 ? flops / measured(.arithmetic(arithmetic)) : 0,
                Double(traffic.byteCount) / measured(.memory(traffic))
            )
        }
        // Before and after, because what others do on the machine slows what is measured meanwhile.
        _ = limits()
        let rates = rates(of: body)
        let least = limits()
        let work = flops > 0 ? flops : Double(traffic.byteCount)
        found(
            KernelMeasurement(
                kernel: kernel, shape: shape, density: density, unit: unit, rate: work * rates[windows / 2] * 1e-9,
                slowest: work * rates[0] * 1e-9, fastest: work * rates[windows - 1] * 1e-9,
                limit: work / max(least.arithmetic, least.memory),
                bound: least.arithmetic > least.memory ? .arithmetic : .memory, reason: reason))
    }

    private func measured(_ limit: Limit) -> Double {
        let now =
            switch limit {
            case .arithmetic(.vectors): MachinePeak.gigaflopsPerSecond(instructionSet)
            case .arithmetic(.tiles): MachinePeak.gigaflopsPerSecond(tiles)
            case .memory(let traffic): MachinePeak.gigabytesPerSecond(traffic, instructionSet)
            }
        let best = max(now, best[limit] ?? 0)
        self.best[limit] = best
        return best
    }

    /// Calls per second of each window, sorted.
    private func rates(of body: () -> Void) -> [Double] {
        func seconds(of calls: Int) -> Double {
            let start = ThreadClock.seconds
            for _ in 0..<calls { body() }
            return ThreadClock.seconds - start
        }
        // The first call makes lists and touches memory.
        body()
        // So many at a time that looking at the clock takes no part of it.
        var calls = 1
        while seconds(of: calls) < windowSeconds / 100 { calls *= 2 }
        return (0..<windows).map { _ in
            var (count, spent) = (0, 0.0)
            while spent < windowSeconds {
                spent += seconds(of: calls)
                count += calls
            }
            return Double(count) / spent
        }.sorted()
    }
}
