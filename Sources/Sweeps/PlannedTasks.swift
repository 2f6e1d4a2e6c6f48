import Lottery

/// The tasks of a plan in its order, parents first.
public struct PlannedTasks: RandomAccessCollection, Sendable {
    let plan: PlanStorage

    public var startIndex: Int { 0 }
    public var endIndex: Int { plan.slots.count }
    public subscript(index: Int) -> PlannedTask {
        precondition(plan.slots.indices.contains(index), "task \(index) of \(plan.slots.count)")
        return PlannedTask(plan: plan, index: index)
    }
}

/// All that the tasks of a plan are made of. 64 bytes a task, and 8 for finding it by its key.
final class PlanStorage: Sendable {
    let sweep: Sweep
    let slots: [Slot]
    let indices: KeyIndices
    let forms: [TaskForm]
    let recipes: [Recipe]
    let surroundings: [Recipe.Surroundings]
    let checkpoints: [CheckpointSources]
    /// Of the few tasks that are to keep checkpoints.
    let keepSteps: [Int32: [Int]]

    /// What is a task's own; what it shares with others is an index.
    struct Slot: Sendable {
        var key: TaskKey
        var priority = 0
        var form: Int32
        var recipe: Int32
        var replicate: Int32
        private var parentOrNone: Int32
        private var checkpointsOrNone: Int32
        var isDone: Bool

        /// - Parameter parent: the task whose weights it prunes.
        init(
            key: TaskKey, form: Int32, recipe: Int32, replicate: Int32, parent: Int32?, checkpoints: Int32?,
            isDone: Bool
        ) {
            self.key = key
            self.form = form
            self.recipe = recipe
            self.replicate = replicate
            parentOrNone = parent ?? -1
            checkpointsOrNone = checkpoints ?? -1
            self.isDone = isDone
        }

        var parent: Int32? { parentOrNone < 0 ? nil : parentOrNone }
        /// In `checkpoints`.
        var checkpoints: Int32? { checkpointsOrNone < 0 ? nil : checkpointsOrNone }
    }

    init(
        sweep: Sweep, slots: [Slot], indices: KeyIndices, forms: [TaskForm], recipes: [Recipe],
        surroundings: [Recipe.Surroundings], checkpoints: [CheckpointSources], keepSteps: [Int32: [Int]]
    ) {
        self.sweep = sweep
        self.slots = slots
        self.indices = indices
        self.forms = forms
        self.recipes = recipes
        self.surroundings = surroundings
        self.checkpoints = checkpoints
        self.keepSteps = keepSteps
    }

    func index(of key: TaskKey) -> Int? { indices.find(key) { slots[$0].key } }

    func cost(of slot: Slot) -> Int { slot.cost(recipes, forms) }
}

extension PlanStorage.Slot {
    /// Training steps.
    func cost(_ recipes: [Recipe], _ forms: [TaskForm]) -> Int {
        let form = forms[Int(form)]
        return max(0, (form.stopAfter ?? recipes[Int(recipe)].iterations) - form.firstStep)
    }
}

/// Finds positions by keys that somebody else keeps: a hash table of the positions alone, open and probed in line.
struct KeyIndices: Sendable {
    /// −1 where there is none. A power of two of them, at most three quarters taken.
    private var buckets: [Int32] = Array(repeating: -1, count: 64)
    private var count = 0

    /// - Parameter keyAt: the key at a position that was added.
    func find(_ key: TaskKey, keyAt: (Int) -> TaskKey) -> Int? {
        let mask = buckets.count - 1
        var bucket = KeyIndices.home(of: key) & mask
        while buckets[bucket] >= 0 {
            let position = Int(buckets[bucket])
            if keyAt(position) == key { return position }
            bucket = (bucket + 1) & mask
        }
        return nil
    }

    /// - Precondition: the key was not found.
    mutating func add(_ key: TaskKey, at position: Int, keyAt: (Int) -> TaskKey) {
        count += 1
        if count * 4 > buckets.count * 3 {
            let old = buckets
            buckets = Array(repeating: -1, count: 2 * old.count)
            for position in old where position >= 0 { put(position, keyAt(Int(position))) }
        }
        put(Int32(position), key)
    }

    private mutating func put(_ position: Int32, _ key: TaskKey) {
        let mask = buckets.count - 1
        var bucket = KeyIndices.home(of: key) & mask
        while buckets[bucket] >= 0 { bucket = (bucket + 1) & mask }
        buckets[bucket] = position
    }

    /// A key is a SHA-256, any bits of which are spread evenly.
    private static func home(of key: TaskKey) -> Int { Int(truncatingIfNeeded: key.digest.head) }
}
