import Foundation
import Logging

/// swift-log to standard error, through the console so that lines do not tear the live region.
struct ConsoleLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    let label: String

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let facts = metadata.merging(event.metadata ?? [:]) { _, new in new }
            .sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        let ink = Console.shared.ink
        let time = Date.now.formatted(.iso8601.time(includingFractionalSeconds: true))
        Console.shared.say(
            "\(ink(time, .dim)) \(ink("\(event.level)", colour(of: event.level))) \(label): \(event.message)\(facts)")
    }

    private func colour(of level: Logger.Level) -> Ink.Colour? {
        switch level {
        case .trace, .debug: .dim
        case .info: nil
        case .notice: .cyan
        case .warning: .yellow
        case .error, .critical: .red
        }
    }
}
