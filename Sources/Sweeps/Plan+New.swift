import Lottery

extension Plan {
    /// Refuses what `Sweep.checkAsNew` refuses, and what only the tasks tell: values of an axis that train exactly the
    /// same, and controls that train exactly what tickets do. Asked where a person's spec is taken on; not where a stored one is read.
    public func checkAsNew() throws(SpecError) {
        try sweep.checkAsNew()
        try refuseIdleValues()
        try refuseIdleControls()
    }

    /// A control that is compared with itself wherever it stands: what is pruned once is pruned at once.
    private func refuseIdleControls() throws(SpecError) {
        for (position, branch) in sweep.branches.enumerated() {
            let isTicket = sweep.points.indices.allSatisfy { point in
                let chain = chains.ofRun(point * sweep.replicates)
                return (1..<sweep.points.levels(at: point) + 1).allSatisfy { level in
                    let control = chains.branch(position, of: chain, level: level)
                    return control == nil || control == chains.task(of: chain, level: level)
                }
            }
            guard isTicket else { continue }
            throw sweep.reader.error(
                sweep.reader.branchesLine,
                "the control \"\(branch.name)\" is the ticket itself wherever it stands, so that it decides nothing; let it stand "
                    + "beside level 2 or a later one, or leave it out")
        }
    }

    /// Values of one axis, or tuples of one zip group, by place.
    private struct Pair: Hashable {
        var dimension: Int
        var first: Int
        var second: Int
    }

    /// Single points may be the same: of `criterion: [magnitude, snip]` and `examples: [5, 10]` two are. Two values that
    /// are the same wherever both stand are a mistake.
    private func refuseIdleValues() throws(SpecError) {
        let points = sweep.points
        let (trainings, pairs) = samePoints()
        let idle = pairs.first { pair in
            points.indices.allSatisfy { index in
                var position = points.position(of: index)
                guard position[pair.dimension] == pair.first else { return true }
                position[pair.dimension] = pair.second
                guard let other = points.index(at: position) else { return true }
                return trainings[index] == trainings[other]
            }
        }
        guard let idle else { return }
        let sources = sweep.reader.axes.filter { $0.dimension == idle.dimension }
        func values(_ place: Int) -> String { sources.map { "\($0.axis.values[place])" }.joined(separator: ", ") }
        let names = sources.map { "\"\($0.axis.name)\"" }.joined(separator: ", ")
        throw sweep.reader.error(
            sources[0].writes[idle.second].first?.line ?? sources[0].line,
            (sources.count == 1 ? "axis \(names) makes" : "axes \(names) make") + " no difference between "
                + "\(values(idle.first)) and \(values(idle.second)): points with either train exactly the same; keep one of them"
        )
    }

    private struct Training: Hashable {
        var dense: Int32
        var sibling: Int?
        var levels: ArraySlice<Int32>
        /// What is said of the same trainings may differ.
        var report: [String]
    }

    /// What each point trains, by number, and the values that alone tell two points apart which train the same.
    private func samePoints() -> (trainings: [Int], pairs: [Pair]) {
        let isReported = sweep.reader.axes.contains { SettingNames.table[$0.row].part == .report }
        let report = isReported ? SettingNames.table.filter { $0.part == .report } : []
        var known: [Training: Int] = [:]
        var latest: [Int] = []
        var trainings: [Int] = []
        var pairs: [Pair] = []
        var seen: Set<Pair> = []
        for index in sweep.points.indices {
            let chain = chains.ofRun(index * sweep.replicates)
            let training = Training(
                dense: chain.dense, sibling: chains.sibling(of: chain, level: 0),
                levels: chains.row(of: chain, levels: sweep.points.levels(at: index)),
                report: isReported ? report.map { $0.read(sweep.points[index].settings) } : [])
            guard let number = known[training] else {
                known[training] = latest.count
                trainings.append(latest.count)
                latest.append(index)
                continue
            }
            trainings.append(number)
            let (one, other) = (sweep.points.position(of: latest[number]), sweep.points.position(of: index))
            latest[number] = index
            let differing = one.indices.filter { one[$0] != other[$0] }
            guard differing.count == 1, let dimension = differing.first else { continue }
            let pair = Pair(
                dimension: dimension, first: min(one[dimension], other[dimension]),
                second: max(one[dimension], other[dimension]))
            if seen.insert(pair).inserted { pairs.append(pair) }
        }
        return (trainings, pairs)
    }
}
