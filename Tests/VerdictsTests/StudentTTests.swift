import Testing
import Verdicts

@Suite struct StudentTTests {
    @Test(
        "Quantiles equal published tables",
        arguments: [
            (1, 0.975, 12.706204736174698), (2, 0.975, 4.302652729749462), (3, 0.975, 3.1824463052837078),
            (4, 0.975, 2.7764451051977943), (5, 0.975, 2.5705818356363155), (7, 0.975, 2.364624251592784),
            (9, 0.975, 2.262157162798205), (10, 0.95, 1.8124611228116756), (29, 0.975, 2.0452296421327034),
            (30, 0.995, 2.7499956535672254), (100, 0.975, 1.9839715185235523), (1_000, 0.975, 1.9623390808264074),
            (1, 0.75, 1.0), (2, 0.9, 1.885618083164127), (60, 0.9995, 3.460200469196392),
        ])
    func quantiles(degrees: Int, probability: Double, expected: Double) {
        #expect(abs(StudentT(degrees: degrees).quantile(probability) / expected - 1) < 1e-9)
    }

    @Test("The distribution is symmetric, rises from 0 to 1 and undoes its quantile")
    func cumulative() {
        for degrees in [1, 2, 3, 4, 5, 8, 11, 50, 333] {
            let distribution = StudentT(degrees: degrees)
            #expect(distribution.cumulative(0) == 0.5)
            #expect(distribution.cumulative(.infinity) == 1)
            #expect(distribution.cumulative(-.infinity) == 0)
            var previous = 0.0
            for step in -60...60 {
                let t = Double(step) / 10
                let value = distribution.cumulative(t)
                #expect(value > previous)
                #expect(abs(value + distribution.cumulative(-t) - 1) < 1e-14)
                previous = value
            }
            for probability in [0.001, 0.025, 0.3, 0.5, 0.9, 0.999] {
                #expect(abs(distribution.cumulative(distribution.quantile(probability)) - probability) < 1e-12)
            }
        }
    }

    @Test("The distribution's values equal closed forms")
    func closedForms() {
        // One degree: 1/2 + arctan(t)/π. Two: 1/2 + t / (2 √(2 + t²)).
        #expect(abs(StudentT(degrees: 1).cumulative(1) - 0.75) < 1e-15)
        #expect(abs(StudentT(degrees: 1).cumulative(3.0.squareRoot()) - (0.5 + 1.0 / 3)) < 1e-15)
        for t in [0.1, 1, 2.5, 40] {
            #expect(abs(StudentT(degrees: 2).cumulative(t) - (0.5 + t / (2 * (2 + t * t).squareRoot()))) < 1e-15)
        }
    }
}
