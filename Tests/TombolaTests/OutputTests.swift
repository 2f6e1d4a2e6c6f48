import Coordination
import CoordinatorService
import Lottery
import Testing
import tombola

@Suite struct OutputTests {
    static func grid() -> TextGrid {
        var grid = TextGrid([
            .init("rank", .right), .init("name"), .init("note", dropRank: 2), .init("seed", .right, dropRank: 1),
        ])
        grid.append(["1", "宝くじ", "a, \"b\"", "12"])
        grid.append(["10", TextGrid.Cell("é", .green), "", "3"])
        return grid
    }

    @Test("Wide characters take two cells, combining marks none")
    func displayWidth() {
        #expect("abc".displayWidth == 3)
        #expect("宝くじ".displayWidth == 6)
        #expect("e\u{301}".displayWidth == 1)
        #expect("🎟️".displayWidth == 2)
        #expect("👩‍👩‍👧".displayWidth == 2)
        #expect("宝くじ".cut(to: 5) == "宝く…")
        #expect("宝くじ".cut(to: 4) == "宝…")
        #expect("宝くじ".cut(to: 6) == "宝くじ")
        #expect("abc".cut(to: 0).isEmpty)
    }

    @Test("Columns are aligned by cells, without spaces at the end of a line")
    func alignment() {
        #expect(
            OutputTests.grid().lines(width: nil, ink: .none) == [
                "rank  name    note    seed",
                "   1  宝くじ  a, \"b\"    12",
                "  10  é                  3",
            ])
    }

    @Test(
        "A narrow terminal loses the column of the highest rank first, then the end of the lines",
        arguments: [(22, 3), (13, 2), (9, 2)])
    func narrow(width: Int, columns: Int) {
        let lines = OutputTests.grid().lines(width: width, ink: .none)
        #expect(lines.allSatisfy { $0.displayWidth <= width })
        #expect(lines[0].split(separator: " ").count == columns)
    }

    @Test("Colours wrap the text and change no width")
    func colours() {
        let lines = OutputTests.grid().lines(width: nil, ink: Ink(isEnabled: true))
        #expect(lines[2].contains("\u{1B}[32mé     \u{1B}[0m"))
    }

    @Test("CSV quotes what needs quotes")
    func csv() {
        #expect(OutputTests.grid().csv == "rank,name,note,seed\r\n1,宝くじ,\"a, \"\"b\"\"\",12\r\n10,é,,3\r\n")
    }

    @Test(
        "Numbers are rounded, signed and grouped for people",
        arguments: [
            (Format.percent(0.98125), "98.13 %"), (Format.density(0.2114), "21.1 %"),
            (Format.density(0.00345), "0.35 %"),
            (Format.points(0.0021), "+0.21"), (Format.points(-0.0021), "−0.21"), (Format.points(-0.00001), "±0.00"),
            (Format.count(1_234_567), "1,234,567"), (Format.count(999), "999"),
            (Format.count(1, "slot"), "1 slot"), (Format.count(1_200, "slot"), "1,200 slots"),
            (Format.duration(seconds: 7.2), "8 s"),
            (Format.duration(seconds: 130), "2 min 10 s"), (Format.duration(seconds: 11_100), "3 h 05 min"),
            (Format.duration(seconds: 187_300), "2 d 4 h"), (Format.duration(seconds: .infinity), "unknown"),
            (Format.coreTime(seconds: 0.2), "1 s of core time"), (Format.coreTime(seconds: 13_680), "3.80 core-hours"),
            (Format.coreTime(seconds: 3_590), "59 min 50 s of core time"),
            (Format.fixed(-0.001, 2), "0.00"), (Format.bytes(1_536), "1.5 KiB"),
        ])
    func numbers(text: String, expected: String) {
        #expect(text == expected)
    }

    @Test("A processor's name is that of the first that has one, on one line; one without a name has none")
    func processorModel() {
        let text =
            "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel\t\t: 1\nmodel name\t: AMD EPYC: 7B13 \n\nmodel name\t: other\n"
        #expect(ProcessorModel.name(in: text) == "AMD EPYC: 7B13")
        #expect(ProcessorModel.name(in: "processor\t: 0\nBogoMIPS\t: 243.75\nmodel name\t:\n") == nil)
    }
}

