import Glibc

/// What standard output or standard error is connected to.
package struct Terminal: Sendable {
    let descriptor: Int32

    package static let output = Terminal(descriptor: STDOUT_FILENO)
    package static let error = Terminal(descriptor: STDERR_FILENO)

    /// Whether people read along: a terminal that understands cursor movements.
    package var isInteractive: Bool { isatty(descriptor) == 1 && Environment.text("TERM") != "dumb" }

    /// Colours on a terminal, unless NO_COLOR is set to anything but nothing (no-color.org).
    package var ink: Ink { Ink(isEnabled: isInteractive && (Environment.text("NO_COLOR") ?? "").isEmpty) }

    /// Columns and rows; nil for a pipe or file. Asked anew each time, so that a resized window is noticed.
    package var size: (columns: Int, rows: Int)? {
        guard isatty(descriptor) == 1 else { return nil }
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Writes all of `text`. A reader that went away (`tombola leaderboard | head`) is no error worth a message.
    package func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    // A non-blocking terminal that is full: wait until it takes more.
                    if errno == EAGAIN {
                        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                        poll(&waiting, 1, -1)
                        continue
                    }
                    return
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }
}
