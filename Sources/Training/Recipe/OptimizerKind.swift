/// An optimizer the engine knows: its registered name, and the version of its arithmetic.
public struct OptimizerKind: Sendable {
    public let name: String
    public let semanticsVersion: Int

    /// SGD; with momentum > 0 PyTorch's SGD with momentum (no dampening), with `nesterov` Nesterov's.
    public static let sgd = OptimizerKind(name: "sgd", semanticsVersion: 1)
    /// Adam (Kingma and Ba 2015), as PyTorch computes it.
    public static let adam = OptimizerKind(name: "adam", semanticsVersion: 1)
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019), as PyTorch computes it.
    public static let adamW = OptimizerKind(name: "adamw", semanticsVersion: 1)
    /// RMSprop (Tieleman and Hinton 2012), not centred, as PyTorch computes it.
    public static let rmsProp = OptimizerKind(name: "rmsprop", semanticsVersion: 1)
}
