import HeapModule

/// A priority queue whose elements can be ranked anew or taken out: a heap with lazy deletion.
/// - Complexity: O(log n) amortised for each operation; stale entries never outnumber live ones by more than a
///   constant.
struct RankedQueue<Element: Hashable & Sendable, Rank: Comparable & Sendable>: Sendable {
    private struct Entry: Comparable, Sendable {
        var rank: Rank
        var element: Element

        static func < (left: Entry, right: Entry) -> Bool { left.rank < right.rank }
        static func == (left: Entry, right: Entry) -> Bool { left.rank == right.rank }
    }

    private var heap = Heap<Entry>()
    /// The truth; an entry of the heap that says otherwise is stale.
    private var ranks: [Element: Rank] = [:]

    var count: Int { ranks.count }
    var isEmpty: Bool { ranks.isEmpty }

    /// In no order.
    var elements: some Collection<(key: Element, value: Rank)> { ranks }

    func rank(of element: Element) -> Rank? { ranks[element] }

    mutating func set(_ element: Element, rank: Rank) {
        guard ranks.updateValue(rank, forKey: element) != rank else { return }
        heap.insert(Entry(rank: rank, element: element))
        compactIfSparse()
    }

    mutating func remove(_ element: Element) {
        ranks.removeValue(forKey: element)
        compactIfSparse()
    }

    /// The element of the highest rank.
    mutating func first() -> Element? {
        while let entry = heap.max {
            if ranks[entry.element] == entry.rank { return entry.element }
            heap.removeMax()
        }
        return nil
    }

    private mutating func compactIfSparse() {
        guard heap.count > 2 * ranks.count + 64 else { return }
        heap = Heap(ranks.map { Entry(rank: $0.value, element: $0.key) })
    }
}
