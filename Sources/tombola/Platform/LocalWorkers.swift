import CoordinatorService
import Glibc

/// The worker processes of `tombola run`: started, started again when they die, and ended together.
struct LocalWorkers {
    /// A worker that dies this often without a minute between is not started again.
    private static let deathsInARow = 5
    private static let patienceSeconds = 60.0

    private struct Place {
        var arguments: [String]
        var process: ChildProcess?
        var deaths = 0
        var lastDeath = -Double.infinity
    }

    private var places: [Place]
    private var isStopping = false

    /// - Parameter arguments: of each worker, one list each.
    init(_ arguments: [[String]]) throws(Failure) {
        places = []
        for list in arguments { places.append(Place(arguments: list, process: try ChildProcess(list))) }
    }

    /// What to poll for bytes.
    var descriptors: [Int32] { places.compactMap(\.process?.errorPipe).filter { $0 >= 0 } }

    var areGone: Bool { places.allSatisfy { $0.process == nil } }

    /// Whether each worker that runs is in session there, and there is one.
    func haveJoined(_ status: ServiceStatus) -> Bool {
        let joined = Set(status.workers.lazy.filter(\.isReachable).map(\.processID))
        let running = places.compactMap(\.process?.identifier)
        return !running.isEmpty && running.allSatisfy(joined.contains)
    }

    /// Hands on what workers wrote to standard error, and starts dead ones again. Throws if one cannot be kept alive.
    mutating func tend(at seconds: Double, say: (String) -> Void) throws(Failure) {
        for index in places.indices {
            guard var process = places[index].process else { continue }
            for line in process.poll() { say(line) }
            places[index].process = process
            guard let status = process.exitStatus else { continue }
            process.closePipe()
            places[index].process = nil
            if isStopping || status == ExitStatus.ok.code { continue }
            if status == ExitStatus.usage.code {
                throw Failure(.infrastructure, "worker \(index + 1) cannot start; its message is above")
            }
            if seconds - places[index].lastDeath > LocalWorkers.patienceSeconds { places[index].deaths = 0 }
            places[index].deaths += 1
            places[index].lastDeath = seconds
            guard places[index].deaths < LocalWorkers.deathsInARow else {
                throw Failure(
                    .infrastructure,
                    "worker \(index + 1) died \(places[index].deaths) times in a row, last with status \(status)")
            }
            say("worker \(index + 1) ended with status \(status) and is started again")
            places[index].process = try ChildProcess(places[index].arguments)
        }
    }

    /// Asks all to end: they write checkpoints and say goodbye. From now on none is started again.
    mutating func stop() { signal(SIGTERM) }

    mutating func kill() { signal(SIGKILL) }

    private mutating func signal(_ number: Int32) {
        isStopping = true
        for place in places { place.process?.send(number) }
    }
}
