import Lottery
import OrderedCollections

/// Which artifacts each worker has, as far as is known: it announced them, made them, or was given a task that reads
/// them. A worker may have deleted one since, which costs a transfer and nothing else.
///
/// At most `Limits.holdingsPerWorker` of each worker are remembered, the latest; of a worker without a session nothing
/// is.
struct Holdings: Sendable {
    private var digests: [WorkerID: OrderedSet<Digest>] = [:]
    private var workers: [Digest: Set<WorkerID>] = [:]
    /// Ready tasks whose inputs a worker has, by group.
    private var near: [WorkerID: [Int: RankedQueue<TaskKey, Coordinator.ReadyRank>]] = [:]
    private var places: [TaskKey: (group: Int, workers: [WorkerID])] = [:]

    mutating func note(_ noted: [Digest], of worker: WorkerID) {
        for digest in noted {
            digests[worker, default: []].append(digest)
            workers[digest, default: []].insert(worker)
        }
        guard let count = digests[worker]?.count, count > Limits.holdingsPerWorker else { return }
        // A quarter more than must be, so that it is rarely done.
        let surplus = count - Limits.holdingsPerWorker * 3 / 4
        for digest in digests[worker]!.prefix(surplus) { lose(digest, worker) }
        digests[worker]!.removeFirst(surplus)
    }

    mutating func forget(_ worker: WorkerID) {
        for digest in digests.removeValue(forKey: worker) ?? [] { lose(digest, worker) }
        near[worker] = nil
    }

    private mutating func lose(_ digest: Digest, _ worker: WorkerID) {
        workers[digest]?.remove(worker)
        if workers[digest]?.isEmpty == true { workers[digest] = nil }
    }

    /// Those that have some of these, the one with the most first; of equals the lowest id.
    func holders(of wanted: [Digest]) -> [WorkerID] {
        var counts: [WorkerID: Int] = [:]
        for digest in wanted { for worker in workers[digest] ?? [] { counts[worker, default: 0] += 1 } }
        return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
    }

    /// A ready task is near these workers.
    mutating func put(_ key: TaskKey, of group: Int, near holders: [WorkerID], rank: Coordinator.ReadyRank) {
        places[key] = (group, holders)
        for worker in holders { near[worker, default: [:]][group, default: RankedQueue()].set(key, rank: rank) }
    }

    mutating func takeOut(_ key: TaskKey) {
        guard let place = places.removeValue(forKey: key) else { return }
        for worker in place.workers {
            near[worker]?[place.group]?.remove(key)
            if near[worker]?[place.group]?.isEmpty == true { near[worker]![place.group] = nil }
        }
    }

    func isNear(_ key: TaskKey) -> Bool { places[key] != nil }
    func isNear(_ key: TaskKey, _ worker: WorkerID) -> Bool { places[key]?.workers.contains(worker) ?? false }

    /// The ready task of a group that goes first of those near a worker.
    mutating func first(near worker: WorkerID, of group: Int) -> TaskKey? { near[worker]?[group]?.first() }
}
