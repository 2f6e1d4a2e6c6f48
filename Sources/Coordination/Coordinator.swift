import Collections
import Lottery

/// Who does what, as a value: no clock, no socket, no file. The shell hands it events and carries out the outcomes.
public struct Coordinator: Sendable {
    public let store: StoreID
    public let generation: Generation
    public let settings: CoordinatorSettings

    public init(restoring snapshot: Snapshot, generation: Generation, settings: CoordinatorSettings, at now: Instant) {
        self.store = snapshot.store
        self.generation = generation
        self.settings = settings
    }

    public mutating func handle(_ event: Event, at now: Instant) -> Outcome { Outcome() }
    public var status: CoordinatorStatus {
        CoordinatorStatus(counts: CoordinatorStatus.Counts(), workers: [], running: [], incidents: CoordinatorStatus.Incidents())
    }
    public func checkInvariants() {}
}
