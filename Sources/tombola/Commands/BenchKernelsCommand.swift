import ArgumentParser
import Kernels

/// `tombola bench kernels`.
struct BenchKernelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels", abstract: "Each kernel on one thread, beside what limits it.",
        discussion: """
            Kernels that compute are told in GFLOP/s of surviving weights, kernels that only move bytes in GB/s, each per second of \
            processor time. The limit is the arithmetic that the thread can do at most or, where that takes longer, loads and stores of \
            as many bytes in arrays of the same sizes; both are measured beside the kernel. TOMBOLA_ISA chooses the instruction set, as \
            in `bench train`.
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
        let bench = KernelBench(windows: windows)
        let only = only
        var found: [KernelMeasurement] = []
        bench.run(where: { name in only.map(name.contains) ?? true }) { [output] measured in
            if !output.json {
                if found.isEmpty { Output.line(Self.line(Self.titles)) }
                Output.line(Self.line(Self.cells(measured)))
            }
            found.append(measured)
        }
        guard !found.isEmpty else { throw Failure(.usage, "no kernel's name contains “\(only ?? "")”") }
        if output.json { return try Output.json(found) }
        var said: Set<String> = []
        for measured in found where measured.shareOfLimit < Self.notableShare {
            guard let reason = measured.reason else { continue }
            let sentence = "\(measured.kernel) is far from its limit because \(reason)"
            if said.insert(sentence).inserted { Output.line(sentence) }
        }
    }

    /// Less of the limit than this is worth a reason, where one is known.
    private static let notableShare = 0.3

    private static let titles = ["kernel", "shape", "density", "rate", "spread", "limit", "of limit", "bound by"]

    private static func cells(_ measured: KernelMeasurement) -> [String] {
        [
            measured.kernel, measured.shape, Format.density(measured.density),
            "\(Format.rate(measured.rate)) \(measured.unit == .gigaflops ? "GFLOP/s" : "GB/s")",
            "\(Format.rate(measured.slowest))…\(Format.rate(measured.fastest))", Format.rate(measured.limit),
            Format.percent(measured.shareOfLimit, decimals: 0), measured.bound.rawValue,
        ]
    }

    /// One line of the table. It is printed as soon as it is known, so widths are those of the longest names.
    private static func line(_ cells: [String]) -> String {
        let columns: [(width: Int, alignment: TextGrid.Alignment)] = [
            (38, .left), (32, .left), (7, .right), (13, .right), (13, .right), (6, .right), (8, .right), (10, .left),
        ]
        return zip(cells, columns).map { $0.padded(to: $1.width, alignment: $1.alignment) }.joined(separator: "  ")
    }
}
