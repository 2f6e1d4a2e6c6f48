import Foundation
import Lottery
import Sweeps
import Testing
import Verdicts

@Suite struct ExtentTests {
    /// Three points of two levels each; looks at 3, 5 and 8.
    private func refined(_ rest: String = "") throws -> Plan {
        try plan(
            """
            name: a
            pruning: {levels: 2, rate: 0.5}
            grid: {lr: [0.1, 0.01, 0.001]}
            refine: {looks: [3, 5, 8]\(rest)}
            """)
    }

    /// A result of so many images right of 10,000.
    private func done(_ task: PlannedTask, right: Int) -> CellResult {
        let density = [1, 0.5, 0.25, 0.125, 0.06, 0.03][task.task.pruning?.level ?? 0]
        let evaluation = Evaluation(
            step: 500, validationLoss: 0.1, validationCorrect: 4_900, validationCount: 5_000, testLoss: 0.1,
            testCorrect: right, testCount: 10_000)
        return .done(
            LevelSummary(
                layers: [
                    LayerCount(name: "fc1.weight", kind: .fc, weights: 10_000, surviving: Int(density * 10_000))
                ], otherWeights: 0, final: evaluation, earlyStop: evaluation, divergedAt: nil))
    }

    /// The first point is clearly below at both levels, the second scatters around the margin for ever, the third is
    /// clear from five replicates on.
    private func result(_ task: PlannedTask) -> CellResult {
        let replicate = Int(task.task.seeds.initialisation)
        let wobble = [0, 3, -3, 2, -2, 1, -1, 0][replicate % 8]
        guard task.task.pruning != nil else { return done(task, right: 9_800) }
        switch task.task.training.learningRate {
        case 0.1: return done(task, right: 9_000 + wobble)
        case 0.01: return done(task, right: 9_781 + [60, -60, 50, -50, 40, -40, 30, -30][replicate % 8])
        default: return done(task, right: replicate == 2 ? 9_810 : 9_830 + wobble)
        }
    }

    private func extent(_ plan: Plan, _ result: @escaping (PlannedTask) -> CellResult) -> Extent {
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        return Extent(plan: plan) { result(tasks[$0]!) }
    }

    /// What there is once everything that is asked for has been done, again and again.
    private func settled(_ plan: Plan) -> Extent {
        var extent = extent(plan) { _ in .pending }
        while true {
            let isAsked = plan.isAsked(within: extent)
            let next = self.extent(plan) { task in
                isAsked[plan.tasks.firstIndex { $0.key == task.key }!] ? self.result(task) : .pending
            }
            if next == extent { return extent }
            extent = next
        }
    }

    @Test("Without rules every task is asked for from the start")
    func fixed() throws {
        let plan = try plan("name: a\npruning: {levels: 2}\nreplicates: 3")
        let extent = Extent(plan: plan) { _ in .pending }
        #expect(extent.points == [Extent.Point(replicates: 3, tested: 3, levels: 2, isStopped: false)])
        #expect(plan.isAsked(within: extent).allSatisfy { $0 })
    }

    @Test("Replicates are added where the headline is undecided, look by look, and nowhere else")
    func refine() throws {
        let plan = try refined()
        #expect(plan.sweep.replicates == 8)
        let first = extent(plan) { _ in .pending }
        #expect(first.points.map(\.replicates) == [3, 3, 3])
        #expect(plan.isAsked(within: first).count { $0 } == 3 * 3 * 3)
        let last = settled(plan)
        #expect(last.points.map(\.replicates) == [3, 8, 5])
        #expect(last.points.map(\.tested) == [3, 8, 5])
        #expect(plan.isAsked(within: last).count { $0 } == (3 + 8 + 5) * 3)
    }

    @Test("A point goes on as soon as its own look is complete, and shows that look until the next one is")
    func oneByOne() throws {
        let plan = try refined()
        let half = extent(plan) { task in
            task.task.training.learningRate == 0.01 && task.task.seeds.initialisation < 4 ? self.result(task) : .pending
        }
        #expect(half.points.map(\.replicates) == [3, 5, 3])
        #expect(half.points.map(\.tested) == [3, 3, 3])
    }

