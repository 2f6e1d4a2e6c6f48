import Foundation
import Lottery
import Testing
import Training

@Suite("Tickets")
struct TicketTests {
    @Test(
        "A ticket holds the weights it rewinds to, the trained weights and the masks, and is measured as its level was")
    func ticket() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        _ = try bench.train(dense, keep: [8])
        var task = bench.pruned(dense, parent: dense, rate: "0.5")
        task.start = .rewound(trajectory: dense.key, step: 8, optimizer: .restore)
        let level = try bench.train(task, keep: [8])
        let ticket = try Ticket(
            of: task, final: "\(level.folder)/final", rewind: bench.inputs(of: task)[TrainingRequest.Input.rewind],
            dataset: bench.dataset.path, registry: bench.registry)

        #expect(ticket.facts.testImagesRight == level.summary.final?.testCorrect)
        #expect(ticket.facts.testImagesSeen == 90 && ticket.facts.rewindStep == 8 && ticket.facts.task == task.key)
        #expect(ticket.facts.layers == level.summary.layers)
        #expect(ticket.facts.density == level.summary.density && ticket.facts.density == 0.5)
        #expect(ticket.facts.finalDigest == Digest.of(level.outputs["final"]!))

        let path = "\(bench.folder.path)/t.safetensors"
        try ticket.export(to: path, spec: "name: x")
        let (tensors, metadata) = try Safetensors.decode(contents(path))
        #expect(tensors.count == 6 * 2 + 3)
        for name in ["fc1.weight", "fc1.bias", "fc2.weight", "output.weight", "output.bias"] {
            let trained = tensors["trained.\(name)"]?.floatValues ?? []
            #expect(try trained == level.floats("final", "trained", name, count: trained.count))
            #expect(
                try tensors["rewind.\(name)"]?.floatValues
                    == level.floats("step-8", "weight", name, count: trained.count))
        }
        #expect(tensors["mask.fc1.weight"]?.shape == [12, 36] && tensors["trained.fc1.bias"]?.shape == [12])
        #expect(metadata["spec"] == "name: x" && metadata["test_images_right"] == String(ticket.facts.testImagesRight))
        #expect(metadata["density"] == "0.5" && metadata["input_mean"] != nil && metadata["input_std"] != nil)
    }

    @Test("Density leaves out layers that are never pruned")
    func density() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        _ = try bench.train(dense)
        let task = bench.pruned(dense, parent: dense) {
            $0.rates = PruneRates(conv: .zero, fc: Ratio("0.5")!, output: .zero)
        }
        let level = try bench.train(task)
        let ticket = try Ticket(
            of: task, final: "\(level.folder)/final", rewind: nil, dataset: bench.dataset.path, registry: bench.registry
        )
        #expect(ticket.facts.density == 0.5)
        #expect(ticket.facts.surviving == 216 + 54 + 36 && ticket.facts.weights == 432 + 108 + 36)
    }

    @Test("θ0 and fresh weights are drawn again for their ticket")
    func drawnAgain() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        _ = try bench.train(dense)
        for start in [TrainingTask.Start.initialisation, .reinitialised(level: 1, draw: 0)] {
            var task = bench.pruned(dense, parent: dense)
            task.start = start
            let level = try bench.train(task, keep: [0])
            let ticket = try Ticket(
                of: task, final: "\(level.folder)/final", rewind: nil, dataset: bench.dataset.path,
                registry: bench.registry)
            let tensors = try Safetensors.decode(ticket.safetensors(spec: nil)).tensors
            #expect(
                try tensors["rewind.fc1.weight"]?.floatValues
                    == level.floats("step-0", "weight", "fc1.weight", count: bench.weightCounts["fc1"]!))
        }
    }

    @Test("A final of another network is refused")
    func wrongFinal() throws {
        let bench = try TrainingBench()
        let level = try bench.train(bench.dense())
        let other = bench.dense { $0.model.hidden = [5] }
        #expect(throws: TrainingError.self) {
            try Ticket(
                of: other, final: "\(level.folder)/final", rewind: nil, dataset: bench.dataset.path,
                registry: bench.registry)
        }
    }
}
