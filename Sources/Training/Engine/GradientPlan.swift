import Kernels
import Lottery

/// Where the gradients by each tensor are made and in which order their shares come, known when a network is built.
///
/// A tensor that several layers read has a share from each: the share that came before is the addend of the next, and
/// the last applies the gate of a ReLU. A shortcut's share is the gradient by what it was added to, as it is, so that
/// no kernel runs for it where another share follows.
struct GradientPlan {
    let segments: [Segment]
    /// By layer; nil where the gradient by the input is not wanted.
    let targets: [GradientTarget?]
    /// By layer with a shortcut: what to do with its share.
    let shortcuts: [ShortcutShare?]
    /// By layer: the gradient by its results.
    let resultGradients: [BatchMemory]
    /// By layer: which tensors' gradients are complete in the blocks that it has worked on.
    let completes: [[Int]]

    enum ShortcutShare {
        /// The share is read where it is.
        case shared
        /// It is added by a kernel.
        case added(PlanesShape, GradientTarget)
    }

    private enum Share {
        case kernel(layer: Int)
        case shortcut(layer: Int)

        var layer: Int {
            switch self {
            case .kernel(let layer), .shortcut(let layer): layer
            }
        }
    }

    init(
        _ description: NetworkDescription, layers: [any Layer], activations: [BatchMemory], engine: Engine,
        blocks: Int
    ) {
        let nodes = description.nodes
        segments = Segment.all(
            nodes.indices.reversed(), needs: layers.map(\.backwardNeed), description: description, engine: engine)
        var segmentOf = Array(repeating: 0, count: nodes.count)
        for (number, segment) in segments.enumerated() {
            for layer in segment.layers { segmentOf[layer] = number }
        }

        var shares = Array(repeating: [Share](), count: nodes.count + 1)
        for layer in nodes.indices.reversed() {
            if nodes[layer].input > 0 { shares[nodes[layer].input].append(.kernel(layer: layer)) }
            if let shortcut = nodes[layer].shortcut, shortcut > 0 { shares[shortcut].append(.shortcut(layer: layer)) }
        }

        // Which memory holds the gradient by each tensor, by number, and the last segment that needs that memory.
        var place = Array(repeating: -1, count: nodes.count + 1)
        var firstUse: [Int] = []
        var lastUse: [Int] = []
        var shapes: [FeatureShape] = []
        var overwrites: [BatchMemory?] = []
        for tensor in (1...nodes.count).reversed() {
            let producer = segmentOf[tensor - 1]
            let isGated = description.isRectified(tensor)
            if case .shortcut(let layer)? = shares[tensor].first {
                let source = place[layer + 1]
                let isAlone = shares[tensor].count == 1
                let nextSegment = isAlone ? producer : segmentOf[shares[tensor][1].layer]
                // The share's own memory goes on to hold the sum, once the layer it came from is done with it.
                if isAlone ? !isGated : nextSegment > segmentOf[layer] {
                    place[tensor] = source
                    lastUse[source] = max(lastUse[source], producer)
                    continue
                }
                lastUse[source] = max(lastUse[source], nextSegment)
            }
            place[tensor] = shapes.count
            shapes.append(description.shape(of: tensor))
            firstUse.append(shares[tensor].map { segmentOf[$0.layer] }.min() ?? 0)
            lastUse.append(producer)
            var overwritten: BatchMemory?
            if case .kernel(let layer)? = shares[tensor].first, shares[tensor].count == 1,
                layers[layer] is BatchNormLayer
            {
                overwritten = activations[tensor]
            }
            overwrites.append(overwritten)
        }

        // Memory whose last segment is over serves another tensor of the same size.
        var memory: [BatchMemory?] = overwrites
        var free: [(BatchMemory, from: Int)] = []
        for number in shapes.indices.sorted(by: { (firstUse[$0], $0) < (firstUse[$1], $1) })
        where memory[number] == nil {
            if let found = free.firstIndex(where: { $0.0.shape == shapes[number] && $0.from <= firstUse[number] }) {
                memory[number] = free.remove(at: found).0
            }
            let own = memory[number] ?? BatchMemory(shapes[number], precision: engine.precision, blocks: blocks)
            memory[number] = own
            free.append((own, from: lastUse[number] + 1))
        }
        let gradients = place.map { $0 < 0 ? nil : memory[$0] }
        resultGradients = nodes.indices.map { gradients[$0 + 1]! }

        var targets = [GradientTarget?](repeating: nil, count: nodes.count)
        var shortcuts = [ShortcutShare?](repeating: nil, count: nodes.count)
        var completes = Array(repeating: [Int](), count: nodes.count)
        for tensor in 1...nodes.count {
            var addend: BatchMemory?
            for (number, share) in shares[tensor].enumerated() {
                let isLast = number == shares[tensor].count - 1
                let target = GradientTarget(
                    memory: gradients[tensor]!, addend: addend,
                    gate: isLast && description.isRectified(tensor) ? activations[tensor] : nil)
                switch share {
                case .kernel(let layer):
                    targets[layer] = target
                    addend = target.memory
                case .shortcut(let layer):
                    let source = gradients[layer + 1]!
                    if number == 0 && (!isLast || source === target.memory) {
                        shortcuts[layer] = .shared
                        addend = source
                    } else {
                        shortcuts[layer] = .added(planes(description.shape(of: tensor)), target)
                        addend = target.memory
                    }
                }
                if isLast { completes[share.layer].append(tensor) }
            }
        }
        self.targets = targets
        self.shortcuts = shortcuts
        self.completes = completes
    }
}
