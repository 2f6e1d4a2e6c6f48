import Coordination
import Lottery
import Wire

/// SplitMix64: a seed's whole course repeats.
struct SeededRandom {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
    mutating func chance(_ probability: Double) -> Bool { uniform() < probability }
}

struct WalkFailure: Error { var text: String }

/// A coordinator, its store and a few workers on a network that loses, delays and reorders, with crashes of either
/// side; then a time without faults in which everything must come to its end. Every message goes through Wire.
struct Walk {
    private enum Happening {
        case toCoordinator(RouteID, [[UInt8]])
        case unreachable(RouteID, life: Int)
        case toWorker(Int, socket: Int, [[UInt8]])
        case coordinatorWake
        case workerWake(Int)
        case child(Int, start: Int, ChildEvent)
        case inputReady(Int, process: UInt64, Digest)
        case pulled(BlobPull, life: Int)
        case crashCoordinator
        case crashWorker(Int)
    }
    private enum ChildEvent { case progress(Int), finished, died, stopped }

    /// A worker process and what its shell would keep.
    private struct Host {
        var worker: Worker
        var process: UInt64
        var socket = 0
        var children: [Int: (assignment: Assignment, start: Int)] = [:]
        var blobs: Set<Digest> = []
        var wakeUpAt: Instant?
    }

    private let seed: UInt64
    private var random: SeededRandom
    private var now = Instant(milliseconds: 0)
    /// In order of scheduling; of equal times the earlier scheduled comes first.
    private var queue: [(at: Instant, happening: Happening)] = []
    private var starts = 0
    private var disk = MemoryStore()
    private var durableBlobs: Set<Digest> = []
    private var settings = CoordinatorSettings()
    private var coordinator: Coordinator
    private var wakeUpAt: Instant?
    private var life = 1
    private var hosts: [Host] = []
    private let works: [Work]
    private let healsAt = Instant(milliseconds: 240_000)
    private let endsAt = Instant(milliseconds: 3_600_000)
    private(set) var events = 0

