import CLinux

/// What the allocator keeps of what was freed.
enum FreedMemory {
    /// Hands it back to the system: after a plan of a million tasks was read or made that is hundreds of megabytes, in
    /// pieces that the allocator alone would keep for good.
    static func handBack() { linux_trim_memory() }
}
