import Kernels
import Lottery

/// The optimizer of a network in training: its settings, and the scalars of its state.
package struct Optimizer {
    enum Kind {
        case sgd
        case momentum
        case nesterov
        case adam
        case adamW
        case rmsProp
    }

    let kind: Kind
    let settings: OptimizerSettings
    /// Steps taken.
    package private(set) var steps = 0
    /// β1ᵗ and β2ᵗ as running f64 products: a power would depend on how it is computed.
    private(set) var product1 = 1.0
    private(set) var product2 = 1.0

    package init(_ settings: OptimizerSettings) {
        self.settings = settings
        switch settings.name {
        case "adam": kind = .adam
        case "adamw": kind = .adamW
        case "rmsprop": kind = .rmsProp
        case "sgd": kind = settings.momentum == 0 ? .sgd : settings.nesterov ? .nesterov : .momentum
        default: preconditionFailure("the engine knows no optimizer \"\(settings.name)\"")
        }
    }

    /// PyTorch's names of the tensors kept for each parameter.
    package var slots: [String] {
        switch kind {
        case .sgd: []
        case .momentum, .nesterov: ["momentum_buffer"]
        case .rmsProp: settings.momentum == 0 ? ["square_avg"] : ["square_avg", "momentum_buffer"]
        case .adam, .adamW: ["exp_avg", "exp_avg_sq"]
        }
    }

    /// Counts one step and returns its update.
    package mutating func nextRule(learningRate: Double) -> UpdateRule {
        steps += 1
        let decay = Float(settings.weightDecay)
        switch kind {
        case .sgd: return .sgd(rate: Float(learningRate), decay: decay)
        case .momentum:
            return .momentum(rate: Float(learningRate), momentum: Float(settings.momentum), decay: decay)
        case .nesterov:
            return .nesterov(rate: Float(learningRate), momentum: Float(settings.momentum), decay: decay)
        case .rmsProp:
            return .rmsProp(
                rate: Float(learningRate), alpha: settings.alpha, epsilon: settings.epsilon,
                momentum: Float(settings.momentum), decay: decay)
        case .adam, .adamW:
            product1 *= settings.beta1
            product2 *= settings.beta2
            if kind == .adamW {
                return .adamW(
                    rate: learningRate, beta1: settings.beta1, beta2: settings.beta2, epsilon: settings.epsilon,
                    product1: product1, product2: product2, decay: settings.weightDecay)
            }
            return .adam(
                rate: learningRate, beta1: settings.beta1, beta2: settings.beta2, epsilon: settings.epsilon,
                product1: product1, product2: product2, decay: decay)
        }
    }

    private static let productNames = ["beta1_product", "beta2_product"]

    private var keepsProducts: Bool { kind == .adam || kind == .adamW }

    package var scalars: [String: Double] {
        keepsProducts ? [Optimizer.productNames[0]: product1, Optimizer.productNames[1]: product2] : [:]
    }

    mutating func restore(steps: Int, scalars: [String: Double]) {
        precondition(steps >= 0, "an optimizer after \(steps) steps")
        self.steps = steps
        guard keepsProducts else { return }
        guard let first = scalars[Optimizer.productNames[0]], let second = scalars[Optimizer.productNames[1]] else {
            preconditionFailure("an Adam state without \(Optimizer.productNames): \(scalars.keys.sorted())")
        }
        product1 = first
        product2 = second
    }
}
