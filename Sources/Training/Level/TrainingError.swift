/// Why a task could not be trained. A training that diverged is a result and not among these.
public enum TrainingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The task itself cannot be trained, by any worker: the reason, with the remedy.
    case impossible(String)
    /// This build cannot train it, another can: an unknown component or another semantics version.
    case unsupported(String)
    /// An input is missing or is not what the task describes.
    case unreadable(String)
    /// A result could not be written: a full disk, say.
    case unwritable(String)

    /// Whether trying again, here or elsewhere, is pointless.
    public var isFinal: Bool {
        switch self {
        case .impossible: true
        case .unsupported, .unreadable, .unwritable: false
        }
    }

    public var description: String {
        switch self {
        case .impossible(let reason), .unsupported(let reason), .unreadable(let reason), .unwritable(let reason): reason
        }
    }
}
