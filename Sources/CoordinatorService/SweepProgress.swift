import Coordination
import Lottery
import Sweeps

/// How far one sweep is: the states of its tasks and runs, kept up with each change.
struct SweepProgress: Sendable {
    /// `unasked` is what an adaptive sweep may yet come to ask for: it counts nowhere.
    private enum State: UInt8 { case unasked, pending, done, failed, cancelled }

    let plan: Plan
    /// Runs that each task is part of, one task's after the other's, and where those of a task begin.
    private let runsOfTasks: [Int32]
    private let firstRuns: [Int32]
    private var states: [State]
    /// Per run: tasks neither done nor given up, tasks failed, and tasks cancelled.
    private var openTasks: [Int32]
    private var failedTasks: [Int32]
    private var cancelledTasks: [Int32]
    private var levels = ServiceStatus.Tally()
    private var runs = ServiceStatus.Tally()
    private var stepsDone = 0
    /// Of tasks that were given up.
    private var stepsGivenUp = 0
    private let stepsTotal: Int
    private var failures: [ServiceStatus.SweepStatus.Failure] = []
    var best: LeaderboardRow?
    var diverged = 0

    static let failuresShown = 5

    /// All tasks that are asked for pending; `note` brings it up to date. Takes time with the size of the plan.
    /// - Parameter isAsked: for each task of the plan.
    init(plan: Plan, isAsked: [Bool]) {
        self.plan = plan
        states = isAsked.map { $0 ? .pending : .unasked }
        let runCount = plan.sweep.runCount
        openTasks = Array(repeating: 0, count: runCount)
        failedTasks = Array(repeating: 0, count: runCount)
        cancelledTasks = Array(repeating: 0, count: runCount)
        var tasksOfRuns: [Int32] = []
        var firstRuns = [Int32](repeating: 0, count: plan.tasks.count + 1)
        for run in 0..<runCount {
            let tasks = plan.tasks(ofRun: run).filter { isAsked[$0] }
            for task in tasks {
                tasksOfRuns.append(Int32(task))
                firstRuns[task + 1] += 1
            }
            openTasks[run] = Int32(tasks.count)
        }
        for task in plan.tasks.indices { firstRuns[task + 1] += firstRuns[task] }
        // Each task's place for its next run, which in the end is where the following task's begin.
        var places = firstRuns
        var runsOfTasks = [Int32](repeating: 0, count: tasksOfRuns.count)
        var next = 0
        for run in 0..<runCount {
            for task in tasksOfRuns[next..<next + Int(openTasks[run])] {
                runsOfTasks[Int(places[Int(task)])] = Int32(run)
                places[Int(task)] += 1
            }
            next += Int(openTasks[run])
        }
        self.firstRuns = firstRuns
        self.runsOfTasks = runsOfTasks
        levels.total = isAsked.count { $0 }
        runs.total = openTasks.count { $0 > 0 }
        stepsTotal = plan.tasks.indices.reduce(0) { isAsked[$1] ? $0 + plan.tasks[$1].cost : $0 }
    }

    var name: String { plan.sweep.name }
    var isSettled: Bool { levels.done + levels.failed + levels.cancelled == levels.total }
    var failedCount: Int { levels.failed }
    var cancelledCount: Int { levels.cancelled }
    var doneCount: Int { levels.done }

    func contains(_ key: TaskKey) -> Bool { plan.index(of: key) != nil }

    private func runs(of task: Int) -> ArraySlice<Int32> {
        runsOfTasks[Int(firstRuns[task])..<Int(firstRuns[task + 1])]
    }

    /// The tasks that are asked for.
    var askedKeys: [TaskKey] { states.indices.compactMap { states[$0] == .unasked ? nil : plan.tasks[$0].key } }

    /// Training steps of a task of the sweep, from its first to its last.
    func steps(of key: TaskKey) -> Range<Int>? {
        plan.index(of: key).map { index in
            let task = plan.tasks[index]
            return task.firstStep..<task.firstStep + task.cost
        }
    }

    /// What the task is within the sweep, in a few words.
    func role(of key: TaskKey) -> String? {
        plan.index(of: key).map { plan.tasks[$0].role.words }
    }

    mutating func note(_ change: Change) {
        switch change {
        case .taskDone(let key, _, _): set(key, .done)
        case .taskFailed(let key, let failure): set(key, failure)
        case .taskRevived(let key): set(key, .pending)
        case .taskReopened(let work): set(work.key, .pending)
        case .taskAdded, .taskRequested, .outputRetired, .attemptStarted, .attemptEnded, .attemptLogged,
            .checkpointKept, .nondeterminism, .sweepChanged,
            .sweepWants, .sweepDrops, .workerQuarantined, .drainChanged:
            break
        }
    }

