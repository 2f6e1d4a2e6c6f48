import Lottery
import Sweeps

/// A plan's summary for people.
enum PlanText {
    static func facts(_ summary: PlanSummary) -> [(name: String, value: String)] {
        guard let budget = summary.budget else { return work(summary) }
        let most = summary.adaptive == nil ? "about" : "at most about"
        return work(summary) + [
            ("time to go", "\(most) \(Format.coreTime(seconds: budget.seconds)) on this machine"),
            ("fits", "\(budget.whatFits), in \(Format.coreTime(seconds: budget.budget))"),
        ]
    }

    private static func work(_ summary: PlanSummary) -> [(name: String, value: String)] {
        var facts = [("sweep", summary.sweep)]
        for (index, axis) in summary.axes.enumerated() {
            let values = axis.values.map(\.description).joined(separator: ", ")
            facts.append((index == 0 ? "axes" : "", "\(axis.name) (\(axis.path)): \(values)"))
        }
        for (name, recipe) in [("mask_from", summary.maskFrom), ("train", summary.train)] {
            if let recipe, !recipe.coordinates.isEmpty { facts.append((name, LeaderboardText.words(for: recipe))) }
        }
        let excluded = summary.excluded > 0 ? " (\(Format.count(summary.excluded)) more excluded)" : ""
        facts.append(("points", Format.count(summary.points) + excluded))
        let replicates =
            (summary.adaptive.map { $0.looks.count > 1 } ?? false ? "at most " : "")
            + Format.count(summary.replicates, "replicate")
        let most = summary.adaptive == nil ? "" : "at most "
        facts.append(
            (
                "runs",
                "\(most)\(Format.count(summary.runs)), \(replicates) of each point"
            ))
        facts.append(("levels", most + Format.count(summary.levels)))
        // Networks of other sizes leave a weight more or less, which is not to be seen.
        let densities = summary.densities.map(Format.density).reduce(into: [String]()) { shown, density in
            if shown.last != density { shown.append(density) }
        }
        facts.append(("densities", shortened(densities)))
        facts.append(("branches", summary.branches.isEmpty ? "none" : summary.branches.joined(separator: ", ")))
        if let siblings = summary.instability {
            let levels = siblings.levels.map { $0.map(String.init).joined(separator: ", ") } ?? "all"
            facts.append(
                (
                    "instability",
                    "levels \(levels): \(most)\(Format.count(siblings.tasks, "sibling")), each compared at \(Format.count(siblings.points, "point")); "
                        + "batch-norm \(siblings.batchNorm.rawValue)"
                ))
        }
        guard let adaptive = summary.adaptive else {
            facts.append(
                (
                    "tasks",
                    "\(Format.count(summary.tasks)); \(Format.count(summary.tasksWithoutSharing)) without sharing"
                ))
            facts.append(("in the store", "\(Format.count(summary.tasksDone)) done"))
            facts.append(
                (
                    "steps",
                    "\(Format.count(summary.steps)); \(Format.count(summary.stepsWithoutSharing)) without sharing"
                ))
            facts.append(("steps to go", Format.count(summary.stepsRemaining)))
            return facts
        }
        // Which of them are trained is for the results to say.
        if adaptive.looks.count > 1 {
            let looks = adaptive.looks.map(Format.count).joined(separator: ", ")
            facts.append(("looks", "at \(looks) replicates"))
        }
        facts.append(
            ("tasks", "at least \(Format.count(adaptive.atLeast.tasks)), at most \(Format.count(summary.tasks))"))
        facts.append(
            (
                "in the store",
                "\(Format.count(adaptive.askedDone.tasks)) done of the \(Format.count(adaptive.asked.tasks)) that are asked for so far"
            ))
        facts.append(
            ("steps", "at least \(Format.count(adaptive.atLeast.steps)), at most \(Format.count(summary.steps))"))
        facts.append(("steps to go", "\(Format.count(adaptive.asked.steps - adaptive.askedDone.steps)) so far"))
        return facts
    }

    /// A long list by its first and last entries.
    private static func shortened(_ list: [String]) -> String {
        guard list.count > 16 else { return list.joined(separator: ", ") }
        return (list.prefix(12) + ["…"] + list.suffix(2)).joined(separator: ", ")
    }
}
