import Coordination

/// Tasks that no worker can take, for people.
package enum UnmetText {
    /// `2 tasks wait for a worker with 256.0 MiB of memory (the largest here has 95.4 MiB)`.
    package static func sentence(_ unmet: CoordinatorStatus.UnmetNeeds) -> String {
        "\(OrderText.tasks(unmet.tasks)) \(unmet.tasks == 1 ? "waits" : "wait") for "
            + worker(with: unmet.needs, largest: unmet.largestMemoryBytes)
    }

    /// What a worker must have, and what those that are here lack.
    /// - Parameter largest: the most memory of those that compute the numerics; nil if none does.
    static func worker(with needs: Work.Needs, largest: Int?) -> String {
        let parts = [
            needs.memoryBytes > 0 ? "\(Format.bytes(needs.memoryBytes)) of memory" : nil,
            needs.numerics.map { "numerics \($0)" },
        ].compactMap(\.self)
        let these = needs.numerics == nil ? "" : " with these numerics"
        let here = largest.map { "the largest here\(these) has \(Format.bytes($0))" } ?? "none here has these numerics"
        return "a worker with \(parts.joined(separator: " and ")) (\(here))"
    }

    /// What helps where it is no use to wait for other workers.
    package static func remedy(_ unmet: [CoordinatorStatus.UnmetNeeds]) -> String {
        let isMemoryShort = unmet.contains { $0.largestMemoryBytes != nil }
        let lacksNumerics = unmet.contains { $0.largestMemoryBytes == nil }
        return [
            isMemoryShort
                ? "set TOMBOLA_MEMORY higher if that is what limits it, use a machine with more memory, or make the batch or the "
                    + "network smaller"
                : nil,
            lacksNumerics ? "use a tombola that computes these numerics" : nil,
        ].compactMap(\.self).joined(separator: "; ")
    }
}
