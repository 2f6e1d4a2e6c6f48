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
