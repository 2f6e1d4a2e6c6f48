import Coordination

extension AttemptEnd {
    /// What happened, for the log.
    var sentence: String {
        switch self {
        case .childFailed(let reason, log: _): reason
        case .lost: "its worker fell silent or came back without it"
        case .stalled: "its step stood still for too long"
        case .revoked: "it is not needed any more"
        case .released: "its worker did not come back with it"
        case .preempted: "its worker ends and gave it back"
        }
    }
}
