import ArgumentParser

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Look at this machine and a store, and say what to mend.",
        discussion: "With --connect it asks that coordinator, too. Exit status 1 if something does not work.")

    @OptionGroup var store: StoreOption
    @OptionGroup var data: DataOption
    @Option(help: "Ask the coordinator at this address as well (TOMBOLA_CONNECT).")
    var connect: String?
    @OptionGroup var peer: PeerOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var doctor = Doctor()
        doctor.examineMachine()
        doctor.examineStore(store.directory)
        doctor.examineData(data.catalog(store: store.directory))
        if let endpoint = Environment.setting(connect, "CONNECT") { try doctor.examineCoordinator(endpoint, peer) }
        if output.json {
            try Output.json(doctor)
        } else {
            var grid = TextGrid([.init("subject"), .init("state"), .init("found")])
            for finding in doctor.findings {
                let colour: Ink.Colour =
                    switch finding.outcome {
                    case .good: .green
                    case .warning: .yellow
                    case .bad: .red
                    }
                grid.append([.init(finding.subject), .init(finding.outcome.rawValue, colour), .init(finding.text)])
                if let remedy = finding.remedy { grid.append([.init(""), .init(""), .init("→ " + remedy)]) }
            }
            Output.table(grid)
        }
        if !doctor.isWell { throw Failure(.infrastructure, "something does not work; the remedies stand beside it") }
    }
}
