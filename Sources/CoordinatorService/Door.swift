import Coordination
import ZeroMQ

/// Closes a listening socket to newcomers while the process is short of file descriptors, so that those who knock
/// cannot keep the coordinator from its own files. What is connected stays; what does not finish its handshake is gone
/// after seconds.
struct Door {
    static let lookMilliseconds: Int64 = 1_000

    enum Turn {
        case closed(free: Int)
        case opened
    }

    private let endpoint: String
    private let free: () -> Int
    private var isOpen = true
    /// When to look again.
    private(set) var nextLook: Instant

    /// - Parameters:
    ///   - endpoint: as `bind` returned it.
    ///   - free: how many more descriptors the process may open.
    init(_ endpoint: String, at now: Instant, free: @escaping () -> Int = { FileLimit.free }) {
        self.endpoint = endpoint
        self.free = free
        nextLook = now.advanced(byMilliseconds: Door.lookMilliseconds)
    }

    /// Looks if it is time to, and opens or closes. Nil if all stays as it is.
    mutating func tend(_ socket: borrowing Socket, at now: Instant) -> Turn? {
        guard now >= nextLook else { return nil }
        nextLook = now.advanced(byMilliseconds: Door.lookMilliseconds)
        let free = free()
        if isOpen, free < Limits.descriptorsKept {
            // If it could not be, it is tried again at the next look.
            do { try socket.unbind(endpoint) } catch { return nil }
            isOpen = false
            return .closed(free: free)
        }
        // A quarter more, so that the next to come do not close it again at once.
        if !isOpen, free >= Limits.descriptorsKept + Limits.descriptorsKept / 4 {
            // The old listener closes in the background, and the port may be taken for a moment longer.
            do { _ = try socket.bind(endpoint) } catch { return nil }
            isOpen = true
            return .opened
        }
        return nil
    }
}
