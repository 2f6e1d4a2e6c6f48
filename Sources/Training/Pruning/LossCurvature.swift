import Kernels
import Lottery

/// The Hessian H of the training loss on a few images, times the gradient g of that loss, over the weights of all
/// layers; images, groups and loss are those of `LossGradient`.
///
/// H g is the central difference (∇L(w + ε g) − ∇L(w − ε g)) / 2ε, where every ReLU and every pooling chooses what it
/// chooses at w. That is the loss whose second derivative a double backward takes, and it is smooth: a step that carried
/// a unit over the kink of its ReLU would find a jump of the gradient there, which is not curvature. ε is the largest
/// power of two with ε · ‖g‖ ≤ 2⁻²⁰ · ‖w‖, at which in f64 neither the third derivative nor rounding is seen.
///
/// All is sequential f64 in one order of its own, so the same on every machine (`ExactProduct`). Norms are sums in flat
/// order.
package final class LossCurvature {
    private let description: NetworkDescription
    /// Of each node, the values of its parameters; those of weights are replaced at each call.
    private let parameters: [[[Double]]]
    private let labelSmoothing: Double
    private let batches: [Batch]
    private let count: Int

    /// A group of images: pixels, normalised, and labels.
    private struct Batch {
        let shape: ExactBatch
        let x: [Double]
        let labels: [Int]
    }

    /// What the layers of a network chose in one batch.
    private struct Choices {
        /// Of each node that rectifies, the values that pass.
        var gates: [[Bool]?]
        /// Of each node, what its layer says.
        var ofLayers: [[Int32]?]
    }

    /// - Parameters:
    ///   - values: of each parameter of the network, row-major.
    ///   - images: of all images of the training set, as `labels`.
    ///   - groups: positions of the images that are looked at, group by group.
    package init(
        _ description: NetworkDescription, values: [[Float]], pixelMean: [Float], pixelDeviation: [Float],
        labelSmoothing: Double, images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, groups: [ArraySlice<Int32>]
    ) {
        self.description = description
        self.labelSmoothing = labelSmoothing
        var rest = values[...]
        parameters = description.nodes.map { node in
            defer { rest = rest.dropFirst(node.parameters.count) }
            return rest.prefix(node.parameters.count).map { $0.map { Double($0) } }
        }
        let features = description.images.shape.values
        let perChannel = features / pixelMean.count
        batches = groups.map { group in
            let shape = ExactBatch(images: group.count)
            var x = [Double](repeating: 0, count: features * shape.lanes)
            for (lane, image) in group.enumerated() {
                for feature in 0..<features {
                    let pixel = Double(images[Int(image) * features + feature]) / 255
                    let channel = feature / perChannel
                    x[feature * shape.lanes + lane] =
                        (pixel - Double(pixelMean[channel])) / Double(pixelDeviation[channel])
                }
            }
            return Batch(shape: shape, x: x, labels: group.map { Int(labels[Int($0)]) })
        }
        count = groups.reduce(0) { $0 + $1.count }
    }

    /// H g of each weight tensor in network order, 0 where pruned, and everywhere if there is no gradient. Nil where it
    /// is not finite.
    package func callAsFunction(_ weights: [[Float]], _ masks: [Mask]) -> [[Double]]? {
        let survives = masks.map(\.survives)
        var choices = batches.map { _ in
            Choices(
                gates: description.nodes.map { _ in nil }, ofLayers: description.nodes.map { _ in nil })
        }
        let nothing = weights.map { [Double](repeating: 0, count: $0.count) }
        /// Adds `factor` · ∇L(w + `step` · `direction`) to `sum`.
        func add(_ factor: Double, at step: Double, along direction: [[Double]], to sum: inout [[Double]]) {
            for (batch, place) in zip(batches, batches.indices) {
                addGradient(of: batch, &choices[place], weights, step, direction, factor, survives, to: &sum)
            }
        }
        var gradient = nothing
        add(1, at: 0, along: [], to: &gradient)
        let length = Reproducible.sqrt(sumOfSquares(gradient.joined()))
        let size = Reproducible.sqrt(sumOfSquares(weights.joined().lazy.map { Double($0) }))
        guard length.isFinite else { return nil }
        let widest = 0x1p-20 * size / length
        var curvature = nothing
        guard widest.isNormal else { return curvature }
        let step = widest.binade
        add(0.5 / step, at: step, along: gradient, to: &curvature)
        add(-0.5 / step, at: -step, along: gradient, to: &curvature)
        return curvature.joined().allSatisfy(\.isFinite) ? curvature : nil
    }

    private func sumOfSquares(_ values: some Sequence<Double>) -> Double { values.reduce(0) { $0 + $1 * $1 } }

    /// Adds `factor` times a batch's share of the gradient at `weights` + `step` · `direction` to `sum`. What layers
    /// choose is what they have chosen, if they have.
    private func addGradient(
        of batch: Batch, _ choices: inout Choices, _ weights: [[Float]], _ step: Double, _ direction: [[Double]],
        _ factor: Double, _ survives: [[Bool]], to sum: inout [[Double]]
    ) {
        /// Of a node, where its weight is the one at `weight` in network order.
        func parameters(of position: Int, weight: Int) -> [[Double]] {
            var own = self.parameters[position]
            for (place, parameter) in description.nodes[position].parameters.enumerated() where parameter.isWeight {
                own[place] =
                    step == 0
                    ? weights[weight].map { Double($0) }
                    : zip(weights[weight], direction[weight]).map { Double($0) + step * $1 }
            }
            return own
        }
        var weight = 0
        var values = [batch.x]
        for (position, node) in description.nodes.enumerated() {
            var y = node.layer.exact(
                values[node.input], batch.shape, of: description.shape(of: node.input),
                parameters: parameters(of: position, weight: weight), choices: &choices.ofLayers[position])
            if node.parameters.contains(where: \.isWeight) { weight += 1 }
            if let shortcut = node.shortcut { for index in y.indices { y[index] += values[shortcut][index] } }
            if node.layer.rectifies {
                let gate = choices.gates[position] ?? y.map { $0 > 0 }
                choices.gates[position] = gate
                close(gate, &y)
            }
            values.append(y)
        }

        var gradients: [[Double]] = values.map { _ in [] }
        func add(_ gradient: [Double], to tensor: Int) {
            if gradients[tensor].isEmpty {
                gradients[tensor] = gradient
            } else {
                for index in gradient.indices { gradients[tensor][index] += gradient[index] }
            }
        }
        add(lossGradient(logits: values[values.count - 1], batch), to: values.count - 1)
        for (position, node) in description.nodes.enumerated().reversed() {
            var dy = gradients[position + 1]
            // Nothing reads either again.
            (gradients[position + 1], values[position + 1]) = ([], [])
            if let gate = choices.gates[position] { close(gate, &dy) }
            if node.parameters.contains(where: \.isWeight) { weight -= 1 }
            let gradient = node.layer.exactGradient(
                dy, x: values[node.input], batch.shape, of: description.shape(of: node.input),
                parameters: parameters(of: position, weight: weight), choices: choices.ofLayers[position])
            for index in gradient.weight.indices where survives[weight][index] {
                sum[weight][index] += factor * gradient.weight[index]
            }
            if let shortcut = node.shortcut { add(dy, to: shortcut) }
            if node.input > 0 { add(gradient.input, to: node.input) }
        }
    }

    /// Makes what does not pass 0.
    private func close(_ gate: [Bool], _ values: inout [Double]) {
        for index in values.indices where !gate[index] { values[index] = 0 }
    }

    /// The gradient by the logits of a batch's share of the mean softmax cross-entropy.
    private func lossGradient(logits: [Double], _ batch: Batch) -> [Double] {
        let (lanes, classes) = (batch.shape.lanes, description.classes)
        var gradient = [Double](repeating: 0, count: logits.count)
        for (lane, label) in batch.labels.enumerated() {
            let own = (0..<classes).map { logits[$0 * lanes + lane] }
            let largest = own.reduce(-.infinity, max)
            let powers = own.map { Reproducible.exp($0 - largest) }
            let total = powers.reduce(0, +)
            for unit in 0..<classes {
                let target = labelSmoothing / Double(classes) + (unit == label ? 1 - labelSmoothing : 0)
                gradient[unit * lanes + lane] = (powers[unit] / total - target) / Double(count)
            }
        }
        return gradient
    }
}
