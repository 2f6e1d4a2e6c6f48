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

    /// The best of several short runs: what others take from the machine only lowers a run.
    private static func best(operations: Double, _ run: (Int) -> Float) -> Double {
        let clock = ContinuousClock()
        let rounds = max(1, Int(2e8 / operations))
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
