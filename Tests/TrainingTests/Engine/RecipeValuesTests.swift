import Kernels
import Lottery
import Testing
import Training

/// Numbers in this file are printed by `Tests/pytorch/recipe_values.py`, which computes them in f64.
@Suite("Optimizers, clipping and label smoothing have PyTorch's values")
struct RecipeValuesTests {
    init() { FloatingPointMode.flushDenormals() }

    private static func settings(
        _ name: String, momentum: Double = 0, nesterov: Bool = false
    ) -> OptimizerSettings {
        var settings = OptimizerSettings()
        settings.name = name
        settings.momentum = momentum
        settings.nesterov = nesterov
        settings.weightDecay = 0.25
        settings.beta1 = 0.8
        settings.beta2 = 0.95
        settings.alpha = 0.9
        settings.epsilon = 1e-3
        return settings
    }

    private static let start: [Float] = [0.5, -1.25, 2, 0]
    private static let steps: [(rate: Double, gradient: [Float])] = [
        (0.1, [1, -0.5, 0.25, 0]), (0.1, [-0.25, -2, 0.5, 0.125]), (0.05, [0, 1, -1.5, 0]),
        (0.02, [3, -0.125, 0.75, -1]), (0.01, [0.5, 0.5, -0.25, 2]),
    ]

    /// The four parameters after each step.
    private static let trajectories: [(OptimizerSettings, [[Double]])] = [
        (
            settings("sgd"),
            [
                [0.3875, -1.16875, 1.925, 0.0],
                [0.4028125, -0.93953125, 1.826875, -0.0125],
                [0.397777344, -0.977787109, 1.87903906, -0.01234375],
                [0.335788457, -0.970398174, 1.85464387, 0.00771796875],
                [0.329948986, -0.972972178, 1.85250726, -0.0123013262],
            ]
        ),
        (
            settings("sgd", momentum: 0.9),
            [
                [0.3875, -1.16875, 1.925, 0.0],
                [0.3015625, -0.86640625, 1.759375, -0.0125],
                [0.259121094, -0.769521484, 1.73785156, -0.01796875],
                [0.182546582, -0.728295361, 1.70641387, 0.00015234375],
                [0.142631685, -0.712922868, 1.69050087, -0.0116935449],
            ]
        ),
        (
            settings("sgd", momentum: 0.9, nesterov: true),
            [
                [0.28625, -1.095625, 1.8575, 0.0],
                [0.229028125, -0.597770313, 1.61351875, -0.02375],
                [0.189809176, -0.556864439, 1.65130299, -0.0282484375],
                [0.0609177935, -0.516788079, 1.60097878, 0.00829361016],
                [0.0205543825, -0.508176919, 1.58594366, -0.022365422],
            ]
        ),
        (
            settings("adam"),
            [
                [0.40008881, -1.15012293, 1.90013316, 0.0],
                [0.347580006, -1.05603585, 1.79998004, -0.0767220196],
                [0.32564631, -1.03344997, 1.79539999, -0.099094508],
                [0.311106944, -1.0244985, 1.78628865, -0.086974239],
                [0.30428209, -1.02159997, 1.78203369, -0.0904214129],
            ]
        ),
        (
            settings("adamw"),
            [
                [0.3875999, -1.1189496, 1.85039841, 0.0],
                [0.335564361, -1.00058871, 1.70674914, -0.0767220196],
                [0.315869542, -0.973888861, 1.70579039, -0.103781317],
                [0.300406277, -0.963890235, 1.69727654, -0.0913634093],
                [0.29318515, -0.960935791, 1.69396821, -0.0947215492],
            ]
        ),
        (
            settings("rmsprop"),
            [
                [0.184658631, -0.934998232, 1.68509997, 0.0],
                [0.243809877, -0.636467108, 1.43550157, -0.308425158],
                [0.234505213, -0.691924702, 1.548897, -0.224119445],
                [0.174332736, -0.683709436, 1.51085574, -0.16156423],
                [0.168784355, -0.688436873, 1.50861001, -0.189633483],
            ]
        ),
        (
            settings("rmsprop", momentum: 0.9),
            [
                [0.184658631, -0.934998232, 1.68509997, 0.0],
                [-0.0399973551, -0.352965517, 1.15209154, -0.308425158],
                [-0.139563519, -0.150542462, 1.02888695, -0.362910766],
                [-0.235409589, -0.073207289, 0.95021611, -0.31993342],
                [-0.283193789, -0.045209239, 0.915037698, -0.328343644],
            ]
        ),
    ]

    @Test("Five steps of each optimizer, the learning rate falling", arguments: trajectories)
    func optimizer(settings: OptimizerSettings, expected: [[Double]]) {
        var optimizer = Optimizer(settings)
        let values = AlignedBuffer<Float>(zeroed: 16)
        let gradient = AlignedBuffer<Float>(zeroed: 16)
        let state1 = AlignedBuffer<Float>(zeroed: 16)
        let state2 = AlignedBuffer<Float>(zeroed: 16)
        let tensor = UpdatedTensor(values: values.pointer, state1: state1.pointer, state2: state2.pointer)
        for index in 0..<4 { values[index] = RecipeValuesTests.start[index] }
        for (step, (rate, slopes)) in RecipeValuesTests.steps.enumerated() {
            for index in 0..<4 { gradient[index] = slopes[index] }
            let rule = optimizer.nextRule(learningRate: rate)
            _ = DenseKernels().update(rule: rule, count: 16, gradient: gradient.pointer, tensor: tensor)
            for index in 0..<4 {
                #expect(abs(Double(values[index]) - expected[step][index]) < 1e-6, "step \(step), parameter \(index)")
            }
        }
    }

