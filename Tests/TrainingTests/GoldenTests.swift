import Kernels
import Lottery
import Testing
import Training

/// Stores name results by keys that hold semantics versions. Where arithmetic changes without a new version, old
/// results pass for new ones; these bits fail then.
@Suite("Golden bits of whole trainings: a change needs a new semantics version of the component, or a new numerics id")
struct GoldenTests {
    private let bench: TrainingBench

    init() throws { bench = try TrainingBench() }

    /// Outputs in the order of their names, by the first digits of their digests.
    private func check(
        _ task: TrainingTask, keep: [Int] = [], engine: Engine = Engine(), _ golden: [String],
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        let outputs = try bench.train(task, keep: keep, engine: engine).outputs
        let found = outputs.keys.sorted().map { Digest.of(outputs[$0] ?? []).short }
        #expect(found == golden, sourceLocation: location)
    }

    /// Warmup, decay and weight decay are all at work.
    private func dense(_ optimizer: String, momentum: Double = 0) -> TrainingTask {
        bench.dense {
            $0.training.optimizer.name = optimizer
            $0.training.optimizer.momentum = momentum
            $0.training.optimizer.weightDecay = 1e-3
            $0.training.warmup = 7
            $0.training.decay = [Decay(at: 25, by: 0.3)]
        }
    }

    @Test("The data set of these tests")
    func dataset() {
        #expect(bench.dataset.digest.short == "92aeac72cac6")
    }

    @Test("Dense training: final weights and metrics by optimizer and initialisation")
    func optimizers() throws {
        try check(dense("adam"), ["464187b1bb3b", "16661e653224"])
        try check(dense("sgd"), ["311b7b6197ae", "e161d02b4d83"])
        var momentum = dense("sgd", momentum: 0.9)
        momentum.model.initialisation = "kaiming-normal"
        momentum.data.train = 200
        try check(momentum, ["d318c0db766e", "ccf860d3af1b"])
    }

    @Test("Dense training: Nesterov, AdamW, RMSprop")
    func furtherOptimizers() throws {
        var nesterov = dense("sgd", momentum: 0.9)
        nesterov.training.optimizer.nesterov = true
        try check(nesterov, ["afd5bdb7b185", "66a37d37c0c4"])
        try check(dense("adamw"), ["899e701e4a5e", "521bb07956ba"])
        try check(dense("rmsprop"), ["de88e0046a3a", "b9a34b4d84b0"])
        try check(dense("rmsprop", momentum: 0.9), ["4715e6984904", "1452be70b380"])
    }

    @Test("Dense training: every initialisation")
    func initialisations() throws {
        for (name, golden) in [
            ("glorot-uniform", ["52cbe21f5c2b", "e888cbae7766"]), ("kaiming-normal", ["c155692e5a88", "c5ad326e4340"]),
            ("kaiming-uniform", ["c6c75c044d75", "c08b9640bed7"]), ("orthogonal", ["8eca7fc87009", "e772b1f908bb"]),
        ] as [(String, [String])] {
            var task = dense("sgd")
            task.model.initialisation = name
            try check(task, golden)
        }
    }

    @Test("Dense training: cosine and linear schedules")
    func schedules() throws {
        for (schedule, golden) in [
            (.cosine, ["aad291284277", "448c43d12d13"]), (.linear, ["97a5c6873766", "91a17ae17ce1"]),
        ] as [(LearningRateSchedule, [String])] {
            var task = dense("sgd", momentum: 0.9)
            task.training.decay = []
            task.training.schedule = schedule
            try check(task, golden)
        }
    }

    private func convolutional(_ family: String, _ shortcut: ShortcutKind) -> TrainingTask {
        var task = dense("sgd", momentum: 0.9)
        task.model = ModelSettings()
        task.model.family = family
        task.model.width = 0.25
        task.model.depth = family == "resnet" ? 8 : nil
        task.model.shortcut = shortcut
        return task
    }

    @Test("Convolutional networks, dense and pruned: plain, with batch-norm and either shortcut")
    func convolutional() throws {
        for (family, shortcut, golden) in [
            ("conv-2", .projection, ["0f19ac63c10a", "89842b384518", "7fcb1ba886c6", "7eaf3ebb677e"]),
            ("resnet", .projection, ["a9ec32abf57e", "4751425292a1", "6be2d24c2efc", "a945ef0ce3f2"]),
            ("resnet", .padding, ["8c75d2921a6c", "2893e3c87e9f", "5b95b0c8e09b", "9ebe20a93f31"]),
        ] as [(String, ShortcutKind, [String])] {
            let task = convolutional(family, shortcut)
            try check(task, Array(golden[..<2]))
            try check(bench.pruned(task, parent: task, rate: "0.8") { $0.scope = .global }, Array(golden[2...]))
        }
    }

