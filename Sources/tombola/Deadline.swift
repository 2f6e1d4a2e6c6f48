import Foundation

/// When a machine will be taken away, as `--drain-at` says it.
package enum Deadline: Equatable {
    /// `+8h`, `+90m`, `+3600s`, `+3600`.
    case after(seconds: Int)
    /// Seconds since 1970, as in `$SLURM_JOB_END_TIME`.
    case epoch(seconds: Int)
    /// `18:30` or `18:30:15`: the next time that local clocks show this.
    case clock(hour: Int, minute: Int, second: Int)
    /// `2026-11-26T18:30`, with `:15` and with `Z` or `+01:00`, in local time without.
    case moment(Date)

    /// A batch system's longest jobs take months.
    private static let limitSeconds = 10 * 366 * 86_400

    package init(_ text: String) throws(Failure) {
        guard let deadline = Deadline.parse(text) else {
            throw Failure(
                .usage,
                "“\(text)” is no time for --drain-at: write 18:30, 2026-11-26T18:30, seconds since 1970, or a duration from now such as +8h, +90m or +600s"
            )
        }
        self = deadline
    }

    /// Seconds from `now` until then.
    /// - Throws: if that was before `now`, or is years away.
    package func seconds(after now: Date, calendar: Calendar = .current) throws(Failure) -> Double {
        let seconds: Double
        switch self {
        case .after(let duration): seconds = Double(duration)
        case .epoch(let epoch): seconds = Double(epoch) - now.timeIntervalSince1970
        case .moment(let date): seconds = date.timeIntervalSince(now)
        case .clock(let hour, let minute, let second):
            let time = DateComponents(hour: hour, minute: minute, second: second)
            guard let date = calendar.nextDate(after: now, matching: time, matchingPolicy: .nextTime) else {
                throw Failure(.usage, "--drain-at: local clocks never show \(hour):\(minute):\(second)")
            }
            seconds = date.timeIntervalSince(now)
        }
        guard seconds > 0 else {
            throw Failure(.usage, "--drain-at: that time is past; leave the option out, or name a later one")
        }
        guard seconds <= Double(Deadline.limitSeconds) else {
            throw Failure(
                .usage, "--drain-at: that is more than ten years away; durations are written +8h, +90m or +600s")
        }
        return seconds
    }

    private static func parse(_ text: String) -> Deadline? {
        if let match = text.wholeMatch(of: #/\+([0-9]{1,9})([hms]?)/#), let count = Int(match.1) {
            return .after(seconds: count * (match.2 == "h" ? 3_600 : match.2 == "m" ? 60 : 1))
        }
        if let match = text.wholeMatch(of: #/([0-9]{9,12})/#), let seconds = Int(match.1) {
            return .epoch(seconds: seconds)
        }
        if let match = text.wholeMatch(of: #/([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?/#), let hour = Int(match.1),
            let minute = Int(match.2), hour < 24, minute < 60
        {
            let second = match.3.flatMap { Int($0) } ?? 0
            return second < 60 ? .clock(hour: hour, minute: minute, second: second) : nil
        }
        for format in [
            "yyyy-MM-dd'T'HH:mm", "yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd'T'HH:mmZZZZZ", "yyyy-MM-dd'T'HH:mm:ssZZZZZ",
        ] {
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.isLenient = false
            formatter.dateFormat = format
            if let date = formatter.date(from: text) { return .moment(date) }
        }
        return nil
    }
}
