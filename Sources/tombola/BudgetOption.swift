import ArgumentParser
import Sweeps
import Training

/// Core time that a sweep may take.
struct BudgetOption: ParsableArguments {
    @Option(
        help:
            "Core-hours that there are: times training steps on this machine, says what of the sweep fits, and does not begin what does not fit."
    )
    var budget: Double?

    fileprivate static let secondsPerHour = 3_600.0

    /// Core-seconds; nil if none were named.
    func seconds() throws(Failure) -> Double? {
        guard let budget else { return nil }
        guard budget > 0, budget <= 1e9 else {
            throw Failure(.usage, "--budget must be above 0 and at most 1e9, not \(budget)")
        }
        return budget * BudgetOption.secondsPerHour
    }

    /// What of a plan fits, by this machine's speed.
    static func plan(_ seconds: Double, of plan: Plan) throws -> BudgetPlan {
        Console.shared.say("timing training steps on this machine")
        var clock = TrainingClock(registry: .standard)
        return try plan.budget(of: seconds) { try clock.seconds(of: $0, dataset: $1, density: $2) }
    }

    static func hours(_ seconds: Double) -> String {
        let hours = seconds / secondsPerHour
        return Format.fixed(hours, hours < 0.1 ? 4 : hours < 10 ? 2 : hours < 100 ? 1 : 0)
    }
}

extension Format {
    /// `42 min 10 s of core time`, or from an hour on `3.80 core-hours`, as budgets are given.
    package static func coreTime(seconds: Double) -> String {
        seconds < BudgetOption.secondsPerHour
            ? "\(duration(seconds: seconds)) of core time" : "\(BudgetOption.hours(seconds)) core-hours"
    }
}

extension BudgetPlan {
    /// `3 of 5 replicates (3.80 core-hours), or 4 of 7 levels (3.92 core-hours)`
    var whatFits: String {
        if fits { return "all of it" }
        let parts = [
            mostReplicates.map {
                "\($0.count) of \(replicates.map(\.count).max() ?? 0) replicates (\(Format.coreTime(seconds: $0.seconds)))"
            },
            mostLevels.map {
                "\($0.count) of \(levels.count - 1) levels (\(Format.coreTime(seconds: $0.seconds)))"
            },
        ].compactMap(\.self)
        return parts.isEmpty ? "not even the dense networks" : parts.joined(separator: ", or ")
    }
}
