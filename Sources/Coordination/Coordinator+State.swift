import Lottery
import OrderedCollections

extension Coordinator {
    /// There are millions, so what few have is apart, and what many share is in `TaskTable`.
    struct Task: Sendable {
        /// None or one: an array is a box that is a value.
        private var rare: [RareFacts] = []
        /// Nil while it is pending.
        var settled: Settled?
        private var payloadHead: UInt64 = 0
        @Narrow<UInt32> private var payloadBytes = 0
        /// Position in which it was added; of equal priorities the earlier goes first.
        @Narrow<Int32> var order: Int
        /// Index of the group of tasks that the same sweeps want and that need the same.
        @Narrow<Int32> var group = 0
        @Narrow<Int32> var attempts = 0
        @Narrow<Int32> var cost: Int
        @Narrow<Int32> var priority: Int
        /// Index of the form of its inputs.
        @Narrow<Int32> var form = 0
        /// Distinct parents that are not done.
        @Narrow<Int16> var missingParents: Int

        /// - Parameter missingParents: 1 until it is known what it waits for.
        init(_ work: Work, order: Int, group: Int, missingParents: Int = 1) {
            self.order = order
            self.group = group
            self.missingParents = missingParents
            cost = work.cost
            priority = work.priority
            payload = work.payload.mark
        }

        /// Of its payload, which only the store has.
        var payload: PayloadMark {
            get { PayloadMark(head: payloadHead, byteCount: payloadBytes) }
            set { (payloadHead, payloadBytes) = (newValue.head, newValue.byteCount) }
        }

        var running: Running? {
            get { rare.first?.running }
            set { note { $0.running = newValue } }
        }
        /// Results whose blobs are on their way.
        var claims: [Claim] {
            get { rare.first?.claims ?? [] }
            set { note { $0.claims = newValue } }
        }
        /// Who held it last, and may have its resume file.
        var lastHolder: WorkerID? {
            get { rare.first?.lastHolder }
            set { note { $0.lastHolder = newValue } }
        }
        /// Workers on which its child failed.
        var avoided: Set<WorkerID> {
            get { rare.first?.avoided ?? [] }
            set { note { $0.avoided = newValue } }
        }
        var childFailures: Int {
            get { rare.first?.childFailures ?? 0 }
            set { note { $0.childFailures = newValue } }
        }
        var losses: Int {
            get { rare.first?.losses ?? 0 }
            set { note { $0.losses = newValue } }
        }

        /// It is done: who has or had it is of no more interest.
        mutating func forgetHolders() {
            note {
                $0.running = nil
                $0.claims = []
                $0.lastHolder = nil
            }
        }

        private mutating func note(_ change: (inout RareFacts) -> Void) {
            if rare.isEmpty { rare.append(RareFacts()) }
            change(&rare[0])
            if rare[0].isEmpty { rare = [] }
        }

        var phase: Phase {
            switch settled {
            case .done: .done
            case .failed(let failure): .failed(failure.name)
            case nil:
                if running != nil {
                    .running
                } else if !claims.isEmpty {
                    .delivering
                } else {
                    missingParents > 0 ? .waiting : .ready
                }
            }
        }
    }

    /// What only tasks that were given out have.
    struct RareFacts: Sendable {
        var running: Running?
        var claims: [Claim] = []
        var lastHolder: WorkerID?
        var avoided: Set<WorkerID> = []
        var childFailures = 0
        var losses = 0

        var isEmpty: Bool {
            running == nil && claims.isEmpty && lastHolder == nil && avoided.isEmpty && childFailures == 0
                && losses == 0
        }
    }

    /// `waiting` → `ready` → `running` → `delivering` → `done`; `running` and `delivering` go back to `ready` when
    /// their attempt or claim is lost; any but `done` may become `failed`; `failed` becomes `waiting`, `ready`
    /// (revived) or `done` (a late result).
    enum Phase: Hashable, Sendable {
        case waiting, ready, running, delivering, done
        case failed(FailureName)

        var hasFailed: Bool { if case .failed = self { true } else { false } }
    }

    enum Settled: Sendable {
        case done(KeptResult)
        case failed(TaskFailure)
    }

    /// The attempt that is given out.
    struct Running: Sendable {
        var id: AttemptID
        var worker: WorkerID
        /// Number of the TASK in the session; 0 if this session did not send it.
        var sequence: UInt64
        var sentAt: Instant
        var startedAt: Instant
        var step: Int
        /// When the step last changed.
        var steppedAt: Instant
        /// Given out before the coordinator's start, and its worker has not come back yet.
        var isOrphan = false
        /// It had been given up and was taken back because its worker returned with it, so its payload may be an old
        /// one.
        var isReadopted = false
    }

    /// A complete result, which counts once its blobs are durable.
    struct Claim: Sendable {
        var id: AttemptID
        var worker: WorkerID
        var result: WorkResult
        var missing: OrderedSet<Digest>
        /// Where the result came from last: the ack goes there.
        var route: RouteID
        var heardAt: Instant
        /// Whether the store still has the attempt as running.
        var isOpen: Bool

        var reference: ClaimReference { ClaimReference(task: id.task, id: id, worker: worker) }
    }

    struct ClaimReference: Hashable, Sendable {
        var task: TaskKey
        var id: AttemptID
        var worker: WorkerID
    }

    struct ReplacedProcess: Sendable {
        var incarnation: UInt64
        /// Of the HELLO that came since: it may have been on its way when the process ended.
        var counter: UInt64?
    }

    struct Session: Sendable {
        var worker: WorkerID
        var incarnation: UInt64
        var counter: UInt64
        var slots: Int
        var host: String
        var processID: Int32
        var memoryBytes: Int?
        var numerics: [NumericsID] = []
        /// Nil when nobody was at the end of it; the worker has until the session's end to come back.
        var route: RouteID?
        var lastHeard: Instant
        /// Tasks whose running attempt it has.
        var assigned: Set<TaskKey> = []
        var lastSequence: UInt64 = 0
        /// Since its HELLO.
        var beats = 0
        /// Whether this process lives: a single beat may have been on its way when it ended.
        var isProvenAlive: Bool { beats >= 2 }
        /// Tasks whose children have failed here since the last result, of which there may be more than the few that
        /// are kept.
        var failedTasks: Set<TaskKey> = []
        /// Attempts that it gave back: a HELLO that crossed the ack on its way still announces them.
        var givenBack: Set<AttemptID> = []
        /// Attempts that were ended because their step stood still, and of which it has not been heard that they are
        /// gone.
        var stalled: Set<AttemptID> = []

        var free: Int { route == nil ? 0 : max(0, slots - assigned.count) }
        /// Whether it may get a task sooner or later.
        var isReachable: Bool { route != nil && slots > 0 }
    }

    struct ReadyRank: Comparable, Sendable {
        var priority: Int
        var order: Int

        init(of task: Task) {
            priority = task.priority
            order = task.order
        }

        static func < (left: ReadyRank, right: ReadyRank) -> Bool {
            (left.priority, right.order) < (right.priority, left.order)
        }
    }

    struct FreeRank: Comparable, Sendable {
        var free: Int
        var worker: WorkerID

        static func < (left: FreeRank, right: FreeRank) -> Bool {
            (left.free, right.worker) < (right.free, left.worker)
        }
    }
}
