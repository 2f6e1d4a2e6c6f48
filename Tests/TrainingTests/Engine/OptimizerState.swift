import Lottery
import Training

/// All that an optimizer remembers between steps, in PyTorch's layouts. Restoring it and the parameters continues a
/// training bit for bit.
struct OptimizerState: Equatable {
    /// One tensor of state of one parameter, flat in the parameter's layout.
    struct Tensor: Equatable {
        /// As in `Network.Parameter.name`.
        var parameter: String
        /// PyTorch's name: `exp_avg`, `exp_avg_sq`, `momentum_buffer`, `square_avg`.
        var slot: String
        var values: [Float]
    }

    /// Parameter by parameter, slot by slot.
    var tensors: [Tensor]
    /// `beta1_product` and `beta2_product` of Adam and AdamW.
    var scalars: [String: Double]
    /// Steps taken.
    var steps: Int
}

extension Network {
    /// What a checkpoint saves of the optimizer, and brings back.
    var optimizerState: OptimizerState {
        get {
            var state: [OptimizerState.Tensor] = []
            for (index, parameter) in parameters.enumerated() where parameter.isTrained {
                for (position, slot) in optimizer.slots.enumerated() {
                    state.append(
                        .init(parameter: parameter.name, slot: slot, values: optimizerValues(position, of: index)))
                }
            }
            return OptimizerState(tensors: state, scalars: optimizer.scalars, steps: optimizer.steps)
        }
        set {
            for tensor in newValue.tensors {
                guard let index = parameters.firstIndex(where: { $0.name == tensor.parameter }),
                    let position = optimizer.slots.firstIndex(of: tensor.slot)
                else { preconditionFailure("no optimizer state \(tensor.parameter) \(tensor.slot)") }
                setOptimizerValues(tensor.values, position, of: index)
            }
            restoreOptimizer(steps: newValue.steps, scalars: newValue.scalars)
        }
    }
}
