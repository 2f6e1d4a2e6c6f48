import Coordination
import Lottery

/// What happened, a line each, for a person who replays a seed.
struct Trace: Sendable {
    let isKept: Bool
    private(set) var lines: [String] = []
    var steps = 0

    init(isKept: Bool) { self.isKept = isKept }

    mutating func note(_ now: Int64, _ text: @autoclosure () -> String) {
        guard isKept else { return }
        let milliseconds = String(now % 1000)
        let zeros = String(repeating: "0", count: 3 - milliseconds.count)
        lines.append("\(now / 1000).\(zeros)\(milliseconds)  \(text())")
    }

    static func text(of change: Change) -> String {
        switch change {
        case .taskAdded(let work): "task \(work.key) added"
        case .taskRequested(let work): "task \(work.key) asked for again"
        case .attemptStarted(let id, let worker): "\(text(of: id)) begins on \(worker)"
        case .attemptEnded(let id, let end): "\(text(of: id)) ends: \(end)"
        case .attemptLogged(let id, _): "\(text(of: id)) has its log"
        case .checkpointKept(let key, let checkpoint): "task \(key) has a checkpoint of step \(checkpoint.step)"
        case .taskDone(let key, _, _): "task \(key) done"
        case .taskFailed(let key, let failure): "task \(key) is \(failure.name): \(failure.reason)"
        case .taskRevived(let key): "task \(key) is tried anew"
        case .outputRetired(let retirement): "\(retirement.name) of task \(retirement.task) is gone"
        case .taskReopened(let work): "task \(work.key) is done again"
        case .sweepChanged(let sweep):
            "sweep \(sweep.id) has priority \(sweep.priority)" + (sweep.isPaused ? ", is paused" : "")
                + (sweep.isCancelled ? ", is cancelled" : "")
        case .sweepWants(let sweep, let keys): "sweep \(sweep) wants \(keys.count) tasks more"
        case .sweepDrops(let sweep, let keys): "sweep \(sweep) wants \(keys.count) tasks no more"
        case .workerQuarantined(let worker, let quarantine):
            quarantine.map { "\(worker) is quarantined, the \($0.count). time, for \($0.milliseconds) ms" }
                ?? "\(worker) is not quarantined any more"
        case .drainChanged(let drain):
            drain.map { "nothing more is to be given out\($0.isAtOnce ? ", at once" : "")" } ?? "the stop is over"
        case .nondeterminism(let key, _, _, let worker): "\(worker) computed something else for task \(key)"
        }
    }

    static func text(of message: CoordinatorMessage) -> String {
        switch message {
        case .welcome: "WELCOME"
        case .sayHello: "SAY_HELLO"
        case .task(let assignment): "TASK \(assignment.sequence), \(text(of: assignment.id))"
        case .beatAck(let ack):
            ack.revoked.isEmpty
                ? "BEAT_ACK" : "BEAT_ACK, revoked: \(ack.revoked.map(text(of:)).joined(separator: ", "))"
        case .resultAck(let ack): "RESULT_ACK \(ack.verdict.rawValue), \(text(of: ack.id))"
        case .checkpointAck(let ack): "CHECKPOINT_ACK\(ack.endsAttempt ? ", given back" : ""), \(text(of: ack.id))"
        case .refused(let reason): "REFUSED: \(reason)"
        case .drain: "DRAIN"
        case .shutdown: "SHUTDOWN"
        }
    }

    static func text(of message: WorkerMessage) -> String {
        switch message {
        case .hello(let hello):
            "HELLO \(hello.counter), runs \(hello.running.count), has finished \(hello.finished.count)"
        case .beat(let beat): "BEAT, holds \(beat.holding.count), has read TASK \(beat.lastSequence)"
        case .result(let report): "RESULT, \(text(of: report.id))"
        case .failure(let report): "FAILURE, \(text(of: report.id)): \(report.reason)"
        case .checkpoint(let report):
            "CHECKPOINT \(report.checkpoint.map { "of step \($0.step)" } ?? "none")"
                + "\(report.endsAttempt ? ", given back" : ""), \(text(of: report.id))"
        case .goodbye: "GOODBYE"
        }
    }

    private static func text(of id: AttemptID) -> String { "attempt \(id.attempt) of \(id.task)" }
}
