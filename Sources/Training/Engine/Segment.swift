import Kernels
import Lottery

/// Layers that run one after the other on a few blocks of a batch before the next blocks follow, so that what one
/// leaves is still in the cache when the next reads it.
struct Segment {
    /// In the order in which they run.
    let layers: [Int]
    /// How many blocks at a time; nil for all.
    let blocks: Int?

    /// Bytes of the largest tensor that should stay in the cache: half of a second-level cache of 2 MiB.
    private static let cachedBytes = 1 << 20

    /// - Parameters:
    ///   - order: layers in the order in which they run.
    ///   - needs: by layer.
    static func all(
        _ order: [Int], needs: [BlockNeed], description: NetworkDescription, engine: Engine
    ) -> [Segment] {
        precondition(engine.blocksAtOnce ?? 1 > 0, "\(engine.blocksAtOnce ?? 0) blocks at once")
        var groups: [[Int]] = []
        for layer in order {
            let follows = groups.last.map { needs[$0[0]] != .wholeBatch } ?? false
            if follows && needs[layer] == .block {
                groups[groups.count - 1].append(layer)
            } else {
                groups.append([layer])
            }
        }
        return groups.map { group in
            Segment(
                layers: group,
                blocks: needs[group[0]] == .wholeBatch
                    ? nil : engine.blocksAtOnce ?? blocks(of: group, in: description, engine.precision))
        }
    }

    private static func blocks(
        of group: [Int], in description: NetworkDescription, _ precision: Precision
    ) -> Int? {
        var largest = 0
        for layer in group {
            for shape in [description.nodes[layer].output, description.shape(of: description.nodes[layer].input)] {
                guard case .planes(let planes) = shape else { return nil }
                // Kernels compute maps of few columns for several blocks at once.
                if planes.width <= 4 { return nil }
                largest = max(largest, shape.bytesPerBlock(precision))
            }
        }
        return max(1, cachedBytes / max(1, largest))
    }

    /// Ranges of blocks, in order.
    func ranges(of count: Int) -> [Range<Int>] {
        let step = blocks ?? count
        return stride(from: 0, to: count, by: step).map { $0..<min($0 + step, count) }
    }
}
