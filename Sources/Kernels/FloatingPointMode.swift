import CKernels

/// How the calling thread treats denormal numbers. Results depend on it, so every thread that trains sets it first.
public enum FloatingPointMode {
    /// Treats denormal inputs as zero and flushes denormal results to zero, on the calling thread, until it ends.
    /// A thread starts with the mode of the one that created it.
    public static func flushDenormals() { tk_flush_denormals() }

    public static var flushesDenormals: Bool { tk_flushes_denormals() != 0 }
}
