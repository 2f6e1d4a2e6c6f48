import Lottery

/// One chain for each distinct (recipe, pruning, replicate) of a plan, and which run is a prefix of which.
struct Chains: Sendable {
    struct Chain: Sendable {
        /// Task index of level 0.
        var dense: Int32
        /// Task index of level 0's sibling; −1 if it has none.
        fileprivate var denseSibling: Int32 = -1
        /// Where its levels begin in `tasks`.
        fileprivate(set) var first: Int32 = 0
        /// From level 1 on; as many as the deepest run asks for.
        fileprivate(set) var levels: Int32 = 0
        /// In `forecasts`.
        var forecast: Int32
    }

    private let branches: Int
    /// Tasks of a level: its own, each branch's, and, where a sweep has such, those of `searchColumn`, `siblingColumn`
    /// and `maskColumn`.
    private let width: Int
    /// The task that the level's mask is got from.
    private let searchColumn: Int?
    private let siblingColumn: Int?
    /// What the level prunes, where that is another recipe's.
    private let maskColumn: Int?
    private(set) var chains: [Chain] = []
    /// For each level of each chain, the task index of the level, then of each branch, −1 where that does not stand
    /// beside the level, then of its search, its sibling and what it prunes of another recipe, in whose place is the
    /// level itself if it has none.
    private var tasks: [Int32] = []
    private(set) var forecasts: [PruningForecast] = []
    /// Index in `chains` for each point and replicate, point by point.
    private var chainOfRun: [Int32] = []

    init(runs: Int, branches: Int, hasSearches: Bool, hasSiblings: Bool, hasTransplants: Bool) {
        self.branches = branches
        var width = 1 + branches
        func column(_ isThere: Bool) -> Int? {
            guard isThere else { return nil }
            width += 1
            return width - 1
        }
        searchColumn = column(hasSearches)
        siblingColumn = column(hasSiblings)
        maskColumn = column(hasTransplants)
        self.width = width
        chainOfRun.reserveCapacity(runs)
    }

    func ofRun(_ run: Int) -> Chain { chains[Int(chainOfRun[run])] }

    /// The chain's own task at a level from 1 on.
    func task(of chain: Chain, level: Int) -> Int { Int(tasks[Int(chain.first) + (level - 1) * width]) }

    /// - Parameter branch: its place among the sweep's.
    /// - Returns: nil where it does not stand beside the level.
    func branch(_ branch: Int, of chain: Chain, level: Int) -> Int? {
        let task = tasks[Int(chain.first) + (level - 1) * width + 1 + branch]
        return task < 0 ? nil : Int(task)
    }

    /// The task that the mask of a level is got from, if it is a search.
    func search(of chain: Chain, level: Int) -> Int? { task(of: chain, level: level, column: searchColumn) }

    /// The training of other noise that a level, or the dense one at 0, is compared with.
    func sibling(of chain: Chain, level: Int) -> Int? {
        guard level > 0 else { return chain.denseSibling < 0 ? nil : Int(chain.denseSibling) }
        return task(of: chain, level: level, column: siblingColumn)
    }

    /// What a level prunes, if that was trained under another recipe than the level.
    func mask(of chain: Chain, level: Int) -> Int? { task(of: chain, level: level, column: maskColumn) }

    private func task(of chain: Chain, level: Int, column: Int?) -> Int? {
        guard let column else { return nil }
        let row = Int(chain.first) + (level - 1) * width
        return tasks[row + column] == tasks[row] ? nil : Int(tasks[row + column])
    }

    /// All of its first levels, branches, siblings, the dense one and those that gave the masks included.
    func tasks(of chain: Chain, levels: Int) -> Set<Int> {
        var all: Set<Int> = []
        all.reserveCapacity(levels * width + 2)
        forEachTask(of: chain, levels: levels) { all.insert($0) }
        return all
    }

    /// Hands the same over in no order, some more than once.
    func forEachTask(of chain: Chain, levels: Int, _ body: (Int) -> Void) {
        body(Int(chain.dense))
        if let sibling = sibling(of: chain, level: 0) { body(sibling) }
        let first = Int(chain.first)
        for task in tasks[first..<first + levels * width] where task >= 0 { body(Int(task)) }
    }

    /// All tasks of its first levels in their places: two chains with the same train the same.
    func row(of chain: Chain, levels: Int) -> ArraySlice<Int32> {
        tasks[Int(chain.first)..<Int(chain.first) + levels * width]
    }

    func forecast(of chain: Chain) -> PruningForecast { forecasts[Int(chain.forecast)] }

    mutating func add(_ forecast: PruningForecast) -> Int32 {
        forecasts.append(forecast)
        return Int32(forecasts.count - 1)
    }

    mutating func add(dense: Int32, sibling: Int32?, forecast: Int32) -> Int32 {
        chains.append(Chain(dense: dense, denseSibling: sibling ?? -1, forecast: forecast))
        return Int32(chains.count - 1)
    }

    /// The chain with the longer of two forecasts, one of which goes on from the other.
    mutating func lengthen(_ chain: Int32, forecast: Int32) {
        let old = forecasts[Int(chains[Int(chain)].forecast)].surviving.count
        if old < forecasts[Int(forecast)].surviving.count { chains[Int(chain)].forecast = forecast }
    }

    /// Readies a chain for more levels, which are to be appended before any other chain's.
    mutating func open(_ chain: Int32) {
        let old = chains[Int(chain)]
        chains[Int(chain)].first = Int32(tasks.count)
        // A chain that a deeper run prolongs moves; where it was is lost, which happens once for each depth at most. (A
        // slice at hand while it is appended would have the whole array copied, for every chain.)
        for position in 0..<Int(old.levels) * width { tasks.append(tasks[Int(old.first) + position]) }
    }

    /// - Parameter level: the tasks of the next level: its own, and each branch's, −1 for one that does not stand
    ///   beside it.
    mutating func append(_ level: [Int32], search: Int32?, sibling: Int32?, mask: Int32?, to chain: Int32) {
        precondition(level.count == 1 + branches, "\(level.count) tasks of a level with \(branches) branches")
        tasks += level
        if searchColumn != nil { tasks.append(search ?? level[0]) }
        if siblingColumn != nil { tasks.append(sibling ?? level[0]) }
        if maskColumn != nil { tasks.append(mask ?? level[0]) }
        chains[Int(chain)].levels += 1
    }

    mutating func addRun(_ chain: Int32) { chainOfRun.append(chain) }
}
