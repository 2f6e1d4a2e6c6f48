import HeapModule

/// What will happen, in order of time; of equal times in the order in which it was entered.
struct Timetable<Happening: Sendable>: Sendable {
    private struct Entry: Comparable, Sendable {
        var at: Int64
        var order: UInt64
        var happening: Happening

        static func < (left: Entry, right: Entry) -> Bool { (left.at, left.order) < (right.at, right.order) }
        static func == (left: Entry, right: Entry) -> Bool { left.order == right.order }
    }

    private var entries = Heap<Entry>()
    private var entered: UInt64 = 0

    mutating func enter(_ happening: Happening, at time: Int64) {
        entries.insert(Entry(at: time, order: entered, happening: happening))
        entered += 1
    }

    mutating func next() -> (at: Int64, happening: Happening)? {
        entries.popMin().map { (at: $0.at, happening: $0.happening) }
    }
}
