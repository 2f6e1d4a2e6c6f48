import Kernels
import Lottery
import Training

extension Engine {
    /// Engines of a precision, at least three, that differ in all that runs here and changes no bit.
    static func all(_ precision: Precision) -> [Engine] {
        let sets = InstructionSet.supported
        let blocks: [Int?] = [nil, 1, 2]
        return switch precision {
        case .f32:
            [KernelPath.sparse, .dense, .fastest].enumerated().flatMap { turn, path in
                sets.enumerated().map {
                    Engine(instructionSet: $1, path: path, blocksAtOnce: blocks[(turn + $0) % blocks.count])
                }
            }
        case .bf16:
            (0..<max(blocks.count, TileBackend.supported.count)).map { turn in
                Engine(
                    precision: .bf16, instructionSet: sets[(turn + 1) % sets.count],
                    tiles: TileBackend.supported[turn % TileBackend.supported.count],
                    blocksAtOnce: blocks[turn % blocks.count])
            }
        }
    }
}
