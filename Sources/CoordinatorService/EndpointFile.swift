import Foundation
import Store

/// Where the coordinator of a store listens, for commands on this machine that are told of the store alone: a line in a
/// file, there while the coordinator runs (and after it was killed, when nobody answers).
public enum EndpointFile {
    public static let name = "endpoint"

    /// An address of every interface is written as this machine reaches it.
    static func write(_ endpoint: String, in store: String) throws(CoordinatorServiceError) {
        let endpoint = endpoint.replacing("tcp://0.0.0.0:", with: "tcp://127.0.0.1:")
            .replacing("tcp://[::]:", with: "tcp://[::1]:")
        do {
            try Data("\(endpoint)\n".utf8).write(to: URL(filePath: "\(store)/\(name)"), options: .atomic)
        } catch {
            throw .store(.notWritable(directory: store, reason: error.localizedDescription))
        }
    }

    static func remove(from store: String) {
        // One that stays only leads to a coordinator that does not answer.
        try? FileManager.default.removeItem(atPath: "\(store)/\(name)")
    }

    /// Nil if there is none.
    public static func read(from store: String) -> String? {
        guard let data = FileManager.default.contents(atPath: "\(store)/\(name)") else { return nil }
        let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        return text.isEmpty ? nil : text
    }
}
