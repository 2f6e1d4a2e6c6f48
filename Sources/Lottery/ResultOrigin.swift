/// By which program, where and how a result was computed: for people who read a table years later. It is part of no
/// key, and results are not compared by it, because numbers do not depend on it.
public struct ResultOrigin: Hashable, Sendable, Codable {
    /// Version of the program that trained.
    public var program: String
    /// Name of the machine.
    public var machine: String
    /// Instruction set that the kernels used: `avx512`, or `amx` for the tiles of bf16.
    public var processor: String
    /// What the processor calls itself, such as `AMD EPYC 7B13`; nil where it has no name, and of results of earlier
    /// versions.
    public var processorModel: String?

    public init(program: String, machine: String, processor: String, processorModel: String? = nil) {
        self.program = program
        self.machine = machine
        self.processor = processor
        self.processorModel = processorModel
    }

    /// The fields behind each other, a line each: the form in which it travels and is stored.
    public var text: String {
        [program, machine, processor, processorModel].compactMap { $0?.replacing("\n", with: " ") }
            .joined(separator: "\n")
    }

    /// Nil for what is no such text: results of earlier versions do not say where they are from.
    public init?(text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.count == 3 || lines.count == 4 else { return nil }
        self.init(
            program: lines[0], machine: lines[1], processor: lines[2],
            processorModel: lines.count == 4 ? lines[3] : nil)
    }
}
