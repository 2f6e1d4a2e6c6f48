import ArgumentParser
import Coordination

/// How long a coordinator waits for workers. Workers are told when they connect.
struct TimingOptions: ParsableArguments {
    @Option(help: "Seconds between a worker's beats (TOMBOLA_BEAT; default: 5).")
    var beat: Double?

    @Option(
        help:
            "Seconds of silence after which a worker is lost and its tasks go to others (TOMBOLA_SESSION; default: 30)."
    )
    var session: Double?

    @Option(
        help:
            "Seconds that trainings given out before a restart wait for their workers to come back (TOMBOLA_ADOPTION; default: 60)."
    )
    var adoption: Double?

    @OptionGroup var stall: StallOption

    /// - Throws: `Failure` for a silence that leaves no room for a late beat.
    func apply(to settings: inout CoordinatorSettings) throws {
        if let beat = try Environment.setting(beat, "BEAT", in: 0.05...3_600) {
            settings.beatMilliseconds = milliseconds(beat)
        }
        if let session = try Environment.setting(session, "SESSION", in: 0.1...86_400) {
            settings.sessionMilliseconds = milliseconds(session)
        }
        if let adoption = try Environment.setting(adoption, "ADOPTION", in: 0.1...86_400) {
            settings.adoptionMilliseconds = milliseconds(adoption)
        }
        try stall.apply(to: &settings)
        guard settings.sessionMilliseconds >= 2 * settings.beatMilliseconds else {
            throw Failure(
                .usage,
                "--session must be at least twice --beat, or a single beat that comes late loses a worker; give a shorter --beat or a longer --session"
            )
        }
    }
}

/// How long a training may stand still.
struct StallOption: ParsableArguments {
    @Option(
        help:
            "Seconds for which a training's step may stand still before it is ended and tried again; four times as long before its first step, while it fetches what it needs and ranks weights (TOMBOLA_STALL; default: 900)."
    )
    var stall: Double?

    func apply(to settings: inout CoordinatorSettings) throws {
        guard let stall = try Environment.setting(stall, "STALL", in: 1...864_000) else { return }
        settings.stallMilliseconds = milliseconds(stall)
        settings.startMilliseconds = 4 * settings.stallMilliseconds
    }
}

private func milliseconds(_ seconds: Double) -> Int64 { Int64((seconds * 1_000).rounded()) }
