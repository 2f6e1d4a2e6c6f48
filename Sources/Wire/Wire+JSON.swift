import Coordination
import FoundationEssentials
import Lottery

extension Wire {
    static func json(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            // Headers hold texts, integers and booleans, which always encode.
            preconditionFailure("\(type(of: value)) does not encode: \(error)")
        }
    }

    static func fromJSON<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) throws(WireError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw .malformed("a \(type) does not decode")
        }
    }

    static func check(_ worker: WorkerID) throws(WireError) {
        guard (1...Limits.nameBytes).contains(worker.text.utf8.count) else {
            throw .malformed("a worker's name has \(worker.text.utf8.count) bytes, not 1…\(Limits.nameBytes)")
        }
    }

    static func check(_ id: AttemptID) throws(WireError) {
        // Half of what the field holds, so that the next attempt's number fits as well.
        guard (1...Int(Int32.max)).contains(id.attempt.number) else {
            throw .malformed("\(id.attempt.number) is no attempt number")
        }
    }
}
