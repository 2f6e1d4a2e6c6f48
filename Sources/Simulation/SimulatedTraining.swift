import Coordination
import Lottery

/// A training that computes nothing but a chain of numbers, one a step, so that a result shows whether every step was
/// trained once and from the right inputs.
struct SimulatedTraining: Sendable {
    let key: TaskKey
    /// The contents of its inputs.
    let given: String
    let steps: Int
    private(set) var step = 0
    private(set) var state: UInt64

    /// How many steps lie between two saves.
    static let savedEvery = 6

    init(_ key: TaskKey, inputs: [ResolvedInput], scale: Int) {
        self.key = key
        given = inputs.filter { $0.name != WorkInput.checkpoint }.sorted { $0.name < $1.name }
            .map { "\($0.name) \($0.digest.hex)" }.joined(separator: "\n")
        steps = (1 + Int(key.digest.bytes[0]) % 40) * scale
        state = SeededRandom.mixed(UInt64(key.digest.bytes[1]))
    }

    var isDone: Bool { step == steps }

    mutating func advance(to step: Int) {
        while self.step < min(step, steps) {
            self.step += 1
            state = SeededRandom.mixed(state &+ UInt64(self.step))
        }
    }

    /// A resume file.
    var saved: [UInt8] { Array("\(key.hex) \(step) \(state)".utf8) }

    /// Goes on from a resume file that is further, if it is this task's.
    mutating func goOn(from bytes: [UInt8]) {
        let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        guard words.count == 3, words[0] == key.hex, let step = Int(words[1]), let state = UInt64(words[2]),
            step > self.step
        else { return }
        (self.step, self.state) = (step, state)
    }
}
