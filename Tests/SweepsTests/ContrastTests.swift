import Foundation
import Lottery
import Sweeps
import Testing
import Verdicts

@Suite struct ContrastTests {
    /// Three arms, of which two differ in warmup alone.
    private let yaml = """
        name: a
        pruning: {levels: 2, rate: 0.5}
        branches: [random-reinit]
        replicates: 3
        zip: [{lr: [0.1, 0.1, 0.01], warmup: [0, 500, 0]}]
        """

    /// Images right of 10,000, less for a level and for reinit; warmup raises all by 200, and tickets by 30 more. Seeds differ
    /// by the same in all networks, and by `noise` images in tickets with warmup.
    private func result(_ task: PlannedTask, noise: Int = 3) -> CellResult {
        let hasWarmup = task.task.training.warmup > 0
        let seed = Int(task.task.seeds.initialisation) % 3
        var right = 9_000 + (hasWarmup ? 200 : 0) + 50 * seed
        var surviving = 1_024
        switch task.role {
        case .level(let level):
            right += 100 - 10 * level + (hasWarmup ? 30 + noise * seed : 0)
            surviving >>= level
        case .branch(_, let level):
            right -= 20 * level
            surviving >>= level
        default: break
        }
        let evaluation = Evaluation(
            step: 500, validationLoss: 0.1, validationCorrect: 4_900, validationCount: 5_000, testLoss: 0.1,
            testCorrect: right, testCount: 10_000)
        return .done(
            LevelSummary(
                layers: [LayerCount(name: "fc1.weight", kind: .fc, weights: 1_024, surviving: surviving)],
                otherWeights: 10, final: evaluation, earlyStop: evaluation, divergedAt: nil))
    }

    private func contrast(
        _ yaml: String, axis: String = "warmup", control: String = "random-reinit", named: Set<Int> = [],
        _ result: (PlannedTask) -> CellResult
    ) throws -> Contrast {
        let plan = try plan(yaml)
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        return try Contrast(plan: plan, axis: axis, control: control, named: named) { key in
            tasks[key].map(result) ?? .pending
        }
    }

    @Test("What lifts ticket and control alike is left out; what is left is paired by seed")
    func differenceOfDifferences() throws {
        let contrast = try contrast(yaml) { result($0) }
        #expect(contrast.tests == 2)
        let panel = try #require(contrast.panels.first)
        #expect(contrast.panels.count == 1)
        #expect(panel.point.coordinates.map { "\($0.axis) \($0.value)" } == ["lr 0.1"])
        #expect(panel.from.description == "0" && panel.to.description == "500")
        #expect(panel.levels.map(\.level) == [1, 2] && panel.levels.map(\.densityFrom) == [0.5, 0.25])
        #expect(panel.levels.map(\.densityTo) == [0.5, 0.25] && panel.reason == nil)
        for level in panel.levels {
            let gap = Double(100 + 10 * level.level) / 10_000
            // Three pairs of 30, 33 and 36 images: mean 33, deviation 3, so 1.732 of the mean, and t(2) = 4.303.
            #expect(abs(try #require(level.gapFrom).mean - gap) < 1e-12)
            #expect(abs(try #require(level.gapTo).mean - gap - 0.0033) < 1e-12)
            let difference = try #require(level.difference)
            #expect(abs(difference.mean - 0.0033) < 1e-12)
            let low: Double = 0.0033 - 4.302_653 * 0.000_173_205_1
            #expect(abs(try #require(difference.low) - low) < 1e-9)
            #expect(level.replicates == 3 && level.direction == .larger && level.moreSeeds == nil)
            // Twice the two-sided p of t = 33 √3 / 3 with two degrees of freedom, since there are two levels.
            #expect(abs(try #require(level.pValue) - 2 * 0.002_74) < 4e-5)
        }
    }

