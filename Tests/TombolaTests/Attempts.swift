import Coordination
import Foundation
import Lottery
import Store

/// How often each task of a store was tried, and which are done.
struct Attempts: Equatable {
    var counts: [TaskKey: Int] = [:]
    var done: Set<TaskKey> = []

    init() {}

    /// - Parameter store: a store's folder; a coordinator may be using it.
    init(store folder: URL) throws {
        let store = try Store.open(directory: folder.path(), mode: .reader)
        for task in try store.snapshot().tasks {
            counts[task.work.key] = task.attempts
            if case .done = task.state { done.insert(task.work.key) }
        }
        try store.close()
    }

    /// Tasks that were done at `self` and were tried again since.
    func triedAgain(by later: Attempts) -> [TaskKey] { done.filter { later.counts[$0] != counts[$0] }.sorted() }
}
