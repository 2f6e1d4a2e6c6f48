import Testing

@Suite("Random walks")
struct WalkTests {
    @Test("Whatever is lost, reordered or crashes, every task is done once and none is lost", arguments: 0..<4)
    func walk(_ block: UInt64) throws {
        for seed in block * 50..<(block + 1) * 50 {
            var walk = Walk(seed: seed)
            do {
                try walk.run()
            } catch let failure as WalkFailure {
                Issue.record("\(failure.text)")
            }
        }
    }
}
