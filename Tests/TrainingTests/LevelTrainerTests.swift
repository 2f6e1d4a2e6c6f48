import Foundation
import Kernels
import Lottery
import Synchronization
import Testing
import Training

@Suite("One level's training")
struct LevelTrainerTests {
    private static func recipes(_ task: inout TrainingTask, _ optimizer: String) {
        task.training.optimizer.name = optimizer == "momentum" ? "sgd" : optimizer
        if optimizer == "momentum" { task.training.optimizer.momentum = 0.9 }
        task.training.optimizer.weightDecay = 1e-4
        task.training.warmup = 15
        task.training.decay = [Decay(at: 25, by: 0.5)]
    }

    @Test(
        "A training that was interrupted leaves the same bytes as one that was not",
        arguments: ["adam", "sgd", "momentum"])
    func interrupted(optimizer: String) throws {
        let bench = try TrainingBench()
        let dense = bench.dense { Self.recipes(&$0, optimizer) }
        let whole = try bench.train(dense, keep: [0, 5, 25])
        let cut = try bench.train(dense, keep: [0, 5, 25], stops: [1, 5, 10, 15, 26, 39], place: "cut")
        #expect(cut.outputs == whole.outputs)
        #expect(cut.summary == whole.summary)
        #expect(whole.outputs.keys.sorted() == ["final", "metrics", "step-0", "step-25", "step-5"])

        var ticket = bench.pruned(dense, parent: dense)
        ticket.start = .rewound(trajectory: dense.key, step: 5, optimizer: .restore)
        let wholeTicket = try bench.train(ticket)
        let cutTicket = try bench.train(ticket, stops: [6, 20, 33], place: "cut-ticket")
        #expect(cutTicket.outputs == wholeTicket.outputs)
        #expect(cutTicket.summary == wholeTicket.summary)
        #expect(wholeTicket.outputs["final"] != whole.outputs["final"])
    }

    @Test(
        "An evaluation ends when the training is to stop, and is made whole by whoever goes on", arguments: [60, 150])
    func interruptedEvaluation(validation: Int) throws {
        let bench = try TrainingBench()
        let task = bench.dense { $0.data.validation = validation }
        let whole = try bench.train(task)
        for step in [0, 20, 40] {
            let outputs = try bench.folder.folder("cut-\(step)")
            var told = 0
            func run() throws -> LevelResult? {
                try LevelTrainer(registry: bench.registry, progressSeconds: 0).run(
                    TrainingRequest(task: task, keepSteps: []), inputs: bench.inputs(of: task),
                    outputDirectory: outputs,
                    resumeFile: "\(outputs)/resume", checkpointSeconds: .infinity
                ) { progress in
                    // First before or after the step, then between batches of 64: of the 150 validation images, or else
                    // of the 90 test images.
                    guard progress.step == step else { return .goOn }
                    told += 1
                    return told == 2 ? .stop : .goOn
                }
            }
            #expect(try run() == nil)
            #expect(told == 2)
            let result = try #require(try run())
            for output in result.outputs {
                #expect(try contents(output.path) == whole.outputs[output.name.text], "\(output.name) cut at \(step)")
            }
        }
    }

