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
    #endif
}
