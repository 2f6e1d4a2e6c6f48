import Lottery

extension PlannedTask.Role {
    /// In a few words: `dense`, `level 3`, `random-reinit 3`, `replay to step 500`.
    public var words: String {
        switch self {
        case .dense: "dense"
        case .level(let level): "level \(level)"
        case .branch(let name, let level): "\(name) \(level)"
        case .search(let level): "search for level \(level)"
        case .sibling(0): "sibling of dense"
        case .sibling(let level): "sibling of level \(level)"
        case .replay(let step): "replay to step \(step)"
        }
    }
}

extension Plan {
    /// The trainings that are compared with a task, and how; empty if the plan has none.
    /// - Complexity: O(runs).
    public func siblings(of key: TaskKey) -> [(key: TaskKey, connection: TrainingTask.Connection)] {
        guard sweep.instability != nil, let index = index(of: key) else { return [] }
        var found: [Int] = []
        for point in sweep.points {
            for replicate in 0..<sweep.replicates {
                let run = run(point: point.index, replicate: replicate)
                for (own, sibling) in zip([run.dense] + run.levels, run.siblings) {
                    if own == index, let sibling, !found.contains(sibling) { found.append(sibling) }
                }
            }
        }
        return found.compactMap { sibling in
            tasks[sibling].task.connection.map { (tasks[sibling].key, $0) }
        }
    }

    /// Where a task belongs, in words, one place for each run that has it: `sweep, depth 8, replicate 0, level 3`.
    /// Empty if the plan does not have it.
    /// - Complexity: O(runs).
    public func places(of key: TaskKey) -> [String] {
        guard let index = index(of: key) else { return [] }
        let role =
            switch tasks[index].role {
            case .dense: "level 0 (dense)"
            case .level, .search, .replay: tasks[index].role.words
            case .sibling(let level): "sibling of level \(level)\(level == 0 ? " (dense)" : "")"
            case .branch(let name, let level): "\(name) of level \(level)"
            }
        var places: [String] = []
        for point in sweep.points {
            for replicate in 0..<sweep.replicates {
                let run = run(point: point.index, replicate: replicate)
                guard
                    run.dense == index || run.levels.contains(index) || run.searches.contains(index)
                        || run.branches.joined().contains(index) || run.siblings.contains(index)
                        || run.masks.contains(index)
                else {
                    continue
                }
                let isGiver = run.masks.contains(index) && run.dense != index && !run.levels.contains(index)
                let role = isGiver ? "\(role) of the chain that gives its masks" : role
                let values = sweep.describe(point)
                places.append("\(sweep.name)\(values.isEmpty ? "" : ", \(values)"), replicate \(replicate), \(role)")
            }
        }
        // A replay is no part of a run: the run's own dense training is done, without the checkpoint.
        return places.isEmpty ? ["\(sweep.name), \(role)"] : places
    }
}
