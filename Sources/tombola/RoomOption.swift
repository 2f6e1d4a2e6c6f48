import ArgumentParser

struct RoomOption: ParsableArguments {
    @Option(
        help: """
            Room on the store's disk below which nothing more is given out, such as 2GB (TOMBOLA_MIN_FREE; default: 1GiB, or a \
            twentieth of a smaller disk).
            """)
    var minFree: String?

    /// Nil for the default.
    func bytes() throws -> Int? { try ByteCount.setting(minFree, "MIN_FREE") }
}
