import Lottery
import Sweeps

/// What the desk has read of the results of a sweep, which never change. A large sweep has a million, so that what they
/// have in common is kept once: 4 bytes a task, and about 100 more once it is done.
package struct KnownResults {
    package let plan: Plan
    package private(set) var divergedCount = 0
    /// Of each task of the plan, its place in `records`; −1 until its result is known.
    private var places: [Int32]
    private var records: [Record] = []
    /// Survivors of each layer, of one record after the other.
    private var surviving: [Int32] = []
    /// Of those few records that were compared with another, by place.
    private var connectivity: [Int32: Connectivity] = [:]
    private var networks: [Network] = []
    private var placeOfNetwork: [Network: Int32] = [:]

    private struct Record {
        var network: Int32
        var firstSurviving: Int
        var final: Measured?
        var earlyStop: Measured?
        var divergedAt: Int?
    }

    /// The layers with nothing pruned.
    private struct Network: Hashable {
        var layers: [LayerCount]
        var otherWeights: Int
    }

    /// An `Evaluation` in half the room. No count of a network or a data set comes near the limits of 32 bits.
    private struct Measured {
        var step: Int32
        var validationCorrect: Int32
        var validationCount: Int32
        var testCorrect: Int32
        var testCount: Int32
        var validationLoss: Double
        var testLoss: Double

        init(_ evaluation: Evaluation) {
            step = Int32(clamping: evaluation.step)
            validationCorrect = Int32(clamping: evaluation.validationCorrect)
            validationCount = Int32(clamping: evaluation.validationCount)
            testCorrect = Int32(clamping: evaluation.testCorrect)
            testCount = Int32(clamping: evaluation.testCount)
            validationLoss = evaluation.validationLoss
            testLoss = evaluation.testLoss
        }

        var evaluation: Evaluation {
            Evaluation(
                step: Int(step), validationLoss: validationLoss, validationCorrect: Int(validationCorrect),
                validationCount: Int(validationCount), testLoss: testLoss, testCorrect: Int(testCorrect),
                testCount: Int(testCount))
        }
    }

    package init(plan: Plan) {
        self.plan = plan
        places = Array(repeating: -1, count: plan.tasks.count)
    }

    /// Tasks whose results are not known.
    package var unknown: [TaskKey] { places.indices.lazy.filter { places[$0] < 0 }.map { plan.tasks[$0].key } }

    package mutating func note(_ summary: LevelSummary, of key: TaskKey) {
        guard let index = plan.index(of: key), places[index] < 0 else { return }
        let network = Network(
            layers: summary.layers.map { layer in
                var layer = layer
                layer.surviving = layer.weights
                return layer
            }, otherWeights: summary.otherWeights)
        places[index] = Int32(records.count)
        records.append(
            Record(
                network: place(of: network), firstSurviving: surviving.count, final: summary.final.map(Measured.init),
                earlyStop: summary.earlyStop.map(Measured.init), divergedAt: summary.divergedAt))
        surviving += summary.layers.map { Int32(clamping: $0.surviving) }
        connectivity[places[index]] = summary.connectivity
        if summary.divergedAt != nil { divergedCount += 1 }
    }

    private mutating func place(of network: Network) -> Int32 {
        if let same = placeOfNetwork[network] { return same }
        let place = Int32(networks.count)
        networks.append(network)
        placeOfNetwork[network] = place
        return place
    }

    /// Nil while its result is not known, or if the plan does not have the task.
    package subscript(key: TaskKey) -> LevelSummary? {
        guard let index = plan.index(of: key), places[index] >= 0 else { return nil }
        let record = records[Int(places[index])]
        let network = networks[Int(record.network)]
        let layers = network.layers.enumerated().map { position, layer in
            var layer = layer
            layer.surviving = Int(surviving[record.firstSurviving + position])
            return layer
        }
        return LevelSummary(
            layers: layers, otherWeights: network.otherWeights, final: record.final?.evaluation,
            earlyStop: record.earlyStop?.evaluation, divergedAt: record.divergedAt,
            connectivity: connectivity[places[index]])
    }
}
