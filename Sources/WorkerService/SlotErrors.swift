import Coordination
import Glibc

/// What a slot's child writes to standard error: it goes on to the worker's own, and its end is kept for a failure's
/// report.
final class SlotErrors {
    /// Becomes readable when the child writes; -1 once nothing more will come.
    private(set) var descriptor: Int32
    private var tail: [UInt8] = []

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Forgets what earlier tasks wrote.
    func begin() {
        pass()
        tail = []
    }

    /// Takes what is there and passes it on.
    func pass() {
        var buffer = [UInt8](repeating: 0, count: SlotErrors.writeBytes)
        // No more in one go than a pipe holds, so that a child that writes without end cannot keep the worker's loop.
        for _ in 0..<16 where descriptor >= 0 {
            let count = read(descriptor, &buffer, buffer.count)
            if count > 0 {
                tail += buffer[..<count]
                if tail.count > 2 * Limits.logTailBytes { tail.removeFirst(tail.count - Limits.logTailBytes) }
                SlotErrors.say(buffer[..<count])
            } else if count == 0 {
                close(descriptor)
                descriptor = -1
            } else if errno != EINTR {
                return
            }
        }
    }

    /// The end of what was written since `begin`, of at most `Limits.logTailBytes`, without a character that was cut.
    var text: String {
        let end = tail.suffix(Limits.logTailBytes).drop { $0 & 0xC0 == 0x80 }
        let text = String(decoding: end, as: UTF8.self)
        return text.utf8.count <= Limits.logTailBytes ? text : String(text.suffix(Limits.logTailBytes / 3))
    }

    /// A pipe that has room takes this much without making the writer wait.
    private static let writeBytes = 4_096

    /// If nobody reads the worker's standard error, this is lost: the worker does not wait for it.
    private static func say(_ bytes: ArraySlice<UInt8>) {
        var look = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        guard Glibc.poll(&look, 1, 0) == 1, look.revents & Int16(POLLOUT) != 0 else { return }
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
