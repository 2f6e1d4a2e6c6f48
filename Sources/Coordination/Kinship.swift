/// Which tasks wait for which, by their places in a table: 12 bytes a task and 16 for each parent that it has.
///
/// Chains are long and there are many, so that a list of its own for each task would take more room than all else about
/// it.
struct Kinship: Sendable {
    /// One task that waits for another, linked to the next of either.
    private struct Tie: Sendable {
        var parent: Int32
        var child: Int32
        var nextOfParent: Int32 = Kinship.none
        var nextOfChild: Int32 = Kinship.none
    }

    private struct Ends: Sendable {
        var firstParent = Kinship.none
        var firstDependent = Kinship.none
        var lastDependent = Kinship.none
    }

    private static let none: Int32 = -1

    private var ends: [Ends] = []
    private var ties: [Tie] = []
    /// The first of those that were untied, linked by `nextOfChild`.
    private var unused = Kinship.none

    mutating func addTask() { ends.append(Ends()) }

    mutating func reserveCapacity(_ count: Int) { ends.reserveCapacity(count) }

    /// What `child` waits for, in the order in which it was tied.
    func parents(of child: Int) -> [Int] {
        var parents: [Int] = []
        var tie = ends[child].firstParent
        while tie != Kinship.none {
            parents.append(Int(ties[Int(tie)].parent))
            tie = ties[Int(tie)].nextOfChild
        }
        return parents
    }

    /// What waits for `parent`, in the order in which it was tied.
    func dependents(of parent: Int) -> [Int] {
        var dependents: [Int] = []
        var tie = ends[parent].firstDependent
        while tie != Kinship.none {
            dependents.append(Int(ties[Int(tie)].child))
            tie = ties[Int(tie)].nextOfParent
        }
        return dependents
    }

    /// - Precondition: the child has no parents.
    mutating func tie(_ child: Int, to parents: [Int]) {
        precondition(ends[child].firstParent == Kinship.none, "task \(child) has its parents already")
        for parent in parents.reversed() {
            let tie = unusedTie()
            ties[Int(tie)] = Tie(parent: Int32(parent), child: Int32(child), nextOfChild: ends[child].firstParent)
            ends[child].firstParent = tie
        }
        var tie = ends[child].firstParent
        while tie != Kinship.none {
            let parent = Int(ties[Int(tie)].parent)
            let last = ends[parent].lastDependent
            if last == Kinship.none { ends[parent].firstDependent = tie } else { ties[Int(last)].nextOfParent = tie }
            ends[parent].lastDependent = tie
            tie = ties[Int(tie)].nextOfChild
        }
    }

    /// - Complexity: O(what waits for its parents).
    mutating func untie(_ child: Int) {
        var tie = ends[child].firstParent
        ends[child].firstParent = Kinship.none
        while tie != Kinship.none {
            let next = ties[Int(tie)].nextOfChild
            unhook(tie)
            ties[Int(tie)].nextOfChild = unused
            unused = tie
            tie = next
        }
    }

    /// Takes a tie out of its parent's list.
    private mutating func unhook(_ tie: Int32) {
        let (parent, next) = (Int(ties[Int(tie)].parent), ties[Int(tie)].nextOfParent)
        var before = Kinship.none
        var other = ends[parent].firstDependent
        while other != tie { (before, other) = (other, ties[Int(other)].nextOfParent) }
        if before == Kinship.none { ends[parent].firstDependent = next } else { ties[Int(before)].nextOfParent = next }
        if ends[parent].lastDependent == tie { ends[parent].lastDependent = before }
    }

    private mutating func unusedTie() -> Int32 {
        guard unused != Kinship.none else {
            ties.append(Tie(parent: Kinship.none, child: Kinship.none))
            return Int32(ties.count - 1)
        }
        let tie = unused
        unused = ties[Int(tie)].nextOfChild
        return tie
    }
}
