import Lottery

/// How many weights survive each level, known before anything is trained: exactly floor(p · remaining) go at a time.
public struct PruningForecast: Hashable, Sendable {
    /// Weights in layers that are ever pruned.
    public let prunable: Int
    /// Survivors among them after each level, from level 0 on.
    public let surviving: [Int]
    /// Survivors per layer after each level, in network order; nil in global scope, where training decides.
    public let survivingByLayer: [[Int]]?

    public var densities: [Double] { surviving.map { prunable == 0 ? 1 : Double($0) / Double(prunable) } }

    public init(layers: [LayerShape], pruning: PruningSettings) {
        // Weights that are counted together: those of a layer, or in global scope those of one rate.
        var groups: [(rate: Ratio, count: Int)] = []
        var groupOfLayer: [Int?] = []
        for layer in layers {
            let rate = pruning.rate[layer.kind]
            guard rate > .zero else {
                groupOfLayer.append(nil)
                continue
            }
            if pruning.scope == .global, let group = groups.firstIndex(where: { $0.rate == rate }) {
                groups[group].count += layer.weights
                groupOfLayer.append(group)
            } else {
                groupOfLayer.append(groups.count)
                groups.append((rate, layer.weights))
            }
        }
        prunable = groups.reduce(0) { $0 + $1.count }
        var surviving = [prunable]
        var byLayer = [layers.map(\.weights)]
        for _ in 0..<pruning.levels {
            for group in groups.indices { groups[group].count -= groups[group].rate.floor(of: groups[group].count) }
            surviving.append(groups.reduce(0) { $0 + $1.count })
            byLayer.append(
                zip(layers, groupOfLayer).map { layer, group in group.map { groups[$0].count } ?? layer.weights })
        }
        self.surviving = surviving
        survivingByLayer = pruning.scope == .layer ? byLayer : nil
    }

    /// The first level that would prune nothing; nil if each prunes something.
    public var firstIdleLevel: Int? {
        surviving.indices.dropFirst().first { surviving[$0] == surviving[$0 - 1] }
    }
}
