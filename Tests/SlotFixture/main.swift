import Coordination
import Foundation
import Glibc
import Logging
import Lottery
import WorkerService

// A slot's child for tests; as `SlotFixture worker ENDPOINT DIRECTORY SLOTS`, a worker whose slots are such children.
//
// A training request is answered with made-up results. Any other payload is a list of words, done in order:
//
//   steps N MS         report N steps, MS milliseconds apart; the resume file holds the step, so a later try goes on
//   wait FILE          report steps until the file is there
//   output NAME N B    leave N bytes of value B under NAME
//   copy INPUT NAME    leave the content of an input under NAME
//   saves N            from now on, write the resume file at every multiple of N steps
//   note FILE          append a line to a file: the process id and the step that it begins at
//   die                end by a signal, as an out-of-memory kill does
//   die-unless FILE    the same, but only while the file is not there, which is made then
//   hang-unless FILE   stand still for ever, but only while the file is not there, which is made then
//   fail TEXT          report a failure; reject TEXT: a final one
//   unable TEXT        say that nothing can be done here
//   print TEXT         write to standard output, as a careless library might; complain TEXT: to standard error

struct Step: Error {
    var answer: SlotChild.Answer
}

/// Longer than any test; a child whose test has died must not wait for ever.
let patienceSeconds = 60.0

func perform(_ task: SlotTask, of child: SlotChild, _ report: (Int) -> Bool) throws -> SlotChild.Answer {
    if task.payload.first == UInt8(ascii: "{") { return try pretend(task, report) }
    var words = String(decoding: task.payload, as: UTF8.self).split(separator: " ").map(String.init)
    var outputs: [SlotResult.Output] = []
    func take() -> String { words.removeFirst() }
    func leave(_ data: Data, as name: String) throws {
        let path = "\(task.outputDirectory)/\(name)"
        try data.write(to: URL(filePath: path))
        outputs.append(SlotResult.Output(name: OutputName(name), path: path))
    }
    func begun() -> Int {
        // Absent unless an earlier try came so far, here or elsewhere.
        [task.resumeFile, task.inputs[TrainingRequest.Input.checkpoint]].compactMap { $0 }
            .compactMap { (try? String(contentsOfFile: $0, encoding: .utf8)).flatMap(Int.init) }.max() ?? 0
    }
    var savedEvery = Int.max
    func save(_ step: Int) throws {
        try Data(String(step).utf8).write(to: URL(filePath: task.resumeFile), options: .atomic)
        child.saved(step: step)
    }
    func advance(to step: Int, _ milliseconds: UInt32) throws {
        guard report(step) else {
            try save(step)
            throw Step(answer: .stopped)
        }
        if step.isMultiple(of: savedEvery) { try save(step) }
        usleep(milliseconds * 1_000)  // Stands for the time a step of training takes; no test waits by it.
    }
    while !words.isEmpty {
        switch take() {
        case "steps":
            let count = Int(take())!
            let milliseconds = UInt32(take())!
            for step in (begun()..<max(count, begun())) { try advance(to: step + 1, milliseconds) }
        case "wait":
            let file = take()
            var step = begun()
            let start = Date()
            while access(file, F_OK) != 0 && -start.timeIntervalSinceNow < patienceSeconds {
                step += 1
                try advance(to: step, 5)
            }
        case "saves": savedEvery = Int(take())!
        case "output":
            let name = take()
            let count = Int(take())!
            try leave(Data(repeating: UInt8(take())!, count: count), as: name)
        case "copy":
            let input = take()
            try leave(try Data(contentsOf: URL(filePath: task.inputs[input]!)), as: take())
        case "note":
            let line = "\(getpid()) \(begun())\n"
            let file = open(take(), O_WRONLY | O_APPEND | O_CREAT, 0o644)
            write(file, line, line.utf8.count)
            close(file)
        case "die": kill(getpid(), SIGKILL)
        case "die-unless":
            let file = take()
            if access(file, F_OK) != 0 {
                close(open(file, O_WRONLY | O_CREAT, 0o644))
                kill(getpid(), SIGKILL)
            }
        case "fail": return .failed(reason: take(), isFinal: false)
        case "unable": return .unable(reason: take())
        case "reject": return .failed(reason: take(), isFinal: true)
        case "hang-unless":
            let file = take()
            guard access(file, F_OK) != 0 else { continue }
            close(open(file, O_WRONLY | O_CREAT, 0o644))
            let start = Date()
            // Says nothing more and hears nothing, as a kernel that never returns; no test waits by it.
            while -start.timeIntervalSinceNow < patienceSeconds { usleep(10_000) }
        case "complain": FileHandle.standardError.write(Data("\(take())\n".utf8))
        case "print":
            print(take())
            fflush(nil)
        case let word: return .failed(reason: "the fixture does not know “\(word)”", isFinal: true)
        }
    }
    return .finished(SlotResult(summary: Data("done".utf8), outputs: outputs, seconds: 0))
}

