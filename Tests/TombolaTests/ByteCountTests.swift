import Testing
import tombola

@Suite("Sizes as people write them") struct ByteCountTests {
    @Test(
        "Units of ten and of two, with and without B",
        arguments: [
            ("10GB", 10_000_000_000), ("512MiB", 512 << 20), ("4096", 4_096), ("1.5g", 1_500_000_000),
            ("2 TB", 2_000_000_000_000),
            ("0", 0),
        ])
    func sizes(_ text: String, _ bytes: Int) { #expect(ByteCount.parse(text) == bytes) }

    @Test("What is no size", arguments: ["", "GB", "-1GB", "1e3", "ten", "10 XB", "99999999TB"])
    func nonsense(_ text: String) { #expect(ByteCount.parse(text) == nil) }
}
