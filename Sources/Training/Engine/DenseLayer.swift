import Kernels
import Lottery

/// The parameters, optimizer state and activations of one dense layer, in the layout of the kernels.
final class DenseLayer {
    let inputs: Int
    let outputs: Int
    /// Whether ReLU follows: every layer but the last.
    let rectifies: Bool
    /// Tensors of optimizer state per parameter: 0, 1 or 2.
    let stateCount: Int

    let weights: AlignedBuffer<Float>
    let weights1: AlignedBuffer<Float>
    let weights2: AlignedBuffer<Float>
    let bias: AlignedBuffer<Float>
    let bias1: AlignedBuffer<Float>
    let bias2: AlignedBuffer<Float>
    let biasGradient: AlignedBuffer<Float>
    /// One bit per weight; padding is pruned.
    let survivors: AlignedBuffer<UInt16>
    private(set) var live: LiveOutputs
    /// The mask as it was set; nil while the layer is dense.
    private(set) var mask: Mask?

    /// [paddedOutputs][batch]: the results of the forward pass, and the gradient of the loss by them before ReLU.
    let activations: AlignedBuffer<Float>
    let gradient: AlignedBuffer<Float>
    /// [paddedInputs / 16][batch][16]: what the layer read in a training step, as the weight gradient wants it.
    let transposedInput: AlignedBuffer<Float>

    init(inputs: Int, outputs: Int, rectifies: Bool, stateCount: Int, batchCapacity: Int) {
        self.inputs = inputs
        self.outputs = outputs
        self.rectifies = rectifies
        self.stateCount = stateCount
        let shape = DenseShape(inputs: inputs, outputs: outputs, batch: batchCapacity)
        weights = AlignedBuffer(zeroed: shape.weightCount)
        weights1 = AlignedBuffer(zeroed: stateCount > 0 ? shape.weightCount : 0)
        weights2 = AlignedBuffer(zeroed: stateCount > 1 ? shape.weightCount : 0)
        bias = AlignedBuffer(zeroed: shape.paddedOutputs)
        bias1 = AlignedBuffer(zeroed: stateCount > 0 ? shape.paddedOutputs : 0)
        bias2 = AlignedBuffer(zeroed: stateCount > 1 ? shape.paddedOutputs : 0)
        biasGradient = AlignedBuffer(zeroed: shape.paddedOutputs)
        survivors = AlignedBuffer(zeroed: shape.weightCount / 16)
        live = LiveOutputs(Array(0..<outputs))
        activations = AlignedBuffer(zeroed: shape.paddedOutputs * batchCapacity)
        gradient = AlignedBuffer(zeroed: shape.paddedOutputs * batchCapacity)
        transposedInput = AlignedBuffer(zeroed: shape.paddedInputs * batchCapacity)
        setMask(nil)
    }

    var weightCount: Int { inputs * outputs }

    func shape(batch: Int) -> DenseShape { DenseShape(inputs: inputs, outputs: outputs, batch: batch) }

    /// Where the weight that is `flat` in PyTorch's [outputs, inputs] is in the padded buffers.
    private func place(_ flat: Int) -> Int {
        flat / inputs * DenseShape.padded(inputs) + flat % inputs
    }

    func survives(_ flat: Int) -> Bool {
        let place = place(flat)
        return survivors[place / 16] >> UInt16(place % 16) & 1 == 1
    }

    /// Prunes what `mask` prunes: weights and state become +0 at once.
    func setMask(_ mask: Mask?) {
        precondition(
            mask == nil || mask?.count == weightCount, "a mask of \(mask?.count ?? 0) for \(weightCount) weights")
        self.mask = mask
        survivors.clear()
        for flat in 0..<weightCount {
            let place = place(flat)
            if mask?[flat] ?? true {
                survivors[place / 16] |= 1 << UInt16(place % 16)
            } else {
                weights[place] = 0
                if stateCount > 0 { weights1[place] = 0 }
                if stateCount > 1 { weights2[place] = 0 }
            }
        }
    }

    /// Which inputs some surviving weight leads on to a live output.
    var inputsInUse: [Bool] {
        var used = Array(repeating: false, count: inputs)
        for position in 0..<live.count {
            let row = live[position] * inputs
            for input in 0..<inputs where survives(row + input) { used[input] = true }
        }
        return used
    }

    func setLive(_ outputsInUse: [Bool]) {
        live = LiveOutputs((0..<outputs).filter { outputsInUse[$0] })
    }

    /// The weights-shaped tensor `buffer` in PyTorch's order.
    func unpacked(_ buffer: borrowing AlignedBuffer<Float>) -> [Float] {
        let stride = DenseShape.padded(inputs)
        return Array(unsafeUninitializedCapacity: weightCount) { flat, count in
            for output in 0..<outputs {
                for input in 0..<inputs { flat[output * inputs + input] = buffer[output * stride + input] }
            }
            count = weightCount
        }
    }

    /// Sets the weights-shaped tensor `buffer` from PyTorch's order: +0 where pruned, −0 becomes +0.
    func pack(_ values: [Float], into buffer: borrowing AlignedBuffer<Float>) {
        precondition(values.count == weightCount, "\(values.count) values for \(weightCount) weights")
        for flat in 0..<weightCount { buffer[place(flat)] = survives(flat) ? values[flat] + 0 : 0 }
    }

    func unpackedBias(_ buffer: borrowing AlignedBuffer<Float>) -> [Float] { (0..<outputs).map { buffer[$0] } }

    func packBias(_ values: [Float], into buffer: borrowing AlignedBuffer<Float>) {
        precondition(values.count == outputs, "\(values.count) values for \(outputs) biases")
        for output in 0..<outputs { buffer[output] = values[output] + 0 }
    }

    /// Whether every bit of every pruned weight, its state and the padding is 0.
    func prunedWeightsAreZero() -> Bool {
        var found: UInt32 = 0
        for word in 0..<survivors.count where survivors[word] != .max {
            for lane in 0..<16 where survivors[word] >> UInt16(lane) & 1 == 0 {
                found |= weights[word * 16 + lane].bitPattern
                if stateCount > 0 { found |= weights1[word * 16 + lane].bitPattern }
                if stateCount > 1 { found |= weights2[word * 16 + lane].bitPattern }
            }
        }
        return found == 0
    }

    var updatedWeights: UpdatedTensor { updated(weights, weights1, weights2) }
    var updatedBias: UpdatedTensor { updated(bias, bias1, bias2) }

    private func updated(
        _ values: borrowing AlignedBuffer<Float>, _ state1: borrowing AlignedBuffer<Float>,
        _ state2: borrowing AlignedBuffer<Float>
    ) -> UpdatedTensor {
        UpdatedTensor(
            values: values.pointer, state1: stateCount > 0 ? state1.pointer : nil,
            state2: stateCount > 1 ? state2.pointer : nil)
    }
}
