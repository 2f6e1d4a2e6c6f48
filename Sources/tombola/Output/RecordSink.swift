import Foundation
import Glibc
import Sweeps

/// Where a table of records goes, piece by piece: standard output, or a file that is there whole or not at all.
final class RecordSink {
    private let path: String?
    private let temporary: String?
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private static let bufferBytes = 1 << 20

    /// - Parameter path: nil or `-` for standard output.
    init(path: String?) throws(Failure) {
        let path = path == "-" ? nil : path
        if let path { try OutputPath.check(path) }
        self.path = path
        temporary = path.map { "\($0).\(getpid()).part" }
        guard let temporary else {
            descriptor = STDOUT_FILENO
            return
        }
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw RecordSink.failure(path ?? "") }
    }

    func append(_ text: String) throws(Failure) {
        buffer.append(contentsOf: text.utf8)
        if buffer.count >= RecordSink.bufferBytes { try flush() }
    }

    private func flush() throws(Failure) {
        var offset = 0
        while offset < buffer.count {
            let written = buffer.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + offset, buffer.count - offset)
            }
            if written < 0, errno == EINTR { continue }
            // A reader that went away (`| head`) is no error worth a message.
            if written < 0, errno == EPIPE, path == nil { break }
            guard written > 0 else { throw RecordSink.failure(path ?? "standard output") }
            offset += written
        }
        buffer.removeAll(keepingCapacity: true)
    }

    /// What was written is there, under its name.
    func finish() throws(Failure) {
        try flush()
        guard let path, let temporary else { return }
        guard fsync(descriptor) == 0, close(descriptor) == 0, rename(temporary, path) == 0 else {
            throw RecordSink.failure(path)
        }
    }

    /// After an error: nothing stays behind.
    func abandon() {
        if let temporary { unlink(temporary) }
    }

    private static func failure(_ path: String) -> Failure {
        Failure(.infrastructure, "cannot write \(path): \(String(cString: strerror(errno)))")
    }
}

/// Tables of records as text.
enum RecordText {
    /// CSV as RFC 4180 has it, or a JSON array of objects, row by row.
    static func write(
        _ records: Records, _ table: RecordTable, asJSON: Bool, to append: (String) throws -> Void
    ) throws {
        let columns = records.columns(of: table).map(\.name)
        if asJSON {
            let keys = columns.map { quoted($0) + ":" }
            var isFirst = true
            try append("[")
            try records.forEachRow(of: table) { row in
                let members = zip(keys, row).map { $0 + json($1) }
                try append((isFirst ? "\n{" : ",\n{") + members.joined(separator: ",") + "}")
                isFirst = false
            }
            try append("\n]\n")
        } else {
            try append(columns.map(TextGrid.csvField).joined(separator: ",") + "\r\n")
            try records.forEachRow(of: table) { row in
                try append(row.map(csv).joined(separator: ",") + "\r\n")
            }
        }
    }

    private static func csv(_ value: RecordValue) -> String {
        switch value {
        case .text(let text): TextGrid.csvField(text)
        case .integer(let number): String(number)
        case .real(let number): number.isNaN ? "NaN" : "\(number)"
        case .flag(let flag): flag ? "true" : "false"
        case .missing: ""
        }
    }

    /// JSON knows no number that is not finite; such a one is text.
    private static func json(_ value: RecordValue) -> String {
        switch value {
        case .text(let text): quoted(text)
        case .integer(let number): String(number)
        case .real(let number): number.isFinite ? "\(number)" : quoted(number.isNaN ? "NaN" : "\(number)")
        case .flag(let flag): flag ? "true" : "false"
        case .missing: "null"
        }
    }

    private static func quoted(_ text: String) -> String {
        guard let data = try? JSONEncoder().encode(text) else { preconditionFailure("text cannot be written as JSON") }
        return String(decoding: data, as: UTF8.self)
    }
}
