import Lottery
import OrderedCollections

extension Coordinator {
    /// Stops the process, with the state in the message, if the indexes contradict each other. For tests and
    /// simulations.
    /// - Complexity: O(all tasks and sessions).
    public func checkInvariants() {
        checkTasks()
        checkSessions()
        checkClaims()
        checkSweeps()
        checkCheckpoints()
        precondition(nextCheck != nil || (sessions.isEmpty && orphans.isEmpty), "sessions without a deadline")
    }

    private func checkTasks() {
        var seen = CoordinatorStatus.Counts()
        for (key, task) in tasks.all {
            switch task.phase {
            case .waiting: seen.waiting += 1
            case .ready: seen.ready += 1
            case .running: seen.running += 1
            case .delivering: seen.delivering += 1
            case .done: seen.done += 1
            case .failed(.failed): seen.failed += 1
            case .failed(.quarantined): seen.quarantined += 1
            case .failed(.lost): seen.lost += 1
            case .failed(.cancelled): seen.cancelled += 1
            case .failed(let name): preconditionFailure("a task is \(name): \(task)")
            }
            precondition(!holdings.isNear(key) || task.phase == .ready, "\(task) is near its inputs and not ready")
            precondition(tasks.keys[task.order] == key, "task \(key) is filed wrongly: \(task)")
            precondition(
                groups[task.group].ready.rank(of: key) == (task.phase == .ready ? ReadyRank(of: task) : nil),
                "ready queue disagrees with \(task)")
            precondition(task.settled == nil || task.running == nil, "a settled task runs: \(task)")
            precondition(task.claims.count <= Limits.claimsPerTask, "too many claims: \(task)")
            precondition(
                task.claims.count(where: \.isOpen) + (task.running == nil ? 0 : 1) <= 1,
                "two attempts are open: \(task)")
            let parents = tasks.parents(of: key)
            for parent in parents {
                precondition(tasks.dependents(of: parent).contains(key), "\(parent) does not know its dependent \(key)")
            }
            for dependent in tasks.dependents(of: key) {
                precondition(tasks.parents(of: dependent).contains(key), "\(dependent) does not wait for \(key)")
            }
            if task.phase == .waiting || task.phase == .ready {
                let missing = parents.count { if case .done = tasks[$0]?.settled { false } else { true } }
                precondition(missing == task.missingParents, "\(missing) parents are missing: \(task)")
                precondition(
                    parents.allSatisfy { !tasks[$0]!.phase.hasFailed }, "waits for a failed task: \(task)")
            }
            if let running = task.running {
                precondition(running.id.attempt.number <= task.attempts, "an attempt that was not counted: \(task)")
                let holds =
                    running.isOrphan
                    ? orphans[running.worker]?.contains(key) : sessions[running.worker]?.assigned.contains(key)
                precondition(holds == true, "nobody holds the running attempt of \(task)")
            }
        }
        precondition(seen == counts, "counts \(counts), tasks \(seen)")
        let queued = groups.reduce(0) { $0 + $1.ready.count }
        precondition(queued == counts.ready, "\(queued) tasks in the ready queues, \(counts)")
    }

    private func checkSweeps() {
        var running: [SweepID: Int] = [:]
        var loose = 0
        for (_, task) in tasks.all where task.phase == .running {
            if groups[task.group].sweeps.isEmpty { loose += 1 }
            for id in groups[task.group].sweeps { running[id, default: 0] += 1 }
        }
        precondition(loose == looseRunning, "\(loose) tasks of no sweep run, counted \(looseRunning)")
        for (id, sweep) in sweeps {
            precondition(sweep.standing.id == id, "a sweep filed wrongly: \(sweep)")
            precondition(sweep.running == running[id] ?? 0, "\(running[id] ?? 0) tasks run for \(sweep)")
        }
        for (index, group) in groups.enumerated() {
            precondition(groupIndices[group.name] == index, "a group filed wrongly: \(group.name)")
            precondition(group.sweeps.allSatisfy { sweeps[$0] != nil }, "a group of unknown sweeps: \(group.sweeps)")
        }
    }

    private func checkSessions() {
        for (worker, session) in sessions {
            precondition(worker == session.worker, "session filed wrongly: \(session)")
            if let route = session.route { precondition(routes[route] == worker, "route without way back: \(session)") }
            precondition(
                free.rank(of: worker)?.free ?? 0 == (resting[worker] == nil ? session.free : 0),
                "free slots disagree: \(session)")
            for key in session.assigned {
                let running = tasks[key]!.running
                precondition(running?.worker == worker && running?.isOrphan == false, "\(worker) holds \(tasks[key]!)")
            }
        }
        for (route, worker) in routes { precondition(sessions[worker]?.route == route, "stale route of \(worker)") }
        for worker in resting.keys {
            precondition(quarantines[worker]?.milliseconds ?? 0 > 0, "\(worker) rests and is not in quarantine")
        }
        for (worker, quarantine) in quarantines {
            precondition((resting[worker] != nil) == (quarantine.milliseconds > 0), "\(worker) and \(quarantine)")
        }
        for (worker, keys) in orphans {
            precondition(!keys.isEmpty, "an empty list of orphans of \(worker)")
            for key in keys { precondition(tasks[key]!.running?.isOrphan == true, "no orphan: \(tasks[key]!)") }
        }
    }

    private func checkClaims() {
        var open = 0
        for (key, task) in tasks.all {
            precondition(task.claims.isEmpty || !isDone(key), "a done task is delivered: \(task)")
            for claim in task.claims {
                open += 1
                precondition(!claim.missing.isEmpty, "a claim waits for nothing: \(claim)")
                precondition(claims[claim.worker]?.contains(claim.reference) == true, "unlisted claim: \(claim)")
                for digest in claim.missing {
                    precondition(
                        pulls[digest]?.contains(claim.reference) == true, "nobody pulls \(digest) for \(claim)")
                }
            }
        }
        precondition(claims.values.reduce(0) { $0 + $1.count } == open, "\(open) claims, listed \(claims)")
        for (digest, references) in pulls {
            for reference in references {
                let claim = tasks[reference.task]!.claims.first { $0.reference == reference }
                precondition(claim?.missing.contains(digest) == true, "\(digest) is pulled for nothing: \(reference)")
            }
        }
    }
}
