import Coordination
import Keys
import Store
import Sweeps

/// Why a coordinator cannot start or go on: one sentence each, with the remedy.
public enum CoordinatorServiceError: Error, Hashable, Sendable, CustomStringConvertible {
    case badAddress(String, reason: String)
    /// Other machines could reach it, and there are no keys.
    case unprotected(String)
    case keys(KeyError)
    /// `isDerived`: the port was not named but follows from that of the control socket.
    case portInUse(String, isDerived: Bool)
    /// Blobs were to come in at the address of the control socket.
    case sameAddress(String)
    case socket(String)
    case store(StoreError)
    /// The store's disk failed while a blob came in.
    case blobs(String)
    /// All tasks of a sweep are done, and what their results ask for cannot be planned.
    case growth(sweep: String, reason: String)

    public var description: String {
        switch self {
        case .badAddress(let address, let reason):
            "“\(address)” is no address to listen at (\(reason)); write it as tcp://127.0.0.1:5570, or tcp://127.0.0.1:* for any free port"
        case .unprotected(let address):
            "\(address) can be reached from other machines, and there are no keys to tell whom to let in: make "
                + "some with `tombola keys generate NAME --role worker`, bind to 127.0.0.1, or say --insecure where "
                + "every machine that can reach it is trusted"
        case .keys(let error): error.description
        case .portInUse(let address, isDerived: false):
            "the port of \(address) is in use by another program: choose another, or tcp://127.0.0.1:* for any free one"
        case .portInUse(let address, isDerived: true):
            "the port of \(address), which is to carry blobs because it follows the control port, is in use by another program: "
                + "choose another control port or name a port for blobs"
        case .sameAddress(let address):
            "--blob-bind \(address) takes the port of --bind: give blobs a port of their own, or leave --blob-bind out for the next one"
        case .socket(let reason): "the coordinator's socket failed: \(reason)"
        case .store(let error): error.description
        case .blobs(let reason): reason
        case .growth(let sweep, let reason):
            "all tasks of the sweep “\(sweep)” are done, and what their results ask for could not be planned in "
                + "\(GrowthWishes.triesBeforeTheEnd) tries; mend what follows and give the same command, which goes on from here: \(reason)"
        }
    }
}

/// Why a sweep was not taken on; nothing of it was stored.
public enum SubmissionError: Error, Sendable, CustomStringConvertible {
    case spec(SpecError)
    case tooManyTasks(PlanLimitError)
    /// The store has a sweep of this name with another spec.
    case changedSpec(name: String)
    /// There is none to extend.
    case noSuchSweep(name: String)
    case tooManySweeps
    /// A data set is missing or damaged; the sentence is the data catalog's.
    case data(name: String, String)
    case store(StoreError)
    /// The coordinator ended before it could answer.
    case stopped
    /// More than a task may have; ours to fix, or a spec beyond all bounds.
    case failed(String)

    public var description: String {
        switch self {
        case .spec(let error): error.description
        case .tooManyTasks(let error): error.description
        case .changedSpec(let name):
            "the sweep “\(name)” is in this store with another spec, and what was begun is not changed: `tombola extend` computes what "
                + "the changed spec has new, or give it a new name"
        case .noSuchSweep(let name):
            "there is no sweep “\(name)” in this store that could be extended; `tombola submit` or `tombola run` begins it"
        case .tooManySweeps:
            "the store has its \(Limits.sweeps) sweeps already: name another folder with --store"
        case .data(_, let sentence): sentence
        case .store(let error): error.description
        case .stopped: "the coordinator ended before it took the sweep on: start it and submit again"
        case .failed(let sentence): sentence
        }
    }

    /// 2 where the user's spec is at fault, 1 where the machine is.
    public var exitStatus: Int {
        switch self {
        case .spec, .tooManyTasks, .changedSpec, .noSuchSweep, .tooManySweeps: 2
        case .data, .store, .stopped, .failed: 1
        }
    }
}
