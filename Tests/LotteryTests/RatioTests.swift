import Lottery
import Testing

@Suite("Ratio")
struct RatioTests {
    @Test("Counts are floor(rate · count) of the decimal as written")
    func exactCounts() throws {
        for (text, count, expected) in [
            ("0.29", 100, 29), ("0.07", 100, 7), ("0.57", 100, 57), ("0.2", 266_200, 53_240), ("0.1", 1_000, 100),
            ("0.3333", 3, 0), ("1", 7, 7), ("0", 7, 0), ("0.2", 0, 0),
            ("0.999999999999999", 1_000_000_000_000_000, 999_999_999_999_999),
        ] {
            #expect(try #require(Ratio(text)).floor(of: count) == expected, "\(text) of \(count)")
        }
    }

    @Test("Every rate of two decimals takes the exact share of a hundred, where binary floating point does not")
    func everyPercent() throws {
        for percent in 0...100 {
            let text = percent == 100 ? "1" : "0." + (percent < 10 ? "0" : "") + String(percent)
            let ratio = try #require(Ratio(text))
            #expect(ratio.floor(of: 100) == percent)
            #expect(ratio.floor(of: 10_000_000_000_000_000) == percent * 100_000_000_000_000)
        }
    }

    @Test("One number has one ratio, however it is written")
    func equality() throws {
        for text in ["0.2", ".2", "0.20", "2e-1", "+0.2", "20e-2", "0.02E1"] {
            #expect(try #require(Ratio(text)) == #require(Ratio("0.2")), "\(text)")
            #expect(try #require(Ratio(text)).description == "0.2")
        }
        #expect(try #require(Ratio("1.0")) == .one)
        #expect(try #require(Ratio("0.000")) == .zero)
    }

    @Test(
        "What is no decimal in 0…1 is refused",
        arguments: [
            "", ".", "-0.1", "1.0000001", "2", "0,5", "nan", "inf", "0x1", "1e", "0.1 ", "1e99", "0.1234567890123456",
        ])
    func refused(text: String) {
        #expect(Ratio(text) == nil)
    }

    @Test("Ratios order as numbers")
    func order() throws {
        let texts = ["0", "0.000001", "0.0999", "0.1", "0.19", "0.2", "0.999999", "1"]
        let ratios = try texts.map { try #require(Ratio($0)) }
        #expect(ratios == ratios.shuffled().sorted())
    }
}
