import Simulation
import Testing

@Suite("Simulated clusters")
struct SimulationTests {
    @Test("Where nothing goes wrong every task takes one attempt")
    func quiet() {
        for seed in UInt64(0)..<20 {
            let simulation = Simulation(seed: seed, isQuiet: true)
            #expect(simulation.violation == nil, "seed \(seed)")
            #expect(simulation.attempts == simulation.tasks, "seed \(seed)")
        }
    }

    @Test(
        "Whatever is lost, repeated, cut off or dies, the leaderboard is that of an undisturbed run", arguments: 0..<4)
    func everythingGoesWrong(_ block: UInt64) {
        for seed in block * 50..<(block + 1) * 50 {
            let simulation = Simulation(seed: seed)
            #expect(simulation.violation == nil, "seed \(seed), at \(simulation.milliseconds) ms")
        }
    }

    @Test("Each rule of the wire holds where it alone is put to the test", arguments: Scenario.allCases)
    func scenario(_ scenario: Scenario) {
        var disputes = 0
        for seed in UInt64(0)..<30 {
            let simulation = Simulation(seed: seed, scenario: scenario)
            #expect(simulation.violation == nil, "seed \(seed), at \(simulation.milliseconds) ms")
            disputes += simulation.disputes
        }
        #expect((disputes > 0) == (scenario == .nondeterminism), "\(disputes) results were found to differ")
    }

    /// Lines of the trace that show that what a scenario is about has come to pass.
    private func evidence(_ scenario: Scenario) -> [String] {
        switch scenario {
        case .silentReconnect: ["fault: reconnectSilently", "SAY_HELLO"]
        case .duplicateHello: ["comes twice: HELLO"]
        case .restoredBackup: ["fault: restoreBackup", "ends: released", "revoked: "]
        case .restartRace: ["fault: killWorker", "coordinator dies", "ends: released"]
        case .lostTask: ["lost on its way: TASK", "RESULT_ACK discarded", "ends: lost"]
        case .lateResults: ["fault: pauseWorker", "RESULT_ACK discarded", "ends: lost"]
        case .nondeterminism: ["computed something else"]
        case .deadUploader: ["is gone with its disk as its result is on its way", "ends: lost"]
        case .drainingOutbox: ["fault: cut", "RESULT_ACK accepted", "RESULT_ACK discarded"]
        case .absoluteCapacity: ["comes twice: BEAT", "lost on its way: BEAT", "lost on its way: TASK"]
        case .stoppedCoordinator: ["fault: pauseCoordinator"]
        case .failedCommit: ["the commit fails", "coordinator dies"]
        case .pausedSweep: [", is paused", "coordinator dies"]
        case .cancelledSweep: [", is cancelled", "is cancelled: ", "is tried anew"]
        case .retriedTasks: ["killed by signal", "is quarantined: ", "is failed: ", "is tried anew"]
        case .fairShare: ["has priority 1", "has priority 2"]
        case .drainedWorker: ["GOODBYE", "CHECKPOINT_ACK, given back", "ends: preempted"]
        case .drainedCoordinator: ["to worker-0: DRAIN", "the stop is over", "ends: preempted"]
        case .preemptedMidLevel: ["fault: replaceMachine", "has a checkpoint", "ends: lost"]
        case .unequalMemory: ["worker-1 starts", " of memory"]
        case .interruptedStop: ["nothing more is to be given out", "coordinator dies", "the stop is over"]
        case .quarantinedWorker: ["is quarantined, the 1. time", "coordinator dies"]
        case .revokedKey: ["fault: revokeKey", "ends: released"]
        case .retiredOutputs: [" is gone", "is done again"]
        case .growingSweep: ["coordinator dies", "the results ask for"]
        case .interruptedSubmission: ["coordinator dies", "asked for again"]
        }
    }

    @Test("What each scenario is about comes to pass in it", arguments: Scenario.allCases)
    func comesToPass(_ scenario: Scenario) {
        var missing = Set(evidence(scenario))
        for seed in UInt64(0)..<30 where !missing.isEmpty {
            let trace = Simulation(seed: seed, scenario: scenario, keepsTrace: true).trace
            missing = missing.filter { phrase in !trace.contains { $0.contains(phrase) } }
        }
        #expect(missing.isEmpty, "30 seeds do not have it")
    }

    @Test("The checkers find every planted bug", arguments: PlantedBug.allCases)
    func plantedBug(_ bug: PlantedBug) {
        let found = (UInt64(0)..<100).contains {
            Simulation(seed: $0, scenario: bug.scenario, bug: bug).violation != nil
        }
        #expect(found, "100 seeds did not show \(bug.rawValue)")
    }

    @Test("A seed repeats to the event, and its trace tells what happened")
    func replay() {
        for seed in UInt64(0)..<20 {
            let once = Simulation(seed: seed), again = Simulation(seed: seed, keepsTrace: true)
            #expect(once.fingerprint == again.fingerprint, "seed \(seed)")
            #expect(once.trace.isEmpty)
            #expect(again.trace.first?.contains("coordinator starts") == true, "seed \(seed)")
        }
        #expect(Simulation(seed: 1).fingerprint != Simulation(seed: 2).fingerprint)
    }
}
