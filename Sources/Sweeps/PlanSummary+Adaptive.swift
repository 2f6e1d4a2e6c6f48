extension PlanSummary {
    /// How far an adaptive sweep goes; the summary's own counts are the most it may come to.
    public struct Adaptive: Hashable, Sendable, Codable {
        /// The least that it comes to, whatever its results.
        public var atLeast: Amount
        /// What its results so far ask for.
        public var asked: Amount
        public var askedDone: Amount
        /// Numbers of replicates at which points are tested.
        public var looks: [Int]

        /// Tasks and their training steps.
        public struct Amount: Hashable, Sendable, Codable {
            public var tasks = 0
            public var steps = 0
        }

        private enum CodingKeys: String, CodingKey {
            case asked, looks
            case atLeast = "at_least"
            case askedDone = "asked_done"
        }
    }

    /// Tasks that are asked for and not done.
    public var tasksToDo: Int { adaptive.map { $0.asked.tasks - $0.askedDone.tasks } ?? tasks - tasksDone }
    /// Tasks that are asked for.
    public var tasksAsked: Int { adaptive?.asked.tasks ?? tasks }
}

extension Plan {
    /// The summary with what is asked for so far, where that depends on results.
    /// - Parameter isAsked: for each task.
    public func summary(asking isAsked: [Bool]) -> PlanSummary {
        guard isAdaptive else { return summary }
        func amount(_ counts: (Int) -> Bool) -> PlanSummary.Adaptive.Amount {
            var amount = PlanSummary.Adaptive.Amount()
            for (index, task) in tasks.enumerated() where counts(index) {
                amount.tasks += 1
                amount.steps += task.cost
            }
            return amount
        }
        let first = self.isAsked(within: Extent(plan: self) { _ in .pending })
        var summary = summary
        summary.adaptive = PlanSummary.Adaptive(
            atLeast: amount { first[$0] }, asked: amount { isAsked[$0] },
            askedDone: amount { isAsked[$0] && tasks[$0].isDone }, looks: sweep.looks)
        return summary
    }
}
