import Foundation
import Lottery
import Testing

@Suite("Task keys")
struct TrainingTaskTests {
    private let dense = TrainingTask(
        numerics: .f32Lanes16, dataset: Digest.of("data".utf8), data: DataSettings(), model: ModelSettings(),
        training: TrainingSettings(), seeds: Seeds(base: 1, replicate: 0), pruning: nil, start: .initialisation)

    private func pruned(_ change: (inout TrainingTask.PruningStep) -> Void = { _ in }) -> TrainingTask {
        var task = dense
        var step = TrainingTask.PruningStep(
            parent: dense.key, criterion: "magnitude", scope: .layer,
            rates: PruneRates(conv: Ratio("0.2")!, fc: Ratio("0.2")!, output: Ratio("0.1")!), level: 1)
        change(&step)
        task.pruning = step
        return task
    }

    @Test("A task written before a setting was there is read with the setting's default")
    func olderPayload() throws {
        var task = pruned()
        task.training.warmup = 7
        task.training.optimizer.beta1 = 0.8
        task.model.family = "mlp"
        task.model.width = 100
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let written = try #require(String(bytes: encoder.encode(task), encoding: .utf8))
        #expect(written.contains(#""width":100"#), "widths were whole numbers")
        let added = [
            #""schedule":"step""#, #""nesterov":false"#, #""alpha":0.99"#,
            #""shortcut":"B""#, #""precision":"f32""#, #""labelSmoothing":0"#, #""clip":0"#,
            #""initialisationScale":"none""#, #""stages":1"#, #""rounds":1"#, #""test":"always""#,
            #""augment":{"crop":0,"flip":false}"#,
        ]
        let older = added.reduce(written) { text, setting in
            text.replacingOccurrences(of: setting + ",", with: "").replacingOccurrences(of: "," + setting, with: "")
        }
        for setting in added { #expect(written.contains(setting) && !older.contains(setting)) }
        #expect(try JSONDecoder().decode(TrainingTask.self, from: Data(older.utf8)) == task)
    }

    @Test("A comparison is part of the key; a summary without one is written as before")
    func connection() throws {
        var sibling = dense
        sibling.seeds = dense.seeds.withOtherNoise
        #expect(sibling.seeds.initialisation == dense.seeds.initialisation)
        #expect(
            sibling.seeds.dataOrder != dense.seeds.dataOrder && sibling.seeds.augmentation != dense.seeds.augmentation)
        sibling.connection = .init(peer: dense.key, points: 30, batchNorm: .recomputed)
        #expect(sibling.canonicalText.hasSuffix("\nconnects=\(dense.key.hex)/final,30,recomputed"))
        var other = sibling
        other.connection?.batchNorm = .interpolated
        #expect(other.key != sibling.key)
        let summary = LevelSummary(layers: [], otherWeights: 0, final: nil, earlyStop: nil, divergedAt: nil)
        let written = try #require(String(bytes: JSONEncoder().encode(summary), encoding: .utf8))
        #expect(!written.contains("connectivity"))
    }

    @Test("A barrier is the highest error on the line above the mean of its ends")
    func barrier() {
        #expect(abs(Connectivity(errors: [0.1, 0.5, 0.3]).barrier - 0.3) < 1e-15)
        #expect(abs(Connectivity(errors: [0.1, 0.1, 0.3]).barrier - 0.1) < 1e-15)
        #expect(Connectivity(errors: [0.2, 0.1, 0.2]).barrier == 0)
    }

    /// Results in stores are found by these. A failure here means that old results are lost: bump a semantics version
    /// if arithmetic changed, and leave the text alone otherwise.
    @Test("Golden keys")
    func golden() {
        #expect(
            dense.canonicalText == """
                tombola task 1
                numerics=f32-lanes16-1
                dataset=\(Digest.of("data".utf8).hex)
                seeds=1,1,1
                """)
        #expect(dense.key.hex == "05e143b5a7810989dc7104ca9ede6fb9dfb5791896e551ef8e52c38d1f8c7960")

