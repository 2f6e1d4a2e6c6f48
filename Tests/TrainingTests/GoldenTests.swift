import Lottery
import Testing
import Training

/// Stores name results by keys that hold semantics versions. Where arithmetic changes without a new version, old results pass
/// for new ones; these bits fail then.
@Suite("Golden bits of whole trainings: a change needs a new semantics version of the component, or a new numerics id")
struct GoldenTests {
    private let bench: TrainingBench

    init() throws { bench = try TrainingBench() }

    /// Outputs in the order of their names, by the first digits of their digests.
    private func check(
        _ task: TrainingTask, keep: [Int] = [], _ golden: [String], _ location: SourceLocation = #_sourceLocation
    ) throws {
        let outputs = try bench.train(task, keep: keep).outputs
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
        try check(dense("adam"), ["93f460012359", "16661e653224"])
        try check(dense("sgd"), ["e16712e3451a", "e161d02b4d83"])
        var momentum = dense("sgd", momentum: 0.9)
        momentum.model.initialisation = "kaiming-normal"
        momentum.data.train = 200
        try check(momentum, ["e5d786e9db1c", "ccf860d3af1b"])
    }

    @Test("Dense training: Nesterov, AdamW, RMSprop")
    func furtherOptimizers() throws {
        var nesterov = dense("sgd", momentum: 0.9)
        nesterov.training.optimizer.nesterov = true
        try check(nesterov, ["a6d4e156d52d", "66a37d37c0c4"])
        try check(dense("adamw"), ["b09c64082411", "521bb07956ba"])
        try check(dense("rmsprop"), ["d67fbbaa2583", "b9a34b4d84b0"])
        try check(dense("rmsprop", momentum: 0.9), ["020ad35ccca4", "1452be70b380"])
    }

    @Test("Dense training: every initialisation")
    func initialisations() throws {
        for (name, golden) in [
            ("glorot-uniform", ["1caa2f5cf6cd", "e888cbae7766"]), ("kaiming-normal", ["597726ab76fb", "c5ad326e4340"]),
            ("kaiming-uniform", ["73599467eade", "c08b9640bed7"]), ("orthogonal", ["f711cd6b558f", "e772b1f908bb"]),
        ] as [(String, [String])] {
            var task = dense("sgd")
            task.model.initialisation = name
            try check(task, golden)
        }
    }

    @Test("Dense training: cosine and linear schedules")
    func schedules() throws {
        for (schedule, golden) in [
            (.cosine, ["09d1579f8af0", "448c43d12d13"]), (.linear, ["065f54984a81", "91a17ae17ce1"]),
        ] as [(LearningRateSchedule, [String])] {
            var task = dense("sgd", momentum: 0.9)
            task.training.decay = []
            task.training.schedule = schedule
            try check(task, golden)
        }
    }

    @Test("Sparse training: pruned by layer and globally, by magnitude and at random, rewound, and the controls")
    func tickets() throws {
        let dense = dense("adam")
        try check(dense, keep: [12], ["93f460012359", "16661e653224", "5878df26dfc5"])
        var ticket = bench.pruned(dense, parent: dense, rate: "0.6")
        try check(ticket, ["e27e7df81287", "a336dda27f6f"])
        ticket.start = .rewound(trajectory: dense.key, step: 12, optimizer: .restore)
        try check(ticket, ["5c99b3f6545d", "171ee20d1796"])
        ticket.start = .rewound(trajectory: dense.key, step: 12, optimizer: .fresh)
        try check(ticket, ["5ae94cbcef5f", "80736c93f2fe"])
        let global = bench.pruned(dense, parent: dense, rate: "0.6") {
            $0.scope = .global
            $0.repetitions = 2
        }
        try check(global, ["a443ab57a206", "fb8cfd665707"])
        let random = bench.pruned(dense, parent: dense, level: 3, rate: "0.6") { $0.criterion = "random" }
        try check(random, ["4b80921e2842", "51db95072ade"])
        let mask = bench.pruned(dense, parent: dense, level: 2, rate: "0.6") { $0.control = .randomPerLayer }
        try check(mask, ["ed01336e187c", "bc027187f046"])
        var reinit = bench.pruned(dense, parent: dense, rate: "0.6")
        reinit.start = .reinitialised(level: 1, draw: 0)
        try check(reinit, ["84ecd29a4ac0", "99b366967a31"])
        reinit.pruning?.initialisationScale = .density
        try check(reinit, ["97e8da328bd1", "f3ac4c18467a"])
    }
}
