/// Every evaluation of a level, in order, with the training losses between: what the artifact `metrics` holds.
public struct LearningCurve: Hashable, Sendable {
    public struct Point: Hashable, Sendable {
        /// Training steps done.
        public var step: Int
        /// Mean over the steps since the evaluation before, in nats; nil before the first step.
        public var trainLoss: Double?
        /// Losses in nats; NaN where they were not finite.
        public var validationLoss: Double
        public var validationCorrect: Int
        /// Nil where the test set was not evaluated.
        public var test: Test?
    }

    public struct Test: Hashable, Sendable {
        public var loss: Double
        public var correct: Int
    }

    public let points: [Point]
    /// Images of either set.
    public let validationCount: Int
    public let testCount: Int

    /// - Throws: `Safetensors.FormatError` for anything but such an artifact.
    public init(decoding file: [UInt8]) throws(Safetensors.FormatError) {
        let (tensors, metadata) = try Safetensors.decode(file)
        guard let validationCount = metadata["validation_count"].flatMap({ Int($0) }),
            let testCount = metadata["test_count"].flatMap({ Int($0) }),
            let steps = tensors["step"]?.intValues, let trainLosses = tensors["train.loss"]?.floatValues,
            let validationLosses = tensors["validation.loss"]?.doubleValues,
            let validationCorrect = tensors["validation.correct"]?.intValues,
            let testLosses = tensors["test.loss"]?.doubleValues, let testCorrect = tensors["test.correct"]?.intValues,
            Set([
                steps.count, trainLosses.count, validationLosses.count, validationCorrect.count, testLosses.count,
                testCorrect.count,
            ]).count == 1
        else { throw Safetensors.FormatError(description: "is not the learning curve of a level") }
        self.validationCount = validationCount
        self.testCount = testCount
        points = steps.indices.map { index in
            Point(
                step: steps[index], trainLoss: trainLosses[index].isNaN ? nil : Double(trainLosses[index]),
                validationLoss: validationLosses[index], validationCorrect: validationCorrect[index],
                test: testCorrect[index] < 0 ? nil : Test(loss: testLosses[index], correct: testCorrect[index]))
        }
    }
}
