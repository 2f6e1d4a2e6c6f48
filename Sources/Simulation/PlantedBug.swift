/// A bug put in on purpose, to show that the checkers find it.
public enum PlantedBug: String, CaseIterable, Sendable {
    /// The coordinator sends before its changes are committed.
    case sendsBeforeCommit = "sends-before-commit"
    /// A restarted coordinator counts attempts from the beginning.
    case forgetsAttempts = "forgets-attempts"
    /// A result counts before its artifacts are in the store.
    case countsBeforeBlobs = "counts-before-blobs"
    /// A restarted coordinator does not know that sweeps are paused.
    case forgetsPauses = "forgets-pauses"
    /// The store is not told that an attempt has ended.
    case losesEndings = "loses-endings"
    /// The coordinator's deadlines are never looked at.
    case neverWakes = "never-wakes"
    /// A worker deletes its outputs as soon as it has reported them.
    case deletesBeforeAck = "deletes-before-ack"
    /// Checkpoints that were sent up are not handed out.
    case forgetsCheckpoints = "forgets-checkpoints"
    /// The coordinator does not hear how much memory workers have.
    case ignoresMemory = "ignores-memory"
    /// Workers are not told what their tasks are.
    case sendsNoPayload = "sends-no-payload"
    /// A restarted coordinator does not know that it was to stop.
    case forgetsStop = "forgets-stop"
    /// A restarted coordinator does not know which workers are quarantined.
    case forgetsQuarantines = "forgets-quarantines"
    /// A worker whose key was revoked is not expelled.
    case keepsExpelled = "keeps-expelled"
    /// A restarted coordinator does not look at what the results that it has ask for.
    case forgetsGrowth = "forgets-growth"
    /// A restarted coordinator does not go on with a submission that it was amid.
    case forgetsSubmissions = "forgets-submissions"

    /// Where alone it can be told from bad luck; nil: anywhere.
    public var scenario: Scenario? {
        switch self {
        case .forgetsCheckpoints: .drainedWorker
        case .forgetsStop: .interruptedStop
        case .forgetsQuarantines: .quarantinedWorker
        case .forgetsGrowth: .growingSweep
        case .forgetsSubmissions: .interruptedSubmission
        case .sendsBeforeCommit, .forgetsAttempts, .countsBeforeBlobs, .forgetsPauses, .losesEndings, .neverWakes,
            .deletesBeforeAck, .ignoresMemory, .sendsNoPayload, .keepsExpelled:
            nil
        }
    }
}
