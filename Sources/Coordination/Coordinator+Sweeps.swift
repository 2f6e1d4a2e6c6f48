import Lottery
import OrderedCollections

/// Sweeps: who wants which tasks, and whose turn it is.
///
/// A task may be wanted by several sweeps. Tasks that the same sweeps want and that need the same of a worker form a
/// group, so that a task says in a number what it belongs to, and a group has a queue of its own. Which group's turn it
/// is: the highest priority among the sweeps that want its tasks and are not paused; of equal priorities the sweep for
/// which the fewest tasks run, where a shared task counts for each that wants it; then the one that was longest without a
/// turn, so that fewer slots than sweeps go round; then the longest chain.
extension Coordinator {
    struct SweepState: Sendable {
        var standing: SweepStanding
        /// Its tasks that are given out.
        var running = 0
        /// When it last had a turn, counted in turns; 0 if it never had one.
        var lastTurn = 0
    }

    /// Tasks that the same sweeps want and that need the same.
    struct Group: Sendable {
        var name: GroupName
        /// Sorted; empty for tasks that were added for no sweep.
        var sweeps: [SweepID] { name.sweeps }
        var ready = RankedQueue<TaskKey, ReadyRank>()
    }

    struct GroupName: Hashable, Sendable {
        var sweeps: [SweepID]
        var needs: Work.Needs
    }

    /// Whose turn it is: the largest.
    struct Turn: Comparable, Sendable {
        var priority: Int
        var running: Int
        var lastTurn: Int
        var ready: ReadyRank

        static func < (left: Turn, right: Turn) -> Bool {
            (left.priority, right.running, right.lastTurn, left.ready)
                < (right.priority, left.running, left.lastTurn, right.ready)
        }
    }

    /// The group of tasks that these sweeps want and that need this.
    /// - Parameter sweeps: sorted.
    mutating func group(of sweeps: [SweepID], needing needs: Work.Needs) -> Int {
        let name = GroupName(sweeps: sweeps, needs: needs)
        if let index = groupIndices[name] { return index }
        groups.append(Group(name: name))
        groupIndices[name] = groups.count - 1
        return groups.count - 1
    }

    /// Whether nothing of a group is to be given out: all sweeps that want its tasks are paused.
    func isHeld(_ group: Int) -> Bool {
        let wanting = groups[group].sweeps.lazy.map { sweeps[$0]!.standing }.filter { !$0.isCancelled }
        // Of a cancelled sweep a single task may have been ordered to be tried again.
        return !wanting.isEmpty && wanting.allSatisfy(\.isPaused)
    }

    /// A group's turn; nil if it has nothing to give out.
    private mutating func turn(of index: Int) -> Turn? {
        guard !groups[index].ready.isEmpty, !isHeld(index), let key = groups[index].ready.first() else { return nil }
        let task = tasks[key]!
        var turn = Turn(priority: 0, running: looseRunning, lastTurn: looseTurn, ready: ReadyRank(of: task))
        var isFirst = true
        for id in groups[index].sweeps {
            let sweep = sweeps[id]!
            guard !sweep.standing.isPaused, !sweep.standing.isCancelled else { continue }
            let other = Turn(
                priority: sweep.standing.priority, running: sweep.running, lastTurn: sweep.lastTurn, ready: turn.ready)
            turn = isFirst ? other : max(turn, other)
            isFirst = false
        }
        return turn
    }

    /// The task that goes next.
    /// - Parameter blocked: groups whose tasks fit no free slot.
    mutating func nextReady(except blocked: Set<Int>) -> TaskKey? {
        if groups.count == 1 { return blocked.isEmpty ? groups[0].ready.first() : nil }
        var best: (turn: Turn, group: Int)?
        for index in groups.indices where !blocked.contains(index) {
            guard let turn = turn(of: index) else { continue }
            if best.map({ $0.turn < turn }) ?? true { best = (turn, index) }
        }
        return best.flatMap { groups[$0.group].ready.first() }
    }

    /// Notes that one more, or one fewer, task of a group is given out.
    mutating func countRunning(_ group: Int, by difference: Int) {
        if difference > 0 { turns += difference }
        if groups[group].sweeps.isEmpty {
            looseRunning += difference
            if difference > 0 { looseTurn = turns }
        }
        for id in groups[group].sweeps {
            sweeps[id]!.running += difference
            if difference > 0 { sweeps[id]!.lastTurn = turns }
        }
    }

    /// The sweep wants these tasks from now on, beside what it wants already.
    mutating func want(_ keys: [TaskKey], by id: SweepID, _ outcome: inout Outcome) {
        var fresh: [TaskKey] = []
        var joined: [Int: Int] = [:]
        for key in keys {
            guard let old = tasks[key]?.group, !groups[old].sweeps.contains(id) else { continue }
            let group = joined[old] ?? group(of: (groups[old].sweeps + [id]).sorted(), needing: groups[old].name.needs)
            joined[old] = group
            update(key) { $0.group = group }
            fresh.append(key)
        }
        if !fresh.isEmpty { outcome.changes.append(.sweepWants(id, fresh)) }
    }

    /// The sweep wants none of its tasks that are not done any more, but for `kept`.
    mutating func dropAll(of id: SweepID, keeping kept: Set<TaskKey>, _ outcome: inout Outcome) {
        let dropped = keys(of: id).filter { !kept.contains($0) && !isDone($0) }
        guard !dropped.isEmpty else { return }
        for key in dropped {
            let old = groups[tasks[key]!.group].name
            let group = group(of: old.sweeps.filter { $0 != id }, needing: old.needs)
            update(key) { $0.group = group }
        }
        outcome.changes.append(.sweepDrops(id, dropped))
        cancel(dropped.filter(isUnwanted), "no sweep wants it any more", &outcome)
    }

    /// Whether all sweeps that wanted it are cancelled.
    func isUnwanted(_ key: TaskKey) -> Bool {
        groups[tasks[key]!.group].sweeps.allSatisfy { sweeps[$0]!.standing.isCancelled }
    }

    func isDone(_ key: TaskKey) -> Bool { if case .done = tasks[key]!.settled { true } else { false } }

    /// The tasks that a sweep wants, parents first.
    /// - Complexity: O(all tasks).
    func keys(of id: SweepID) -> [TaskKey] {
        let wanted = Set(groups.indices.filter { groups[$0].sweeps.contains(id) })
        return Array(tasks.all.lazy.filter { wanted.contains($0.task.group) }.map(\.key))
    }

    /// Changes what is said of a sweep, which is made known if it is new. Nothing if it is as it was.
    mutating func stand(_ id: SweepID, _ outcome: inout Outcome, _ change: (inout SweepStanding) -> Void) {
        let old = sweeps[id]
        var standing = old?.standing ?? SweepStanding(id: id)
        change(&standing)
        guard standing != old?.standing else { return }
        sweeps[id, default: SweepState(standing: standing)].standing = standing
        outcome.changes.append(.sweepChanged(standing))
    }
}
