import Artifacts
import Coordination
import Foundation
import Lottery
import Store
import Sweeps
import ZeroMQ

/// Why a question has no answer: the asker's mistake, in one sentence.
package struct QuestionRefusal: Error, CustomStringConvertible {
    package var description: String
}

/// Questions about single tasks.
extension DeskLoop {
    /// Posts the event, or why there is none.
    func answer(_ asker: Asker, _ event: () throws -> Desk.Event) {
        do { events.post(try event()) } catch let error as QuestionRefusal {
            events.post(.refusedOrder(error.description, asker))
        } catch {
            events.post(.failed(reason: String(describing: error), asker))
        }
    }

    /// The spec of every sweep by its name.
    func specs() throws -> [String: String] {
        Dictionary(uniqueKeysWithValues: try store.sweeps().map { ($0.name, $0.spec) })
    }

    func report(_ request: ExplainRequest) throws -> TaskReport {
        let key = try store.task(beginningWith: request.task)
        return try TaskReport(key, in: store, plans: plans)
    }

    /// A sweep's name goes before the digits of a key.
    func target(of request: OrderRequest) throws -> OrderTarget {
        if request.order == .priority, !SweepStanding.priorities.contains(request.priority ?? .max) {
            let (low, high) = (SweepStanding.priorities.lowerBound, SweepStanding.priorities.upperBound)
            let said = request.priority.map { "\($0)" } ?? "none"
            throw QuestionRefusal(description: "a priority must be in \(low)…\(high), not \(said)")
        }
        let names = try store.sweeps().map(\.name)
        if names.contains(request.target) { return .sweep(SweepID(request.target)) }
        let list = names.isEmpty ? "it has none" : "it has \(names.joined(separator: ", "))"
        guard request.order.isForTasks, request.target.allSatisfy(\.isHexDigit) else {
            throw QuestionRefusal(description: "there is no sweep “\(request.target)” in this store; \(list)")
        }
        return .task(try store.task(beginningWith: request.target))
    }

    func bytes(_ request: BlobRequest) throws -> [UInt8] {
        guard artifacts.contains(request.digest) else {
            throw QuestionRefusal(description: "the store has no blob \(request.digest)")
        }
        let size = try artifacts.byteCount(of: request.digest)
        guard request.offset >= 0, request.offset <= size, request.count >= 0 else {
            throw QuestionRefusal(
                description: "the blob \(request.digest) of \(size) bytes has nothing at \(request.offset)")
        }
        let count = min(request.count, Limits.chunkBytes, size - request.offset)
        let head = withUnsafeBytes(of: UInt64(size).littleEndian) { Array($0) }
        return head + (count == 0 ? [] : try artifacts.read(request.digest, offset: request.offset, count: count))
    }
}

extension Store {
    private static let shortestPrefix = 4
    private static let listed = 10

    /// The one task whose key begins with these digits.
    /// - Throws: `QuestionRefusal` with a sentence if there is none, or several.
    package func task(beginningWith digits: String) throws -> TaskKey {
        guard digits.count >= Store.shortestPrefix, digits.allSatisfy(\.isHexDigit) else {
            throw QuestionRefusal(
                description:
                    "“\(digits)” is no task's key: give at least its first \(Store.shortestPrefix) hexadecimal digits, "
                    + "from `tombola status` or `tombola leaderboard`")
        }
        let keys = try keys(beginningWith: digits, limit: Store.listed + 1)
        guard let first = keys.first else {
            throw QuestionRefusal(description: "no task in \(directory) begins with “\(digits)”")
        }
        guard keys.count == 1 else {
            let list = keys.prefix(Store.listed).map(\.description).joined(separator: ", ")
            throw QuestionRefusal(
                description: "“\(digits)” begins several tasks: \(list)\(keys.count > Store.listed ? ", …" : "")")
        }
        return first
    }
}
