import Lottery
import OrderedCollections

/// What happens because nothing happened.
extension Coordinator {
    mutating func onWake(_ outcome: inout Outcome) {
        guard let check = nextCheck, check <= latest else { return }
        for session in sessions.values.filter({ sessionDeadline($0) <= latest }).sorted(by: { $0.worker < $1.worker }) {
            incidents.sessionsLost += 1
            outcome.notices.append(
                .workerLost(session.worker, reason: "silent for \(latest.since(session.lastHeard) / 1000) s"))
            endSession(session.worker, .lost, &outcome)
        }
        for (key, stalled) in runningWithSession().filter({ stallDeadline($0.running) <= latest }) {
            // The end of another may have been this one's.
            guard let running = tasks[key]!.running, running.id == stalled.id else { continue }
            incidents.stalls += 1
            noteFailure(of: key, on: running.worker, &outcome)
            endAttempt(key, .stalled, &outcome)
            // Before a new attempt goes out, which would end the old one without a word.
            sessions[running.worker]?.stalled.insert(running.id)
            guard let route = sessions[running.worker]?.route else { continue }
            send(
                .beatAck(BeatAck(store: store, generation: generation, revoked: [running.id], stalled: [running.id])),
                to: route, &outcome)
        }
        if adoptionDeadline <= latest {
            for key in orphans.values.joined().sorted() { endAttempt(key, .released, &outcome) }
        }
        for claim in claimsWithoutSession() where claimDeadline(claim) <= latest {
            drop(claim.reference, .lost, &outcome)
        }
        for worker in resting.filter({ $0.value <= latest }).keys.sorted() { endRest(of: worker, &outcome) }
        forgetAbsentQuarantines(&outcome)
        nextCheck = earliestDeadline()
    }

    /// What was not read is not silence: every deadline moves by the gap.
    mutating func onLoopStalled(_ milliseconds: Int64) {
        guard milliseconds > settings.loopStallMilliseconds else { return }
        for worker in sessions.keys { sessions[worker]!.lastHeard = later(sessions[worker]!.lastHeard) }
        for (key, running) in runningWithSession() {
            tasks[key]!.running!.steppedAt = later(running.steppedAt)
        }
        for claim in claimsWithoutSession() {
            let index = tasks[claim.id.task]!.claims.firstIndex { $0.reference == claim.reference }!
            tasks[claim.id.task]!.claims[index].heardAt = later(claim.heardAt)
        }
        adoptionDeadline = adoptionDeadline.advanced(byMilliseconds: milliseconds)
        restsStandUntil = restsStandUntil.advanced(byMilliseconds: milliseconds)
        nextCheck = earliestDeadline()

        func later(_ instant: Instant) -> Instant { min(latest, instant.advanced(byMilliseconds: milliseconds)) }
    }

    private func sessionDeadline(_ session: Session) -> Instant {
        session.lastHeard.advanced(byMilliseconds: settings.sessionMilliseconds)
    }

    private func stallDeadline(_ running: Running) -> Instant {
        running.steppedAt.advanced(
            byMilliseconds: running.step == 0 ? settings.startMilliseconds : settings.stallMilliseconds)
    }

    private func claimDeadline(_ claim: Claim) -> Instant {
        claim.heardAt.advanced(byMilliseconds: settings.sessionMilliseconds)
    }

    private func runningWithSession() -> [(key: TaskKey, running: Running)] {
        sessions.values.flatMap(\.assigned).sorted().map { (key: $0, running: tasks[$0]!.running!) }
    }

    /// Claims of workers that have not said HELLO, whose silence no session notices.
    private func claimsWithoutSession() -> [Claim] {
        claims.filter { sessions[$0.key] == nil }.values.joined().sorted { $0.id < $1.id }.map { reference in
            tasks[reference.task]!.claims.first { $0.reference == reference }!
        }
    }

    private func earliestDeadline() -> Instant? {
        var deadlines = sessions.values.map(sessionDeadline) + runningWithSession().map { stallDeadline($0.running) }
        deadlines += claimsWithoutSession().map(claimDeadline)
        if !orphans.isEmpty { deadlines.append(adoptionDeadline) }
        deadlines += resting.values
        if !quarantines.isEmpty, latest < restsStandUntil { deadlines.append(restsStandUntil) }
        return deadlines.min()
    }
}