    @Test("Masks by derivatives and flows, of a network with batch-norm")
    func criteria() throws {
        let dense = convolutional("resnet", .projection)
        for (criterion, golden) in [
            (.snip, ["85580419004c", "5ca3334fd7d5"]), (.grasp, ["5ff96ba9edfa", "8b000d7acec5"]),
            (.synflow, ["5b8ba44ff9f0", "96c8b1721891"]),
        ] as [(Criterion, [String])] {
            let task = bench.pruned(dense, parent: dense, rate: "0.8") {
                ($0.criterion, $0.scope, $0.at, $0.rounds) = (criterion.name, .global, 0, criterion.traits.rounds)
                $0.examples = criterion.traits.readsExamples ? 5 : nil
            }
            try check(task, golden)
        }
    }

    @Test("VGG on larger images, label smoothing and clipping")
    func further() throws {
        var vgg = convolutional("vgg", .projection)
        vgg.model.depth = 11
        vgg.model.width = 0.1
        vgg.training.iterations = 10
        vgg.training.decay = []
        let glyphs = try TrainingBench(colouredGlyphs: 100)
        vgg.dataset = glyphs.dataset.digest
        vgg.data.resize = 16
        let found = try glyphs.train(vgg).outputs
        #expect(found.keys.sorted().map { Digest.of(found[$0] ?? []).short } == ["84c5ef5b9595", "93c84a992b37"])
        var smooth = dense("adam")
        smooth.training.labelSmoothing = 0.1
        try check(smooth, ["637ec9b4f8b2", "6fc718b3881e"])
        var clipped = dense("sgd", momentum: 0.9)
        clipped.training.clip = 0.2
        clipped.semantics = ["clip": 2]
        try check(clipped, ["4dc55b59aede", "0a1e9cc8e253"])
        clipped.model = convolutional("conv-2", .projection).model
        try check(clipped, ["f10c29a0564b", "28ea1111c5cb"])
    }

    @Test("The same in bf16, by the backend that runs on every machine")
    func bf16() throws {
        let engine = Engine(instructionSet: .portable, tiles: .portable)
        var tasks = [convolutional("conv-2", .projection), convolutional("resnet", .padding)]
        for index in tasks.indices {
            tasks[index].training.precision = .bf16
            // Emulated tiles take their time.
            tasks[index].training.iterations = 10
            tasks[index].training.decay = [Decay(at: 8, by: 0.3)]
            tasks[index].numerics = .bf16Tiles16
        }
        try check(tasks[0], engine: engine, ["aac1076bafe6", "8f8b21a27099"])
        try check(tasks[1], engine: engine, ["b5556d27c993", "eb1cddcf9915"])
        let ticket = bench.pruned(tasks[1], parent: tasks[1], rate: "0.8") { $0.scope = .global }
        try check(ticket, engine: engine, ["bac8b55935e7", "115fa022e0ef"])
    }

    @Test("Sparse training: pruned by layer and globally, by magnitude and at random, rewound, and the controls")
    func tickets() throws {
        let dense = dense("adam")
        try check(dense, keep: [12], ["464187b1bb3b", "16661e653224", "5878df26dfc5"])
        var ticket = bench.pruned(dense, parent: dense, rate: "0.6")
        try check(ticket, ["2fdfb3bb1829", "a336dda27f6f"])
        ticket.start = .rewound(trajectory: dense.key, step: 12, optimizer: .restore)
        try check(ticket, ["0d8432ce0893", "171ee20d1796"])
        ticket.start = .rewound(trajectory: dense.key, step: 12, optimizer: .fresh)
        try check(ticket, ["a68e33eba1ab", "80736c93f2fe"])
        let global = bench.pruned(dense, parent: dense, rate: "0.6") {
            $0.scope = .global
            $0.repetitions = 2
        }
        try check(global, ["50ae76f93224", "fb8cfd665707"])
        let random = bench.pruned(dense, parent: dense, level: 3, rate: "0.6") { $0.criterion = "random" }
        try check(random, ["7142f71bbe11", "51db95072ade"])
        let mask = bench.pruned(dense, parent: dense, level: 2, rate: "0.6") { $0.control = .randomPerLayer }
        try check(mask, ["cf47400010cb", "bc027187f046"])
        var reinit = bench.pruned(dense, parent: dense, rate: "0.6")
        reinit.start = .reinitialised(level: 1, draw: 0)
        try check(reinit, ["d78e11c5238b", "99b366967a31"])
        reinit.pruning?.initialisationScale = .density
        try check(reinit, ["635796a612be", "f3ac4c18467a"])
    }
}
