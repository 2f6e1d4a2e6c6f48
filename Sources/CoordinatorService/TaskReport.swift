import Coordination
import Foundation
import Lottery
import Store
import Sweeps

/// All there is to say about one task: what `tombola explain` prints.
public struct TaskReport: Hashable, Sendable, Codable {
    public var task: TaskKey
    /// What the coordinator says of it, and why it is not done; nil only on its way to the coordinator.
    public var explanation: TaskExplanation?
    /// Where it belongs, in words, one place for each run that has it; at most `placesShown`.
    public var places: [String]
    /// How many more there are.
    public var furtherPlaces: Int
    /// The step that its training begins at; nil if no plan has it.
    public var firstStep: Int?
    /// In the order in which they began.
    public var attempts: [Attempt]
    /// Processor time of the training, once it is done.
    public var seconds: Double?
    /// Where its result is from; nil where a version of before trained it.
    public var origin: ResultOrigin?
    /// The step at which the training met an infinity or NaN.
    public var divergedAt: Int?
    /// Every later result that differs from the one that counts. Empty unless something is broken.
    public var contradictions: [Contradiction]

    public static let placesShown = 4

    /// Two results of one task that are not the same: a bug in tombola, or broken hardware.
    public struct Contradiction: Hashable, Sendable, Codable {
        /// Which brought the other result.
        public var worker: WorkerID
        public var kept: [TaskOutput]
        public var other: [TaskOutput]

        package init(_ record: NondeterminismRecord) {
            (worker, kept, other) = (record.worker, record.kept, record.other)
        }
    }

    public struct Attempt: Hashable, Sendable, Codable {
        public var number: Int
        public var worker: WorkerID
        /// Seconds since 1970.
        public var startedAt: Double?
        public var endedAt: Double?
        /// Nil while it is given out.
        public var ending: AttemptEnding?
        /// What is wrong with it, if something is.
        public var failure: FailureName?
        /// What its child reported or died of.
        public var reason: String?
        /// The end of what its child wrote to standard error.
        public var log: String?
    }

    /// What the store has of it.
    package init(_ key: TaskKey, in store: Store, plans: [Plan]) throws {
        task = key
        let places = plans.flatMap { $0.places(of: key) }
        firstStep = plans.lazy.compactMap { plan in plan.index(of: key).map { plan.tasks[$0].firstStep } }.first
        self.places = Array(places.prefix(TaskReport.placesShown))
        furtherPlaces = max(0, places.count - TaskReport.placesShown)
        attempts = try store.attempts(of: key).map {
            Attempt(
                number: $0.number, worker: $0.worker, startedAt: $0.startedAt, endedAt: $0.endedAt, ending: $0.ending,
                failure: $0.ending?.failure, reason: $0.reason, log: $0.log)
        }
        contradictions = try store.nondeterminism().filter { $0.task == key }.map(Contradiction.init)
        guard let result = try store.result(of: key) else { return }
        seconds = result.seconds
        origin = ResultOrigin(text: result.origin)
        // A benchmark's result has no summary, and one of another version is told by the leaderboard.
        divergedAt = LevelSummary.reading(result.summary)?.divergedAt
    }
}
