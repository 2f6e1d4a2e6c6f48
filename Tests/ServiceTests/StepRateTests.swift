import Coordination
import CoordinatorService
import Lottery
import Testing

struct StepRateTests {
    private func key(_ number: Int) -> TaskKey { TaskKey(Digest.of("task \(number)".utf8)) }

    private func running(_ number: Int, attempt: Int, step: Int) -> StepRate.Line {
        StepRate.Line(task: key(number), attempt: Attempt(attempt), step: step)
    }

    @Test("Tasks shorter than a beat count with all their steps")
    func shortTasks() throws {
        var rate = StepRate()
        for second in 0...10 {
            rate.note([], at: Instant(milliseconds: Int64(second) * 1_000))
            rate.noteDone(key(second), steps: 0..<500)
        }
        #expect(try #require(rate.stepsPerSecond) == 500)
    }

    @Test(
        "Steps seen while a task ran are not counted again with its result, nor those of before it was gone on with",
        arguments: [(attempt: 1, from: 1_000, first: 1_000), (2, 9_000, 0)])
    func longTask(attempt: Int, from: Int, first: Int) throws {
        var rate = StepRate()
        for second in 0...4 {
            rate.note(
                [running(1, attempt: attempt, step: from + second * 100)],
                at: Instant(milliseconds: Int64(second) * 1_000))
        }
        #expect(rate.positions == [key(1): from + 400])
        rate.noteDone(key(1), steps: first..<from + 500)
        rate.note([], at: Instant(milliseconds: 5_000))
        #expect(try #require(rate.stepsPerSecond) == 100)
        #expect(rate.positions.isEmpty)
    }

    @Test("Of a task whose plan nobody knows what was seen counts, and its result takes nothing away")
    func unknownPlan() throws {
        var rate = StepRate()
        for second in 0...4 {
            rate.note([running(1, attempt: 1, step: second * 100)], at: Instant(milliseconds: Int64(second) * 1_000))
        }
        rate.noteDone(key(1), steps: 0..<0)
        rate.note([], at: Instant(milliseconds: 5_000))
        #expect(try #require(rate.stepsPerSecond) == 60)
    }

    @Test("Of a training that was seen from its start all steps count, however few reports there were")
    func fewReports() throws {
        var rate = StepRate()
        for second in 0...9 {
            for step in [0, 300] {
                rate.note([running(second, attempt: 1, step: step)], at: Instant(milliseconds: Int64(second) * 1_000))
            }
            rate.noteDone(key(second), steps: 0..<500)
        }
        rate.note([], at: Instant(milliseconds: 10_000))
        #expect(try #require(rate.stepsPerSecond) == 500)
    }

    @Test("An attempt that ended leaves nothing under way")
    func endedAttempt() {
        var rate = StepRate()
        rate.note([running(1, attempt: 1, step: 100)], at: Instant(milliseconds: 0))
        rate.noteEnded(key(1))
        #expect(rate.positions.isEmpty)
    }
}
