import Lottery
import Sweeps
import Testing

@Suite struct SweepTests {
    @Test("The design's example reads, with every section")
    func example() throws {
        let sweep = try sweep(
            """
            name: warmup-challenge
            dataset: mnist
            data: {validation: 5000, train: 50000}
            model: {family: mlp, width: 100}
            training: {iterations: 30000, batch: 128, optimizer: {name: sgd, momentum: 0.9, weight_decay: 1e-4}, evaluate_every: 100,
                       learning_rate: 0.03, warmup: 0, decay: [{at: 20000, by: 0.1}, {at: 25000, by: 0.1}]}
            pruning: {criterion: magnitude, scope: global, rate: {fc: 0.2, output: 0}, levels: 14, rewind: 0}
            branches: [random-reinit, {name: random-mask, levels: [3, 1]}]
            replicates: 3
            seed: 7
            report: early-stop
            matching_margin: 0.003
            grid: {depth: [2, 3, 4], warmup: [0, 5000, 20000], lr: [0.01, 0.03, 0.1], rewind: [0, 500]}
            zip: []
            exclude: ["lr == 0.01 && warmup > 0"]
            """)
        #expect(sweep.name == "warmup-challenge")
        #expect(sweep.points.count == 3 * 3 * 3 * 2 - 3 * 2 * 2)
        #expect(sweep.excludedCount == 12)
        #expect(sweep.runCount == 42 * 3)
        #expect(sweep.axes.map(\.name) == ["depth", "warmup", "lr", "rewind"])
        #expect(
            sweep.branches == [SweepBranch(name: "random-reinit"), SweepBranch(name: "random-mask", levels: [1, 3])])
        #expect(sweep.seed == 7)
        let settings = sweep.baseSettings
        #expect(settings.dataset == "mnist")
        #expect(settings.data.train == 50_000)
        #expect(settings.training.optimizer.name == "sgd")
        #expect(settings.training.optimizer.momentum == 0.9)
        #expect(settings.training.optimizer.weightDecay == 1e-4)
        #expect(settings.training.decay == [Decay(at: 20_000, by: 0.1), Decay(at: 25_000, by: 0.1)])
        #expect(settings.pruning.rate == PruneRates(conv: .zero, fc: Ratio("0.2")!, output: .zero))
        #expect(settings.report == .earlyStop)
        #expect(settings.matchingMargin == 0.003)
        let last = try #require(sweep.points.last)
        #expect(sweep.describe(last) == "depth 4, warmup 20000, lr 0.1, rewind 500")
        #expect(last.settings.model.depth == 4)
        #expect(last.settings.training.warmup == 20_000)
        #expect(last.settings.training.learningRate == 0.1)
        #expect(last.settings.pruning.rewind == 500)
    }

    @Test("The first axis moves slowest, zip groups move together after the grid")
    func order() throws {
        let sweep = try sweep(
            """
            name: a
            grid: {lr: [0.1, 0.2], batch: [10, 20]}
            zip:
            - {warmup: [0, 5], levels: [1, 2]}
            """)
        #expect(
            sweep.points.map { $0.values.map(\.description).joined(separator: " ") } == [
                "0.1 10 0 1", "0.1 10 5 2", "0.1 20 0 1", "0.1 20 5 2", "0.2 10 0 1", "0.2 10 5 2", "0.2 20 0 1",
                "0.2 20 5 2",
            ])
        #expect(sweep.points.map(\.index) == Array(0..<8))
        #expect(sweep.axes.map(\.zipGroup) == [nil, nil, 0, 0])
    }

    @Test("Nested, dotted and short forms of a setting mean the same")
    func forms() throws {
        let nested = try sweep(
            "name: a\ntraining:\n  optimizer: {name: sgd}\n  batch: 32\npruning: {rate: {fc: 0.2, output: 0.1}}")
        let dotted = try sweep(
            "name: a\ntraining.optimizer: sgd\ntraining.batch: 32\npruning.rate: {fc: 0.2}\npruning.rate.output: 0.1")
        #expect(nested.baseSettings == dotted.baseSettings)
        #expect(nested.specDigest == dotted.specDigest)
        let byShort = try sweep("name: a\ngrid: {optimizer: [sgd, {name: sgd, momentum: 0.9}], lr: [0.1]}")
        let byPath = try sweep(
            "name: a\n# the same\ngrid: {training.optimizer: [sgd, {name: sgd, momentum: 0.90}], training.learning_rate: [1e-1]}"
        )
        #expect(byShort.points.map(\.settings) == byPath.points.map(\.settings))
        #expect(byShort.specDigest == byPath.specDigest)
        #expect(byShort.points.map(\.settings.training.optimizer.momentum) == [0, 0.9])
    }

    @Test("A fixed part of a setting holds beside an axis over the whole, and an axis over the part comes before it")
    func parts() throws {
        let fixed = try sweep("name: a\npruning.rate.output: 0.1\ngrid: {prune_rate: [0.2, {fc: 0.4, output: 0.3}]}")
        #expect(fixed.points.map { $0.settings.pruning.rate.fc.description } == ["0.2", "0.4"])
        #expect(fixed.points.map { $0.settings.pruning.rate.output.description } == ["0.1", "0.1"])
        let both = try sweep(
            "name: a\npruning.rate.output: 0.1\ngrid: {pruning.rate.output: [0.05, 0.15], prune_rate: [0.2, 0.4]}")
        #expect(
            both.points.map { "\($0.settings.pruning.rate.fc) \($0.settings.pruning.rate.output)" } == [
                "0.2 0.05", "0.4 0.05", "0.2 0.15", "0.4 0.15",
            ])
        let optimizers = try sweep(
            """
            name: a
            training.optimizer: {name: sgd, momentum: 0.9}
            grid: {optimizer: [sgd, {name: sgd, momentum: 0.5}]}
            """
        )
        #expect(optimizers.points.map(\.settings.training.optimizer.momentum) == [0.9, 0.5])
        #expect(
            refusal("name: a\ngrid:\n  momentum: [0.5, 0.9]\n  optimizer: [{name: sgd, momentum: 0.1}]")
                == "sweeps/x.yaml:4: \"optimizer\" and the axis \"momentum\" on line 3 both set "
                + "\"training.optimizer.momentum\"; let one of them do it")
    }

    @Test("The digest follows the meaning of a spec, not its comments or layout")
    func digest() throws {
        let base = "name: a\ngrid: {lr: [0.1, 0.2]}\nreplicates: 2"
        let digest = try sweep(base).specDigest
        #expect(try sweep("# why\nreplicates: 2\nname: a\ngrid:\n  lr:\n  - 0.1\n  - 0.20").specDigest == digest)
        for other in [
            "name: b\ngrid: {lr: [0.1, 0.2]}\nreplicates: 2", "name: a\ngrid: {lr: [0.2, 0.1]}\nreplicates: 2",
            base + "\nseed: 1",
            base + "\nbranches: [random-mask]", base + "\nbranches: [{name: random-mask, levels: [2]}]",
            base + "\nreport: early-stop", base + "\nexclude: ['lr == 0.3']",
            base + "\npruning.levels: 3", "name: a\ngrid: {lr: [0.1, 0.2]}\nreplicates: 3",
        ] { #expect(try sweep(other).specDigest != digest) }
    }

    @Test("A spec without axes is one point")
    func onePoint() throws {
        let sweep = try sweep("name: a")
        #expect(sweep.points.count == 1)
        #expect(sweep.points[0].settings == Settings())
        #expect(sweep.describe(sweep.points[0]) == "")
    }

    @Test("A spec with any bytes changed is read or refused, never a crash", arguments: 0..<40)
    func mutations(seed: Int) {
        let valid = Array(
            """
            name: warm
            dataset: mnist
            model: {family: mlp, width: 100}
            training: {iterations: 300, batch: 12, optimizer: {name: sgd, momentum: 0.9}, decay: [{at: 20, by: 0.1}]}
            pruning: {scope: global, rate: {fc: 0.2, output: 0}, levels: 4}
            branches: [random-reinit]
            replicates: 2
            grid: {depth: [2, 3], lr: [0.01, 0.03]}
            zip: [{warmup: [0, 5], rewind: [0, 6]}]
            exclude: ["lr == 0.01 && (warmup > 0 || !(depth == 2))"]

            """.utf8)
        let random = CounterRandom(seed: UInt64(seed), purpose: .randomMask)
        let alphabet = Array(" \n\t:{}[],-&*!|>'\"%@`#?~.e+019azλ\u{0}".utf8)
        for round in 0..<60 {
            var bytes = valid
            func draw(_ bound: Int, _ index: UInt64) -> Int { random.integer(below: bound, epoch: round, index: index) }
            for change in 0..<UInt64(1 + draw(6, 0)) {
                let place = draw(bytes.count, 1 + 4 * change)
                let letter = alphabet[draw(alphabet.count, 2 + 4 * change)]
                switch draw(4, 3 + 4 * change) {
                case 0: bytes[place] = letter
                case 1: bytes.insert(letter, at: place)
                case 2: bytes.remove(at: place)
                default: bytes.removeSubrange(place..<min(bytes.count, place + 1 + draw(30, 4 + 4 * change)))
                }
                if bytes.isEmpty { bytes = [10] }
            }
            let yaml = String(decoding: bytes, as: UTF8.self)
            let answer = refusal(yaml)
            #expect(
                answer == "accepted" || answer.hasPrefix("sweeps/x.yaml:"),
                "seed \(seed), round \(round): \(answer)\n\(yaml)")
        }
    }
}