    @Test("A small gap beside much noise is undecided, and the other way round it is smaller")
    func decisions() throws {
        let noisy = try contrast(yaml) { result($0, noise: -40) }
        #expect(noisy.panels[0].levels.allSatisfy { $0.direction == .undecided && $0.moreSeeds != nil })
        let turned = try contrast(yaml.replacing("[0, 500, 0]", with: "[500, 0, 0]")) { result($0) }
        #expect(turned.panels[0].levels.allSatisfy { $0.direction == .smaller })
    }

    @Test("Tickets stand beside the dense network on demand; what is not done is pending, and JSON has every key")
    func dense() throws {
        let contrast = try contrast(yaml, control: Contrast.dense) { task in
            if case .level(2) = task.role, task.task.seeds.initialisation == 1 { return .pending }
            return result(task)
        }
        let levels = contrast.panels[0].levels
        #expect(abs(try #require(levels[0].gapFrom).mean - 0.009) < 1e-12)
        #expect(levels[1].difference == nil && levels[1].replicates == 0 && levels[1].direction == .undecided)
        let panel = String(decoding: try JSONEncoder().encode(contrast.panels[0]), as: UTF8.self)
        #expect(panel.contains("\"reason\":null"), "\(panel)")
        let json = String(decoding: try JSONEncoder().encode(levels[1]), as: UTF8.self)
        for key in [
            "density_from", "density_to", "gap_from", "gap_to", "difference", "p_value", "direction", "more_seeds",
            "diverged_from", "diverged_to", "reason",
        ] {
            #expect(json.contains("\"\(key)\":"), "\(json)")
        }
    }

    @Test("Only levels beside which the control stands are there, and a panel says why it has nothing to compare")
    func gaps() throws {
        let placed = yaml.replacing("[random-reinit]", with: "[{name: random-reinit, levels: [2]}]")
        #expect(try contrast(placed) { result($0) }.panels[0].levels.map(\.level) == [2])
        let diverged = try contrast(yaml) { task in
            guard task.role == .dense, task.task.training.warmup == 500, task.task.seeds.initialisation == 1,
                case .done(var summary) = result(task)
            else { return result(task) }
            summary.divergedAt = 100
            summary.final = nil
            return .done(summary)
        }
        #expect(diverged.panels[0].reason?.hasPrefix("warmup 500: the dense network diverged") == true)
        #expect(diverged.panels[0].levels.allSatisfy { $0.difference == nil && $0.pValue == nil })
    }

    @Test("A level says why it will not be compared, others are; without a level in common the panel says so")
    func reasons() throws {
        for (state, words) in [
            (CellResult.failed(reason: "out of memory"), "warmup 0: out of memory"),
            (.stopped, "warmup 0: a training was cancelled"),
        ] {
            let panel = try contrast(yaml) { task in
                guard case .branch(_, 2) = task.role, task.task.training.warmup == 0,
                    task.task.seeds.initialisation == 1
                else { return result(task) }
                return state
            }.panels[0]
            #expect(panel.reason == nil && panel.levels.map(\.reason) == [nil, words])
            #expect(panel.levels.map(\.direction) == [.larger, .undecided])
        }
        let placed =
            yaml.replacing("[random-reinit]", with: "[{name: random-reinit, levels: [2]}]")
            + "\nstop_when: {margin: 0.05, levels: 1}"
        let ended = try contrast(placed) { task in
            if case .level = task.role, task.task.training.warmup == 0, case .done(var summary) = result(task) {
                summary.final?.testCorrect = 100
                return .done(summary)
            }
            return result(task)
        }.panels[0]
        #expect(ended.levels.isEmpty && ended.reason == "both have no level beside which random-reinit stands")
    }

    @Test("What diverged counts as no image right, and is counted")
    func divergence() throws {
        let level = try contrast(yaml) { task in
            guard case .branch(_, 1) = task.role, task.task.training.warmup == 0, task.task.seeds.initialisation == 1,
                case .done(var summary) = result(task)
            else { return result(task) }
            summary.divergedAt = 100
            summary.final = nil
            return .done(summary)
        }.panels[0].levels[0]
        #expect(level.divergedFrom == 1 && level.divergedTo == 0 && level.reason == nil)
        #expect(try #require(level.gapFrom).mean > 0.3)
        #expect(level.direction == .undecided)
    }

