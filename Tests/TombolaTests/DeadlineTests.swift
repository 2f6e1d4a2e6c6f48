import Foundation
import Testing
import tombola

@Suite("When a machine will be taken away") struct DeadlineTests {
    private let now = Date(timeIntervalSince1970: 1_764_165_600)  // 2025-11-26T14:00:00Z

    private var utc: Calendar {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(identifier: "UTC")!
        return calendar
    }

    @Test(
        "Durations, times of the day, moments and seconds since 1970",
        arguments: [
            ("+8h", 28_800.0), ("+90m", 5_400), ("+45s", 45), ("+600", 600), ("1764165700", 100), ("14:30", 1_800),
            ("14:00:05", 5), ("13:59", 86_340), ("2025-11-26T14:01Z", 60), ("2025-11-26T16:00:30+01:00", 3_630),
        ])
    func times(_ text: String, _ seconds: Double) throws {
        #expect(try Deadline(text).seconds(after: now, calendar: utc) == seconds)
    }

    @Test(
        "What is no time, or is past, is refused with a sentence",
        arguments: [
            "", "soon", "8h", "+", "+1d", "25:00", "12:60", "2025-13-01T00:00", "1764165600", "1000000000",
            "+999999999",
        ])
    func refusals(_ text: String) {
        let failure = #expect(throws: Failure.self) { try Deadline(text).seconds(after: now, calendar: utc) }
        #expect(failure?.status == .usage)
        #expect(failure?.message.contains("--drain-at") == true)
    }
}
