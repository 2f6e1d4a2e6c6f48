import Artifacts
import Coordination

/// Watches the room on the store's disk, so that a sweep pauses before a commit fails for want of it.
package struct Room {
    package static let lookMilliseconds: Int64 = 5_000
    /// What is kept free unless a setting says otherwise: a twentieth of a small disk, never more than this.
    package static let mostKeptFree = 1 << 30

    package enum Turn: Equatable {
        case short(free: Int, wanted: Int)
        case enough
    }

    private let minimum: Int?
    private let measure: () -> (free: Int, size: Int)?
    private var isShort = false
    /// When to look again.
    package private(set) var nextLook: Instant

    /// - Parameters:
    ///   - minimum: bytes to keep free; nil for the default, 0 for none.
    ///   - measure: bytes that may still be written, and the disk's; nil if it cannot be told.
    package init(minimum: Int?, at now: Instant, measure: @escaping () -> (free: Int, size: Int)?) {
        self.minimum = minimum
        self.measure = measure
        nextLook = now
    }

    /// Looks if it is time to. Nil if all stays as it is.
    package mutating func tend(at now: Instant) -> Turn? {
        guard now >= nextLook else { return nil }
        nextLook = now.advanced(byMilliseconds: Room.lookMilliseconds)
        guard let (free, size) = measure() else { return nil }
        let wanted = minimum ?? min(Room.mostKeptFree, size / 20)
        if !isShort, free < wanted {
            isShort = true
            return .short(free: free, wanted: wanted)
        }
        // An eighth more, so that the next result does not pause it again at once.
        if isShort, free >= wanted + wanted / 8 {
            isShort = false
            return .enough
        }
        return nil
    }
}
