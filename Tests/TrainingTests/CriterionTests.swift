import Kernels
import Lottery
import Testing
import Training

@Suite("Criteria")
struct CriterionTests {
    private static let half = Ratio("0.5")!

    private func step(
        _ criterion: Criterion, _ scope: PruningScope = .global, rate: Ratio = half, repetitions: Int = 1,
        stages: Int = 1,
        rounds: Int = 1
    ) -> TrainingTask.PruningStep {
        .init(
            parent: TaskKey(Digest.of([])), criterion: criterion.name, scope: scope, rates: PruneRates(all: rate),
            repetitions: repetitions, stages: stages, rounds: rounds, level: stages)
    }

    /// What survives of tensors that nothing has pruned yet.
    private func survivors(
        _ criterion: Criterion, _ weights: [[Float]], initial: [[Float]] = [],
        gradient: @escaping ([[Float]]) -> [[Double]] = { _ in [] },
        curvature: @escaping ([[Float]]) -> [[Double]] = { _ in [] }
    ) throws -> [[Int]] {
        let tensors = weights.map { PrunableTensor(kind: .fc, weights: $0, mask: Mask(dense: $0.count)) }
        let network = RankedNetwork(
            initial: { initial }, gradient: { weights, _ in gradient(weights) },
            curvature: { weights, _ in curvature(weights) }, flowGradient: { _ in [] })
        return try step(criterion).masks(of: tensors, by: criterion, seed: 1, network: network).map(\.survivingIndices)
    }

    // What training did to four weights: θT = (3, −1, 0.5, −2), θ0 = (4, 0.25, 0.25, −1).
    private let trained: [Float] = [3, -1, 0.5, -2]
    private let initial: [Float] = [4, 0.25, 0.25, -1]

    @Test("Magnitude increase keeps the weights that grew most")
    func magnitudeIncrease() throws {
        // |θT| − |θ0| = (−1, 0.75, 0.25, 1): the two lowest are weights 0 and 2.
        #expect(try survivors(.magnitudeIncrease, [trained], initial: [initial]) == [[1, 3]])
        // Equal increases, the last of a weight that shrank to nothing: 0, 0, 0, −1. The lower index of equals goes
        // first.
        #expect(try survivors(.magnitudeIncrease, [[1, -2, 3, 0]], initial: [[-1, 2, 3, 1]]) == [[1, 2]])
    }

    @Test("Movement keeps the weights that went farthest, whichever way")
    func movement() throws {
        // |θT − θ0| = (1, 1.25, 0.25, 1): the lowest is weight 2; of the equals 0 and 3 the lower index goes.
        #expect(try survivors(.movement, [trained], initial: [initial]) == [[1, 3]])
        // (1, 5, 4, 0) by a change of sign.
        #expect(try survivors(.movement, [[-3, -2, 2, 1]], initial: [[-2, 3, -2, 1]]) == [[1, 2]])
    }

    @Test("The sign-preserving variants prune what changed its sign first")
    func sameSign() throws {
        // Only weight 1 changed its sign. Magnitudes (3, 0, 0.5, 2): weights 1 and 2 go; without the sign it would be 2
        // and 1 as well, so here is one whose large weight changed: (0, 1, 0.5, 2).
        #expect(try survivors(.magnitudeSameSign, [trained], initial: [initial]) == [[0, 3]])
        #expect(try survivors(.magnitudeSameSign, [[-3, 1, 0.5, -2]], initial: [[4, 1, 1, -1]]) == [[1, 3]])
        #expect(try survivors(.magnitude, [[-3, 1, 0.5, -2]]) == [[0, 3]])
        // Increases (−1, changed, 0.25, 1): weights 1 and 0 go.
        #expect(try survivors(.magnitudeIncreaseSameSign, [trained], initial: [initial]) == [[2, 3]])
        // A weight that was 0 has no sign to keep.
        #expect(try survivors(.magnitudeIncreaseSameSign, [[9, 1]], initial: [[0, 2]]) == [[1]])
    }