/// The results of a training that never was: accuracy falls with each level.
func pretend(_ task: SlotTask, _ report: (Int) -> Bool) throws -> SlotChild.Answer {
    let request = try JSONDecoder().decode(TrainingRequest.self, from: task.payload)
    for step in request.task.firstStep...request.task.lastStep where !report(step) { return .stopped }
    let level = request.task.pruning?.level ?? 0
    let evaluation = Evaluation(
        step: request.task.lastStep, validationLoss: 0.1, validationCorrect: 900 - level, validationCount: 1_000,
        testLoss: 0.1,
        testCorrect: 900 - level, testCount: 1_000)
    let summary = LevelSummary(
        layers: [LayerCount(name: "fc1.weight", kind: .fc, weights: 1_600, surviving: 1_600 >> level)], otherWeights: 0,
        final: evaluation, earlyStop: evaluation, divergedAt: nil)
    let names = [OutputName.final, .metrics] + request.keepSteps.map(OutputName.step)
    let outputs = try names.map { name in
        let path = "\(task.outputDirectory)/\(name)"
        let content =
            name.checkpointStep == nil
            ? Array("\(name) of \(request.task.key)".utf8) : checkpoint(name, of: request.task)
        try Data(content).write(to: URL(filePath: path))
        return SlotResult.Output(name: name, path: path)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return .finished(SlotResult(summary: try encoder.encode(summary), outputs: outputs, seconds: 0))
}

/// Weights and optimizer state at a step. Those of a replay are the same as those of the training that it repeats.
func checkpoint(_ name: OutputName, of task: TrainingTask) -> [UInt8] {
    var repeated = task
    repeated.stopAfter = nil
    let values: [Float] = [0.5, 1, 2, 4]
    return Safetensors.encode(
        [Safetensors.Tensor(name: "w", values), Safetensors.Tensor(name: "optimizer.w", values)],
        metadata: ["key": repeated.key.hex, "name": name.text])
}

func work(_ arguments: [String]) throws {
    var logger = Logger(label: "worker", factory: { StreamLogHandler.standardError(label: $0) })
    logger.logLevel = .warning
    var configuration = WorkerServiceConfiguration(
        endpoint: arguments[0], directory: arguments[1], name: "fixture", slots: Int(arguments[2])!,
        slotCommand: [CommandLine.arguments[0]], logger: logger)
    configuration.settings = .quick
    configuration.settings.idleExitMilliseconds = Int64(patienceSeconds * 1_000)
    configuration.settings.checkpointMilliseconds = 0
    _ = try WorkerService(configuration).run()
}

extension WorkerSettings {
    static var quick: WorkerSettings {
        var settings = WorkerSettings()
        settings.beatMilliseconds = 100
        settings.helloMilliseconds = 500
        settings.backoffMilliseconds = 50
        settings.backoffCapMilliseconds = 200
        settings.resendMilliseconds = 500
        return settings
    }
}

if CommandLine.arguments.dropFirst().first == "worker" {
    try work(Array(CommandLine.arguments.dropFirst(2)))
    exit(0)
}

let child = SlotChild()
child.serve { task, report in
    do { return try perform(task, of: child, report) } catch let step as Step { return step.answer } catch {
        return .failed(reason: String(describing: error), isFinal: false)
    }
}
