import Foundation
import Lottery

extension LevelSummary {
    /// What a worker delivered as the summary of a training. Nil if it cannot be read, or if no training can come to it.
    public static func reading(_ summary: some Sequence<UInt8>) -> LevelSummary? {
        guard let read = try? JSONDecoder().decode(LevelSummary.self, from: Data(summary)), read.isPossible else {
            return nil
        }
        return read
    }
}
