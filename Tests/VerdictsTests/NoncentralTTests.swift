/// A look of three.
import Testing
import Verdicts

private let third = 0.025 / 3

@Suite struct NoncentralTTests {
    @Test(
        "Power equals that of scipy's noncentral t",
        arguments: [
            (2, 0.3, 0.025, 0.040484623170088024), (2, 1.0, 0.025, 0.09057971865059411),
            (2, 2.0, third, 0.05903556549656052), (3, 0.3, 0.025, 0.05213894522651331),
            (3, 1.0, 0.025, 0.17861005524801665), (3, 2.0, third, 0.19357128000992976),
            (5, 0.3, 0.025, 0.07606644630193914), (5, 1.0, 0.025, 0.40132028519950486),
            (5, 2.0, third, 0.6816008659793525), (8, 0.3, 0.025, 0.11087339350473355),
            (8, 1.0, 0.025, 0.680830149549934), (8, 2.0, third, 0.9774521293205671),
            (12, 1.0, 0.025, 0.8828915177471158), (30, 0.3, 0.025, 0.3552706607693056),
            (30, 2.0, third, 0.9999999999999991),
        ] as [(Int, Double, Double, Double)])
    func power(count: Int, effect: Double, error: Double, expected: Double) {
        #expect(abs(StudentT.power(count: count, effect: effect, error: error) - expected) < 1e-6)
    }

    @Test("Without a difference, and with none at all, a test errs at its rate")
    func null() {
        for count in [2, 3, 8, 51] {
            #expect(abs(StudentT.power(count: count, effect: 0, error: 0.025) - 0.025) < 1e-6)
        }
        #expect(StudentT.power(count: 5, effect: -9, error: 0.025) < 1e-9)
        #expect(StudentT.power(count: 2, effect: .greatestFiniteMagnitude, error: 0.025) > 1 - 1e-6)
    }

    @Test(
        "The seeds that decide with 80 % are those of scipy",
        arguments: [
            (0.4, 0.025, 52), (0.4, third, 69), (0.5, 0.025, 34), (0.5, third, 45), (1.0, 0.025, 10),
            (1.0, third, 14), (1.5, 0.025, 6), (1.5, third, 8), (2.0, 0.025, 5), (3.0, 0.025, 4),
            (5.0, third, 4),
        ] as [(Double, Double, Int)])
    func seeds(effect: Double, error: Double, expected: Int) {
        #expect(
            MoreSeeds(beyond: 2, distance: effect * 0.003, deviation: 0.003, error: error)
                == (expected - 2 <= 50 ? .about(expected - 2) : .above50))
        // More than are there, however clear it would be.
        #expect(MoreSeeds(beyond: 60, distance: effect, deviation: 0.01, error: error) == .about(1))
    }

    @Test("What is exactly at the bound never decides; what has no spread takes one more")
    func edges() {
        #expect(MoreSeeds(beyond: 5, distance: 0, deviation: 0.1, error: 0.025) == .above50)
        #expect(MoreSeeds(beyond: 5, distance: 0, deviation: 0, error: 0.025) == .above50)
        #expect(MoreSeeds(beyond: 5, distance: 0.1, deviation: 0, error: 0.025) == .about(1))
        #expect(MoreSeeds.about(1).description == "about 1 more seed")
        #expect(MoreSeeds.above50.description == "> 50 more seeds")
        #expect(MoreSeeds.about(50) < .above50)
    }

    @Test("The normal distribution and its quantile equal published values")
    func normal() {
        #expect(abs(Elementary.normalCumulative(1.959963984540054) - 0.975) < 1e-12)
        #expect(abs(Elementary.normalCumulative(-3) - 0.0013498980316300933) < 1e-12)
        #expect(Elementary.normalCumulative(0) == 0.5)
        #expect(abs(Elementary.normalQuantile(0.8) - 0.8416212335729143) < 1e-8)
    }
}
