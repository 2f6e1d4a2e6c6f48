import Lottery

/// Every evaluation of a level, in order: the artifact `metrics`.
///
/// Tensors of one length: `step` i64, `validation.loss` and `test.loss` f64, `validation.correct` and `test.correct`
/// i64, and `train.loss` f32, the mean over the steps since the evaluation before (NaN for the one before the first
/// step). A loss that is not finite is NaN; where the test set was not evaluated, its loss is NaN and `test.correct`
/// −1. Metadata: `validation_count`, `test_count`.
struct Metrics {
    private(set) var evaluations: [Evaluation] = []
    private(set) var trainLosses: [Float] = []
    /// Over the steps since the last evaluation: a sequential f64 sum.
    private var lossSum = 0.0
    private var lossCount = 0

    init() {}

    /// What stands for the test set where it was not evaluated.
    static let untested = (lossSum: Double.nan, correct: -1)

    mutating func trained(loss: Float) {
        lossSum += Double(loss)
        lossCount += 1
    }

    mutating func evaluated(_ evaluation: Evaluation) {
        evaluations.append(evaluation)
        trainLosses.append(lossCount == 0 ? .nan : Float(lossSum / Double(lossCount)))
        lossSum = 0
        lossCount = 0
    }

    /// Sets what the test set said of evaluation `index`.
    mutating func tested(_ index: Int, loss: Double, correct: Int) {
        evaluations[index].testLoss = loss
        evaluations[index].testCorrect = correct
    }

    /// As if the test set had seen none.
    mutating func forgetTests() {
        for index in evaluations.indices {
            tested(index, loss: Metrics.untested.lossSum, correct: Metrics.untested.correct)
        }
    }

    /// Of the evaluations after at least one step of training; infinity if there are none.
    func leastValidationLoss(firstStep: Int) -> Double {
        evaluations.filter { $0.step > firstStep && $0.validationLoss.isFinite }.map(\.validationLoss).min()
            ?? .infinity
    }

    /// The evaluation of least validation loss after at least one step of training, the earliest on ties.
    func earlyStop(firstStep: Int) -> Evaluation? {
        evaluations.filter { $0.step > firstStep && $0.validationLoss.isFinite && $0.testLoss.isFinite }
            .min { $0.validationLoss < $1.validationLoss }
    }

    private func tensors(prefix: String) -> [Safetensors.Tensor] {
        [
            .init(name: prefix + "step", evaluations.map(\.step)),
            .init(name: prefix + "validation.loss", evaluations.map(\.validationLoss)),
            .init(name: prefix + "validation.correct", evaluations.map(\.validationCorrect)),
            .init(name: prefix + "test.loss", evaluations.map(\.testLoss)),
            .init(name: prefix + "test.correct", evaluations.map(\.testCorrect)),
            .init(name: prefix + "train.loss", trainLosses),
        ]
    }

    /// Those of the artifact `metrics`.
    var tensors: [Safetensors.Tensor] { tensors(prefix: "") }

    var resumeTensors: [Safetensors.Tensor] {
        tensors(prefix: "metrics.") + [
            .init(name: "metrics.loss_sum", shape: [], [lossSum]),
            .init(name: "metrics.loss_count", shape: [], [lossCount]),
        ]
    }

    init(resuming file: TensorFile, validationCount: Int, testCount: Int) throws(TrainingError) {
        let steps = try file.integers("metrics.step", shape: [nil])
        let validationLosses = try file.doubles("metrics.validation.loss", shape: [steps.count])
        let validationCorrect = try file.integers("metrics.validation.correct", shape: [steps.count])
        let testLosses = try file.doubles("metrics.test.loss", shape: [steps.count])
        let testCorrect = try file.integers("metrics.test.correct", shape: [steps.count])
        trainLosses = try file.floats("metrics.train.loss", shape: [steps.count])
        evaluations = steps.indices.map {
            Evaluation(
                step: steps[$0], validationLoss: validationLosses[$0], validationCorrect: validationCorrect[$0],
                validationCount: validationCount, testLoss: testLosses[$0], testCorrect: testCorrect[$0],
                testCount: testCount)
        }
        lossSum = try file.doubles("metrics.loss_sum", shape: [])[0]
        lossCount = try file.integers("metrics.loss_count", shape: [])[0]
    }
}
