import Lottery
import OrderedCollections

/// The session: HELLO, beats, backing off.
extension Worker {
    /// Opens a new socket and says HELLO with all it holds.
    mutating func connect(_ outcome: inout Outcome) {
        outcome.actions.append(.openSocket)
        greet(&outcome)
    }

    private mutating func greet(_ outcome: inout Outcome) {
        helloCounter += 1
        connection = .greeting(since: latest)
        let finished = outbox.keys + unsaidFailures.map(\.id)
        outcome.messages.append(
            .hello(
                Hello(
                    worker: identity.worker, incarnation: identity.incarnation, counter: helloCounter, slots: capacity,
                    running: holding, finished: Array(finished.prefix(Limits.attemptsPerMessage)),
                    datasets: Array(identity.datasets.prefix(Limits.datasetsPerWorker)), host: identity.host,
                    processID: identity.processID, memoryBytes: identity.memoryBytes,
                    numerics: Array(identity.numerics.prefix(Limits.numericsPerWorker)))))
    }

    /// Slots for the coordinator to fill; none while the worker is about to end or cannot get rid of its results.
    private var capacity: Int { drainDeadline != nil || outbox.count >= Limits.outbox ? 0 : identity.slots }

    /// What it runs or will run. A revoked attempt that is being ended counts as gone.
    var holding: [RunningAttempt] {
        var holding: [RunningAttempt] = slots.compactMap { slot in
            switch slot {
            case .free, .ending(_, _, isRevoked: true, _): nil
            case .running(let assignment, let step), .ending(let assignment, let step, isRevoked: false, _):
                RunningAttempt(id: assignment.id, step: step)
            }
        }
        holding += waiting.values.map { RunningAttempt(id: $0.assignment.id, step: 0) }
        // What is given back is held until the coordinator knows.
        holding += uploads.filter(\.value.endsAttempt).map {
            RunningAttempt(id: $0.key, step: $0.value.kept?.step ?? 0)
        }
        return holding
    }

    mutating func onMessage(_ message: CoordinatorMessage, _ outcome: inout Outcome) {
        defer { heardAt = latest }
        switch message {
        case .welcome(let welcome): onWelcome(welcome, &outcome)
        case .sayHello:
            // While a HELLO is unanswered this speaks of an earlier frame.
            if case .greeting = connection { return }
            greet(&outcome)
        case .task(let assignment): onTask(assignment, &outcome)
        case .beatAck(let ack): onBeatAck(ack, &outcome)
        case .resultAck(let ack): onResultAck(ack, &outcome)
        case .checkpointAck(let ack): onCheckpointAck(ack, &outcome)
        case .refused(let reason): exit(.refused(reason), &outcome)
        case .drain: drain(until: latest.advanced(byMilliseconds: settings.graceMilliseconds), &outcome)
        case .shutdown: exit(.shutdown, &outcome)
        }
    }

    private mutating func onWelcome(_ welcome: Welcome, _ outcome: inout Outcome) {
        if welcome.generation != generation || welcome.store != store { lastSequence = 0 }
        store = welcome.store
        generation = welcome.generation
        beatMilliseconds = max(1, welcome.beatMilliseconds)
        connection = .joined
        reconnections = 0
        unansweredBeats = 0
        if let silentSince {
            outcome.notices.append(.coordinatorBack(afterMilliseconds: latest.since(silentSince)))
        }
        silentSince = nil
        outcome.actions.append(.welcomed(welcome))
        for report in unsaidFailures { outcome.messages.append(.failure(report)) }
        unsaidFailures = []
        for id in outbox.keys {
            outbox[id]!.waitMilliseconds = settings.resendMilliseconds
            deliver(id, &outcome)
        }
        for id in uploads.keys {
            uploads[id]!.waitMilliseconds = settings.resendMilliseconds
            announce(id, &outcome)
        }
        beat(&outcome)
    }

    mutating func beat(_ outcome: inout Outcome) {
        unansweredBeats += 1
        nextBeatAt = latest.advanced(byMilliseconds: beatMilliseconds)
        outcome.messages.append(
            .beat(
                Beat(
                    worker: identity.worker, incarnation: identity.incarnation, holding: holding,
                    lastSequence: lastSequence,
                    slots: capacity)))
    }

    private mutating func onBeatAck(_ ack: BeatAck, _ outcome: inout Outcome) {
        guard connection == .joined else { return }
        guard ack.store == store, ack.generation == generation else {
            // Another coordinator answers where the old one was; it has to know what is held here.
            return greet(&outcome)
        }
        unansweredBeats = 0
        for id in ack.revoked { revoke(id, isStalled: ack.stalled.contains(id), &outcome) }
    }

    mutating func onWake(random: Double, _ outcome: inout Outcome) {
        switch connection {
        case .none: break
        case .greeting(let since):
            if latest.since(since) >= settings.helloMilliseconds { backOff(random: random, &outcome) }
        case .joined:
            if latest >= nextBeatAt {
                // At most one beat a turn: after a stall of its own the worker does not blame the coordinator.
                if unansweredBeats >= settings.missedAcks {
                    backOff(random: random, &outcome)
                } else {
                    beat(&outcome)
                }
            }
        case .backingOff(let until):
            if latest >= until { connect(&outcome) }
        }
        guard connection == .joined else { return }
        for (id, delivery) in outbox where latest >= delivery.nextSendAt { deliver(id, &outcome) }
        for (id, upload) in uploads where upload.isComplete && latest >= upload.nextSendAt { announce(id, &outcome) }
    }

    /// Waits between half of and the whole of a time that doubles up to the cap, so that workers do not come back in
    /// step.
    private mutating func backOff(random: Double, _ outcome: inout Outcome) {
        precondition((0..<1).contains(random), "a random number of \(random)")
        let doublings = Int64(1) << min(reconnections, 20)
        let wait = min(settings.backoffCapMilliseconds, settings.backoffMilliseconds * doublings)
        let jittered = Int64(Double(wait) * (0.5 + 0.5 * random))
        reconnections += 1
        if silentSince == nil {
            silentSince = heardAt
            outcome.notices.append(.coordinatorGone(retryMilliseconds: settings.backoffCapMilliseconds))
        }
        connection = .backingOff(until: latest.advanced(byMilliseconds: jittered))
    }

    func deadlines() -> [Instant] {
        var deadlines: [Instant] = []
        switch connection {
        case .none: break
        case .greeting(let since): deadlines.append(since.advanced(byMilliseconds: settings.helloMilliseconds))
        case .joined:
            deadlines.append(nextBeatAt)
            deadlines += outbox.values.map(\.nextSendAt)
            deadlines += uploads.values.filter(\.isComplete).map(\.nextSendAt)
        case .backingOff(let until): deadlines.append(until)
        }
        if let idleSince, let limit = settings.idleExitMilliseconds {
            deadlines.append(idleSince.advanced(byMilliseconds: limit))
        }
        if let deadline = drainDeadline ?? drainsAt { deadlines.append(deadline) }
        return deadlines
    }
}
