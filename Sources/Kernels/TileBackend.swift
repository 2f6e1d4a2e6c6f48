import CKernels

#if canImport(Glibc)
    import Glibc
#endif

/// What computes the products of bf16 tiles. Every one gives the same bits; they differ in speed only.
public enum TileBackend: String, Sendable, CaseIterable, Comparable {
    /// The instruction's arithmetic in plain C: any 64-bit processor.
    case portable
    /// The same with AVX2 and FMA.
    case avx2
    /// The same with AVX-512 F, DQ, BW and VL.
    case avx512
    /// TDPBF16PS of Intel AMX, which takes 16 × 16 × 32 products at once.
    case amx

    /// The fastest that runs here: AMX only where the system grants it and random tiles come out with the emulation's
    /// bits.
    public static let best: TileBackend = {
        switch tk_best_tile_backend() {
        case TK_TILES_AMX: .amx
        case TK_TILES_AVX512: .avx512
        case TK_TILES_AVX2: .avx2
        default: .portable
        }
    }()

    /// The one to use: `TOMBOLA_ISA` (portable, avx2, avx512 or amx) if it is set to one that runs here, else `best`.
    public static let current: TileBackend = chosen(by: getenv("TOMBOLA_ISA").map { String(cString: $0) })

    /// What a value of `TOMBOLA_ISA` chooses: an unknown name, or one that this machine cannot run, chooses `best`.
    public static func chosen(by name: String?) -> TileBackend {
        guard let name, let wanted = TileBackend(rawValue: name), wanted.isSupported else { return best }
        return wanted
    }

    public var isSupported: Bool { self <= .best }

    /// Those that run here, the slowest first.
    public static var supported: [TileBackend] { allCases.filter(\.isSupported) }

    public static func < (left: TileBackend, right: TileBackend) -> Bool { left.code.rawValue < right.code.rawValue }

    var code: tk_tile_backend {
        switch self {
        case .portable: TK_TILES_PORTABLE
        case .avx2: TK_TILES_AVX2
        case .avx512: TK_TILES_AVX512
        case .amx: TK_TILES_AMX
        }
    }

    /// The instructions for what is not a product of tiles.
    var instructionSet: InstructionSet {
        switch self {
        case .portable: .portable
        case .avx2: .avx2
        case .avx512, .amx: .avx512
        }
    }
}