    @Test("A worker that died goes on from an older checkpoint to the same bytes, and leaves no resume file")
    func olderCheckpoint() throws {
        let bench = try TrainingBench()
        let task = bench.dense()
        let whole = try bench.train(task, keep: [20])
        let outputs = try bench.folder.folder("died")
        let resume = "\(outputs)/resume"
        var checkpoint: [UInt8] = []
        let trainer = LevelTrainer(registry: bench.registry, progressSeconds: 0)
        let stopped = try trainer.run(
            TrainingRequest(task: task, keepSteps: [20]), inputs: bench.inputs(of: task), outputDirectory: outputs,
            resumeFile: resume, checkpointSeconds: 0
        ) { progress in
            // The file of the step before is there when progress is told.
            if progress.step == 13, let data = FileManager.default.contents(atPath: resume) { checkpoint = Array(data) }
            return progress.step == 30 ? .stop : .goOn
        }
        #expect(stopped == nil)
        #expect(!checkpoint.isEmpty)
        try write(checkpoint, to: resume)
        var steps: [Int] = []
        let result = try trainer.run(
            TrainingRequest(task: task, keepSteps: [20]), inputs: bench.inputs(of: task), outputDirectory: outputs,
            resumeFile: resume, checkpointSeconds: .infinity
        ) { progress in
            steps.append(progress.step)
            return .goOn
        }
        #expect(steps.first == 12)
        for output in try #require(result).outputs {
            #expect(try contents(output.path) == whole.outputs[output.name.text], "\(output.name)")
        }
        #expect(!FileManager.default.fileExists(atPath: resume))
    }

    @Test("A checkpoint that comes from elsewhere is gone on from, if it is further than the one that is here")
    func checkpointFromElsewhere() throws {
        let bench = try TrainingBench()
        let task = bench.dense { Self.recipes(&$0, "adam") }
        let whole = try bench.train(task, keep: [0, 7])
        let trainer = LevelTrainer(registry: bench.registry, progressSeconds: 0)
        let request = TrainingRequest(task: task, keepSteps: [0, 7])
        var saves: [Int] = []
        func stopped(at step: Int, _ name: String) throws -> String {
            let outputs = try bench.folder.folder(name)
            let result = try trainer.run(
                request, inputs: bench.inputs(of: task), outputDirectory: outputs, resumeFile: "\(outputs)/resume",
                checkpointSeconds: .infinity, saved: { saves.append($0) }
            ) { $0.step == step ? .stop : .goOn }
            #expect(result == nil)
            return "\(outputs)/resume"
        }
        let near = try stopped(at: 9, "near"), far = try stopped(at: 23, "far")
        #expect(saves == [9, 23])
        var damaged = try contents(far)
        damaged[damaged.count - 3] ^= 1
        let damagedPath = try bench.folder.folder("damaged") + "/resume"
        try write(damaged, to: damagedPath)
        for (local, sent, expected) in [
            (near, far, 23), (far, near, 23), (nil, far, 23), (near, damagedPath, 9), (nil, damagedPath, 0),
            (damagedPath, near, 9), (near, "\(bench.folder.path)/absent", 9),
        ] {
            let place = "\(expected)-\(local ?? "")-\(sent)".replacing("/", with: "_")
            // Nothing of what the checkpoint's own attempt left is here.
            let outputs = try bench.folder.folder(place)
            if let local { try write(try contents(local), to: "\(outputs)/resume") }
            var inputs = bench.inputs(of: task)
            inputs[TrainingRequest.Input.checkpoint] = sent
            var first: Int?
            let result = try trainer.run(
                request, inputs: inputs, outputDirectory: outputs, resumeFile: "\(outputs)/resume",
                checkpointSeconds: .infinity
            ) { progress in
                first = first ?? progress.step
                return .goOn
            }
            #expect(first == expected, "\(local ?? "none"), \(sent)")
            #expect(try #require(result).outputs.map(\.name.text).sorted() == whole.outputs.keys.sorted())
            for output in result!.outputs { #expect(try contents(output.path) == whole.outputs[output.name.text]) }
            #expect(result!.summary == whole.summary)
        }
    }

    @Test("An interrupted training says what all of its parts took, and no output says it")
    func secondsOfAllParts() throws {
        let bench = try TrainingBench()
        let task = bench.dense()
        let whole = try bench.train(task)
        /// - Parameter file: what to go on from; by default what an earlier part left in the same place.
        /// - Returns: what the training took in the end, or what its resume file says that it took so far.
        func seconds(
            in place: String, stop: Int?, from file: [UInt8]? = nil,
            clock: @escaping @Sendable () -> Double = Ticks().tick
        ) throws -> Double {
            let outputs = try bench.folder.folder(place)
            let resume = "\(outputs)/resume"
            if let file { try write(file, to: resume) }
            let trainer = LevelTrainer(registry: bench.registry, progressSeconds: 0, clock: clock)
            let result = try trainer.run(
                TrainingRequest(task: task, keepSteps: []), inputs: bench.inputs(of: task), outputDirectory: outputs,
                resumeFile: resume, checkpointSeconds: .infinity
            ) { $0.step == stop ? .stop : .goOn }
            guard let result else {
                return try #require(Safetensors.decode(try contents(resume)).tensors["seconds"]?.doubleValues?.first)
            }
            for output in result.outputs {
                #expect(try contents(output.path) == whole.outputs[output.name.text], "\(output.name) in \(place)")
            }
            return result.seconds
        }
        // The clock goes on by a second with each look at it, of which there is one at the beginning and one at the
        // end; each part has a clock of its own, as on another machine.
        #expect(try seconds(in: "whole", stop: nil) == 1)
        #expect(try seconds(in: "cut", stop: 10) == 1)
        #expect(try seconds(in: "cut", stop: 25) == 2)
        let file = try contents("\(bench.folder.path)/cut/resume")
        #expect(try seconds(in: "cut", stop: nil) == 3)

        let old = try withoutSeconds(file)
        #expect(try seconds(in: "old", stop: 26, from: old) == 1, "what is not said counts as 0")
        #expect(try seconds(in: "old", stop: nil) == 2)

        let before = try seconds(in: "thread", stop: 10, clock: { ThreadTime.seconds })
        #expect(before > 0)
        #expect(try seconds(in: "thread", stop: nil, clock: { ThreadTime.seconds }) > before)
    }

    /// A resume file as versions wrote it that did not measure processor time.
    private func withoutSeconds(_ file: [UInt8]) throws -> [UInt8] {
        var (tensors, metadata) = try Safetensors.decode(file)
        #expect(tensors.removeValue(forKey: "seconds") != nil)
        let rest = tensors.values.sorted { $0.name < $1.name }
        var hasher = ContentHasher()
        for tensor in rest {
            hasher.update("\(tensor.name) \(tensor.type.rawValue) \(tensor.shape)\n")
            hasher.update(tensor.bytes)
        }
        metadata["digest"] = hasher.finalize().hex
        return Safetensors.encode(rest, metadata: metadata)
    }

    @Test("A resume file of another task, a damaged one, or one whose checkpoints are gone is not used")
    func foreignResumeFile() throws {
        let bench = try TrainingBench()
        let task = bench.dense()
        let other = bench.dense { $0.seeds = Seeds(base: 8, replicate: 0) }
        let whole = try bench.train(task, keep: [5])
        let outputs = try bench.folder.folder("foreign")
        let resume = "\(outputs)/resume"
        let trainer = LevelTrainer(registry: bench.registry, progressSeconds: 0)
        func stoppedFile(_ task: TrainingTask) throws -> [UInt8] {
            _ = try trainer.run(
                TrainingRequest(task: task, keepSteps: []), inputs: bench.inputs(of: task), outputDirectory: outputs,
                resumeFile: resume, checkpointSeconds: .infinity
            ) { $0.step == 9 ? .stop : .goOn }
            defer { #expect(throws: Never.self) { try FileManager.default.removeItem(atPath: resume) } }
            return try contents(resume)
        }
        let mine = try stoppedFile(task)
        var flipped = mine
        flipped[flipped.count - 9] ^= 4
        for bytes in [
            try stoppedFile(other), Array(mine.dropLast(1)), flipped, [], Array("not a checkpoint".utf8), mine,
        ] {
            try write(bytes, to: resume)
            var first: Int?
            let result = try trainer.run(
                TrainingRequest(task: task, keepSteps: [5]), inputs: bench.inputs(of: task), outputDirectory: outputs,
                resumeFile: resume, checkpointSeconds: .infinity
            ) { progress in
                first = first ?? progress.step
                return .goOn
            }
            #expect(first == 0)
            for output in try #require(result).outputs {
                #expect(try contents(output.path) == whole.outputs[output.name.text])
                try FileManager.default.removeItem(atPath: output.path)
            }
        }
    }

    @Test(
        "Rewinding restores weights, optimizer, batches and learning rate: with nothing pruned it ends as the dense run did"
    )
    func rewindingIsExact() throws {
        let bench = try TrainingBench()
        let dense = bench.dense { Self.recipes(&$0, "adam") }
        let whole = try bench.train(dense, keep: [0, 17])
        for step in [0, 17] {
            var again = bench.pruned(dense, parent: dense, rate: "0")
            again.start = .rewound(trajectory: dense.key, step: step, optimizer: .restore)
            #expect(try bench.train(again).outputs["final"] == whole.outputs["final"], "rewound to \(step)")
        }
        var fresh = bench.pruned(dense, parent: dense, rate: "0")
        fresh.start = .rewound(trajectory: dense.key, step: 17, optimizer: .fresh)
        let other = try bench.train(fresh)
        #expect(other.outputs["final"] != whole.outputs["final"])
        #expect(other.summary.final?.step == 40)
    }

    @Test("A replay leaves the checkpoint that the whole run kept, and nothing else")
    func replay() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        let whole = try bench.train(dense, keep: [12])
        var replay = dense
        replay.stopAfter = 12
        let replayed = try bench.train(replay, keep: [12], stops: [4])
        #expect(replayed.outputs == ["step-12": whole.outputs["step-12"]!])
        #expect(
            replayed.summary.final == nil && replayed.summary.earlyStop == nil && replayed.summary.divergedAt == nil)
        #expect(try bench.train(replay, keep: []).outputs == replayed.outputs)
    }

    @Test("Which steps are kept changes nothing else")
    func keepingIsNoPartOfTheResult() throws {
        let bench = try TrainingBench()
        let some = try bench.train(bench.dense(), keep: [1, 2, 3, 40], place: "some")
        let none = try bench.train(bench.dense(), place: "none")
        #expect(some.summary == none.summary)
        for name in ["final", "metrics"] { #expect(some.outputs[name] == none.outputs[name]) }
    }

    @Test("Five levels: counts exact, masks monotone, pruned weights zero, survivors back at θ0 before training")
    func chain() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        var parent = dense
        var outcome = try bench.train(dense, keep: [0])
        let theta0 = try outcome.floats("step-0", "weight", "fc1.weight", count: 36 * 12)
        var expected = outcome.summary.layers.map(\.weights)
        #expect(expected == [36 * 12, 12 * 9, 9 * 4])
        let weights = expected
        var masks = try outcome.mask("fc1.weight", count: 36 * 12)
        #expect(masks.allSatisfy { $0 })
        for level in 1...5 {
            let task = bench.pruned(dense, parent: parent, level: level) {
                $0.rates = PruneRates(conv: .zero, fc: Ratio("0.29")!, output: Ratio("0.1")!)
            }
            outcome = try bench.train(task, keep: [0])
            for layer in expected.indices { expected[layer] -= expected[layer] * (layer < 2 ? 29 : 10) / 100 }
            #expect(outcome.summary.layers.map(\.surviving) == expected, "level \(level)")
            let mask = try outcome.mask("fc1.weight", count: 36 * 12)
            #expect(zip(mask, masks).allSatisfy { !$0 || $1 }, "level \(level)")
            masks = mask
            for (layer, name) in ["fc1", "fc2", "output"].enumerated() {
                let mask = try outcome.mask("\(name).weight", count: weights[layer])
                let trained = try outcome.floats("final", "trained", "\(name).weight", count: weights[layer])
                #expect(mask.count { $0 } == expected[layer])
                #expect(trained.count { $0 != 0 } == expected[layer], "level \(level), \(name)")
            }
            let start = try outcome.floats("step-0", "weight", "fc1.weight", count: 36 * 12)
            #expect(start == zip(theta0, mask).map { $1 ? $0 : 0 }, "level \(level)")
            parent = task
        }
        #expect(outcome.summary.otherWeights == 12 + 9 + 4)
    }

    @Test("Scaled by density, drawn weights of a sparse level are multiplied by 1 / √density of their layer's mask")
    func initialisationScale() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        _ = try bench.train(dense, keep: [12])
        var plain = bench.pruned(dense, parent: dense, rate: "0.75") { $0.rates.output = Ratio("0.5")! }
        for start in [TrainingTask.Start.initialisation, .reinitialised(level: 1, draw: 0)] {
            plain.start = start
            var scaled = plain
            scaled.pruning?.initialisationScale = .density
            let (before, after) = (try bench.train(plain, keep: [0]), try bench.train(scaled, keep: [0]))
            for (layer, factor) in [("fc1", 2.0), ("fc2", 2.0), ("output", 2.0.squareRoot())] {
                let drawn = try before.floats("step-0", "weight", "\(layer).weight", count: bench.weightCounts[layer]!)
                #expect(
                    try after.floats("step-0", "weight", "\(layer).weight", count: drawn.count)
                        == drawn.map { Float(Double($0) * factor) },
                    "\(layer) from \(start)")
            }
        }
        plain.start = .rewound(trajectory: dense.key, step: 12, optimizer: .restore)
        var scaled = plain
        scaled.pruning?.initialisationScale = .density
        #expect(try bench.train(plain, place: "plain").outputs == bench.train(scaled, place: "scaled").outputs)
    }

    @Test("Controls: a random mask keeps per-layer counts; fresh weights differ by level and draw")
    func controls() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        _ = try bench.train(dense)
        let ticket = bench.pruned(dense, parent: dense, rate: "0.6")
        let random = bench.pruned(dense, parent: dense, rate: "0.6") { $0.control = .randomPerLayer }
        let ticketOutcome = try bench.train(ticket)
        let randomOutcome = try bench.train(random)
        #expect(ticketOutcome.summary.layers == randomOutcome.summary.layers)
        let masks = try [ticketOutcome, randomOutcome].map {
            try $0.mask("fc1.weight", count: 36 * 12)
        }
        #expect(masks[0] != masks[1])

        var starts: [[UInt8]] = [try bench.train(ticket, keep: [0], place: "ticket").outputs["step-0"]!]
        for (level, draw) in [(1, 0), (1, 1), (2, 0)] {
            var fresh = ticket
            fresh.start = .reinitialised(level: level, draw: draw)
            let outcome = try bench.train(fresh, keep: [0])
            #expect(outcome.summary.layers == ticketOutcome.summary.layers)
            #expect(try outcome.mask("fc1.weight", count: 36 * 12) == masks[0])
            starts.append(outcome.outputs["step-0"]!)
        }
        #expect(Set(starts).count == 4)
    }

    @Test(
        "Testing only the best weights finds the same early stop and the same end, interrupted or not, from two evaluations"
    )
    func testAtBest() throws {
        let bench = try TrainingBench()
        // Validation loss rises now and then at this rate.
        let always = bench.dense {
            $0.training.learningRate = 0.05
            $0.training.evaluateEvery = 1
        }
        var best = always
        best.training.test = .best
        let (all, some) = (try bench.train(always), try bench.train(best, stops: [7, 23]))
        #expect(all.summary == some.summary && all.outputs["final"] == some.outputs["final"])
        let tested = try Safetensors.decode(some.outputs["metrics"]!).tensors["test.correct"]!.intValues!
        let known = try Safetensors.decode(all.outputs["metrics"]!).tensors["test.correct"]!.intValues!
        #expect(tested.count == 41 && zip(tested, known).allSatisfy { $0 == $1 || $0 == -1 })
        #expect(tested.count { $0 >= 0 } == 2 && tested[0] == -1 && tested[40] >= 0)
        #expect(try bench.train(best, place: "whole").outputs == some.outputs)
    }

    @Test(
        "A resume file takes 12 bytes a survivor with Adam, and 16 with the best weights beside them",
        arguments: [(false, 12), (true, 16)])
    func resumeFileBytes(keepsBest: Bool, bytesPerSurvivor: Int) throws {
        let bench = try TrainingBench()
        let dense = bench.dense {
            Self.recipes(&$0, "adam")
            if keepsBest { $0.training.test = .best }
        }
        _ = try bench.train(dense)
        var sizes: [(survivors: Int, bytes: Int)] = []
        for rate in ["0.2", "0.9"] {
            let task = bench.pruned(dense, parent: dense, rate: rate)
            let survivors = try bench.train(task).summary.layers.reduce(0) { $0 + $1.surviving }
            let (file, _) = try stopped(task, bench)
            let tensors = try Safetensors.decode(file).tensors
            #expect((tensors["best.evaluation"] != nil) == keepsBest)
            sizes.append((survivors, tensors.values.reduce(0) { $0 + $1.bytes.count }))
        }
        #expect(sizes[0].survivors > 2 * sizes[1].survivors)
        #expect(sizes[0].bytes - sizes[1].bytes == bytesPerSurvivor * (sizes[0].survivors - sizes[1].survivors))
    }

    @Test("A resume file is not used for other survivors than those it is of, and one that lists them still is used")
    func survivorsOfResumeFiles() throws {
        let bench = try TrainingBench()
        let dense = bench.dense {
            Self.recipes(&$0, "adam")
            $0.training.test = .best
        }
        let other = bench.dense { $0.seeds = Seeds(base: 8, replicate: 0) }
        _ = try bench.train(dense)
        let stranger = try bench.train(other).folder + "/final"
        let task = bench.pruned(dense, parent: dense, rate: "0.5")
        let whole = try bench.train(task)
        let (file, resume) = try stopped(task, bench)
        func firstStep(of file: [UInt8], parent: String? = nil) throws -> Int? {
            try write(file, to: resume)
            var inputs = bench.inputs(of: task)
            if let parent { inputs[TrainingRequest.Input.parent] = parent }
            var first: Int?
            let outputs = try bench.folder.folder("resumed")
            let result = try LevelTrainer(registry: bench.registry, progressSeconds: 0).run(
                TrainingRequest(task: task, keepSteps: []), inputs: inputs, outputDirectory: outputs,
                resumeFile: resume, checkpointSeconds: .infinity
            ) { progress in
                first = first ?? progress.step
                return .goOn
            }
            for output in try #require(result).outputs {
                let isSame = try contents(output.path) == whole.outputs[output.name.text]
                #expect(isSame == (parent == nil), "\(output.name)")
            }
            return first
        }
        #expect(try firstStep(of: file) == 25)
        // As many survive in each layer, but others.
        #expect(try firstStep(of: file, parent: stranger) == 0)

        // As older versions wrote it.
        var (tensors, metadata) = try Safetensors.decode(file)
        let lists = try Safetensors.decode(whole.outputs["final"]!).tensors.filter { $0.key.hasPrefix("survivors.") }
        #expect(lists.count == 3 && lists.keys.allSatisfy { tensors[$0] == nil })
        tensors.merge(lists) { _, new in new }
        let old = Safetensors.encode(tensors.values.sorted { $0.name < $1.name }, metadata: metadata)
        #expect(try firstStep(of: old) == 25)
        metadata["digest"] = String(repeating: "0", count: 64)
        #expect(try firstStep(of: Safetensors.encode(Array(tensors.values), metadata: metadata)) == 0)
    }

    /// The resume file of a training that was stopped at step 25, which is after its second evaluation.
    private func stopped(_ task: TrainingTask, _ bench: TrainingBench) throws -> (file: [UInt8], path: String) {
        let outputs = try bench.folder.folder("stopped-\(task.key.hex)")
        let resume = "\(outputs)/resume"
        let result = try LevelTrainer(registry: bench.registry, progressSeconds: 0).run(
            TrainingRequest(task: task, keepSteps: []), inputs: bench.inputs(of: task), outputDirectory: outputs,
            resumeFile: resume, checkpointSeconds: .infinity
        ) { $0.step == 25 ? .stop : .goOn }
        #expect(result == nil)
        return (try contents(resume), resume)
    }

    @Test(
        "The test of the best weights at the end ends when the training is to stop, and is made whole by whoever goes on"
    )
    func interruptedTestOfBest() throws {
        let bench = try TrainingBench()
        var task = bench.dense {
            $0.training.learningRate = 0.2
            $0.training.evaluateEvery = 1
            $0.training.test = .best
        }
        _ = try bench.train(task)
        task = bench.pruned(task, parent: task)
        let whole = try bench.train(task)
        let tested = try Safetensors.decode(whole.outputs["metrics"]!).tensors["test.correct"]!.intValues!
        try #require(
            tested.last! >= 0 && tested.dropLast().contains { $0 >= 0 },
            "the last weights are the best; choose another rate")
        // After the last step; after one batch of the last evaluation's test images, where what the level tells when it
        // begins is counted as well; after one of the best weights' test, twice.
        try expectSame(task, whole, bench, stops: [(1, 39), (2, 39), (3, 40), (2, 40)])
    }

    @Test("A last evaluation that is not finite is remembered where the best weights' test was interrupted after it")
    func interruptedAfterDivergence() throws {
        let bench = try TrainingBench()
        let task = bench.dense {
            $0.training.evaluateEvery = 1
            $0.training.test = .best
            // The last step leaves weights of 10²⁵ and more: finite, and no loss is.
            $0.training.decay = [Decay(at: 39, by: 1e30)]
        }
        let whole = try bench.train(task)
        try #require(whole.summary.divergedAt == 40 && whole.summary.earlyStop != nil)
        // An evaluation ends with its first batch that is not finite, so that nothing stops it.
        try expectSame(task, whole, bench, stops: [(1, 39), (2, 40), (2, 40)])
    }

    /// Stops a level of 40 steps with `test: best` behind its last step, again and again, and then lets it end.
    /// - Parameter stops: which call of `progress` at that step stops it, counted anew each time, and the step of the
    ///   last evaluation that the resume file then has.
    private func expectSame(
        _ task: TrainingTask, _ whole: TrainingBench.Outcome, _ bench: TrainingBench,
        stops: [(call: Int, evaluatedAt: Int)]
    ) throws {
        let outputs = try bench.folder.folder("cut")
        func run(stopAt call: Int) throws -> LevelResult? {
            var told = 0
            return try LevelTrainer(registry: bench.registry, progressSeconds: 0).run(
                TrainingRequest(task: task, keepSteps: []), inputs: bench.inputs(of: task), outputDirectory: outputs,
                resumeFile: "\(outputs)/resume", checkpointSeconds: .infinity
            ) { progress in
                guard progress.step == 40 else { return .goOn }
                told += 1
                return told == call ? .stop : .goOn
            }
        }
        for (call, evaluatedAt) in stops {
            #expect(try run(stopAt: call) == nil)
            let tensors = try Safetensors.decode(contents("\(outputs)/resume")).tensors
            #expect(tensors["metrics.step"]?.intValues?.last == evaluatedAt && tensors["best.evaluation"] != nil)
        }
        let result = try #require(try run(stopAt: .max))
        for output in result.outputs {
            #expect(try contents(output.path) == whole.outputs[output.name.text], "\(output.name)")
        }
        #expect(result.summary == whole.summary)
    }

    @Test(
        "Stopped at every step and continued on another engine each time it leaves the same bytes",
        arguments: Precision.allCases)
    func continuedElsewhere(precision: Precision) throws {
        let bench = try TrainingBench()
        let engines = Engine.all(precision)
        try #require(engines.count >= 3)
        let dense = bench.dense {
            Self.recipes(&$0, "adam")
            $0.training.precision = precision
            $0.numerics = precision == .bf16 ? .bf16Tiles16 : .f32Lanes16
        }
        let wholeDense = try bench.train(dense, keep: [5])
        #expect(
            try bench.train(dense, keep: [5], stops: Array(1...39), place: "cut", engines: engines).outputs
                == wholeDense.outputs)
        var ticket = bench.pruned(dense, parent: dense, rate: "0.7")
        ticket.start = .rewound(trajectory: dense.key, step: 5, optimizer: .restore)
        let whole = try bench.train(ticket)
        let cut = try bench.train(ticket, stops: Array(6...39), place: "cut-ticket", engines: engines)
        #expect(cut.outputs == whole.outputs && cut.summary == whole.summary)
    }

    @Test("Every instruction set leaves the same bytes", arguments: InstructionSet.supported)
    func instructionSets(set: InstructionSet) throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        let best = try bench.train(dense, keep: [20], place: "best", engine: Engine(instructionSet: .best))
        let other = try bench.train(dense, keep: [20], engine: Engine(instructionSet: set))
        #expect(best.outputs == other.outputs && best.summary == other.summary)
        let ticket = bench.pruned(dense, parent: dense, rate: "0.7")
        #expect(
            try bench.train(ticket, place: "best-ticket", engine: Engine(instructionSet: .best)).outputs
                == bench.train(ticket, engine: Engine(instructionSet: set)).outputs)
    }

    @Test(
        "A training that diverges is a result: the step is told, all outputs are there, and what rewinds past it diverges too"
    )
    func divergence() throws {
        let bench = try TrainingBench()
        let dense = bench.dense {
            $0.training.optimizer.name = "sgd"
            $0.training.learningRate = 1e6
        }
        let outcome = try bench.train(dense, keep: [0, 1, 35])
        let step = try #require(outcome.summary.divergedAt)
        #expect((1..<35).contains(step))
        // The step before it is trained, and that one is not.
        for last in [step, step + 1] {
            var replay = dense
            replay.stopAfter = last
            #expect(try bench.train(replay).summary.divergedAt == (last == step ? nil : step))
        }
        #expect(outcome.summary.final == nil)
        #expect(outcome.outputs.keys.sorted() == ["final", "metrics", "step-0", "step-1", "step-35"])
        _ = try JSONEncoder().encode(outcome.summary)
        #expect(try bench.train(dense, keep: [0, 1, 35], stops: [1], place: "cut").outputs == outcome.outputs)

        var replay = dense
        replay.stopAfter = 35
        let replayed = try bench.train(replay)
        #expect(replayed.outputs["step-35"] == outcome.outputs["step-35"])
        #expect(replayed.summary.divergedAt == step)

        var child = bench.pruned(dense, parent: dense)
        child.start = .rewound(trajectory: dense.key, step: 35, optimizer: .restore)
        let childOutcome = try bench.train(child, keep: [36])
        #expect(childOutcome.summary.divergedAt == step)
        #expect(childOutcome.summary.final == nil && childOutcome.summary.earlyStop == nil)
        #expect(
            childOutcome.summary.layers.map(\.surviving) == outcome.summary.layers.map { $0.weights - $0.weights / 5 })
        #expect(childOutcome.outputs.keys.sorted() == ["final", "metrics", "step-36"])
    }

    @Test(
        "Evaluations stand at the first step, each multiple of evaluate_every and the last step; early stop is the best of the later ones"
    )
    func metrics() throws {
        let bench = try TrainingBench()
        let task = bench.dense { $0.training.iterations = 45 }
        let outcome = try bench.train(task)
        let (metrics, metadata) = try Safetensors.decode(outcome.outputs["metrics"]!)
        #expect(metrics["step"]?.intValues == [0, 10, 20, 30, 40, 45])
        #expect(metadata == ["validation_count": "60", "test_count": "90"])
        let losses = try #require(metrics["validation.loss"]?.doubleValues)
        let early = try #require(outcome.summary.earlyStop)
        #expect(early.validationLoss == losses.dropFirst().min())
        let final = try #require(outcome.summary.final)
        #expect(final.step == 45 && final.validationLoss == losses.last)
        #expect(final.testCorrect == metrics["test.correct"]?.intValues?.last)
        let train = try #require(metrics["train.loss"]?.floatValues)
        #expect(train[0].isNaN && train.dropFirst().allSatisfy(\.isFinite) && train[1] > train[5])
        #expect(final.testAccuracy > 0.5, "learned nothing: \(final)")
    }

    @Test("Of equal validation losses the earliest after the first step is the early stop, also after rewinding")
    func earlyStopTies() throws {
        let bench = try TrainingBench()
        // A rate of 0 leaves every loss as it was.
        let dense = bench.dense { $0.training.decay = [Decay(at: 0, by: 0)] }
        let outcome = try bench.train(dense, keep: [20])
        let losses = try Safetensors.decode(outcome.outputs["metrics"]!).tensors["validation.loss"]?.doubleValues ?? []
        #expect(losses.count == 5 && Set(losses).count == 1)
        #expect(outcome.summary.earlyStop?.step == 10)
        var ticket = bench.pruned(dense, parent: dense)
        ticket.start = .rewound(trajectory: dense.key, step: 20, optimizer: .restore)
        #expect(try bench.train(ticket).summary.earlyStop?.step == 30)
    }

    @Test("What cannot be trained is refused in a sentence, and says whether trying elsewhere helps")
    func refused() throws {
        let bench = try TrainingBench()
        func refusal(_ change: (inout TrainingTask) -> Void) -> TrainingError? {
            #expect(throws: TrainingError.self) { try bench.train(bench.dense(change), place: "refused") }
        }
        let cases: [(isFinal: Bool, says: String, (inout TrainingTask) -> Void)] = [
            (true, "lower data.validation", { $0.data.validation = 290 }),
            (true, "leave no batch of 241", { $0.training.batch = 241 }),
            (true, "data.train is 301", { $0.data.train = 301 }),
            (true, "to choose; leave out ", { $0.model.family = "lenet-300-100" }),
            (false, "no model family", { $0.model.family = "transformer" }),
            (false, "no optimizer", { $0.training.optimizer.name = "lion" }),
            (false, "no initialisation", { $0.model.initialisation = "zeros" }),
            (false, "version 1 here and 2", { $0.semantics = ["optimizer.adam": 2] }),
            (false, "not bf16", { $0.numerics = NumericsID("bf16") }),
            (false, "not f32-lanes16-1 in bf16", { $0.training.precision = .bf16 }),
            (true, "whole number of units", { ($0.model.hidden, $0.model.depth, $0.model.width) = (nil, 1, 0.5) }),
            (true, "none from 0 to 41", { $0.stopAfter = 41 }),
            (
                false, "cannot read",
                { $0.start = .rewound(trajectory: bench.dense().key, step: 3, optimizer: .restore) }
            ),
        ]
        for (isFinal, says, change) in cases {
            let error = refusal(change)
            #expect(error?.isFinal == isFinal, "\(says): \(String(describing: error))")
            #expect(error?.description.contains(says) == true, "\(says): \(String(describing: error))")
        }
        try write([1, 2, 3], to: bench.dataset.path)
        #expect(refusal { _ in }?.description.contains("not a safetensors file") == true)
    }

    @Test(
        "One class has nothing to learn: no loss, every image right, no bias moves; its ticket is pruned and trained as any other"
    )
    func oneClass() throws {
        var shape = TinyData.shape
        shape.classes = 1
        let bench = try TrainingBench(shape: shape)
        let dense = bench.dense()
        let outcomes = [try bench.train(dense), try bench.train(bench.pruned(dense, parent: dense))]
        for (outcome, survivors) in zip(outcomes, [36 * 12 + 12 * 9 + 9, 346 + 87 + 8]) {
            #expect(
                outcome.summary.divergedAt == nil && outcome.summary.layers.map(\.surviving).reduce(0, +) == survivors)
            for score in [outcome.summary.earlyStop, outcome.summary.final] {
                #expect(score?.validationLoss == 0 && score?.testCorrect == shape.testCount)
            }
            // Biases begin at 0.
            for (bias, units) in [("fc1", 12), ("fc2", 9), ("output", 1)] {
                #expect(
                    try outcome.floats("final", "trained", "\(bias).bias", count: units)
                        == Array(repeating: 0, count: units))
            }
        }
    }

    @Test(
        "One image to train on, one to validate on and one to test on make a training that repeats, interrupted or not, whatever the engine",
        arguments: Precision.allCases)
    func oneImage(precision: Precision) throws {
        var shape = TinyData.shape
        shape.trainCount = 2
        shape.testCount = 1
        let bench = try TrainingBench(shape: shape)
        // The mlp has the bench's layers.
        for (family, width) in [("mlp", 0), ("conv-2", 0.25), ("resnet", 0.25)] {
            let dense = bench.dense {
                ($0.data.validation, $0.training.batch) = (1, 1)
                $0.training.precision = precision
                $0.numerics = precision == .bf16 ? .bf16Tiles16 : .f32Lanes16
                guard family != "mlp" else { return }
                ($0.model.family, $0.model.width, $0.model.hidden) = (family, width, nil)
                $0.model.depth = family == "resnet" ? 8 : nil
            }
            let whole = try bench.train(dense)
            let cut = try bench.train(
                dense, stops: Array(stride(from: 1, to: 40, by: 4)), place: "cut-\(family)",
                engines: Engine.all(precision))
            #expect(cut.outputs == whole.outputs && cut.summary == whole.summary, "\(family)")
            let end = try #require(whole.summary.final)
            #expect(end.testCount == 1 && whole.summary.divergedAt == nil, "\(family)")
            let ticket = try bench.train(bench.pruned(dense, parent: dense))
            #expect(ticket.summary.divergedAt == nil && ticket.summary.final?.testCount == 1, "\(family)")
        }
    }

    @Test("Outputs that cannot be written are told by name, and the task may be tried again")
    func unwritable() throws {
        let bench = try TrainingBench()
        let task = bench.dense()
        let error = try #require(
            #expect(throws: TrainingError.self) {
                try LevelTrainer(registry: bench.registry).run(
                    TrainingRequest(task: task, keepSteps: [3]), inputs: bench.inputs(of: task),
                    outputDirectory: "\(bench.folder.path)/absent", resumeFile: nil, checkpointSeconds: 60
                ) { _ in .goOn }
            })
        #expect(!error.isFinal && error.description.contains("absent/step-3"), "\(error)")
    }
}

/// A clock on which a second goes by with each look at it.
private final class Ticks: Sendable {
    private let count = Atomic(0)

    @Sendable func tick() -> Double { Double(count.wrappingAdd(1, ordering: .relaxed).newValue) }
}