    @Test("A budget that may not be enough waits for all, then goes to those that need the fewest seeds")
    func budget() throws {
        let plan = try refined(", budget: 4")
        let one = extent(plan) { task in task.task.training.learningRate == 0.01 ? self.result(task) : .pending }
        #expect(one.points.map(\.replicates) == [3, 3, 3])
        // Two points ask for two runs each, which is all there is.
        #expect(settled(plan).points.map(\.replicates) == [3, 5, 5])
        // The third point's bound is 50 images away, the second's one.
        #expect(settled(try refined(", budget: 3")).points.map(\.replicates) == [3, 3, 5])
        #expect(settled(try refined(", budget: 1")).points.map(\.replicates) == [3, 3, 3])
        #expect(settled(try refined(", budget: 7")).points.map(\.replicates) == [3, 8, 5])
    }

    @Test("Results in any order ask for the same, and never take back what was asked for")
    func monotone() throws {
        for rest in ["", ", budget: 4", ", budget: 7"] {
            let plan = try refined(rest)
            let final = settled(plan)
            let isAsked = plan.isAsked(within: final)
            for seed in 0..<UInt64(12) {
                let random = CounterRandom(seed: seed, purpose: .dataOrder)
                let order = random.permutation(of: plan.tasks.count, epoch: 0).map(Int.init).filter { isAsked[$0] }
                var known: Set<TaskKey> = []
                var before = extent(plan) { _ in .pending }
                for index in order {
                    known.insert(plan.tasks[index].key)
                    let after = extent(plan) { known.contains($0.key) ? self.result($0) : .pending }
                    #expect(
                        zip(before.points, after.points).allSatisfy {
                            $0.replicates <= $1.replicates && $0.tested <= $1.tested
                        }, "seed \(seed)")
                    before = after
                }
                #expect(before == final, "seed \(seed)")
            }
        }
    }

    @Test("A replicate that failed ends the looks of its point, which fails and shows the look before")
    func broken() throws {
        let plan = try refined()
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        func result(_ key: TaskKey) -> CellResult {
            let task = tasks[key]!
            return task.task.seeds.initialisation == 4 ? .failed(reason: "out of memory") : self.result(task)
        }
        let point = Extent(plan: plan, results: result).points[1]
        #expect(point == Extent.Point(replicates: 5, tested: 3, levels: 2, isStopped: false))
        let row = try #require(
            Leaderboard(plan: plan, results: result).rows.first { $0.point["lr"]?.description == "0.01" })
        #expect(row.verdict == .failed)
        #expect(row.replicates == 3 && row.replicatesAsked == 5)
        #expect(row.difference != nil || row.ticket == nil)
    }

    // MARK: stop_when

    private func stopping(_ levels: Int = 2, refine: String = "replicates: 2") throws -> Plan {
        try plan(
            """
            name: a
            pruning: {levels: 5, rate: 0.5}
            branches: [random-reinit]
            stop_when: {margin: 0.05, levels: \(levels)}
            \(refine)
            """)
    }

    /// Images right by level; the second replicate is 100 better.
    private func chain(_ right: [Int]) -> (PlannedTask) -> CellResult {
        { task in
            self.done(
                task, right: right[task.task.pruning?.level ?? 0] + (task.task.seeds.initialisation == 1 ? 100 : 0))
        }
    }

    @Test("A chain ends once its mean stayed below by the margin for as many levels, and says stopped")
    func stops() throws {
        let plan = try stopping()
        #expect(extent(plan) { _ in .pending }.points[0].levels == 2)
        let result = chain([9_800, 9_790, 9_000, 9_790, 9_000, 9_000])
        let known = { (level: Int) in
            { (task: PlannedTask) in (task.task.pruning?.level ?? 0) <= level ? result(task) : .pending }
        }
        // Whatever comes, two more levels are wanted after a level that is not below, one after one that is.
        #expect((0...5).map { extent(plan, known($0)).points[0].levels } == [2, 3, 3, 5, 5, 5])
        #expect(!extent(plan, result).points[0].isStopped)

        let early = chain([9_800, 9_790, 9_000, 9_000, 9_790, 9_790])
        let stopped = extent(plan, early).points[0]
        #expect(stopped == Extent.Point(replicates: 2, tested: 2, levels: 3, isStopped: true))
        // Results beyond, which another sweep may have wanted, change nothing.
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        let board = Leaderboard(plan: plan) { early(tasks[$0]!) }
        let cut = Leaderboard(plan: plan) { key in
            (tasks[key]!.task.pruning?.level ?? 0) <= 3 ? early(tasks[key]!) : .pending
        }
        #expect(board == cut)
        #expect(board.rows[0].verdict == .stopped)
        #expect(board.rows[0].found != nil && board.rows[0].level == 1)
        #expect(board.rows[0].trainings == 8 && board.rows[0].trainingsDone == 8)
        #expect(
            board.curves[0].levels.map(\.verdict)
                == [nil, .matching, .some(.none), .some(.none), .stopped, .stopped] as [Verdict?])
        #expect(plan.isAsked(within: Extent(plan: plan) { early(tasks[$0]!) }).count { $0 } == 2 * (1 + 3 * 2))
    }

    @Test("At the margin itself a chain goes on; at its last level there is nothing to stop")
    func margin() throws {
        let plan = try stopping(1)
        #expect(extent(plan, chain([9_800, 9_300, 9_300, 9_300, 9_300, 9_299])).points[0].isStopped == false)
        #expect(extent(plan, chain([9_800, 9_299, 9_300, 9_300, 9_300, 9_300])).points[0].levels == 1)
    }

    @Test("Later looks take as many levels as the first one decided on")
    func both() throws {
        let plan = try stopping(refine: "refine: {looks: [2, 3]}")
        let result = chain([9_800, 9_790, 9_000, 9_000, 9_790, 9_790])
        let point = extent(plan) { $0.task.seeds.initialisation == 2 && $0.task.pruning != nil ? .pending : result($0) }
            .points[0]
        #expect(point == Extent.Point(replicates: 3, tested: 2, levels: 3, isStopped: true))
    }

    @Test("A chain that was ended early has replicates added until its trained levels are decided, and then says no")
    func stoppedAndRefined() throws {
        let plan = try stopping(1, refine: "refine: {looks: [3, 5, 8]}")
        // Level 1 scatters 100 images below dense, 80 below the bound; level 2 ends the chain.
        func result(_ task: PlannedTask) -> CellResult {
            let wobble = [120, -110, 20, -30, 10, -10, 5, -5][Int(task.task.seeds.initialisation)]
            switch task.task.pruning?.level {
            case nil: return done(task, right: 9_800)
            case 1: return done(task, right: 9_700 + wobble)
            default: return done(task, right: 9_000 + wobble)
            }
        }
        // Replicates that were asked for and cancelled take nothing from the look before them.
        let cancelled = extent(plan) { $0.task.seeds.initialisation < 3 ? result($0) : .stopped }.points[0]
        #expect(cancelled.tested == 3 && cancelled.isStopped, "\(cancelled)")

        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        func board(of extent: Extent) -> Leaderboard {
            let isAsked = plan.isAsked(within: extent)
            return Leaderboard(plan: plan) { key in
                isAsked[plan.index(of: key)!] ? result(tasks[key]!) : .pending
            }
        }
        var extent = extent(plan) { _ in .pending }
        var seen: [Extent.Point] = []
        while seen.last != extent.points[0] {
            seen.append(extent.points[0])
            let isAsked = plan.isAsked(within: extent)
            extent = self.extent(plan) { isAsked[plan.index(of: $0.key)!] ? result($0) : .pending }
        }
        #expect(seen.last == Extent.Point(replicates: 8, tested: 8, levels: 2, isStopped: true))
        #expect(Set(seen.map(\.replicates)) == [3, 5, 8])
        let row = board(of: extent).rows[0]
        #expect(row.verdict == .stopped && row.decided == .no && row.moreSeeds == nil && row.ticket == nil)
        // At the first look it says how many more it takes.
        let first = Leaderboard(plan: plan) { key in
            let task = tasks[key]!
            return task.task.seeds.initialisation < 3 && (task.task.pruning?.level ?? 0) <= 2 ? result(task) : .pending
        }
        #expect(first.rows[0].replicatesAsked == 5 && first.rows[0].decided == .undecided)
        #expect(first.rows[0].moreSeeds != nil)
    }
}
