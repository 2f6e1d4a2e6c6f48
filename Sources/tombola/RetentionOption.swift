import ArgumentParser

/// What a store keeps of levels that are done.
enum Retention: String, ExpressibleByArgument, CaseIterable {
    case all, tickets
}

struct RetentionOption: ParsableArguments {
    @Option(
        help: """
            What the store keeps of levels that are done: all, or tickets, as by `store compact --intermediates` every ten minutes and at a \
            sweep's end (TOMBOLA_RETAIN; default: all).
            """)
    var retain: Retention?

    func keepsTicketsOnly() throws(Failure) -> Bool {
        if let retain { return retain == .tickets }
        guard let text = Environment.setting(nil, "RETAIN") else { return false }
        guard let retention = Retention(rawValue: text) else {
            throw Failure(.usage, "TOMBOLA_RETAIN must be all or tickets, not “\(text)”")
        }
        return retention == .tickets
    }
}