    private var isFaulty: Bool { now < healsAt }

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededRandom(seed: seed)
        settings.stallMilliseconds = 60_000
        settings.childFailureLimit = .max
        settings.lossLimit = .max
        works = (0..<12).map { number in
            let parents = number == 0 ? [] : (0..<random.below(3)).map { _ in random.below(number) }
            return work(number, needs: Array(Set(parents)).sorted(), priority: random.below(4))
        }
        coordinator = Coordinator(
            restoring: disk.snapshot, generation: Generation(nonce: 1), settings: settings, at: now)
        for index in 0..<3 {
            let process = UInt64(index + 1)
            hosts.append(
                Host(
                    worker: Walk.worker(index, process: process, slots: 1 + random.below(2), at: now), process: process)
            )
        }
        self.random = random
    }

    private static func worker(_ index: Int, process: UInt64, slots: Int, at now: Instant) -> Worker {
        Worker(
            identity: Worker.Identity(
                worker: WorkerID("worker-\(index)"), incarnation: process, slots: slots, datasets: [], host: "host",
                processID: Int32(process)),
            settings: WorkerSettings(), at: now)
    }

    mutating func run() throws {
        for index in hosts.indices { try tell(index, .begin) }
        let half = works.count / 2
        try tell(.tasksAdded(Array(works[..<half])))
        try tell(.tasksAdded(Array(works[half / 2..<half]) + Array(works[half...])))
        for _ in 0..<random.below(4) { schedule(.crashCoordinator, after: Int64(random.below(240_000))) }
        for _ in 0..<random.below(5) { schedule(.crashWorker(random.below(3)), after: Int64(random.below(240_000))) }
        while !isOver {
            guard let next = next() else { throw failure("nothing will ever happen again") }
            now = max(now, next.at)
            guard now < endsAt else { throw failure("not done in time") }
            events += 1
            try happen(next.happening)
        }
        try check()
    }

    /// What is due first: a frame, a child, a wake.
    private mutating func next() -> (at: Instant, happening: Happening)? {
        var wakes: [(at: Instant, happening: Happening)] = []
        if let wakeUpAt { wakes.append((at: wakeUpAt, happening: .coordinatorWake)) }
        for (index, host) in hosts.enumerated() {
            if let wake = host.wakeUpAt { wakes.append((at: wake, happening: .workerWake(index))) }
        }
        let wake = wakes.min { $0.at < $1.at }
        var first: Int?
        var at = Instant(milliseconds: .max)
        for index in queue.indices where queue[index].at < at {
            first = index
            at = queue[index].at
        }
        // Frames come before timeouts.
        if let wake, wake.at < at { return wake }
        return first.map { index in
            let next = queue.remove(at: index)
            return (at: next.at, happening: next.happening)
        }
    }

    private var isOver: Bool {
        now >= healsAt && coordinator.status.counts.done == works.count
            && hosts.allSatisfy {
                $0.worker.load.outbox == 0 && $0.worker.load.running == 0 && $0.worker.load.waiting == 0
            }
    }

    private func check() throws {
        for work in works {
            guard case .done(let kept) = disk.records[work.key]?.state, kept == expected(work.key) else {
                throw failure("task \(work.key) is lost: \(String(describing: disk.records[work.key]))")
            }
            guard kept.outputs.allSatisfy({ durableBlobs.contains($0.digest) }) else {
                throw failure("a done task lacks blobs")
            }
            guard coordinator.state(of: work.key) == disk.records[work.key]?.state else {
                throw failure("memory and disk differ")
            }
        }
        guard disk.nondeterministic == 0 else { throw failure("a false nondeterminism") }
    }

    private func failure(_ text: String) -> WalkFailure {
        WalkFailure(text: "seed \(seed), \(now.milliseconds) ms: \(text); \(coordinator.status)")
    }

    private func expected(_ task: TaskKey) -> WorkResult { result(works.firstIndex { $0.key == task }!) }

    private mutating func schedule(_ happening: Happening, after milliseconds: Int64) {
        queue.append((at: now.advanced(byMilliseconds: milliseconds), happening: happening))
    }

    private mutating func latency() -> Int64 { Int64(1 + random.below(isFaulty && random.chance(0.05) ? 8_000 : 50)) }

    private mutating func happen(_ happening: Happening) throws {
        switch happening {
        case .toCoordinator(let route, let frames):
            guard case .worker(let message) = try Wire.decodeRequest(frames) else {
                throw failure("no worker's message")
            }
            try tell(.worker(route, message))
        case .unreachable(let route, let life):
            if life == self.life { try tell(.unreachable(route)) }
        case .toWorker(let index, let socket, let frames):
            if hosts[index].socket == socket { try tell(index, .message(try Wire.decodeCoordinatorMessage(frames))) }
        case .coordinatorWake: try tell(.wake)
        case .workerWake(let index): try tell(index, .wake)
        case .child(let index, let start, let event):
            guard let slot = hosts[index].children.first(where: { $0.value.start == start })?.key else { return }
            try happen(event, to: slot, of: index)
        case .inputReady(let index, let process, let digest):
            if hosts[index].process == process { try tell(index, .inputReady(digest)) }
        case .pulled(let pull, let life):
            guard life == self.life else { return }
            let index = hosts.firstIndex { $0.worker.identity.worker == pull.worker }!
            if durableBlobs.contains(pull.digest) || hosts[index].blobs.contains(pull.digest),
                !(isFaulty && random.chance(0.05))
            {
                durableBlobs.insert(pull.digest)
                try tell(.blobStored(pull.digest))
            } else {
                try tell(.blobUnavailable(pull.digest, pull.worker))
            }
        case .crashCoordinator: restart()
        case .crashWorker(let index):
            let process = hosts[index].process + 100
            let old = hosts[index]
            hosts[index] = Host(
                worker: Walk.worker(index, process: process, slots: old.worker.identity.slots, at: now),
                process: process,
                socket: old.socket)
            try tell(index, .begin)
        }
    }

    private mutating func happen(_ event: ChildEvent, to slot: Int, of index: Int) throws {
        let assignment = hosts[index].children[slot]!.assignment
        switch event {
        case .progress(let step): return try tell(index, .progress(slot: slot, step: step))
        case .finished:
            hosts[index].children[slot] = nil
            let result = expected(assignment.id.task)
            hosts[index].blobs.formUnion(result.outputs.map(\.digest))
            try tell(index, .finished(slot: slot, result))
        case .died:
            hosts[index].children[slot] = nil
            try tell(index, .failed(slot: slot, reason: "killed", isFinal: false))
        case .stopped:
            hosts[index].children[slot] = nil
            try tell(index, .stopped(slot: slot))
        }
    }

    /// A fresh coordinator on what is durable; whatever was in its sockets is gone.
    private mutating func restart() {
        life += 1
        coordinator = Coordinator(
            restoring: disk.snapshot, generation: Generation(nonce: UInt64(life)), settings: settings, at: now)
        coordinator.checkInvariants()
        queue.removeAll { if case .toWorker = $0.happening { true } else { false } }
        wakeUpAt = now.advanced(byMilliseconds: 1)
    }

    private mutating func tell(_ event: Coordinator.Event) throws {
        let outcome = coordinator.handle(event, at: now)
        coordinator.checkInvariants()
        disk.commit(outcome.changes)
        if isFaulty, random.chance(0.002) { return restart() }
        for envelope in outcome.messages {
            let index = Int(envelope.to.bytes[0])
            let socket = Int(envelope.to.bytes[1]) << 8 | Int(envelope.to.bytes[2])
            let frames = Wire.encode(envelope.message)
            if socket != hosts[index].socket, random.chance(0.5) {
                schedule(.unreachable(envelope.to, life: life), after: 1)
            } else if !(isFaulty && random.chance(0.1)) {
                schedule(.toWorker(index, socket: socket, frames), after: latency())
            }
        }
        for pull in outcome.pulls { schedule(.pulled(pull, life: life), after: Int64(random.below(5_000))) }
        wakeUpAt = outcome.wakeUpAt.map { max($0, now.advanced(byMilliseconds: 1)) }
    }

    private mutating func tell(_ index: Int, _ event: Worker.Event) throws {
        let outcome = hosts[index].worker.handle(event, at: now, random: random.uniform())
        hosts[index].worker.checkInvariants()
        for action in outcome.actions { try perform(action, on: index) }
        let socket = hosts[index].socket
        let route = RouteID(bytes: [UInt8(index), UInt8(socket >> 8 & 255), UInt8(socket & 255)])
        for message in outcome.messages where !(isFaulty && random.chance(0.1)) {
            schedule(.toCoordinator(route, Wire.encode(message)), after: latency())
        }
        hosts[index].wakeUpAt = outcome.wakeUpAt.map { max($0, now.advanced(byMilliseconds: 1)) }
    }

    private mutating func perform(_ action: Worker.Action, on index: Int) throws {
        switch action {
        case .openSocket: hosts[index].socket += 1
        case .welcomed, .dropFetch, .dropOutputs: break
        case .fetch(let digest):
            guard durableBlobs.contains(digest) else { throw failure("an input is fetched that is not durable") }
            schedule(.inputReady(index, process: hosts[index].process, digest), after: Int64(random.below(2_000)))
        case .start(let slot, let assignment):
            guard hosts[index].children[slot] == nil else { throw failure("slot \(slot) is started twice") }
            starts += 1
            hosts[index].children[slot] = (assignment: assignment, start: starts)
            let hangs = isFaulty && random.chance(0.05)
            let seconds = 1 + random.below(30)
            for step in stride(from: 2, to: seconds, by: 2) where !hangs {
                schedule(.child(index, start: starts, .progress(step)), after: Int64(step) * 1000)
            }
            if !hangs {
                schedule(
                    .child(index, start: starts, isFaulty && random.chance(0.1) ? .died : .finished),
                    after: Int64(seconds) * 1000)
            }
        case .kill(let slot), .stop(let slot):
            if let child = hosts[index].children[slot] {
                schedule(.child(index, start: child.start, .stopped), after: 20)
            }
        case .exit(let reason): throw failure("worker \(index) ends: \(reason)")
        }
    }
}