    @Test(
        "Clipping scales the gradients of all parameters together, and only where they are too long",
        arguments: [
            (
                1.0,
                [0.122801082, -0.368403245, 0.491204327, 0.0, 0.0614005409, -0.736806491, 0.245602164, -0.0307002705]
            ),
            (2.5, [0.307002705, -0.921008114, 1.22801082, 0.0, 0.153501352, -1.84201623, 0.614005409, -0.0767506761]),
            (4.0625, [0.498879395, -1.49663818, 1.99551758, 0.0, 0.249439697, -2.99327637, 0.99775879, -0.124719849]),
            (4.125, [0.5, -1.5, 2.0, 0.0, 0.25, -3.0, 1.0, -0.125]),
        ] as [(Double, [Double])])
    func clipping(limit: Double, expected: [Double]) throws {
        let tensors: [[Float]] = [[0.5, -1.5, 2, 0, 0.25, -3], [1, -0.125]]
        var training = TrainingSettings()
        training.clip = limit
        let clipping = try #require(GradientClipping(training))
        let norm = GradientNorm()
        let buffers = tensors.map { ClippedTensor($0) }
        let factor = clipping.factor(sumsOfSquares: buffers.map { norm.sumOfSquares(count: 16, $0.pointer) })
        #expect((factor == nil) == (limit == 4.125))
        var clipped: [Double] = []
        for (tensor, buffer) in zip(tensors, buffers) {
            if let factor { norm.scale(count: 16, buffer.pointer, by: factor) }
            clipped += tensor.indices.map { Double(buffer.pointer[$0]) }
        }
        for (found, right) in zip(clipped, expected) { #expect(abs(found - right) <= 1e-6 * abs(right)) }
    }

    @Test("No limit clips nothing; sums and scaling of nothing are nothing, of values too large for f32 squares finite")
    func clippingAtTheEnds() throws {
        #expect(GradientClipping(TrainingSettings()) == nil)
        #expect(GradientNorm().sumOfSquares(count: 0, [0]) == 0)
        var training = TrainingSettings()
        training.clip = 1
        let clipping = try #require(GradientClipping(training))
        #expect(clipping.factor(sumsOfSquares: []) == nil)
        let large = ClippedTensor(Array(repeating: 1e30, count: 3))
        let factor = try #require(
            clipping.factor(sumsOfSquares: [GradientNorm().sumOfSquares(count: 16, large.pointer)]))
        #expect(abs(Double(factor) * 1e30 * 3.0.squareRoot() - 1) < 1e-6)
    }

    @Test(
        "Label smoothing: the mean loss of three images and its gradient by their logits",
        arguments: [
            (
                0.0, 2.01946556,
                [
                    [-0.096633359, 0.0117845978, 0.0528149032, 0.0320338581],
                    [0.00578722291, -0.32754611, 0.00578722291, 0.315971665],
                    [0.00245122119, 0.133832142, 0.133832142, -0.270115506],
                ]
            ),
            (
                0.1, 2.05488223,
                [
                    [-0.071633359, 0.00345126447, 0.0444815698, 0.0237005247],
                    [-0.00254611043, -0.30254611, -0.00254611043, 0.307638331],
                    [-0.00588211214, 0.125498809, 0.125498809, -0.245115506],
                ]
            ),
            (
                0.75, 2.28509056,
                [
                    [0.090866641, -0.0507154022, -0.00968509683, -0.0304661419],
                    [-0.0567127771, -0.14004611, -0.0567127771, 0.253471665],
                    [-0.0600487788, 0.0713321422, 0.0713321422, -0.0826155057],
                ]
            ),
        ] as [(Float, Double, [[Double]])])
    func smoothing(smoothing: Float, loss: Double, expected: [[Double]]) {
        let images: [[Float]] = [[2, -1, 0.5, 0], [0, 0, 0, 4], [-3, 1, 1, 0.25]]
        let logits = AlignedBuffer<Float>(zeroed: 4 * 16)
        let gradient = AlignedBuffer<Float>(zeroed: 4 * 16)
        for image in 0..<3 {
            for label in 0..<4 { logits[label * 16 + image] = images[image][label] }
        }
        var lossSum = 0.0
        _ = DenseKernels().softmaxCrossEntropy(
            classes: 4, batch: 16, count: 3, labels: [0, 1, 3], logits: logits.pointer, smoothing: smoothing,
            gradient: gradient.pointer, lossSum: &lossSum)
        #expect(abs(lossSum / 3 - loss) < 1e-6)
        for image in 0..<3 {
            for label in 0..<4 {
                #expect(
                    abs(Double(gradient[label * 16 + image]) - expected[image][label]) < 1e-7,
                    "image \(image), label \(label)")
            }
        }
    }
}

/// A gradient as kernels read it, padded to 16 values.
private final class ClippedTensor {
    private let buffer: AlignedBuffer<Float>
    init(_ values: [Float]) { buffer = AlignedBuffer(copying: values + Array(repeating: 0, count: 16 - values.count)) }
    var pointer: UnsafeMutablePointer<Float> { buffer.pointer }
}
