import Lottery

/// Workers that fail what they are given, which are quarantined: they rest.
///
/// A machine on which every child dies at once (a broken disk, a missing library, no memory) is always free, and without
/// this would draw all ready tasks and fail them. So after a few different tasks have failed in a row a worker gets
/// nothing for a while, ever longer, until one of its tasks comes to a result. The last worker left never rests: then it is the tasks that fail.
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
        let wait = min(settings.restCapMilliseconds, settings.restMilliseconds << Int64(min(session.rests, 20)))
        sessions[worker]!.rests += 1
        resting[worker] = latest.advanced(byMilliseconds: wait)
        expect(resting[worker]!)
        rankFree(worker)
        outcome.notices.append(
            .workerQuarantined(worker, tasks: session.failedTasks.count, milliseconds: wait))
    }

    mutating func noteResult(of worker: WorkerID) {
        guard sessions[worker] != nil else { return }
        sessions[worker]!.failedTasks = []
        sessions[worker]!.rests = 0
        endRest(of: worker)
    }

    mutating func endRest(of worker: WorkerID) {
        guard resting.removeValue(forKey: worker) != nil else { return }
        rankFree(worker)
    }

    mutating func endRestsIfNoneWorks() {
        guard !resting.isEmpty, !isAnotherAtWork(than: nil) else { return }
        for worker in resting.keys.sorted() { endRest(of: worker) }
    }

    private func isAnotherAtWork(than worker: WorkerID?) -> Bool {
        sessions.values.contains { $0.worker != worker && $0.isReachable && resting[$0.worker] == nil }
    }
}
