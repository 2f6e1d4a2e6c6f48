import Lottery
import Testing
import Training

@Suite("Pruning")
struct PruningTests {
    private func step(
        _ scope: PruningScope = .layer, criterion: String = "magnitude", fc: String = "0.5", output: String = "0.5",
        repetitions: Int = 1, control: TrainingTask.MaskControl = .none, level: Int = 1
    ) -> TrainingTask.PruningStep {
        .init(
            parent: TaskKey(Digest.of([])), criterion: criterion, scope: scope,
            rates: PruneRates(conv: .zero, fc: Ratio(fc)!, output: Ratio(output)!), repetitions: repetitions,
            control: control,
            level: level)
    }

    private func tensor(_ values: [Float], _ kind: LayerKind = .fc, mask: [Bool]? = nil) -> PrunableTensor {
        PrunableTensor(kind: kind, weights: values, mask: mask.map { Mask($0) } ?? Mask(dense: values.count))
    }

    /// Criteria that look at more than weights are tested in `CriterionTests`.
    private let nothing = RankedNetwork(
        initial: { preconditionFailure("θ0 was asked for") },
        gradient: { _, _ in preconditionFailure("gradients were asked for") },
        curvature: { _, _ in preconditionFailure("the curvature was asked for") },
        flowGradient: { _ in preconditionFailure("the flow was asked for") })

    private func survivors(
        _ step: TrainingTask.PruningStep, _ tensors: [PrunableTensor], seed: UInt64 = 1
    ) throws -> [[Int]] {
        let criterion: Criterion = step.criterion == "random" ? .random : .magnitude
        return try step.masks(of: tensors, by: criterion, seed: seed, network: nothing).map(\.survivingIndices)
    }

    @Test("The smallest magnitudes go, whatever their sign")
    func magnitude() throws {
        #expect(try survivors(step(), [tensor([-3, 0.5, 2, -0.1, 1, -0.25])]) == [[0, 2, 4]])
    }

    @Test("Ties at the threshold prune exactly the requested count, the lower flat index first")
    func ties() throws {
        #expect(try survivors(step(), [tensor([1, -1, 1, -1, 1, -1, 1])]) == [[3, 4, 5, 6]])
        #expect(try survivors(step(), [tensor([0, 2, -0.0, 2, 0])]) == [[1, 3, 4]])
        #expect(try survivors(step(.global), [tensor([1, 1]), tensor([1, 1, 1])]) == [[], [0, 1, 2]])
    }

    @Test("Pruned weights stay pruned and are not counted again")
    func monotone() throws {
        let mask = [true, false, true, true, false, true]
        #expect(try survivors(step(), [tensor([4, 0, 1, 2, 0, 3], mask: mask)]) == [[0, 5]])
    }

    @Test("A NaN is the first to go, an infinity the last")
    func notFinite() throws {
        #expect(try survivors(step(), [tensor([.nan, -.infinity, 5, -.nan])]) == [[1, 2]])
    }

