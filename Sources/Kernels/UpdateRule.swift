import CKernels

/// How one optimizer step changes a parameter w with gradient g; the conventions are PyTorch's.
public struct UpdateRule: Sendable {
    var parameters: tk_rule

    private init(_ kind: tk_rule_kind, decay: Float) {
        parameters = tk_rule()
        parameters.kind = kind
        parameters.decay = decay
    }

    /// g += decay · w; w −= rate · g.
    public static func sgd(rate: Float, decay: Float) -> UpdateRule {
        var rule = UpdateRule(TK_SGD, decay: decay)
        rule.parameters.rate = rate
        return rule
    }

    /// g += decay · w; v = momentum · v + g; w −= rate · v. State 1 is v.
    public static func momentum(rate: Float, momentum: Float, decay: Float) -> UpdateRule {
        var rule = UpdateRule(TK_MOMENTUM, decay: decay)
        rule.parameters.rate = rate
        rule.parameters.momentum = momentum
        return rule
    }

    /// g += decay · w; m += (1 − β1)(g − m); v = β2 v + (1 − β2) g²;
    /// w −= rate / (1 − β1ᵗ) · m / (√v / √(1 − β2ᵗ) + ε). State 1 is m, state 2 is v.
    /// - Parameters:
    ///   - product1: β1ᵗ, t counting from 1.
    ///   - product2: β2ᵗ.
    public static func adam(
        rate: Double, beta1: Double, beta2: Double, epsilon: Double, product1: Double, product2: Double, decay: Float
    ) -> UpdateRule {
        var rule = UpdateRule(TK_ADAM, decay: decay)
        rule.parameters.rate = Float(rate / (1 - product1))
        rule.parameters.complement1 = Float(1 - beta1)
        rule.parameters.beta2 = Float(beta2)
        rule.parameters.complement2 = Float(1 - beta2)
        rule.parameters.root = Float(1 / (1 - product2).squareRoot())
        rule.parameters.epsilon = Float(epsilon)
        return rule
    }

    /// g += decay · w; v = momentum · v + g; w −= rate · (g + momentum · v). State 1 is v.
    public static func nesterov(rate: Float, momentum: Float, decay: Float) -> UpdateRule {
        var rule = UpdateRule.momentum(rate: rate, momentum: momentum, decay: decay)
        rule.parameters.kind = TK_NESTEROV
        return rule
    }

    /// w *= 1 − rate · decay, then `adam` without decay (Loshchilov and Hutter 2019).
    public static func adamW(
        rate: Double, beta1: Double, beta2: Double, epsilon: Double, product1: Double, product2: Double, decay: Double
    ) -> UpdateRule {
        var rule = UpdateRule.adam(
            rate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon, product1: product1, product2: product2,
            decay: Float(1 - rate * decay))
        rule.parameters.kind = TK_ADAMW
        return rule
    }

    /// g += decay · w; v = α v + (1 − α) g²; step = g / (√v + ε), or with momentum b = momentum · b + step and step = b;
    /// w −= rate · step. State 1 is v, state 2 is b.
    public static func rmsProp(
        rate: Float, alpha: Double, epsilon: Double, momentum: Float, decay: Float
    ) -> UpdateRule {
        var rule = UpdateRule(momentum == 0 ? TK_RMSPROP : TK_RMSPROP_MOMENTUM, decay: decay)
        rule.parameters.rate = rate
        rule.parameters.beta2 = Float(alpha)
        rule.parameters.complement2 = Float(1 - alpha)
        rule.parameters.epsilon = Float(epsilon)
        rule.parameters.momentum = momentum
        return rule
    }
}
