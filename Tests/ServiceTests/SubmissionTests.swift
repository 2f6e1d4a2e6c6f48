import Artifacts
import Client
import Coordination
import CoordinatorService
import Foundation
import Lottery
import Store
import Sweeps
import Testing
import WorkerService

@Suite("Submitting sweeps and asking for them", .timeLimit(.minutes(2)), .serialized)
struct SubmissionTests {
    let bench: Bench

    static let spec = """
        name: small
        dataset: dots
        model: {family: mlp, hidden: [100]}
        training: {iterations: 20, batch: 10, evaluate_every: 10}
        pruning: {rate: 0.5, levels: 2}
        data: {validation: 1000}
        branches: [random-reinit]
        replicates: 2
        grid: {lr: [0.1, 0.2], rewind: [0, 5]}
        """

    /// One that is refused by now, as stores from before may hold.
    static let olderSpec = spec.replacing("rewind: [0, 5]", with: "examples: [5, 10]")

    init() throws { bench = try Bench() }

    @Test("A sweep that was submitted is trained to a leaderboard; submitted again it is done already")
    func fromSpecToLeaderboard() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        let reply = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec))
        #expect(reply.sweep == "small" && !reply.isContinued && reply.plan.points == 4 && reply.plan.tasksDone == 0)
        // The data set is at hand for workers before any task is.
        #expect(coordinator.store.artifacts.contains(Digest.of(DataAccess.bytes)))
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 2)
        #expect(try coordinator.run() == .done(failedTasks: 0))
        #expect(try coordinator.store.counts().done == reply.plan.tasks)
        let status = try #require(coordinator.status?.sweeps.first)
        #expect(status.levels == ServiceStatus.Tally(done: reply.plan.tasks, total: reply.plan.tasks))
        #expect(status.runs == ServiceStatus.Tally(done: 8, total: 8))
        #expect(status.stepsDone == status.stepsTotal && status.stepsTotal == reply.plan.steps)
    }

    @Test(
        "Tasks ask for the memory and numerics that are predicted; what no worker has is said, and waits for one that does"
    )
    func needs() throws {
        let coordinator = try bench.startCoordinator {
            $0.exitWhenDone = true
            $0.vocabulary.memoryBytes = { _, _ in 100 << 20 }
        }
        let reply = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec))
        _ = try bench.startWorker("small", at: coordinator.endpoint) { $0.memoryBytes = 128 << 20 }
        _ = try bench.startWorker("other", at: coordinator.endpoint) { $0.numerics = [.bf16Tiles16] }
        try #require(eventually { coordinator.status?.workers.count == 2 })
        let unmet = try #require(coordinator.status?.unmet.first)
        // Rounded up to 64 MiB, and as much for the process itself.
        #expect(unmet.needs == Work.Needs(memoryBytes: 192 << 20, numerics: NumericsID("fixture")))
        #expect(unmet.tasks > 0 && coordinator.status?.tasks.done == 0)
        _ = try bench.startWorker("large", at: coordinator.endpoint, slots: 2) {
            $0.memoryBytes = 200 << 20
            $0.numerics = [NumericsID("fixture")]
        }
        #expect(try coordinator.run() == .done(failedTasks: 0))
        #expect(try coordinator.store.counts().done == reply.plan.tasks)
        #expect(coordinator.status?.unmet == [])
        // Its two slots have room for one training.
        let workers = try coordinator.store.snapshot().tasks.map { try coordinator.store.attempts(of: $0.work.key) }
        #expect(workers.allSatisfy { $0.count == 1 && $0[0].worker.text.hasPrefix("large") })
    }

    @Test("The same spec continues, in other words too; another one under its name is refused and nothing is lost")
    func sameAndChanged() throws {
        let coordinator = try bench.startCoordinator()
        let first = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec))
        let again = try coordinator.submit(SubmitRequest(file: "s.yaml", spec: "# a comment\n" + SubmissionTests.spec))
        #expect(again.isContinued && again.plan.tasks == first.plan.tasks)
        let tasks = try coordinator.store.counts()
        do {
            _ = try coordinator.submit(
                SubmitRequest(
                    file: "small.yaml", spec: SubmissionTests.spec.replacing("replicates: 2", with: "replicates: 3")))
            Issue.record("a changed spec was taken on")
        } catch {
            #expect(error.exitStatus == 2)
            #expect(error.description.contains("“small”") && error.description.contains("new name"), "\(error)")
        }
        #expect(try coordinator.store.counts() == tasks)
        #expect(try coordinator.store.sweeps().map(\.spec) == [SubmissionTests.spec])
    }

    @Test("Replicates that an extension adds are a second look, which is said unless the spec accounts for it")
    func secondLook() throws {
        let coordinator = try bench.startCoordinator()
        _ = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec))
        func warning(_ replicates: String) throws -> String? {
            let spec = SubmissionTests.spec.replacing("replicates: 2", with: replicates)
            return try coordinator.submit(SubmitRequest(file: "small.yaml", spec: spec, extends: true)).warning
        }
        #expect(try warning("refine: {looks: [2, 3]}") == nil)
        // Fewer replicates do not undo what has been seen.
        #expect(try warning("replicates: 2")?.contains("use refine: {looks: [2, 3]} in the place") == true)
        #expect(try warning("replicates: 3")?.contains("use refine: {looks: [2, 3]} in the place") == true)
        // What decides nothing is no look, and no spec may have one.
        #expect(try warning("replicates: 1") == nil)
        #expect(try warning("replicates: 2") == nil)
        // A look that is taken away was taken all the same.
        #expect(try warning("refine: {looks: [2, 3, 5]}") == nil)
        let forgotten = try warning("refine: {looks: [3, 5]}")
        #expect(forgotten?.contains("those over 2 may have been seen") == true, "\(forgotten ?? "")")
        #expect(forgotten?.contains("use refine: {looks: [2, 3, 5]}, so") == true, "\(forgotten ?? "")")
        #expect(try warning("replicates: 5")?.contains("use refine: {looks: [3, 5]}") == true)
    }

    @Test("Failed tasks are tried anew when their sweep is submitted again")
    func revived() throws {
        let coordinator = try bench.startCoordinator()
        let reply = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec))
        // A program that does not know the protocol fails everything that is roots; the rest waits for those.
        let bad = try bench.startWorker(at: coordinator.endpoint, slots: 4) { $0.slotCommand = ["/bin/false"] }
        try #require(eventually { coordinator.status?.tasks.failed == reply.plan.tasks })
        let failures = try #require(coordinator.status?.sweeps.first?.failures)
        #expect(!failures.isEmpty && failures.allSatisfy { $0.reason.contains("ended with status 1") }, "\(failures)")
        bad.stop()
        _ = try bad.waitForExit()
        #expect(try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec)).isContinued)
        _ = try bench.startWorker("good", at: coordinator.endpoint, slots: 2)
        #expect(eventually { coordinator.status?.tasks.done == reply.plan.tasks })
    }

    @Test("A bad spec is refused with its line, a missing data set with the catalog's words; nothing is stored")
    func refused() throws {
        struct NoData: Error, CustomStringConvertible {
            var description: String { "dots are not here: place them by hand" }
        }
        let coordinator = try bench.startCoordinator {
            $0.data = DataAccess(digest: { _ in throw NoData() }, materialise: { _, _ in throw NoData() })
        }
        let client = try Client(endpoint: coordinator.endpoint)
        let typo = try #require(try refusal(of: SubmissionTests.spec.replacing("prun", with: "prum"), client))
        #expect(typo.status == 2 && typo.sentence.hasPrefix("small.yaml:5: "), "\(typo)")
        let noData = try #require(try refusal(of: SubmissionTests.spec, client))
        #expect(noData.status == 1 && noData.sentence == "dots are not here: place them by hand", "\(noData)")
        #expect(try coordinator.store.sweeps().isEmpty)
        #expect(try coordinator.store.counts() == TaskCounts())
    }

    @Test("A sweep that would decide nothing is refused, by submit and by extend")
    func senseless() throws {
        let coordinator = try bench.startCoordinator()
        let client = try Client(endpoint: coordinator.endpoint)
        let refused = try #require(try refusal(of: SubmissionTests.olderSpec, client))
        #expect(refused.status == 2)
        #expect(refused.sentence.hasPrefix("small.yaml:9: axis \"examples\" makes no difference"))
        #expect(try coordinator.store.sweeps().isEmpty)
        _ = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec))
        #expect(throws: SubmissionError.self) {
            try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.olderSpec, extends: true))
        }
        #expect(try coordinator.store.sweeps().map(\.spec) == [SubmissionTests.spec])
    }

    private func refusal(of spec: String, _ client: Client) throws -> (status: Int, sentence: String)? {
        let body = Array(try JSONEncoder().encode(SubmitRequest(file: "small.yaml", spec: spec)))
        do { _ = try client.request(ServiceVerb.submit.rawValue, body: body) } catch {
            guard case .refused(let status, let body) = error else { throw error }
            return (status, try JSONDecoder().decode(ServiceRefusal.self, from: Data(body)).error)
        }
        return nil
    }

    @Test("A client submits, watches and reads the leaderboard; what it must not ask is refused in words")
    func client() throws {
        let coordinator = try bench.startCoordinator()
        let client = try Client(endpoint: coordinator.endpoint)
        let request = SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec)
        let body = try client.request(ServiceVerb.submit.rawValue, body: Array(try JSONEncoder().encode(request)))
        let reply = try JSONDecoder().decode(SubmitReply.self, from: Data(body))
        #expect(reply.plan.tasks > 0)
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 2)
        func status() throws -> ServiceStatus {
            try JSONDecoder().decode(ServiceStatus.self, from: Data(try client.request(ServiceVerb.status.rawValue)))
        }
        #expect(try eventually { try status().isSettled })
        #expect(try status().workers.map(\.slots) == [2])
        #expect(try eventually { try status().sweeps.first?.best?.ticket != nil })
        let boards = try client.request(
            ServiceVerb.leaderboard.rawValue, body: Array(try JSONEncoder().encode(LeaderboardRequest(sweep: "small"))))
        #expect(try JSONDecoder().decode([Leaderboard].self, from: Data(boards)).first?.rows.count == 4)
        for (verb, body) in [("dance", "{}"), (ServiceVerb.leaderboard.rawValue, #"{"sweep": "large"}"#)] {
            do {
                _ = try client.request(verb, body: Array(body.utf8))
                Issue.record("\(verb) \(body) was answered")
            } catch {
                guard case .refused(status: 2, _) = error else {
                    Issue.record("\(verb): \(error)")
                    return
                }
            }
        }
    }

    @Test("A coordinator started anew knows its sweeps' progress and ends a sweep that was done")
    func restarted() throws {
        func runOnce() throws -> CoordinatorExit {
            let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
            let worker = try bench.startWorker(at: coordinator.endpoint, slots: 2)
            defer { worker.stop() }
            let reply = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec))
            let exit = try coordinator.run()
            #expect(try coordinator.store.counts().done == reply.plan.tasks)
            worker.stop()
            _ = try worker.waitForExit()
            return exit
        }
        #expect(try runOnce() == .done(failedTasks: 0))
        var exit: CoordinatorExit?
        #expect(eventually { (try? exit = runOnce()) != nil })
        #expect(exit == .done(failedTasks: 0))
    }

    @Test("A submission of many pieces is taken on whole; submitted again and extended it is the same tasks and more")
    func manyPieces() throws {
        func spec(levels: Int) -> String {
            let rates = (1...900).map { "0.\(1_000 + $0)" }.joined(separator: ", ")
            return """
                name: large
                dataset: dots
                model: {family: mlp, hidden: [100]}
                training: {iterations: 20, batch: 10, evaluate_every: 10}
                pruning: {rate: 0.5, levels: \(levels)}
                data: {validation: 1000}
                replicates: 2
                grid: {lr: [\(rates)]}
                """
        }
        let coordinator = try bench.startCoordinator()
        let first = try coordinator.submit(SubmitRequest(file: "large.yaml", spec: spec(levels: 2)))
        #expect(first.plan.tasks == 900 * 2 * 3 && !first.isContinued)
        #expect(try coordinator.store.snapshot().tasks.count == first.plan.tasks)
        #expect(try coordinator.store.sweeps().map(\.isWhole) == [true])
        #expect(try coordinator.submit(SubmitRequest(file: "large.yaml", spec: spec(levels: 2))).isContinued)
        let more = try coordinator.submit(SubmitRequest(file: "large.yaml", spec: spec(levels: 3), extends: true))
        #expect(more.plan.tasks == 900 * 2 * 4)
        let tasks = try coordinator.store.snapshot().tasks
        #expect(tasks.count == more.plan.tasks && tasks.allSatisfy { $0.sweeps == [SweepID("large")] })
        let client = try Client(endpoint: coordinator.endpoint)
        let status = try JSONDecoder().decode(
            ServiceStatus.self, from: Data(try client.request(ServiceVerb.status.rawValue)))
        #expect(status.sweeps.map(\.levels) == [ServiceStatus.Tally(total: more.plan.tasks)])
    }

    @Test("A plan believes of what is to leave checkpoints that the store does not ask for that it is not given out")
    func beliefs() throws {
        let sweep = try Sweep(yaml: SubmissionTests.spec, file: "small.yaml", vocabulary: .fixture)
        func planned(_ known: KnownTask?) throws -> (PlannedSweep, dense: Set<TaskKey>) {
            var stored: [TaskKey: KnownTask] = [:]
            let dense = Set(
                try Plan(sweep: sweep, vocabulary: .fixture, dataDigest: { _ in Digest.of(DataAccess.bytes) }).tasks
                    .filter { $0.role == .dense }.map(\.key))
            let plan = try Plan(
                sweep: sweep, vocabulary: .fixture, dataDigest: { _ in Digest.of(DataAccess.bytes) },
                known: { key in
                    guard dense.contains(key) else { return nil }
                    stored[key] = known
                    return known
                })
            return (PlannedSweep(plan: plan, stored: stored), dense)
        }
        // Another sweep that is planned beside it may add them first, with other checkpoints, and they may begin.
        let unknown = try planned(nil)
        #expect(unknown.0.believedPending == unknown.dense && unknown.dense.count == 4)
        let failed = try planned(.failed)
        #expect(failed.0.believedPending == failed.dense)
        let pending = try planned(.pending(keepSteps: []))
        #expect(pending.0.believedPending == pending.dense)
        #expect(try planned(.pending(keepSteps: [0, 5])).0.believedPending == [])
        #expect(try planned(.running(keepSteps: [0, 5])).0.believedPending == [])
    }

    @Test("What was handed over is not handed over again, but for a replay that is done and whose checkpoint has gone")
    func given() throws {
        let sweep = try Sweep(yaml: SubmissionTests.spec, file: "small.yaml", vocabulary: .fixture)
        func plan(_ known: (TaskKey) -> KnownTask?) throws -> Plan {
            try Plan(sweep: sweep, vocabulary: .fixture, dataDigest: { _ in Digest.of(DataAccess.bytes) }, known: known)
        }
        let dense = Set(try plan { _ in nil }.tasks.filter { $0.role == .dense }.map(\.key))
        let withoutCheckpoint = KnownTask.done(outputs: [.final, .metrics])
        let first = try plan { dense.contains($0) ? withoutCheckpoint : nil }
        let replays = Set(first.tasks.filter { $0.role == .replay(step: 5) }.map(\.key))
        try #require(replays.count == 4)
        let later = try plan { dense.contains($0) || replays.contains($0) ? withoutCheckpoint : nil }
        let level = try #require(later.tasks.first { $0.role == .level(1) }).key
        let planned = PlannedSweep(plan: later, stored: [level: .pending(keepSteps: [])])
        #expect(planned.isGiven(level, replays.union([level])))
        #expect(!planned.isGiven(level, replays))
        for replay in replays {
            let index = try #require(later.index(of: replay))
            #expect(!later.tasks[index].isDone)
            #expect(!planned.isGiven(replay, replays))
        }
    }

    @Test("Growth that could not be planned is planned later, by itself, and the sweep does not end without it")
    func growthThatFails() throws {
        let broken = bench.path("broken")
        let wasAsked = bench.path("asked")
        let coordinator = try bench.startCoordinator {
            $0.exitWhenDone = true
            let access = $0.data
            $0.data = DataAccess(
                digest: { name in
                    guard FileManager.default.fileExists(atPath: broken) else { return try access.digest(name) }
                    _ = FileManager.default.createFile(atPath: wasAsked, contents: nil)
                    throw CocoaError(.fileReadNoPermission)
                }, materialise: access.materialise)
        }
        let spec = SubmissionTests.spec.replacing("branches", with: "stop_when: {margin: 0.2, levels: 1}\nbranches")
        _ = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: spec))
        bench.touch("broken")
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 2)
        // Nothing else is to come that might have it look again.
        try #require(eventually { FileManager.default.fileExists(atPath: wasAsked) })
        try #require(
            try eventually {
                let counts = try coordinator.store.counts()
                return counts.pending + counts.running == 0
            })
        try FileManager.default.removeItem(atPath: broken)
        #expect(try coordinator.run() == .done(failedTasks: 0))
        let status = try #require(coordinator.status?.sweeps.first)
        #expect(status.runs == ServiceStatus.Tally(done: 8, total: 8))
        // None of its chains ends early.
        let sweep = try Sweep(yaml: spec, file: "small.yaml", vocabulary: .fixture)
        let plan = try Plan(sweep: sweep, vocabulary: .fixture, dataDigest: { _ in Digest.of(DataAccess.bytes) })
        #expect(try coordinator.store.counts() == TaskCounts(done: plan.tasks.count))
    }

    @Test(
        "A submission whose coordinator died amid it is gone on with at the next start, to the sweep's end",
        arguments: [spec, olderSpec])
    func interrupted(spec: String) throws {
        let sweep = try Sweep(yaml: spec, file: "small.yaml", vocabulary: .fixture)
        let plan = try Plan(sweep: sweep, vocabulary: .fixture, dataDigest: { _ in Digest.of(DataAccess.bytes) })
        do {
            // As the first piece leaves it.
            let store = try Store.open(directory: bench.path("store"), mode: .coordinator)
            _ = try store.artifacts.write(DataAccess.bytes)
            let first = plan.tasks[0]
            let work = Work(
                key: first.key, inputs: [WorkInput(name: "dataset", source: .blob(Digest.of(DataAccess.bytes)))],
                cost: first.cost, priority: 1, needs: Work.Needs(),
                payload: try JSONEncoder().encode(first.request).map(\.self))
            try store.addSweep(
                SweepRecord(
                    name: sweep.name, file: "small.yaml", spec: spec, digest: sweep.specDigest,
                    submittedAt: 1, isWhole: false),
                changes: [
                    .sweepChanged(SweepStanding(id: SweepID(sweep.name))), .taskAdded(work),
                    .sweepWants(SweepID(sweep.name), [first.key]),
                ])
            try store.close()
        }
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 2)
        #expect(try coordinator.run() == .done(failedTasks: 0))
        #expect(try coordinator.store.counts().done == plan.tasks.count)
        #expect(try coordinator.store.sweeps().map(\.isWhole) == [true])
    }
}