    @Test("Globally, layers of one rate are ranked together and others are left out")
    func global() throws {
        let small = tensor([0.1, 0.2, 0.3, 0.4])
        let large = tensor([1, 2, 3, 4])
        let output = tensor([0.01, 0.02, 5, 6], .output)
        #expect(
            try survivors(step(.global, output: "0"), [small, large, output]) == [[], [0, 1, 2, 3], [0, 1, 2, 3]])
        #expect(
            try survivors(step(.global, output: "0.25"), [small, large, output]) == [[], [0, 1, 2, 3], [1, 2, 3]])
        #expect(try survivors(step(.global), [small, large, output]) == [[], [0, 1, 2, 3], [2, 3]])
        #expect(try survivors(step(.layer), [small, large, output]) == [[2, 3], [2, 3], [2, 3]])
    }

    @Test("A shortcut is never pruned")
    func shortcut() throws {
        #expect(try survivors(step(.global), [tensor([1, 2], .shortcut)]) == [[0, 1]])
    }

    @Test("One shot leaves as many as n prunings one after the other", arguments: [PruningScope.layer, .global])
    func oneShot(scope: PruningScope) throws {
        let random = CounterRandom(seed: 1, purpose: .initialisation)
        let values = (0..<997).map { Float(random.uniform(epoch: 0, index: $0)) }
        var tensors = [tensor(values), tensor(Array(values.prefix(101)), .output)]
        let start = tensors
        for level in 1...6 {
            let step = step(scope, fc: "0.29", output: "0.07", level: level)
            let masks = try step.masks(of: tensors, by: .magnitude, seed: 1, network: nothing)
            for (layer, mask) in masks.enumerated() {
                #expect(mask.isSubset(of: tensors[layer].mask))
                tensors[layer].mask = mask
            }
            let shot = try self.step(scope, fc: "0.29", output: "0.07", repetitions: level).masks(
                of: start, by: .magnitude, seed: 1, network: nothing)
            #expect(shot.map(\.survivors) == masks.map(\.survivors), "level \(level)")
            // With the weights unchanged, the same ones go.
            #expect(shot == masks, "level \(level)")
        }
        #expect(
            tensors[0].mask.survivors
                == TrainingTask.PruningStep.remaining(of: 997, rate: Ratio("0.29")!, repetitions: 6))
    }

    @Test("Random pruning is exact and monotone, and differs by seed and level but not by weights")
    func random() throws {
        let weights = tensor((0..<1_000).map { Float($0) })
        let zeros = tensor(Array(repeating: 0, count: 1_000))
        let first = try survivors(step(criterion: "random"), [weights])
        #expect(first[0].count == 500)
        #expect(try first == survivors(step(criterion: "random"), [zeros]))
        #expect(try first != survivors(step(criterion: "random"), [weights], seed: 2))
        #expect(try first != survivors(step(criterion: "random", level: 2), [weights]))
        #expect(abs(first[0].filter { $0 < 500 }.count - 250) < 50)
    }

    @Test("The random-mask control keeps each layer's count, and draws from all of its weights")
    func randomMask() throws {
        let mask = (0..<400).map { $0 < 200 }
        let weights = tensor((0..<400).map { Float($0) }, mask: mask)
        let drawn = try survivors(step(control: .randomPerLayer), [weights, weights])
        #expect(drawn.map(\.count) == [100, 100])
        #expect(drawn[0] != drawn[1])
        #expect(drawn[0].contains { $0 >= 200 })
        #expect(try drawn == survivors(step(control: .randomPerLayer), [weights, weights]))
        #expect(try drawn != survivors(step(control: .randomPerLayer, level: 2), [weights, weights]))
    }

    @Test("An emptied layer is told by its count")
    func collapse() throws {
        #expect(try survivors(step(.global, fc: "0.5"), [tensor([0.1]), tensor([1])]) == [[], [0]])
        #expect(try survivors(step(fc: "0.999"), [tensor([0.1])]) == [[0]], "floor(0.999 · 1) is 0")
    }

    @Test("Selection agrees with sorting", arguments: [0, 1, 2, 3, 50, 199, 200])
    func selection(count: Int) {
        let random = CounterRandom(seed: 4, purpose: .randomPruning)
        for bits: UInt64 in [1, 4, 20, 64] {
            let groups = [0, 120, 80].enumerated().map { group, size in
                (0..<size).map { (random.word(epoch: group, index: UInt64($0)) >> (64 - bits)) << (61 - min(bits, 61)) }
            }
            let all = groups.enumerated().flatMap { group, keys in keys.indices.map { (keys[$0], group, $0) } }.sorted {
                $0 < $1
            }
            let expected = groups.indices.map { group in all.prefix(count).filter { $0.1 == group }.map(\.2).sorted() }
            #expect(PruneSelection.lowest(count, of: groups) == expected, "\(bits) bits")
        }
    }
}
