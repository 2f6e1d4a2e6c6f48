import Foundation
import Lottery
import Testing
import Training

@Suite("Glyphs")
struct GlyphsTests {
    @Test("The first images have golden bits")
    func goldenPrefix() {
        let train = Glyphs.draw(part: 0, count: 100)
        let test = Glyphs.draw(part: 1, count: 100)
        #expect(Digest.of(train.images).hex == "09d37741d2af07a1438d5615093c20f4137d5acc95bf3e67e29ac7dabd254852")
        #expect(Digest.of(test.images).hex == "9e73dcace2456af9452a5e7174214a787ec4fe9a1e7b900f23f5cba377803022")
        #expect(train.labels == (0..<100).map { UInt8($0 % 10) })
    }

    @Test("The first coloured images have golden bits, and a part of them is a data set for convolutions")
    func coloured() throws {
        let train = ColouredGlyphs.draw(part: 0, count: 100)
        let test = ColouredGlyphs.draw(part: 1, count: 100)
        #expect(Digest.of(train.images).hex == "30134eb55f08e0cad4ac0aa101aefdcc410698cd7f34c67555b6f167ee15eab3")
        #expect(Digest.of(test.images).hex == "3cd754247a501ed72ac8cd91f6efc3349f840a223bfbbbab604c43d64fe8c2c8")
        #expect(train.labels == (0..<100).map { UInt8($0 % 10) })

        let folder = try TemporaryFolder()
        var registry = Registry.standard
        registry.datasets = [.colouredGlyphs(trainCount: 300, testCount: 100)]
        let made = try DataCatalog(registry: registry, folders: []).materialise("glyphs-rgb", into: folder.path)
        let (tensors, _) = try Safetensors.decode(contents(made.path))
        #expect(tensors["train.images"]?.shape == [300, 3, 32, 32] && tensors["test.labels"]?.shape == [100])
        #expect(tensors["train.images"]?.uint8Values?.prefix(100 * 3_072).elementsEqual(train.images) == true)
    }

    // A debug build takes a minute for what a release build does in a second.
    #if !DEBUG
        @Test(
            "Made in full, they have the digest that plans name; a linear classifier stays below 92 %, an MLP comes above 97 %"
        )
        func difficulty() throws {
            let folder = try TemporaryFolder()
            let catalog = DataCatalog(registry: .standard, folders: [])
            let made = try catalog.materialise("glyphs", into: folder.path)
            #expect(try made.digest == catalog.digest(of: "glyphs"))

            func accuracy(_ change: (inout TrainingTask) -> Void) throws -> Double {
                var task = TrainingTask(
                    numerics: .f32Lanes16, dataset: made.digest, data: DataSettings(), model: ModelSettings(),
                    training: TrainingSettings(), seeds: Seeds(base: 1, replicate: 0), pruning: nil,
                    start: .initialisation)
                task.training.iterations = 3_000
                task.training.evaluateEvery = 3_000
                task.training.decay = [Decay(at: 2_000, by: 0.1)]
                change(&task)
                let result = try LevelTrainer(registry: .standard).run(
                    TrainingRequest(task: task, keepSteps: []), inputs: [TrainingRequest.Input.dataset: made.path],
                    outputDirectory: folder.path, resumeFile: nil, checkpointSeconds: 60
                ) { _ in .goOn }
                return try #require(result?.summary.final).testAccuracy
            }
            let mlp = try accuracy { $0.model.family = "lenet-300-100" }
            let linear = try accuracy {
                $0.model.family = "mlp"
                $0.model.hidden = []
                $0.training.learningRate = 3e-3
            }
            #expect(mlp > 0.97, "MLP: \(mlp)")
            #expect(linear > 0.8 && linear < 0.92, "linear: \(linear)")
        }

        @Test(
            "Coloured glyphs have the digest that plans name; a linear classifier guesses, and convolutions soon learn them"
        )
        func colouredDifficulty() throws {
            let folder = try TemporaryFolder()
            let catalog = DataCatalog(registry: .standard, folders: [])
            let made = try catalog.materialise("glyphs-rgb", into: folder.path)
            #expect(try made.digest == catalog.digest(of: "glyphs-rgb"))

            func accuracy(_ model: ModelSettings) throws -> Double {
                var task = TrainingTask(
                    numerics: .f32Lanes16, dataset: made.digest, data: DataSettings(), model: model,
                    training: TrainingSettings(), seeds: Seeds(base: 1, replicate: 0), pruning: nil,
                    start: .initialisation)
                task.data.validation = 100
                task.training.iterations = 400
                task.training.evaluateEvery = 400
                let result = try LevelTrainer(registry: .standard).run(
                    TrainingRequest(task: task, keepSteps: []), inputs: [TrainingRequest.Input.dataset: made.path],
                    outputDirectory: folder.path, resumeFile: nil, checkpointSeconds: 60
                ) { _ in .goOn }
                return try #require(result?.summary.final).testAccuracy
            }
            var model = ModelSettings()
            model.family = "mlp"
            model.hidden = []
            let linear = try accuracy(model)
            model = ModelSettings()
            model.family = "conv-2"
            model.width = 0.125
            let convolutions = try accuracy(model)
            #expect(linear < 0.15, "linear: \(linear)")
            #expect(convolutions > 0.8, "conv-2: \(convolutions)")
        }
    #endif
}
