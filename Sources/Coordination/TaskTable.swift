import Lottery
import OrderedCollections

/// Every task, in the order in which they were added, and what they have in common once.
///
/// Sweeps have millions of tasks that wait or are done. So a task's slot is small, what few tasks have is on the heap
/// (`Coordinator.Task`), and inputs, which are alike but for the parents, and outputs lie in tables of their own. A
/// parent that nobody submitted has a place among the keys, too, so that those who wait for it are found once it comes.
struct TaskTable: Sendable {
    private(set) var keys: OrderedSet<TaskKey> = []
    /// Nil for a parent that nobody submitted.
    private var tasks: [Coordinator.Task?] = []
    private var kinship = Kinship()
    private var forms: OrderedSet<InputForm> = [InputForm(inputs: [])]
    private var outputs = KeptOutputs()

    subscript(key: TaskKey) -> Coordinator.Task? {
        get { keys.firstIndex(of: key).flatMap { tasks[$0] } }
        _modify {
            let place = place(of: key)
            yield &tasks[place]
        }
    }

    /// Changes a task that was submitted.
    mutating func change<Value>(_ key: TaskKey, _ body: (inout Coordinator.Task) -> Value) -> Value {
        body(&tasks[keys.firstIndex(of: key)!]!)
    }

    /// Every task that was submitted, with its key.
    var all: some Sequence<(key: TaskKey, task: Coordinator.Task)> {
        keys.indices.lazy.compactMap { index in tasks[index].map { (key: keys[index], task: $0) } }
    }

    mutating func reserveCapacity(_ count: Int) {
        keys.reserveCapacity(count)
        tasks.reserveCapacity(count)
        kinship.reserveCapacity(count)
    }

    /// Where a task is, or will be: its order among all.
    mutating func place(of key: TaskKey) -> Int {
        let (isNew, index) = keys.append(key)
        if isNew {
            tasks.append(nil)
            kinship.addTask()
        }
        return index
    }

    // MARK: Inputs

    /// Whether all that it reads of other tasks is of tasks that have their places.
    func hasParents(of work: Work) -> Bool {
        work.inputs.allSatisfy { input in
            if case .output(let parent, _) = input.source { keys.contains(parent) } else { true }
        }
    }

    /// Keys of the tasks whose outputs it reads, each once.
    func parents(of key: TaskKey) -> [TaskKey] { places(of: key, kinship.parents) }

    /// Tasks that read outputs of this one, in the order in which they were linked.
    func dependents(of key: TaskKey) -> [TaskKey] { places(of: key, kinship.dependents) }

    private func places(of key: TaskKey, _ relatives: (Int) -> [Int]) -> [TaskKey] {
        keys.firstIndex(of: key).map { relatives($0).map { keys[$0] } } ?? []
    }

    /// What a task reads.
    func inputs(of key: TaskKey) -> [WorkInput] {
        guard let index = keys.firstIndex(of: key), let task = tasks[index] else { return [] }
        let parents = kinship.parents(of: index)
        return forms[task.form].inputs.map { input in
            switch input.source {
            case .blob(let digest): WorkInput(name: input.name, source: .blob(digest))
            case .output(let parent, let name):
                WorkInput(name: input.name, source: .output(keys[parents[parent]], name))
            }
        }
    }

    /// Has a task read `inputs`, and no others.
    /// - Complexity: O(inputs) for a task that read nothing.
    mutating func setInputs(of key: TaskKey, to inputs: [WorkInput]) {
        let index = place(of: key)
        kinship.untie(index)
        var parents: [Int] = []
        let form = InputForm(
            inputs: inputs.map { input in
                switch input.source {
                case .blob(let digest): return InputForm.Input(name: input.name, source: .blob(digest))
                case .output(let parent, let name):
                    let place = place(of: parent)
                    let number = parents.firstIndex(of: place) ?? parents.count
                    if number == parents.count { parents.append(place) }
                    return InputForm.Input(name: input.name, source: .output(parent: number, name))
                }
            })
        tasks[index]!.form = forms.append(form).index
        kinship.tie(index, to: parents)
    }

    // MARK: Outputs

    /// Keeps of a result what may be asked for.
    /// - Parameter attempt: whose it is, if that is known.
    mutating func keep(_ result: WorkResult, by attempt: AttemptID?) -> KeptResult { outputs.keep(result, by: attempt) }

    /// What a done task left; nil if it is not done.
    func outputs(of key: TaskKey) -> [TaskOutput]? { result(of: key).map(outputs.list) }

    /// The content of one output of a done task.
    func output(_ name: OutputName, of key: TaskKey) -> Digest? {
        result(of: key).flatMap { outputs.digest(of: name, $0) }
    }

    /// A done task does not have the output any more.
    mutating func retire(_ name: OutputName, of key: TaskKey) {
        guard let result = result(of: key) else { return }
        let rest = outputs.without(name, result)
        change(key) { $0.settled = .done(rest) }
    }

    /// Whether a result says the same as that of a done task, times aside.
    func agrees(_ result: WorkResult, with key: TaskKey) -> Bool {
        self.result(of: key).map { outputs.agrees(result, with: $0) } ?? false
    }

    private func result(of key: TaskKey) -> KeptResult? {
        if case .done(let result) = self[key]?.settled { result } else { nil }
    }
}

/// Inputs of a task but for which tasks its parents are: those of a sweep's tasks have few forms.
struct InputForm: Hashable, Sendable {
    struct Input: Hashable, Sendable {
        var name: String
        var source: Source
    }

    enum Source: Hashable, Sendable {
        case blob(Digest)
        /// Of its parents the one at this index.
        case output(parent: Int, OutputName)
    }

    var inputs: [Input]
}
