import Foundation
import Lottery

extension LevelSummary {
    /// What a worker delivered as the summary of a training. Nil if it cannot be read, or if no training can come to it.
    public static func reading(_ summary: some Sequence<UInt8>) -> LevelSummary? {
        // Why it cannot be read is of no use to anyone: nobody can mend it here.
        guard let read = try? JSONDecoder().decode(LevelSummary.self, from: Data(summary)), read.isPossible else {
            return nil
        }
        return read
    }
}