    @Test("Levels that are named beforehand share the error, of all panels together; the others describe")
    func named() throws {
        let two = try contrast(yaml) { result($0) }
        let one = try contrast(yaml, named: [2]) { result($0) }
        #expect(two.tests == 2 && one.tests == 1)
        let (described, tested) = (one.panels[0].levels[0], one.panels[0].levels[1])
        #expect(abs(try #require(two.panels[0].levels[1].pValue) - 2 * (try #require(tested.pValue))) < 1e-12)
        #expect(tested.direction == .larger)
        #expect(described.pValue == nil && described.direction == nil && described.moreSeeds == nil)
        #expect(described.difference == two.panels[0].levels[0].difference)

        // Ten panels of two levels: 20 × 0.00274 is above 5 %.
        let panels = yaml + "\ngrid: {iterations: [2000, 2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008, 2009]}"
        let many = try contrast(panels) { result($0) }
        #expect(many.tests == 20 && many.panels.count == 10)
        let level = many.panels[9].levels[1]
        #expect(level.direction == .undecided && level.moreSeeds != nil)
        #expect(try contrast(panels, named: [1]) { result($0) }.tests == 10)
        #expect {
            _ = try contrast(yaml, named: [1, 3]) { result($0) }
        } throws: { "\($0)" == "no level 3 can be compared; beside random-reinit there are the levels 1, 2" }
    }

    @Test("Gaps are those of the pairs, where one point has more seeds than the other")
    func pairs() throws {
        let looked = yaml.replacing("replicates: 3", with: "refine: {looks: [3, 5]}")
        // The point without warmup is decided at the first look; the other's scatter has it go on to the next.
        let level = try contrast(looked) { task in
            if case .level = task.role, task.task.training.warmup > 0, case .done(var summary) = result(task, noise: 0)
            {
                if task.task.seeds.initialisation % 5 == 4 { summary.divergedAt = 100 }
                summary.final?.testCorrect = 9_180 + [0, 60, -60, 40, -40][Int(task.task.seeds.initialisation) % 5]
                return .done(summary)
            }
            return result(task)
        }.panels[0].levels[0]
        // What diverges beyond the pairs is compared with nothing.
        #expect(level.replicates == 3 && level.divergedTo == 0)
        let difference = try #require(level.gapTo).mean - (try #require(level.gapFrom).mean)
        #expect(abs(difference - (try #require(level.difference).mean)) < 1e-12)
    }

    @Test("Where seeds are added until it is decided, each look spends its share")
    func looks() throws {
        let looked = yaml.replacing("replicates: 3", with: "replicates: 3\nrefine: {looks: [3, 5], budget: 40}")
        let once = try contrast(yaml) { result($0) }.panels[0].levels
        let twice = try contrast(looked) { $0.task.seeds.initialisation < 3 ? result($0) : .pending }.panels[0].levels
        for (one, two) in zip(once, twice) {
            #expect(abs(try #require(two.pValue) - 2 * (try #require(one.pValue))) < 1e-9)
        }
        #expect(once.count == 2 && twice.count == 2)
    }

    @Test(
        "What cannot be compared is refused with a remedy",
        arguments: [
            ("wramup", "random-reinit", #"unknown setting "wramup"; did you mean "warmup"?"#),
            ("depth", "random-reinit", #"the sweep "a" does not vary depth; its axes are lr, warmup"#),
            ("warmup", "random-mask", #"the sweep "a" has no branch "random-mask"; it has random-reinit, dense"#),
            (
                "lr", "random-reinit",
                #"no two points of the sweep "a" differ in lr alone, so there is nothing to compare"#
            ),
        ])
    func refusals(_ axis: String, _ control: String, _ sentence: String) throws {
        let spec = axis == "lr" ? yaml.replacing("[0, 500, 0]", with: "[0, 500, 100]") : yaml
        #expect {
            _ = try contrast(spec, axis: axis, control: control) { result($0) }
        } throws: { "\($0)" == sentence }
    }
}
