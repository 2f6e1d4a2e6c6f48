import Coordination
import CoordinatorService
import Lottery
import Testing

struct StepRateTests {
    private func key(_ number: Int) -> TaskKey { TaskKey(Digest.of("task \(number)".utf8)) }

    @Test("Tasks shorter than a beat count with all their steps")
    func shortTasks() throws {
        var rate = StepRate()
        for second in 0...10 {
            rate.note([], at: Instant(milliseconds: Int64(second) * 1_000))
            rate.noteDone(key(second), steps: 0..<500)
        }
        #expect(try #require(rate.stepsPerSecond) == 500)
    }

    @Test("Steps seen while a task ran are not counted again with its result")
    func longTask() throws {
        var rate = StepRate()
        for second in 0...4 {
            rate.note([(key(1), Attempt(1), 1_000 + second * 100)], at: Instant(milliseconds: Int64(second) * 1_000))
        }
        #expect(rate.positions == [key(1): 1_400])
        rate.noteDone(key(1), steps: 1_000..<1_500)
        rate.note([], at: Instant(milliseconds: 5_000))
        #expect(try #require(rate.stepsPerSecond) == 100)
        #expect(rate.positions.isEmpty)
    }

    @Test("An attempt that ended leaves nothing under way")
    func endedAttempt() {
        var rate = StepRate()
        rate.note([(key(1), Attempt(1), 100)], at: Instant(milliseconds: 0))
        rate.noteEnded(key(1))
        #expect(rate.positions.isEmpty)
    }

    @Test("A training that was gone on with is as far as it says, and what was trained before adds nothing to the rate")
    func resumed() throws {
        var rate = StepRate()
        for second in 0...4 {
            rate.note([(key(1), Attempt(2), 9_000 + second * 100)], at: Instant(milliseconds: Int64(second) * 1_000))
        }
        #expect(rate.positions == [key(1): 9_400])
        rate.noteDone(key(1), steps: 0..<9_500)
        rate.note([], at: Instant(milliseconds: 5_000))
        #expect(try #require(rate.stepsPerSecond) == 100)
    }
}
