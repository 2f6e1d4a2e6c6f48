import Kernels
import Lottery
import Testing
import Training

@Suite("Recipe")
struct RecipeTests {
    @Test("Warmup rises linearly to the rate at its last step; decay multiplies from its step on")
    func learningRate() {
        var settings = TrainingSettings()
        settings.learningRate = 0.1
        settings.warmup = 4
        settings.decay = [Decay(at: 6, by: 0.5), Decay(at: 8, by: 0.1)]
        let rate = LearningRate(settings)
        #expect(
            (0..<10).map { rate[$0] }
                == [0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.05, 0.05, 0.005, 0.005].map { Float($0) })
        #expect(LearningRate(TrainingSettings())[0] == Float(1.2e-3))
    }

    @Test("Cosine and linear go from the rate after warmup to zero at the end")
    func schedules() {
        var settings = TrainingSettings()
        settings.learningRate = 0.1
        settings.warmup = 4
        settings.iterations = 10
        settings.schedule = .linear
        let linear = LearningRate(settings)
        let line = [0.025, 0.05, 0.075, 0.1, 0.1, 0.5 / 6, 0.4 / 6, 0.05, 0.2 / 6, 0.1 / 6]
        settings.schedule = .cosine
        let cosine = LearningRate(settings)
        let root = 3.0.squareRoot()
        let arc =
            [0.025, 0.05, 0.075, 0.1, 0.1] + [1 + root / 2, 1.5, 1, 0.5, 1 - root / 2].map { 0.05 * $0 }
        for step in 0..<10 {
            #expect(abs(Double(linear[step]) - line[step]) < 1e-8, "step \(step)")
            #expect(abs(Double(cosine[step]) - arc[step]) < 1e-8, "step \(step)")
        }
        settings.warmup = 10
        #expect(LearningRate(settings)[9] == 0.1)
    }

    @Test("Each epoch is floor(N / batch) batches of distinct training images, in another order each time")
    func epochs() throws {
        var data = DataSettings()
        data.validation = 20
        var order = try DataOrder(imageCount: 120, data: data, batch: 30, seed: 1)
        #expect(order.validation.count == 20 && order.training.count == 100)
        #expect(Set(order.validation).union(order.training) == Set(0..<120))
        let batches = (0..<9).map { Array(order.batch(at: $0)) }
        for epoch in 0..<3 {
            let images = batches[3 * epoch..<3 * epoch + 3].flatMap { $0 }
            #expect(Set(images).count == 90 && Set(images).isSubset(of: order.training))
        }
        #expect(batches[0] != batches[3])
        // Going back meets the same batches.
        for step in [8, 0, 4, 3] { #expect(Array(order.batch(at: step)) == batches[step]) }
    }

    @Test("The validation set is the same for every replicate and every size of the training set")
    func validation() throws {
        var data = DataSettings()
        data.validation = 20
        let all = try DataOrder(imageCount: 120, data: data, batch: 10, seed: 1)
        data.train = 70
        var some = try DataOrder(imageCount: 120, data: data, batch: 10, seed: 2)
        #expect(all.validation == some.validation)
        #expect(some.training.count == 50 && Set(some.training).isSubset(of: all.training))
        #expect(some.batch(at: 4).count == 10)
    }

    @Test("Initialisations have their mean and deviation, and golden bits")
    func initialisation() {
        FloatingPointMode.flushDenormals()
        for (initialisation, deviation) in [
            (Initialisation.glorotNormal, (2.0 / 400).squareRoot()), (.kaimingNormal, (2.0 / 300).squareRoot()),
        ] {
            let values = initialisation.weights(layer: 0, fanIn: 300, fanOut: 100, seed: 1, .first).map { Double($0) }
            #expect(values.count == 30_000)
            let mean = values.reduce(0, +) / 30_000
            let square = values.reduce(0) { $0 + $1 * $1 } / 30_000
            #expect(abs(mean) < 4 * deviation / 30_000.0.squareRoot())
            #expect(abs(square.squareRoot() / deviation - 1) < 0.02)
            #expect(values.contains { abs($0) > 3.5 * deviation }, "the tails are cut off")
        }
        let golden = Initialisation.glorotNormal.weights(layer: 1, fanIn: 3, fanOut: 1, seed: 1, .first)
        #expect(golden.map(\.bitPattern) == [3_185_212_044, 3_194_306_112, 1_069_116_989])
        #expect(golden != Initialisation.glorotNormal.weights(layer: 0, fanIn: 3, fanOut: 1, seed: 1, .first))
        #expect(golden != Initialisation.glorotNormal.weights(layer: 1, fanIn: 3, fanOut: 1, seed: 2, .first))
        #expect(
            golden
                != Initialisation.glorotNormal.weights(
                    layer: 1, fanIn: 3, fanOut: 1, seed: 1, .fresh(level: 0, draw: 0)))
    }

    @Test("Uniform draws fill their interval; a kernel's taps count in both fans")
    func uniform() {
        FloatingPointMode.flushDenormals()
        for (initialisation, limit) in [
            (Initialisation.glorotUniform, (6.0 / (9 * 70)).squareRoot()),
            (.kaimingUniform, (6.0 / 180).squareRoot()),
        ] {
            let values = initialisation.weights(layer: 0, shape: [50, 20, 3, 3], seed: 1, .first).map { Double($0) }
            #expect(values.count == 9_000)
            #expect(values.allSatisfy { abs($0) <= limit * (1 + 1e-7) })
            #expect((values.min() ?? 0) < -0.999 * limit && (values.max() ?? 0) > 0.999 * limit)
            #expect(abs(values.reduce(0, +) / 9_000) < 4 * limit / (3.0 * 9_000).squareRoot())
        }
    }

    @Test(
        "Orthogonal weights have orthonormal rows or columns",
        arguments: [[7, 40], [40, 7], [9, 9], [4, 2, 3, 3], [35, 36], [48, 33]])
    func orthogonal(shape: [Int]) {
        FloatingPointMode.flushDenormals()
        let values = Initialisation.orthogonal.weights(layer: 0, shape: shape, seed: 1, .first).map { Double($0) }
        let rows = shape[0]
        let columns = values.count / rows
        let isTall = rows > columns
        for a in 0..<min(rows, columns) {
            for b in 0...a {
                let product = (0..<max(rows, columns)).reduce(0.0) { sum, element in
                    let left = isTall ? element * columns + a : a * columns + element
                    let right = isTall ? element * columns + b : b * columns + element
                    return sum + values[left] * values[right]
                }
                #expect(abs(product - (a == b ? 1 : 0)) < 1e-6, "\(a) · \(b)")
            }
        }
        let draw = Initialisation.kaimingNormal.weights(layer: 0, shape: shape, seed: 1, .first)
        // The first vector is that of the draw, scaled by a positive number.
        #expect(values[0].sign == draw[0].sign)
    }

    @Test("Orthogonal rows have golden bits, and those of the rows before them do not depend on them")
    func orthogonalBlocks() {
        FloatingPointMode.flushDenormals()
        func draw(_ rows: Int) -> [Float] {
            Initialisation.orthogonal.weights(layer: 0, shape: [rows, 2, 5, 5], seed: 1, .first)
        }
        let all = draw(40)
        let bytes = all.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
        #expect(Digest.of(bytes).short == "c38ed3bfb1a0")
        for rows in [1, 5, 16, 17, 33] { #expect(draw(rows) == Array(all.prefix(rows * 50)), "\(rows) rows") }
    }

    @Test("The memory of a training grows with network, batch and optimizer state, and an unknown family has none")
    func memory() throws {
        let vocabulary = Registry.standard.vocabulary
        let mnist = try #require(vocabulary.datasets.first { $0.name == "mnist" })
        var settings = Settings()
        settings.training.optimizer.name = "sgd"
        settings.training.optimizer.momentum = 0
        let plain = vocabulary.memoryBytes(settings, mnist)
        // LeNet-300-100 has 266,610 parameters, held with their gradients.
        #expect(plain > 2 * 4 * 266_610 && plain < 64 << 20, "\(plain)")
        settings.training.optimizer.name = "adam"
        let adam = vocabulary.memoryBytes(settings, mnist)
        #expect(adam >= plain + 2 * 4 * 266_610, "\(adam), \(plain)")
        settings.training.batch = 6_000
        #expect(vocabulary.memoryBytes(settings, mnist) > adam)
        settings.model.family = "transformer"
        #expect(vocabulary.memoryBytes(settings, mnist) == 0)
    }

    @Test(
        "What a task is planned to need is enough for each of its levels",
        arguments: ["lenet-300-100", "conv-6", "resnet", "vgg"], [Precision.f32, .bf16])
    func memoryOfLevels(family: String, precision: Precision) throws {
        let registry = Registry.standard
        let dataset = family == "lenet-300-100" ? "mnist" : "cifar10"
        let shape = try #require(registry.vocabulary.datasets.first { $0.name == dataset })
        var settings = Settings()
        settings.model.family = family
        settings.model.depth = family == "resnet" ? 20 : family == "vgg" ? 11 : nil
        settings.training.precision = precision
        settings.pruning.levels = 1
        let model = try #require(registry.models.first { $0.name == family })
        let network = try model.describe(settings.model, shape)
        let weights = network.parameters.filter(\.isWeight).map(\.count)
        for optimizer in ["sgd", "adam"] {
            settings.training.optimizer.name = optimizer
            let planned = registry.vocabulary.memoryBytes(settings, shape)
            // Kernels change at 0.7, 0.5 and 0.4.
            for density in [1 - 1e-5, 0.8, 0.69, 0.64, 0.51, 0.49, 0.41, 0.4, 0.39, 0.3, 0.25, 0.2, 0.1, 0.05, 0.01, 0]
            {
                let survivors = weights.map { Int(Double($0) * density) }
                let needed = MemoryNeed.training(network, settings.training, survivors: survivors).bytes
                #expect(needed <= planned, "\(optimizer), density \(density)")
            }
        }
    }

    @Test("Models have the layers of the paper; what does not fit a family is told")
    func models() throws {
        let vocabulary = Registry.standard.vocabulary
        let mnist = try #require(vocabulary.datasets.first { $0.name == "mnist" })
        let lenet = try vocabulary.layers(ModelSettings(), mnist)
        #expect(lenet.map(\.name) == ["fc1", "fc2", "output"])
        #expect(lenet.map(\.kind) == [.fc, .fc, .output])
        #expect(lenet.reduce(0) { $0 + $1.weights } == 266_200)
        var mlp = ModelSettings()
        mlp.family = "mlp"
        mlp.depth = 3
        mlp.width = 50
        #expect(try vocabulary.layers(mlp, mnist).map(\.biases) == [50, 50, 50, 10])
        mlp.width = 0.5
        #expect(throws: SettingError.self) { try vocabulary.layers(mlp, mnist) }
        mlp.width = 50
        mlp.hidden = [1]
        #expect(throws: SettingError.self) { try vocabulary.layers(mlp, mnist) }
        mlp.width = nil
        mlp.depth = nil
        #expect(try vocabulary.layers(mlp, mnist).map(\.weights) == [784, 10])
        mlp.hidden = nil
        #expect(throws: SettingError.self) { try vocabulary.layers(mlp, mnist) }
        var odd = ModelSettings()
        odd.depth = 2
        #expect(throws: SettingError.self) { try vocabulary.layers(odd, mnist) }
        odd.family = "vgg"
        #expect(throws: SettingError.self) { try vocabulary.layers(odd, mnist) }
        #expect(vocabulary.semantics(Settings(), true) == [:])
        var clipped = Settings()
        clipped.training.clip = 1
        #expect(vocabulary.semantics(clipped, true) == ["clip": 2])
        var curved = Settings()
        curved.pruning.criterion = "grasp"
        #expect(vocabulary.semantics(curved, true) == ["criterion.grasp": 2])
        #expect(vocabulary.semantics(curved, false) == [:])
    }
}