@Suite struct ProgressTests {
    static let progress = Progress(
        name: "quickstart", runs: .init(done: 2, running: 2, total: 8),
        levels: .init(done: 30, running: 2, failed: 1, total: 60),
        stepsTotal: 60_000, stepsDone: 30_000, workers: 2, slots: 2, stepsPerSecond: 1_000, secondsLeft: 30,
        best: "winning at 8.6 %, 98.11 % accuracy, 宝くじ")

    @Test("The line for a pipe says all there is to say, without colours")
    func line() {
        #expect(
            ProgressText.line(ProgressTests.progress)
                == "quickstart: 50 %; levels 30 of 60 done, 2 running, 1 failed; runs 2 of 8 done, 2 running; 1,000 steps/s; 30 s left; "
                + "2 workers; best so far: winning at 8.6 %, 98.11 % accuracy, 宝くじ")
    }

    @Test("A paused sweep and a coordinator that stops are said to be so, in place of a pace")
    func standingStill() {
        var progress = ProgressTests.progress
        progress.isPaused = true
        #expect(ProgressText.line(progress).contains("; paused, until `tombola resume`; what runs goes on; 2 workers"))
        progress.levels.running = 0
        #expect(ProgressText.line(progress).contains("; paused, until `tombola resume`; 2 workers"))
        progress.isShortOfRoom = true
        #expect(ProgressText.line(progress).contains("; paused, until the store's disk has room; 2 workers"))
        progress.isStopping = true
        #expect(ProgressText.line(progress).contains("; stops; 2 workers"))
    }

    @Test("What is in the way is said, in a line of its own on a terminal, and nothing is finished before")
    func waits() {
        var progress = ProgressTests.progress
        progress.waits = ["2 tasks wait for a larger worker"]
        #expect(ProgressText.line(progress).contains("; 2 workers; 2 tasks wait for a larger worker; best so far"))
        let lines = ProgressText.region(progress, width: 60, ink: .none)
        #expect(lines.count == 5 && lines[3] == "  2 tasks wait for a larger worker")
        // Something is in the way of what would come next.
        progress.levels = .init(done: 60, total: 60)
        #expect(!ProgressText.line(progress).contains("finished"))
        progress.waits = []
        #expect(ProgressText.line(progress).contains("; finished; 2 workers"))
    }

    @Test("The region fits the terminal", arguments: [20, 40, 79, 200])
    func region(width: Int) {
        let lines = ProgressText.region(ProgressTests.progress, width: width, ink: .none)
        #expect(lines.count == 4)
        for line in lines { #expect(line.displayWidth <= width, "\(line)") }
    }
}

@Suite struct UnmetTextTests {
    private func unmet(_ tasks: Int, numerics: NumericsID?, largest: Int?) -> CoordinatorStatus.UnmetNeeds {
        .init(
            needs: Work.Needs(memoryBytes: 256 << 20, numerics: numerics), tasks: tasks, largestMemoryBytes: largest)
    }

    @Test("What lacks is said with both figures, or by the name of the numerics, and so is what helps")
    func sentences() {
        let memory = unmet(2, numerics: nil, largest: 100_000_000)
        #expect(
            UnmetText.sentence(memory)
                == "2 tasks wait for a worker with 256.0 MiB of memory (the largest here has 95.4 MiB)")
        let numerics = unmet(1, numerics: .bf16Tiles16, largest: nil)
        #expect(
            UnmetText.sentence(numerics)
                == "1 task waits for a worker with 256.0 MiB of memory and numerics \(NumericsID.bf16Tiles16) "
                + "(none here has these numerics)")
        #expect(UnmetText.remedy([memory]).hasPrefix("set TOMBOLA_MEMORY higher"))
        #expect(UnmetText.remedy([numerics]) == "use a tombola that computes these numerics")
        #expect(UnmetText.remedy([numerics, memory]).hasSuffix("smaller; use a tombola that computes these numerics"))
    }
}
