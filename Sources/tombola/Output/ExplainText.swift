import Coordination
import CoordinatorService
import Foundation
import Lottery
import Store

/// A task's report for people.
enum ExplainText {
    static func print(_ report: TaskReport) {
        let ink = Terminal.output.ink
        var facts = [("task", report.task.hex)]
        for place in report.places { facts.append(("part of", place)) }
        if report.furtherPlaces > 0 { facts.append(("", "and \(Format.count(report.furtherPlaces)) more")) }
        if let explanation = report.explanation {
            facts.append(("state", state(explanation, report)))
            for sentence in reasons(explanation, report) { facts.append(("why", sentence)) }
            if let checkpoint = explanation.checkpoint {
                facts.append(("saved", "the next attempt goes on from step \(Format.count(checkpoint.step))"))
            }
            if let counted = counted(explanation) { facts.append(("counted", counted)) }
        }
        for contradiction in report.contradictions {
            facts.append(("broken", sentence(about: contradiction)))
        }
        if let seconds = report.seconds {
            let origin =
                report.origin.map { origin in
                    let processor = [origin.processorModel, origin.processor].compactMap(\.self).joined(separator: ", ")
                    return " on \(origin.machine), \(processor), by tombola \(origin.program)"
                } ?? ""
            facts.append(("trained", "\(Format.duration(seconds: seconds)) of processor time" + origin))
        }
        Output.facts(facts)
        guard !report.attempts.isEmpty else { return }
        Output.line("")
        Output.table(table(report.attempts))
        guard let last = report.attempts.last(where: { $0.log != nil }), let log = last.log else { return }
        Output.line("")
        Output.line(ink("the end of what attempt \(last.number) wrote:", .dim))
        for line in log.split(separator: "\n", omittingEmptySubsequences: false) where !line.isEmpty {
            Output.line("  \(line)")
        }
    }

    private static func state(_ explanation: TaskExplanation, _ report: TaskReport) -> String {
        report.divergedAt == nil ? explanation.state.rawValue : "done, \(FailureName.diverged)"
    }

    /// Why it is in its state, a sentence each.
    static func reasons(_ explanation: TaskExplanation, _ report: TaskReport) -> [String] {
        switch explanation.state {
        case .done:
            report.divergedAt.map {
                [
                    "at step \(Format.count($0)) the training met an infinity or NaN; that is its result, and it is not tried again"
                ]
            } ?? []
        case .failed, .quarantined, .lost, .cancelled:
            [explanation.failure?.reason ?? "", "`tombola retry \(report.task)` tries it anew"]
        case .running: explanation.running.map { [sentence(about: $0, from: report.firstStep ?? 0)] } ?? []
        case .delivering: ["it is finished, and its outputs are on their way from the worker"]
        case .waiting:
            explanation.parents.map { parent in
                "waits for \(parent.task), which "
                    + (parent.state.map { "is \($0.rawValue)" } ?? "nobody has submitted")
            }
        case .ready: reasons(explanation.readiness!, explanation)
        }
    }

    /// Names the outputs that differ, by the first digits of their digests.
    private static func sentence(about contradiction: TaskReport.Contradiction) -> String {
        let differences = contradiction.kept.compactMap { kept -> String? in
            // What one of them was not asked to keep is no contradiction.
            guard let other = contradiction.other.first(where: { $0.name == kept.name }), other.digest != kept.digest
            else { return nil }
            return "\(kept.name) is \(kept.digest), there \(other.digest)"
        }
        let difference = differences.isEmpty ? "in what it measured" : differences.joined(separator: "; ")
        return
            "\(contradiction.worker) gave another result than the one that counts (\(difference)): a bug in tombola, or broken hardware"
    }

    private static func sentence(about running: CoordinatorStatus.RunningLine, from firstStep: Int) -> String {
        if running.awaitsAdoption {
            return
                "attempt \(running.attempt) was given to \(running.worker), which has not said since whether it still runs"
        }
        let still = Double(running.stillMilliseconds) / 1_000
        return "\(running.worker) trains it, for \(Format.duration(seconds: Double(running.ageMilliseconds) / 1_000)): "
            + "at step \(Format.count(running.step)) of \(Format.count(firstStep + running.cost))"
            + (still > 60 ? ", where it has stood still for \(Format.duration(seconds: still))" : "")
    }

