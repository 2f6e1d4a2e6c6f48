import Lottery

/// A worker process on which too many different tasks have failed in a row.
public struct Quarantine: Hashable, Sendable, Codable {
    /// Of the process: another one of that name begins anew.
    public var incarnation: UInt64
    /// How often it has been put aside since its last result; each time is longer.
    public var count: Int
    /// For how long it gets nothing, from now or from the coordinator's next start; 0 once that is over.
    public var milliseconds: Int64

    public init(incarnation: UInt64, count: Int, milliseconds: Int64) {
        self.incarnation = incarnation
        self.count = count
        self.milliseconds = milliseconds
    }
}

/// Workers that fail what they are given, which are quarantined: they rest.
///
/// A machine on which every child dies at once (a broken disk, a missing library, no memory) is always free, and
/// without this would draw all ready tasks and fail them. So after a few different tasks have failed in a row a worker
/// gets nothing for a while, ever longer, until one of its tasks comes to a result. Nobody rests unless a worker is left
/// that does not fail all it gets as well: then it is the tasks that fail. A coordinator that is started again knows of
/// it, and takes nobody for the last one until the others have had time to come back.
extension Coordinator {
    mutating func noteFailure(of key: TaskKey, on worker: WorkerID, _ outcome: inout Outcome) {
        guard sessions[worker] != nil else { return }
        if sessions[worker]!.failedTasks.count < settings.restAfterFailures {
            sessions[worker]!.failedTasks.insert(key)
        }
        let session = sessions[worker]!
        guard session.failedTasks.count >= settings.restAfterFailures, resting[worker] == nil,
            isAnotherAtWork(than: worker)
        else { return }
        let count = quarantines[worker]?.count ?? 0
        let wait = min(settings.restCapMilliseconds, settings.restMilliseconds << Int64(min(count, 20)))
        setQuarantine(
            Quarantine(incarnation: session.incarnation, count: count + 1, milliseconds: wait), of: worker, &outcome)
        resting[worker] = latest.advanced(byMilliseconds: wait)
        expect(resting[worker]!)
        rankFree(worker)
        outcome.notices.append(
            .workerQuarantined(worker, tasks: session.failedTasks.count, milliseconds: wait))
    }

    mutating func noteResult(of worker: WorkerID, _ outcome: inout Outcome) {
        guard sessions[worker] != nil else { return }
        sessions[worker]!.failedTasks = []
        forgetQuarantine(of: worker, &outcome)
        rankFree(worker)
    }

    mutating func forgetQuarantine(of worker: WorkerID, _ outcome: inout Outcome) {
        resting[worker] = nil
        setQuarantine(nil, of: worker, &outcome)
    }

    /// Its rest is over; the next one will be longer, unless it has left.
    mutating func endRest(of worker: WorkerID, _ outcome: inout Outcome) {
        guard resting.removeValue(forKey: worker) != nil else { return }
        var quarantine = sessions[worker] == nil ? nil : quarantines[worker]
        quarantine?.milliseconds = 0
        setQuarantine(quarantine, of: worker, &outcome)
        rankFree(worker)
    }

    mutating func endRestsIfNoneWorks(_ outcome: inout Outcome) {
        guard !resting.isEmpty, latest >= restsStandUntil, !isAnotherAtWork(than: nil) else { return }
        for worker in resting.keys.sorted() { endRest(of: worker, &outcome) }
    }

    /// Takes up the rests that the last process had begun, from their beginning: how much time has passed is not known.
    mutating func restore(_ restored: [WorkerID: Quarantine], at now: Instant) {
        quarantines = restored
        for (worker, quarantine) in restored where quarantine.milliseconds > 0 {
            resting[worker] = now.advanced(byMilliseconds: quarantine.milliseconds)
            expect(resting[worker]!)
        }
        guard !restored.isEmpty else { return }
        restsStandUntil = adoptionDeadline
        expect(restsStandUntil)
    }

    /// Of a worker that has not come back, and rests no more, nothing need be known.
    mutating func forgetAbsentQuarantines(_ outcome: inout Outcome) {
        guard latest >= restsStandUntil else { return }
        for worker in quarantines.keys.sorted() where sessions[worker] == nil && resting[worker] == nil {
            setQuarantine(nil, of: worker, &outcome)
        }
    }

    private mutating func setQuarantine(_ quarantine: Quarantine?, of worker: WorkerID, _ outcome: inout Outcome) {
        guard quarantines[worker] != quarantine else { return }
        quarantines[worker] = quarantine
        outcome.changes.append(.workerQuarantined(worker, quarantine))
    }

    /// Whether a worker is here that does not fail all it gets.
    private func isAnotherAtWork(than worker: WorkerID?) -> Bool {
        sessions.values.contains { session in
            session.worker != worker && session.isReachable && resting[session.worker] == nil
                && session.failedTasks.count < settings.restAfterFailures
        }
    }
}