        var other = dense
        other.model.family = "mlp"
        other.model.hidden = [30, 20]
        other.training.warmup = 500
        other.training.decay = [Decay(at: 1_000, by: 0.1)]
        other.training.optimizer.name = "sgd"
        other.training.optimizer.momentum = 0.9
        other.stopAfter = 500
        #expect(other.key.hex == "50361cdb994addb82bd30b9fe5d57da156767430b36bfeb1e9622112309ea4cd")
        #expect(pruned().key.hex == "f06ec16db560a22b3fd0befeefa5360125c4ec1fba1909d5c3f3fdf763c3e9b0")

        var rewound = pruned { $0.control = .randomPerLayer }
        rewound.start = .rewound(trajectory: dense.key, step: 500, optimizer: .fresh)
        rewound.semantics = ["optimizer.adam": 2]
        #expect(rewound.key.hex == "fbcf7eddb2f67e2f6f4c21508a8e552bc9e2679a4dba8101f3eb3321317c66a9")
        var fresh = pruned()
        fresh.start = .reinitialised(level: 1, draw: 0)
        #expect(fresh.key.hex == "647019c9a61428e4c5dcca81fc4d8be35ff37f8f90967a3005c6aee4bea706d5")
        fresh.pruning?.initialisationScale = .density
        fresh.model.width = 0.25
        fresh.model.shortcut = .padding
        fresh.training.labelSmoothing = 0.1
        fresh.training.clip = 1
        #expect(fresh.key.hex == "abd1aa11a594463fc4e51fa0ed0cc7995e90cda7c8bd5194427de30e34217128")
        fresh.data.resize = 16
        fresh.data.augment.flip = true
        fresh.data.augment.crop = 4
        #expect(fresh.canonicalText.contains("\ndata.resize=16\ndata.augment.flip=true\ndata.augment.crop=4\n"))
        #expect(fresh.key.hex == "34d352788ef8c1a05a9148e5750e5347a30960c31f3fce65dd6c0368db2548e4")
    }

    @Test("Everything that decides a result is in the key")
    func sensitivity() {
        var tasks = [dense, pruned()]
        func vary(_ change: (inout TrainingTask) -> Void) {
            var task = dense
            change(&task)
            tasks.append(task)
        }
        vary { $0.numerics = NumericsID("bf16") }
        vary { $0.dataset = Digest.of("other".utf8) }
        vary { $0.data.validation = 10 }
        vary { $0.data.resize = 16 }
        vary { $0.data.resize = 8 }
        vary { $0.data.augment.flip = true }
        vary { $0.data.augment.crop = 4 }
        vary { $0.model.initialisation = "kaiming-normal" }
        vary { $0.training.learningRate = 0.1 }
        vary { $0.training.evaluateEvery = 50 }
        vary { $0.training.test = .best }
        vary { $0.training.schedule = .cosine }
        vary { $0.training.schedule = .linear }
        vary { $0.training.precision = .bf16 }
        vary { $0.training.labelSmoothing = 0.1 }
        vary { $0.training.clip = 1 }
        vary { $0.model.shortcut = .padding }
        vary { $0.model.width = 0.5 }
        vary { $0.model.width = 2 }
        vary { $0.seeds.initialisation = 2 }
        vary { $0.seeds.dataOrder = 2 }
        vary { $0.seeds.augmentation = 2 }
        vary { $0.start = .rewound(trajectory: dense.key, step: 1, optimizer: .restore) }
        vary { $0.start = .rewound(trajectory: dense.key, step: 2, optimizer: .restore) }
        vary { $0.start = .rewound(trajectory: dense.key, step: 1, optimizer: .fresh) }
        vary { $0.start = .reinitialised(level: 1, draw: 0) }
        vary { $0.start = .reinitialised(level: 1, draw: 1) }
        vary { $0.stopAfter = 100 }
        vary { $0.semantics = ["criterion.magnitude": 2] }
        tasks.append(pruned { $0.parent = pruned().key })
        tasks.append(pruned { $0.criterion = "random" })
        tasks.append(pruned { $0.scope = .global })
        tasks.append(pruned { $0.rates.fc = Ratio("0.25")! })
        tasks.append(pruned { $0.repetitions = 2 })
        tasks.append(pruned { $0.control = .randomPerLayer })
        tasks.append(pruned { $0.initialisationScale = .density })
        tasks.append(pruned { $0.control = .randomGlobal })
        for at in [0, 1, 2] { tasks.append(pruned { $0.at = at }) }
        tasks.append(pruned { $0.stages = 2 })
        tasks.append(pruned { $0.rounds = 2 })
        tasks.append(pruned { $0.examples = 2 })
        tasks.append(pruned { ($0.at, $0.stages, $0.rounds, $0.examples) = (0, 2, 2, 2) })
        for step in [0, 1] {
            for rate in [TrainingTask.RetrainingRate.scheduled, .last] {
                vary { $0.start = .retrained(step: step, rate: rate) }
            }
        }
        for variant in TrainingTask.WeightVariant.allCases {
            vary { $0.start = .varied(variant, level: 1, draw: 0) }
            vary { $0.start = .varied(variant, level: 2, draw: 0) }
            vary { $0.start = .varied(variant, level: 1, draw: 1) }
        }
        let search = TrainingTask.EarlyBird(for: pruned().pruning!)
        for change in [
            { _ in }, { $0.criterion = "random" }, { $0.scope = .global }, { $0.rates.fc = Ratio("0.25")! },
            { $0.repetitions = 2 }, { $0.rounds = 2 }, { $0.level = 2 },
        ] as [(inout TrainingTask.EarlyBird) -> Void] {
            var search = search
            change(&search)
            vary { $0.search = search }
        }
        tasks.append(
            pruned {
                $0.control = .randomPerLayer; $0.level = 2
            })
        #expect(Set(tasks.map(\.key)).count == tasks.count)
    }

    @Test("What is pruned at the initialisation is drawn again, whoever trained from it")
    func parentOfInitialisation() {
        let one = pruned { $0.at = 0 }
        #expect(
            one.key
                == pruned {
                    $0.at = 0; $0.parent = TaskKey(Digest.of("other".utf8))
                }.key)
        #expect(
            pruned { $0.at = 1 }.key
                != pruned {
                    $0.at = 1; $0.parent = TaskKey(Digest.of("other".utf8))
                }.key)
    }

    @Test("The level is no part of the key where it draws nothing")
    func levelAddressesRandomNumbersOnly() {
        #expect(pruned().key == pruned { $0.level = 5 }.key)
    }

    @Test("A size that images have already is left out, so that the key is that of images as they are")
    func resizeToTheSame() throws {
        let shape = DatasetShape(
            name: "x", channels: 3, height: 32, width: 32, classes: 10, trainCount: 1, testCount: 1)
        var data = DataSettings()
        data.resize = 32
        #expect(data.simplified(for: shape) == DataSettings())
        data.resize = 16
        #expect(data.simplified(for: shape) == data)
        #expect(try shape.resized(to: nil) == shape && shape.resized(to: 32) == shape)
        #expect(try shape.resized(to: 8).height == 8 && shape.resized(to: 8).width == 8)
        let error = try #require(#expect(throws: SettingError.self) { try shape.resized(to: 12) })
        #expect(error.description == "must divide the 32×32 pixels of x, as 32, 16, 8, 4, 2, 1 do, not be 12")
    }

    @Test("A request goes through JSON unchanged, and keeps its key")
    func coding() throws {
        var task = pruned { $0.control = .randomPerLayer }
        task.start = .rewound(trajectory: dense.key, step: 500, optimizer: .restore)
        task.training.decay = [Decay(at: 5, by: 0.3)]
        let request = TrainingRequest(task: task, keepSteps: [500, 600])
        let coded = try JSONDecoder().decode(TrainingRequest.self, from: JSONEncoder().encode(request))
        #expect(coded == request)
        #expect(coded.task.key == task.key)
    }

    @Test("Steps and cost follow from the start and the stop")
    func steps() {
        var task = dense
        #expect((task.firstStep, task.lastStep, task.cost) == (0, 10_000, 10_000))
        task.start = .rewound(trajectory: dense.key, step: 500, optimizer: .restore)
        #expect((task.firstStep, task.lastStep, task.cost) == (500, 10_000, 9_500))
        task.start = .retrained(step: 500, rate: .last)
        #expect((task.firstStep, task.lastStep, task.cost) == (500, 10_000, 9_500))
        task.stopAfter = 700
        #expect((task.firstStep, task.lastStep, task.cost) == (500, 700, 200))
    }
}
