/// Finds the lowest-ranked of many weights without sorting them.
package enum PruneSelection {
    /// For each group of keys the positions, ascending, of the `count` lowest keys over all groups. Of equals the one
    /// in the earlier group, and then at the lower position, comes first.
    /// - Precondition: `count` in 0...total number of keys.
    /// - Complexity: O(n): a radix search for the highest key that goes, 16 bits at a time.
    package static func lowest(_ count: Int, of groups: [[UInt64]]) -> [[Int]] {
        let total = groups.reduce(0) { $0 + $1.count }
        precondition((0...total).contains(count), "\(count) of \(total) weights")
        guard count > 0 else { return groups.map { _ in [] } }

        // The key at rank `count`, found from its highest digits down; `below` keys share the prefix and are lower.
        var prefix: UInt64 = 0
        var rank = count - 1
        for shift in stride(from: 48, through: 0, by: -16) {
            var histogram = [Int](repeating: 0, count: 1 << 16)
            let mask: UInt64 = shift == 48 ? 0 : ~0 << UInt64(shift + 16)
            for keys in groups {
                for key in keys where key & mask == prefix { histogram[Int(key >> UInt64(shift) & 0xFFFF)] += 1 }
            }
            var digit = 0
            while rank >= histogram[digit] {
                rank -= histogram[digit]
                digit += 1
            }
            prefix |= UInt64(digit) << UInt64(shift)
        }
        // `rank` of the keys equal to the threshold go before the last one.
        var equals = rank + 1
        return groups.map { keys in
            var positions: [Int] = []
            // Not grown: they may be nearly as many as the keys.
            let below = keys.count { $0 < prefix }
            positions.reserveCapacity(below + min(equals, keys.count - below))
            for (position, key) in keys.enumerated() {
                if key < prefix {
                    positions.append(position)
                } else if key == prefix && equals > 0 {
                    positions.append(position)
                    equals -= 1
                }
            }
            return positions
        }
    }
}
