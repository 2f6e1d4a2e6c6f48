import Dispatch
import Foundation
import Synchronization

/// A thread with a name that can be waited for.
final class LoopThread: Sendable {
    private let ended = DispatchSemaphore(value: 0)

    init(name: String, _ body: @escaping @Sendable () -> Void) {
        let ended = ended
        let thread = Thread {
            body()
            ended.signal()
        }
        thread.name = name
        thread.start()
    }

    /// Returns once the thread has ended. May be called more than once.
    func join() {
        ended.wait()
        ended.signal()
    }
}

/// A result that one thread sets, once, and others wait for.
final class Outcome<Value: Sendable, Failure: Error>: Sendable {
    private let result = Mutex<Result<Value, Failure>?>(nil)
    private let isSet = DispatchSemaphore(value: 0)

    init() {}

    /// The first one counts.
    func set(_ value: Result<Value, Failure>) {
        let isFirst = result.withLock { result in
            defer { if result == nil { result = value } }
            return result == nil
        }
        if isFirst { isSet.signal() }
    }

    func wait() -> Result<Value, Failure> {
        isSet.wait()
        isSet.signal()
        return result.withLock { $0! }
    }
}
