import CKernels

/// What one thread of this machine can do at most, measured by loops of nothing but multiply-adds in registers.
public enum MachinePeak {
    /// Multiply-adds count 2.
    public static func gigaflopsPerSecond(_ instructionSet: InstructionSet) -> Double {
        precondition(instructionSet.isSupported, "\(instructionSet) does not run on this processor")
        return best(operations: tk_peak_operations(instructionSet.code)) { tk_peak_run(instructionSet.code, $0) }
    }

    /// Of bf16 tiles, where the emulations count as the f32 operations they are made of.
    public static func gigaflopsPerSecond(_ backend: TileBackend) -> Double {
        precondition(backend.isSupported, "\(backend) does not run on this processor")
        return best(operations: tk_tile_peak_operations(backend.code)) { tk_tile_peak_run(backend.code, $0) }
    }

    /// Bytes read and written by a copy of `byteCount` bytes, which shows the cache that so many bytes fit in.
    public static func gigabytesPerSecond(copying byteCount: Int) -> Double {
        let count = max(1, byteCount / 4)
        let source = AlignedBuffer<Float>(zeroed: count)
        let target = AlignedBuffer<Float>(zeroed: count)
        let copies = max(1, (1 << 27) / (4 * count))
        return best(operations: 8 * Double(count), rounds: copies) { rounds in
            for _ in 0..<rounds { target.pointer.update(from: source.pointer, count: count) }
            return target[count - 1]
        }
    }

    /// The best of several short runs: what others take from the machine only lowers a run.
    private static func best(operations: Double, rounds: Int? = nil, _ run: (Int) -> Float) -> Double {
        let clock = ContinuousClock()
        let rounds = rounds ?? max(1, Int(2e8 / operations))
        let rates = (0..<9).map { _ in
            let start = clock.now
            let result = run(rounds)
            let seconds = (clock.now - start) / .seconds(1)
            precondition(result.isFinite, "a sum of \(result)")
            return operations * Double(rounds) / seconds * 1e-9
        }
        return rates.max() ?? 0
    }
}
