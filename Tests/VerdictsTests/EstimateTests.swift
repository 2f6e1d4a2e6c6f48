import Testing
import Verdicts

@Suite struct EstimateTests {
    @Test("Mean and t interval equal a worked example")
    func interval() throws {
        // Student's sleep data, the differences of 1908: mean 1.58, t(9) interval 0.7001142 to 2.4598858.
        let estimate = try #require(Estimate([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]))
        #expect(abs(estimate.mean - 1.58) < 1e-12)
        #expect(abs(try #require(estimate.low) - 0.7001142) < 1e-7)
        #expect(abs(try #require(estimate.high) - 2.4598858) < 1e-7)
    }

    @Test("One value has no interval, equal values have one of no width, none have no estimate")
    func degenerate() throws {
        #expect(Estimate([]) == nil)
        #expect(Estimate([0.5]) == Estimate(mean: 0.5, low: nil, high: nil))
        // 0.1 + 0.1 + 0.1 is not 3 · 0.1 in binary.
        #expect(Estimate([0.1, 0.1, 0.1]) == Estimate(mean: 0.1, low: 0.1, high: 0.1))
    }

    @Test("The geometric mean of ratios and its interval are those of their logarithms")
    func geometric() throws {
        let estimate = try #require(Estimate(geometric: [0.5, 2, 1]))
        #expect(abs(estimate.mean - 1) < 1e-15)
        // ln 2 · 4.302652729749462 / √3 either way.
        #expect(abs(try #require(estimate.high) - 5.59499837330147) < 1e-8)
        #expect(abs(try #require(estimate.low) * 5.59499837330147 - 1) < 1e-8)
        let wide = try #require(Estimate(geometric: [1e-300, 1e300]))
        #expect(wide.mean.isFinite && wide.high?.isFinite == true)
    }
}
