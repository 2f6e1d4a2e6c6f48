import Foundation
import Lottery
import Testing
import Training

@Suite("Images averaged down")
struct ResizeTests {
    /// The tiny data set, its 6×6 images averaged to 3×3 by another hand.
    private func averaged(in folder: TemporaryFolder) throws -> (path: String, digest: Digest) {
        let place = try folder.folder("averaged/tiny")
        for file in TinyData.files() {
            var bytes = file.bytes
            if file.name.contains("images") {
                let count = (bytes.count - 16) / 36
                bytes = TinyData.header(0x803, [count, 3, 3])
                for image in 0..<count {
                    for block in 0..<9 {
                        let corner = 16 + image * 36 + block / 3 * 12 + block % 3 * 2
                        let sum = [0, 1, 6, 7].reduce(0) { $0 + Double(file.bytes[corner + $1]) }
                        bytes.append(UInt8((sum / 4 + 0.5).rounded(.down)))
                    }
                }
            }
            try write(bytes, to: "\(place)/\(file.name)")
        }
        var shape = TinyData.shape
        shape.height = 3
        shape.width = 3
        var registry = Registry.standard
        registry.datasets = [.idx(shape, sha256: Array(repeating: Digest.of([]), count: 4), mirrors: [])]
        let made = try DataCatalog(registry: registry, folders: ["\(folder.path)/averaged"]).materialise(
            "tiny", into: "\(folder.path)/averaged")
        return (made.path, made.digest)
    }

    private func train(_ task: TrainingTask, on dataset: String, in folder: String) throws -> LevelSummary? {
        try LevelTrainer(registry: TinyData.registry()).run(
            TrainingRequest(task: task, keepSteps: []), inputs: [TrainingRequest.Input.dataset: dataset],
            outputDirectory: folder, resumeFile: nil, checkpointSeconds: .infinity
        ) { _ in .goOn }?.summary
    }

    @Test("Training on resized images is training on images that were averaged before, to the bit")
    func equality() throws {
        let bench = try TrainingBench()
        var task = bench.dense { $0.data.augment.crop = 1 }
        task.data.resize = 3
        let resized = try bench.train(task)
        let small = try averaged(in: bench.folder)
        task.data.resize = nil
        task.dataset = small.digest
        let folder = try bench.folder.folder("small")
        let summary = try train(task, on: small.path, in: folder)
        #expect(summary == resized.summary && summary?.layers.first?.weights == 9 * 12)
        for (name, bytes) in resized.outputs { #expect(try contents("\(folder)/\(name)") == bytes, "\(name)") }
    }

    @Test("A ticket of resized images is measured on them, and says so")
    func ticket() throws {
        let bench = try TrainingBench()
        let task = bench.dense { $0.data.resize = 3 }
        let level = try bench.train(task)
        let ticket = try Ticket(
            of: task, final: "\(level.folder)/final", rewind: nil, dataset: bench.dataset.path,
            registry: bench.registry)
        #expect(ticket.facts.testImagesRight == level.summary.final?.testCorrect)
        let (_, metadata) = try Safetensors.decode(ticket.safetensors(spec: nil))
        #expect(metadata["input_resize"] == "3")
        // Averages vary less than the pixels that they are of.
        let whole = try Ticket(
            of: bench.dense(), final: "\(bench.train(bench.dense()).folder)/final", rewind: nil,
            dataset: bench.dataset.path, registry: bench.registry)
        let (_, plain) = try Safetensors.decode(whole.safetensors(spec: nil))
        func deviation(_ metadata: [String: String]) -> Double { Double(metadata["input_std"] ?? "") ?? 0 }
        #expect(plain["input_resize"] == nil && deviation(metadata) < 0.9 * deviation(plain) && deviation(metadata) > 0)
    }

    @Test("A size that does not divide the images is refused")
    func refused() throws {
        let bench = try TrainingBench()
        let error = try #require(
            #expect(throws: TrainingError.self) { try bench.train(bench.dense { $0.data.resize = 4 }) })
        #expect(
            "\(error)".contains("data.resize must divide the 6×6 pixels of tiny, as 6, 3, 2, 1 do, not be 4"),
            "\(error)")
    }
}
