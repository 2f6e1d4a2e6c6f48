import ArgumentParser
import Kernels

/// `tombola bench kernels`.
struct BenchKernelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels", abstract: "Each kernel on one thread, beside what limits it.",
        discussion: """
            Kernels that compute are told in GFLOP/s of surviving weights beside the multiply-adds that the thread can do at most, kernels \
            that move bytes in GB/s beside a copy of as many. TOMBOLA_ISA chooses the instruction set, as in `bench train`.
            """)

    @Option(help: "Windows whose median is told.")
    var windows = 5

    @Option(help: "Only kernels whose name contains this: “convolution”, “bf16”, “batch-norm”.")
    var only: String?

    @OptionGroup var output: OutputOptions

    func run() throws {
        guard (1...1_000).contains(windows) else {
            throw Failure(.usage, "--windows must be in 1…1000, not \(windows)")
        }
        var found: [KernelMeasurement] = []
        KernelBench(windows: windows).run { if only.map($0.kernel.contains) ?? true { found.append($0) } }
        guard !found.isEmpty else { throw Failure(.usage, "no kernel's name contains “\(only ?? "")”") }
        if output.json { return try Output.json(found) }
        var grid = TextGrid([
            .init("kernel"), .init("shape"), .init("density", .right), .init("rate", .right), .init("spread", .right),
            .init("limit", .right), .init("of limit", .right),
        ])
        for measured in found {
            let unit = measured.unit == .gigaflops ? "GFLOP/s" : "GB/s"
            grid.append([
                .init(measured.kernel), .init(measured.shape), .init(Format.density(measured.density)),
                .init("\(Format.rate(measured.rate)) \(unit)"),
                .init("\(Format.rate(measured.slowest))…\(Format.rate(measured.fastest))"),
                .init(Format.rate(measured.limit)), .init(Format.percent(measured.shareOfLimit, decimals: 0)),
            ])
        }
        Output.table(grid)
    }
}
