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

    private(set) lazy var peak = MachinePeak.gigaflopsPerSecond(instructionSet)
    private(set) lazy var tilePeak = MachinePeak.gigaflopsPerSecond(tiles)
    private var copyRates: [Int: Double] = [:]

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
    /// - Parameter limit: GFLOP/s.
    func report(
        _ kernel: String, _ shape: String, _ density: Double, flops: Double, limit: @autoclosure () -> Double,
        _ body: () -> Void
    ) {
        guard isWanted(kernel) else { return }
        found(measure(kernel, shape, density, .gigaflops, work: flops * 1e-9, limit: limit(), body))
    }

    /// A kernel that moves bytes.
    /// - Parameter near: bytes of the arrays that it passes over: they fit in the same cache as a copy of as many.
    func report(_ kernel: String, _ shape: String, bytes: Double, near: Double, _ body: () -> Void) {
        guard isWanted(kernel) else { return }
        let key = Int(near)
        let limit = copyRates[key] ?? MachinePeak.gigabytesPerSecond(copying: key)
        copyRates[key] = limit
        found(measure(kernel, shape, 1, .gigabytes, work: bytes * 1e-9, limit: limit, body))
    }

    private func measure(
        _ kernel: String, _ shape: String, _ density: Double, _ unit: KernelMeasurement.Unit, work: Double,
        limit: Double, _ body: () -> Void
    ) -> KernelMeasurement {
        // The first call makes lists and touches memory.
        body()
        let clock = ContinuousClock()
        let rates = (0..<windows).map { _ in
            let start = clock.now
            var calls = 0.0
            while true {
                body()
                calls += 1
                let seconds = (clock.now - start) / .seconds(1)
                if seconds >= windowSeconds { return calls * work / seconds }
            }
        }.sorted()
        return KernelMeasurement(
            kernel: kernel, shape: shape, density: density, unit: unit, rate: rates[windows / 2], slowest: rates[0],
            fastest: rates[windows - 1], limit: limit)
    }
}
