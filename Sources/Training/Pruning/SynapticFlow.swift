import Kernels
import Lottery

/// The synaptic flow R of a network (Tanaka et al. 2020): an image of ones goes through it with every weight replaced
/// by its magnitude, and the outputs are added up. It is the sum over all paths of the product of their weights.
///
/// Batch-norm is only the factor |γ| / √(running variance + ε) that it is in an evaluation, and nothing is added
/// anywhere: biases, β and running means start no path. At the initialisation, where they are 0, this is what the
/// published code computes. All values are non-negative, so ReLU does nothing; of max pooling the path of the winner
/// counts, the first of equals in row-major order.
///
/// All is sequential f64 in one order of its own, so the same on every machine; an f32 overflows in networks of some
/// twenty layers, and f64 in some two hundred.
package struct SynapticFlow {
    private let description: NetworkDescription
    /// Of each node, the values of its parameters; weights are replaced at each call.
    private var parameters: [[[Float]]]

    /// - Parameter values: of each parameter of the network, row-major.
    package init(_ description: NetworkDescription, values: [[Float]]) {
        self.description = description
        var rest = values[...]
        parameters = description.nodes.map { node in
            defer { rest = rest.dropFirst(node.parameters.count) }
            return Array(rest.prefix(node.parameters.count))
        }
    }

    /// ∂R/∂|w| of each weight tensor in network order; 0 where a weight is 0. Nil where R or one of them is not finite.
    package mutating func gradient(_ weights: [[Float]]) -> [[Double]]? {
        var next = 0
        for (position, node) in description.nodes.enumerated() {
            for (place, parameter) in node.parameters.enumerated() where parameter.isWeight {
                parameters[position][place] = weights[next]
                next += 1
            }
        }
        var values = [[Double](repeating: 1, count: description.images.shape.values)]
        for (position, node) in description.nodes.enumerated() {
            var y = node.layer.flow(
                values[node.input], of: description.shape(of: node.input), parameters: parameters[position])
            if let shortcut = node.shortcut { for index in y.indices { y[index] += values[shortcut][index] } }
            values.append(y)
        }
        guard values.joined().allSatisfy(\.isFinite) else { return nil }

        var gradients: [[Double]] = values.map { Array(repeating: 0, count: $0.count) }
        gradients[values.count - 1] = Array(repeating: 1, count: values[values.count - 1].count)
        var ofWeights: [[Double]] = []
        for (position, node) in description.nodes.enumerated().reversed() {
            let dy = gradients[position + 1]
            let gradient = node.layer.flowGradient(
                dy, x: values[node.input], of: description.shape(of: node.input), parameters: parameters[position])
            for index in gradient.input.indices { gradients[node.input][index] += gradient.input[index] }
            if let shortcut = node.shortcut {
                for index in dy.indices { gradients[shortcut][index] += dy[index] }
            }
            if !gradient.weight.isEmpty { ofWeights.append(gradient.weight) }
        }
        guard ofWeights.joined().allSatisfy(\.isFinite) else { return nil }
        return ofWeights.reversed()
    }
}

/// Gradients by what a layer reads and by its weights, of the loss, or of the synaptic flow by their magnitudes; none
/// where it has no weights.
struct LayerGradient {
    var input: [Double]
    var weight: [Double] = []
}

/// y += factor · x, element by element.
@inline(__always)
func addFlow(
    _ factor: Double, _ x: UnsafePointer<Double>, xStride: Int = 1, to y: UnsafeMutablePointer<Double>,
    yStride: Int = 1, count: Int
) {
    if xStride == 1 && yStride == 1 {
        for index in 0..<count { y[index] += factor * x[index] }
    } else {
        for index in 0..<count { y[index * yStride] += factor * x[index * xStride] }
    }
}

/// Σ x · y in four partial sums, element by element; they add up from the first to the last.
@inline(__always)
func flowProduct(_ x: UnsafePointer<Double>, xStride: Int = 1, _ y: UnsafePointer<Double>, count: Int) -> Double {
    var sums = SIMD4<Double>.zero
    var index = 0
    while index + 4 <= count {
        let (a, b) = (x + index * xStride, y + index)
        sums += SIMD4(a[0], a[xStride], a[2 * xStride], a[3 * xStride]) * SIMD4(b[0], b[1], b[2], b[3])
        index += 4
    }
    var sum = ((sums[0] + sums[1]) + sums[2]) + sums[3]
    while index < count {
        sum += x[index * xStride] * y[index]
        index += 1
    }
    return sum
}