    /// Takes over what the coordinator knows of all tasks.
    mutating func note(_ state: (TaskKey) -> TaskState?) { note(plan.tasks.indices, state) }

    /// Takes over what the coordinator knows of some tasks of the plan.
    mutating func note(_ range: Range<Int>, _ state: (TaskKey) -> TaskState?) {
        for index in range where states[index] != .unasked {
            let key = plan.tasks[index].key
            switch state(key) {
            case .done: set(key, .done)
            case .failed(let failure): set(key, failure)
            case .pending, nil: set(key, .pending)
            }
        }
    }

    private mutating func set(_ key: TaskKey, _ failure: TaskFailure) {
        set(key, failure.name == .cancelled ? .cancelled : .failed)
        // Those that waited for a failed one say so, and would only hide the task at fault.
        guard contains(key), failure.isShown, failures.count < SweepProgress.failuresShown else { return }
        failures.append(
            ServiceStatus.SweepStatus.Failure(task: key, name: failure.name, reason: failure.reason))
    }

    private mutating func set(_ key: TaskKey, _ state: State) {
        guard let index = plan.index(of: key), states[index] != .unasked else { return }
        failures.removeAll { $0.task == key }
        guard states[index] != state else { return }
        count(index, by: -1)
        states[index] = state
        count(index, by: 1)
    }

    private mutating func count(_ index: Int, by difference: Int) {
        let state = states[index]
        for run in runs(of: index).map(Int.init) {
            tallyRun(run, by: -1)
            switch state {
            case .pending: openTasks[run] += Int32(difference)
            case .failed: failedTasks[run] += Int32(difference)
            case .cancelled: cancelledTasks[run] += Int32(difference)
            case .done, .unasked: break
            }
            tallyRun(run, by: 1)
        }
        switch state {
        case .pending, .unasked: break
        case .done:
            levels.done += difference
            stepsDone += difference * plan.tasks[index].cost
        case .failed:
            levels.failed += difference
            stepsGivenUp += difference * plan.tasks[index].cost
        case .cancelled:
            levels.cancelled += difference
            stepsGivenUp += difference * plan.tasks[index].cost
        }
    }

    private mutating func tallyRun(_ run: Int, by difference: Int) {
        if failedTasks[run] > 0 {
            runs.failed += difference
        } else if cancelledTasks[run] > 0 {
            runs.cancelled += difference
        } else if openTasks[run] == 0 {
            runs.done += difference
        }
    }

    /// - Parameters:
    ///   - running: tasks that are being trained, with the step reached.
    ///   - saved: the step from which a task would go on.
    func status(
        running: [TaskKey: Int], saved: [TaskKey: Int], standing: SweepStanding?
    ) -> ServiceStatus.SweepStatus {
        var status = ServiceStatus.SweepStatus(
            name: name, priority: standing?.priority ?? 0, isPaused: standing?.isPaused ?? false,
            isCancelled: standing?.isCancelled ?? false, points: plan.sweep.points.count, runs: runs, levels: levels,
            stepsTotal: stepsTotal,
            stepsDone: stepsDone, stepsGivenUp: stepsGivenUp,
            best: best, diverged: diverged, failures: failures)
        var runningRuns: Set<Int32> = []
        for (key, step) in running {
            guard let index = plan.index(of: key), states[index] == .pending else { continue }
            status.levels.running += 1
            status.stepsDone += stepsDone(of: index, reached: max(step, saved[key] ?? 0))
            runningRuns.formUnion(runs(of: index))
        }
        for (key, step) in saved where running[key] == nil {
            guard let index = plan.index(of: key), states[index] == .pending else { continue }
            status.stepsDone += stepsDone(of: index, reached: step)
        }
        status.runs.running = runningRuns.count { failedTasks[Int($0)] == 0 && cancelledTasks[Int($0)] == 0 }
        return status
    }

    private func stepsDone(of index: Int, reached step: Int) -> Int {
        min(max(0, step - plan.tasks[index].firstStep), plan.tasks[index].cost)
    }
}

extension TaskFailure {
    /// Whether it is worth a line of its own: it is a fault, and the task's own.
    package var isShown: Bool { name != .cancelled && !isInherited }
}
