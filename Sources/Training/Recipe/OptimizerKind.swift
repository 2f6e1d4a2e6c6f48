/// An optimizer the engine knows: its registered name, and the version of its arithmetic.
public struct OptimizerKind: Sendable {
    public let name: String
    public let semanticsVersion: Int

    /// SGD; with momentum > 0 PyTorch's SGD with momentum (no dampening, no Nesterov).
    public static let sgd = OptimizerKind(name: "sgd", semanticsVersion: 1)
    /// Adam (Kingma and Ba 2015), as PyTorch computes it.
    public static let adam = OptimizerKind(name: "adam", semanticsVersion: 1)
}
