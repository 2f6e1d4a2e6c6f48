import CKernels

#if canImport(Glibc)
    import Glibc
#endif

/// The instructions that kernels are made of. Every one gives the same bits; they differ in speed only.
public enum InstructionSet: String, Sendable, CaseIterable, Comparable {
    /// Plain C: any 64-bit processor.
    case portable
    /// AVX2 and FMA.
    case avx2
    /// AVX-512 F, DQ, BW and VL.
    case avx512

    /// The fastest that this processor and this operating system support.
    public static let best: InstructionSet = {
        switch tk_best_isa() {
        case TK_AVX512: .avx512
        case TK_AVX2: .avx2
        default: .portable
        }
    }()

    /// The one to use: `TOMBOLA_ISA` (portable, avx2 or avx512) if it is set to one that runs here, else `best`.
    public static let current: InstructionSet = chosen(by: getenv("TOMBOLA_ISA").map { String(cString: $0) })

    /// What a value of `TOMBOLA_ISA` chooses: an unknown name, or one that this machine cannot run, chooses `best`.
    public static func chosen(by name: String?) -> InstructionSet {
        guard let name, let wanted = InstructionSet(rawValue: name), wanted.isSupported else { return best }
        return wanted
    }

    public var isSupported: Bool { self <= .best }

    /// Those that run here, the slowest first.
    public static var supported: [InstructionSet] { allCases.filter(\.isSupported) }

    public static func < (left: InstructionSet, right: InstructionSet) -> Bool {
        left.code.rawValue < right.code.rawValue
    }

    var code: tk_isa {
        switch self {
        case .portable: TK_PORTABLE
        case .avx2: TK_AVX2
        case .avx512: TK_AVX512
        }
    }
}
