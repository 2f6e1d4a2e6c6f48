import Lottery
import OrderedCollections

extension Coordinator {
    struct Task: Sendable {
        var work: Work
        /// Position in which it was added; of equal priorities the earlier goes first.
        var order: Int
        /// Nil while it is pending.
        var settled: Settled?
        var attempts = 0
        var childFailures = 0
        var losses = 0
        /// Index of the group of tasks that the same sweeps want.
        var group = 0
        /// Distinct parents that are not done.
        var missingParents: Int
        /// Tasks that have this one as a parent.
        var dependents: OrderedSet<TaskKey> = []
        var running: Running?
        /// Results whose blobs are on their way.
        var claims: [Claim] = []
        /// Who held it last, and may have its resume file.
        var lastHolder: WorkerID?
        /// Workers on which its child failed.
        var avoided: Set<WorkerID> = []

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

        /// Keys of the tasks whose outputs it reads, each once.
        var parents: OrderedSet<TaskKey> {
            OrderedSet(work.inputs.compactMap { if case .output(let parent, _) = $0.source { parent } else { nil } })
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
        case done(WorkResult, by: AttemptID?)
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
        /// A beat after its HELLO proved that this process lives.
        var hasBeaten = false
        /// Tasks whose children have failed here since the last result, of which there may be more than the few that are
        /// kept, and rests they have led to.
        var failedTasks: Set<TaskKey> = []
        var rests = 0

        var free: Int { route == nil ? 0 : max(0, slots - assigned.count) }
        /// Whether it may get a task sooner or later.
        var isReachable: Bool { route != nil && slots > 0 }
    }

    struct ReadyRank: Comparable, Sendable {
        var priority: Int
        var order: Int

        init(of task: Task) {
            priority = task.work.priority
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
