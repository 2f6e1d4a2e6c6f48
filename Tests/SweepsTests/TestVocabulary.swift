import Lottery
import Sweeps

/// A vocabulary of multilayer perceptrons on two data sets, for tests that train nothing.
let testVocabulary = Vocabulary(
    datasets: [
        DatasetShape(
            name: "glyphs", channels: 1, height: 28, width: 28, classes: 10, trainCount: 30_000, testCount: 10_000),
        DatasetShape(
            name: "mnist", channels: 1, height: 28, width: 28, classes: 10, trainCount: 60_000, testCount: 10_000),
    ],
    models: ["lenet-300-100", "mlp"], initialisations: ["glorot-normal", "kaiming-normal"],
    optimizers: ["sgd", "adam"],
    criteria: ["magnitude", "random"], branches: ["random-reinit", "random-mask"], numerics: [.f32: .f32Lanes16],
    layers: { (model, shape) throws(SettingError) in
        let hidden: [Int]
        if model.family == "mlp" {
            if let sizes = model.hidden {
                hidden = sizes
            } else {
                guard let depth = model.depth, let width = model.width else {
                    throw SettingError("an mlp needs depth and width, or hidden")
                }
                guard let units = Int(exactly: width) else { throw SettingError("\(width) is no number of units") }
                hidden = Array(repeating: units, count: depth)
            }
        } else {
            guard model.depth == nil, model.width == nil, model.hidden == nil else {
                throw SettingError("lenet-300-100 has its own layers")
            }
            hidden = [300, 100]
        }
        let sizes = [shape.channels * shape.height * shape.width] + hidden + [shape.classes]
        return zip(sizes, sizes.dropFirst()).enumerated().map { index, size in
            let isOutput = index == sizes.count - 2
            return LayerShape(
                name: isOutput ? "output" : "fc\(index + 1)", kind: isOutput ? .output : .fc, weights: size.0 * size.1,
                biases: size.1)
        }
    },
    semantics: { _, _ in [:] })

let glyphsDigest = Digest.of("glyphs".utf8)

func sweep(_ yaml: String, maximumRuns: Int = Sweep.runsWithoutConsent) throws -> Sweep {
    try Sweep(yaml: yaml, file: "sweeps/x.yaml", vocabulary: testVocabulary, maximumRuns: maximumRuns)
}

func plan(_ yaml: String, known: (TaskKey) -> KnownTask? = { _ in nil }) throws -> Plan {
    try Plan(
        sweep: sweep(yaml), vocabulary: testVocabulary, dataDigest: { Digest.of($0.utf8) }, known: known)
}

/// The error that a spec is refused with.
func refusal(_ yaml: String, maximumRuns: Int = Sweep.runsWithoutConsent) -> String {
    answer { _ = try sweep(yaml, maximumRuns: maximumRuns) }
}

/// The error that a spec is refused with that no store holds.
func refusalAsNew(_ yaml: String, vocabulary: Vocabulary = testVocabulary) -> String {
    answer {
        let sweep = try Sweep(yaml: yaml, file: "sweeps/x.yaml", vocabulary: vocabulary)
        try Plan(sweep: sweep, vocabulary: vocabulary, dataDigest: { Digest.of($0.utf8) }).checkAsNew()
    }
}

private func answer(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "accepted"
    } catch {
        return "\(error)"
    }
}
