import CKernels

/// What one thread of this machine can do at most, measured by loops of nothing but multiply-adds in
/// registers, or of nothing but loads and stores.
public enum MachinePeak {
    /// In f32; a multiply-add counts 2.
    /// - Precondition: the processor has the instructions.
    public static func gigaflopsPerSecond(_ instructionSet: InstructionSet) -> Double {
        precondition(instructionSet.isSupported, "\(instructionSet) does not run on this processor")
        return best(operations: tk_peak_operations(instructionSet.code)) { tk_peak_run(instructionSet.code, $0) }
    }

    /// Of bf16 tiles, where the emulations count as the f32 operations they are made of.
    /// - Precondition: the processor has the backend's instructions.
    public static func gigaflopsPerSecond(_ backend: TileBackend) -> Double {
        precondition(backend.isSupported, "\(backend) does not run on this processor")
        return best(operations: tk_tile_peak_operations(backend.code)) { tk_tile_peak_run(backend.code, $0) }
    }

    /// Bytes read and written by a loop that does nothing but go over as many bytes in the same way, side by side: as
    /// fast as the cache lets it that they fit in.
    public static func gigabytesPerSecond(_ traffic: Traffic, _ instructionSet: InstructionSet) -> Double {
        precondition(instructionSet.isSupported, "\(instructionSet) does not run on this processor")
        precondition(traffic.byteCount > 0, "no bytes are moved")
        let read = AlignedBuffer<UInt8>(zeroed: traffic.read)
        let updated = AlignedBuffer<Float>(zeroed: (traffic.updated + 3) / 4)
        let written = AlignedBuffer<UInt8>(zeroed: traffic.written)
        let rounds = max(1, bytesPerRun / traffic.byteCount)
        return best(operations: Double(traffic.byteCount), rounds: rounds) { rounds in
            tk_stream(
                instructionSet.code, rounds, read.pointer, traffic.read, updated.pointer, traffic.updated,
                written.pointer, traffic.written)
            return 0
        }
    }

    /// Enough for a run to take a fraction of a millisecond at the least.
    private static let bytesPerRun = 1 << 25

    /// The best of several short runs: what others take from the machine only lowers a run.
    private static func best(operations: Double, rounds: Int? = nil, _ run: (Int) -> Float) -> Double {
        let rounds = rounds ?? max(1, Int(2e8 / operations))
        let rates = (0..<9).map { _ in
            let start = ThreadClock.seconds
            let result = run(rounds)
            let seconds = ThreadClock.seconds - start
            precondition(result.isFinite, "a sum of \(result)")
            return operations * Double(rounds) / seconds * 1e-9
        }
        return rates.max() ?? 0
    }
}