    @Test("SNIP ranks by |w · gradient|, over all layers together")
    func snip() throws {
        // |w g| = (1.5, 0.5) and (1, 0): 0 and 0.5 go.
        let kept = try survivors(.snip, [[3, -1], [2, 0]], gradient: { _ in [[-0.5, -0.5], [0.5, 0.5]] })
        #expect(kept == [[0], [0]])
    }

    @Test("GraSP keeps the highest w · (H g)")
    func grasp() throws {
        // H g = (6, −3, 3, 1), θ = (2, 1, 3, 4): θ · H g = (12, −3, 9, 4). Weights 1 and 3 go; by magnitude 1 and 0 would.
        #expect(try survivors(.grasp, [[2, 1, 3, 4]], curvature: { _ in [[6, -3, 3, 1]] }) == [[0, 2]])
        // Without a gradient all are equal.
        #expect(try survivors(.grasp, [[2, 1, 3, 4]], curvature: { _ in [[0, 0, 0, 0]] }) == [[2, 3]])
    }

    @Test("Gradients are means over the examples, whatever groups they come in")
    func lossGradient() throws {
        FloatingPointMode.flushDenormals()
        // Softmax of two classes on pixels (1, 1): W = [[3, −1], [2, 0]] gives logits 2 and 2, so p = ½ each. Label 0:
        // p − y = (−½, ½), the gradient is [[−½, −½], [½, ½]]. Label 1: its negative. A second image has pixels (1, 0):
        // logits 3 and 2.
        let description = TestNetworks.mlp(inputs: 2, hidden: [], classes: 2)
        let images: [UInt8] = [255, 255, 255, 255, 255, 0]
        let labels: [UInt8] = [0, 1, 0]
        func gradient(_ examples: [Int32], batch: Int) -> [Double]? {
            let network = Network(
                description, optimizer: sgd, batch: batch, pixelMean: [0], pixelDeviation: [1])
            return images.withUnsafeBufferPointer { images in
                labels.withUnsafeBufferPointer { labels in
                    LossGradient(
                        network, images: images.baseAddress!, labels: labels.baseAddress!, examples: examples)(
                            [[3, -1, 2, 0]], [Mask(dense: 4)])?[0]
                }
            }
        }
        #expect(gradient([0], batch: 1) == [-0.5, -0.5, 0.5, 0.5])
        #expect(gradient([0, 0, 0, 1], batch: 4) == [-0.25, -0.25, 0.25, 0.25])
        #expect(gradient([0, 0, 0, 1], batch: 3) == [-0.25, -0.25, 0.25, 0.25])
        // p = 1 / (1 + e⁻¹) = 0.731059 for class 0 of the second image: p − y = −0.268941 by its pixels (1, 0).
        let second = try #require(gradient([2], batch: 1))
        #expect(
            abs(second[0] + 0.268941) < 1e-6 && second[1] == 0 && abs(second[2] - 0.268941) < 1e-6 && second[3] == 0)
    }

    @Test("GraSP on a network: the Hessian of softmax by hand")
    func graspOfNetwork() throws {
        FloatingPointMode.flushDenormals()
        // As above with label 0: g = [[−½, −½], [½, ½]]. Along g the logits change by u = (−1, 1), so p by p ∘ (u −
        // pᵀu) = (−½, ½), and H g is [[−½, −½], [½, ½]]. W · H g = [[−1.5, 0.5], [1, 0]]: weights 0 and 3 go.
        let images: [UInt8] = [255, 255]
        let labels: [UInt8] = [0]
        let curvature = LossCurvature(
            TestNetworks.mlp(inputs: 2, hidden: [], classes: 2), values: [[0, 0, 0, 0], [0, 0]], pixelMean: [0],
            pixelDeviation: [1], labelSmoothing: 0, images: images, labels: labels, groups: [[0]])
        let product = try #require(curvature([[3, -1, 2, 0]], [Mask(dense: 4)])?[0])
        for (theirs, ours) in zip([-0.5, -0.5, 0.5, 0.5], product) { #expect(abs(ours - theirs) < 1e-9) }
        #expect(try survivors(.grasp, [[3, -1, 2, 0]], curvature: { _ in [product] }) == [[1, 2]])
        // What is pruned has neither a share in g nor a product: of g = [[–, −½], [½, ½]] follow u = (−½, 1), p by
        // (−⅜, ⅜).
        let mask = Mask([false, true, true, true])
        let pruned = try #require(curvature([[0, -1, -1, 0]], [mask])?[0])
        for (theirs, ours) in zip([0, -0.375, 0.375, 0.375], pruned) { #expect(abs(ours - theirs) < 1e-9) }
        // Two equal images of both labels, in groups of their own, have no gradient at p = ½.
        let even = LossCurvature(
            TestNetworks.mlp(inputs: 2, hidden: [], classes: 2), values: [[0, 0, 0, 0], [0, 0]], pixelMean: [0],
            pixelDeviation: [1], labelSmoothing: 0, images: images + images, labels: [0, 1], groups: [[0], [1]])
        #expect(even([[3, -1, 2, 0]], [Mask(dense: 4)]) == [[0, 0, 0, 0]])
    }

    private var sgd: OptimizerSettings {
        var settings = OptimizerSettings()
        settings.name = "sgd"
        return settings
    }

    // MARK: SynFlow

    private func flow(_ description: NetworkDescription, _ values: [[Float]]) -> [[Double]]? {
        var flow = SynapticFlow(description, values: values)
        return flow.gradient(zip(description.parameters, values).filter { $0.0.isWeight }.map(\.1))
    }

    @Test("The synaptic flow of a network by hand")
    func synapticFlow() throws {
        // 2 inputs, W1 = [[1, −2], [3, 0.5]], W2 = [[2, −1]]: hidden units get 1 + 2 = 3 and 3 + 0.5 = 3.5, R = 2 · 3 +
        // 1 · 3.5 = 9.5, whatever the biases. By W1: 2 and 1 for the units' rows. By W2: 3 and 3.5.
        let description = TestNetworks.mlp(inputs: 2, hidden: [2], classes: 1)
        let gradient = try #require(flow(description, [[1, -2, 3, 0.5], [7, 7], [2, -1], [9]]))
        #expect(gradient == [[2, 2, 1, 1], [3, 3.5]])
    }

    @Test("SynFlow in rounds prunes what leads nowhere, in one round it does not")
    func synflowRounds() throws {
        let description = TestNetworks.mlp(inputs: 2, hidden: [2], classes: 1)
        // W1 = [[1, −1], [1.6, 1.7]], W2 = [[1.5, −1]]: units get 2 and 3.3. Scores of W1 are (1.5, 1.5, 1.6, 1.7), of
        // W2 (3, 3.3). Of six the three lowest are 1.5, 1.5 and 1.6, which leaves unit 0 an output but no input.
        let tensors = [[Float]]([[1, -1, 1.6, 1.7], [1.5, -1]]).map {
            PrunableTensor(kind: .fc, weights: $0, mask: Mask(dense: $0.count))
        }
        let network = RankedNetwork(
            initial: { [] }, gradient: { _, _ in [] }, curvature: { _, _ in [] },
            flowGradient: { weights in flow(description, [weights[0], [0, 0], weights[1], [0]])! })
        let once = try step(.synflow).masks(of: tensors, by: .synflow, seed: 1, network: network)
        #expect(once.map(\.survivingIndices) == [[3], [0, 1]])
        // In three rounds 6 → 4.76 → 3.78 → 3, so to 5, 4 and 3. First a 1.5 goes. Then unit 0 gets 1, W1 has (–, 1.5,
        // 1.6, 1.7) and W2 (1.5, 3.3): of the equals the earlier layer's goes. Then W2 has (0, 3.3), so unit 0's output
        // goes.
        let thrice = try step(.synflow, rounds: 3).masks(of: tensors, by: .synflow, seed: 1, network: network)
        #expect(thrice.map(\.survivingIndices) == [[2, 3], [1]])
    }

    @Test(
        "Every layer that all paths cross has the same total of scores",
        arguments: ["conv-2", "vgg", "resnet A", "resnet B"])
    func conservation(family: String) throws {
        let parts = family.split(separator: " ")
        let description = TestNetworks.make(String(parts[0]), height: 16, width: 16) { settings in
            settings.width = 0.1
            settings.depth = parts[0] == "vgg" ? 11 : parts[0] == "resnet" ? 8 : nil
            settings.shortcut = parts.last == "A" ? .padding : .projection
        }
        let random = CounterRandom(seed: 5, purpose: .initialisation)
        let values = description.parameters.enumerated().map { index, parameter in
            (0..<parameter.count).map {
                Float(random.uniform(epoch: index, index: UInt64($0)) + (parameter.isWeight ? -0.5 : 0))
            }
        }
        let gradients = try #require(flow(description, values))
        let weights = zip(description.parameters, values).filter { $0.0.isWeight }
        let sums = zip(weights, gradients).map { weight, gradient in
            zip(weight.1, gradient).reduce(0) { $0 + Double($1.0.magnitude) * $1.1 }
        }
        // Tanaka et al. 2020, theorem 1. Paths of a residual network may avoid what lies in a block.
        let crossed = parts[0] == "resnet" ? [sums[0], sums[sums.count - 1]] : sums
        #expect(crossed[0] > 0)
        for sum in crossed { #expect(abs(sum / crossed[0] - 1) < 1e-12, "\(sums)") }
    }

    @Test("Rounds fall exponentially and end at the count")
    func rounds() {
        let counts = (0...100).map { TrainingTask.PruningStep.count(after: $0, of: 100, from: 266_200, to: 2_662) }
        #expect(counts[0] == 266_200 && counts[50] == 26_620 && counts[100] == 2_662)
        #expect(zip(counts, counts.dropFirst()).allSatisfy { $0 > $1 })
        #expect(TrainingTask.PruningStep.count(after: 1, of: 2, from: 3, to: 0) == 0)
    }

    @Test("Stages are levels one after the other")
    func stages() throws {
        let random = CounterRandom(seed: 1, purpose: .initialisation)
        let weights = (0..<500).map { Float(random.uniform(epoch: 0, index: $0)) }
        var tensors = [PrunableTensor(kind: .fc, weights: weights, mask: Mask(dense: 500))]
        let start = tensors
        // A gradient that depends on the mask: what survives of the neighbour.
        let network = RankedNetwork(
            initial: { [] },
            gradient: { weights, _ in [weights[0].indices.map { Double(weights[0][max(0, $0 - 1)]) + 0.1 }] },
            curvature: { _, _ in [] }, flowGradient: { _ in [] })
        for level in 1...4 {
            for criterion in [Criterion.random, .snip] {
                let staged = try step(criterion, rate: Ratio("0.29")!, stages: level).masks(
                    of: start, by: criterion, seed: 3, network: network)
                #expect(
                    staged[0].survivors
                        == TrainingTask.PruningStep.remaining(of: 500, rate: Ratio("0.29")!, repetitions: level))
                guard criterion.name == "snip" else { continue }
                var next = step(criterion, rate: Ratio("0.29")!)
                next.level = level
                let masks = try next.masks(of: tensors, by: criterion, seed: 3, network: network)
                #expect(staged == masks, "level \(level)")
                tensors[0].mask = masks[0]
            }
        }
    }
}
