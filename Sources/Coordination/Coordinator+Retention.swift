import Lottery
import OrderedCollections

/// An output that has served its purpose: its task is done, and so is every task that reads it.
public struct Retirement: Hashable, Sendable {
    public var task: TaskKey
    public var name: OutputName
    /// What the store keeps of it for people, under the same name; coordination does not read it.
    public var remainder: TaskOutput?

    public init(task: TaskKey, name: OutputName, remainder: TaskOutput? = nil) {
        self.task = task
        self.name = name
        self.remainder = remainder
    }
}

/// Outputs that go once nobody will read them. Which kinds of output may is for others to know; whether somebody will
/// is known here. Should a task come later that reads one after all, the task that left it is done again: its key says
/// that it comes to the same.
extension Coordinator {
    /// Whether an output may go now. A task that was given up may be retried, so what it reads stays.
    public func mayRetire(_ task: TaskKey, _ name: OutputName) -> Bool {
        guard tasks.output(name, of: task) != nil else { return false }
        return tasks.dependents(of: task).allSatisfy { isDone($0) || !reads($0, name, of: task) }
    }

    mutating func onRetire(_ retirements: [Retirement], _ outcome: inout Outcome) {
        for retirement in retirements where mayRetire(retirement.task, retirement.name) {
            tasks.retire(retirement.name, of: retirement.task)
            outcome.changes.append(.outputRetired(retirement))
        }
    }

    /// Has those parents of a task that is not done be done again which are done and lack by now what it reads of them.
    mutating func reopenParents(of key: TaskKey, _ outcome: inout Outcome) {
        guard !offered.isEmpty, tasks[key]?.settled == nil, tasks[key]?.running == nil else { return }
        for input in tasks.inputs(of: key) {
            guard case .output(let parent, let name) = input.source, tasks[parent] != nil, isDone(parent),
                tasks.output(name, of: parent) == nil, let work = offered.removeValue(forKey: parent)
            else { continue }
            let group = group(of: groups[tasks[parent]!.group].sweeps, needing: work.needs)
            update(parent) {
                $0.settled = nil
                $0.cost = work.cost
                $0.priority = work.priority
                $0.payload = work.payload.mark
                $0.group = group
                $0.childFailures = 0
                $0.losses = 0
                $0.avoided = []
                $0.missingParents = 1
            }
            tasks.setInputs(of: parent, to: work.inputs)
            outcome.changes.append(.taskReopened(work))
            settle(parent, &outcome)
        }
    }

    private func reads(_ reader: TaskKey, _ name: OutputName, of task: TaskKey) -> Bool {
        tasks.inputs(of: reader).contains { $0.source == .output(task, name) }
    }
}