    private static func reasons(
        _ readiness: TaskExplanation.Readiness, _ explanation: TaskExplanation
    ) -> [String] {
        var reasons: [String] = []
        if readiness.isDraining { reasons.append("the coordinator stops and gives out nothing more") }
        if readiness.isShortOfRoom { reasons.append("the store's disk is short of room") }
        if readiness.isPaused {
            let paused = explanation.sweeps.filter { $0.isPaused && !$0.isCancelled }.map(\.id.text)
            let names = paused.joined(separator: " and ")
            reasons.append("\(names) \(paused.count == 1 ? "is" : "are") paused: `tombola resume \(paused[0])`")
        }
        if readiness.quarantinedWorkers > 0 {
            reasons.append(
                "\(readiness.quarantinedWorkers) worker\(readiness.quarantinedWorkers == 1 ? " is" : "s are") quarantined, "
                    + "because different tasks failed there in a row")
        }
        guard readiness.workers > 0 else { return reasons + ["no worker is there to train it"] }
        guard readiness.ableWorkers > 0 else {
            return reasons + [
                "it waits for "
                    + UnmetText.worker(with: readiness.needs, largest: readiness.largestMemoryBytes)
            ]
        }
        if !explanation.failedOn.isEmpty, readiness.freshWorkers > 0 {
            let names = explanation.failedOn.map(\.text).joined(separator: " and ")
            reasons.append("it failed on \(names), and goes to another worker once one is free")
        }
        if readiness.freeSlots == 0 {
            reasons.append(
                readiness.crampedSlots == 0
                    ? "every slot is taken" : "what runs leaves too little memory for it where slots are free")
        }
        if readiness.aheadByPriority > 0 {
            let verb = readiness.aheadByPriority == 1 ? "goes" : "go"
            reasons.append(
                "\(OrderText.tasks(readiness.aheadByPriority)) of sweeps with a higher priority \(verb) first")
        }
        if readiness.aheadByChain > 0 {
            reasons.append("longer chains wait for \(OrderText.tasks(readiness.aheadByChain)) than for this one")
        }
        return reasons.isEmpty ? ["it goes to a worker next"] : reasons
    }

    private static func counted(_ explanation: TaskExplanation) -> String? {
        guard explanation.childFailures + explanation.losses > 0 else { return nil }
        var parts: [String] = []
        if explanation.childFailures > 0 {
            let names = explanation.failedOn.map(\.text).joined(separator: ", ")
            parts.append("failed \(explanation.childFailures)×" + (names.isEmpty ? "" : " on \(names)"))
        }
        if explanation.losses > 0 { parts.append("lost \(explanation.losses)×") }
        return parts.joined(separator: ", ")
    }

    private static func table(_ attempts: [TaskReport.Attempt]) -> TextGrid {
        var grid = TextGrid([
            .init("attempt", .right), .init("worker"), .init("began", dropRank: 1), .init("took", .right, dropRank: 2),
            .init("outcome"), .init("what happened"),
        ])
        for attempt in attempts {
            let began = attempt.startedAt.map { Date(timeIntervalSince1970: $0).formatted(.iso8601) } ?? "–"
            let took = zip(attempt.startedAt, attempt.endedAt).map { Format.duration(seconds: $1 - $0) } ?? "–"
            let outcome = attempt.failure?.rawValue ?? (attempt.ending == nil ? "given out" : "done")
            let isFault = attempt.failure.map { $0 != .preempted } ?? false
            grid.append([
                .init("\(attempt.number)"), .init(attempt.worker.text), .init(began), .init(took),
                .init(outcome, isFault ? .red : nil), .init(happened(attempt)),
            ])
        }
        return grid
    }

    private static func happened(_ attempt: TaskReport.Attempt) -> String {
        switch attempt.ending {
        case nil: "–"
        case .childFailed: attempt.reason ?? "its child failed"
        case .lost: "its worker fell silent or came back without it"
        case .stalled: "its step stood still for too long"
        case .revoked: "it was not needed any more"
        case .released: "its worker did not come back with it"
        case .preempted: "its worker ended and gave it back"
        case .superseded: "the task came to its end by another attempt"
        case .succeeded: "its result counts"
        }
    }

    private static func zip(_ one: Double?, _ other: Double?) -> (Double, Double)? {
        guard let one, let other else { return nil }
        return (one, other)
    }
}
