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

    static func check(_ worker: WorkerID) throws(WireError) { try check(name: worker.text, "a worker's name") }

    /// A name may be shown in a terminal and may come to be a part of a path: it has neither control characters nor a
    /// slash, and is neither `.` nor `..`.
    static func check(name: String, _ what: StaticString) throws(WireError) {
        guard (1...Limits.nameBytes).contains(name.utf8.count) else {
            throw .malformed("\(what) has \(name.utf8.count) bytes, not 1…\(Limits.nameBytes)")
        }
        guard name != ".", name != "..", !name.unicodeScalars.contains(where: { $0 == "/" || isControl($0) }) else {
            throw .malformed("\(what) has a slash or a control character, or is a folder")
        }
    }

    /// What people are shown, without the characters that steer a terminal; lines and tabs stay.
    static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isSteering) else { return text }
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { scalars.append(isSteering(scalar) ? "?" : scalar) }
        return String(scalars)
    }

    private static func isSteering(_ scalar: Unicode.Scalar) -> Bool {
        isControl(scalar) && scalar != "\n" && scalar != "\t"
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control
    }

    static func check(_ id: AttemptID) throws(WireError) {
        guard (1...Int(Int32.max)).contains(id.attempt.number) else {
            throw .malformed("\(id.attempt.number) is no attempt number")
        }
    }
}
