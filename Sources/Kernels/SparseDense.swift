import CKernels

/// A dense layer under one mask, at the cost of its surviving weights: the results of `DenseKernels` under that mask,
/// bit for bit where all values are finite.
///
/// Weights, their gradient and their optimizer's state are compact: the survivors in PyTorch's order, [output][input]
/// flat, padded with +0 to a multiple of 16. Batches are stored [feature][example], with room for `DenseShape.padded`
/// rows.
///
/// An object holds scratch memory: one thread at a time may use it.
public final class SparseDense {
    /// The density from which `DenseKernels` are as fast: LeNet-300-100's step of 64 examples with AVX2 takes as long
    /// either way.
    public static let paysBelow = 0.4

    public let inputs: Int
    public let outputs: Int
    public let survivorCount: Int
    private let kernels: DenseKernels
    private let code: tk_isa
    /// The input of each survivor.
    private let inputOf: AlignedBuffer<UInt32>
    /// Where each output's survivors begin, and `survivorCount` at the end.
    private let starts: [Int]
    private let gradientRuns: [tk_sparse_run]
    private var forwardRuns: [tk_sparse_run] = []
    private var deadOutputs: [Int] = []
    private var columnStarts: [UInt32] = []
    private var terms: [tk_sparse_term] = []

    /// - Parameter survivors: [output][input] flat.
    public init(inputs: Int, outputs: Int, survivors: [Bool], instructionSet: InstructionSet = .current) {
        precondition(inputs > 0 && outputs > 0, "a dense layer of \(inputs) inputs and \(outputs) outputs")
        precondition(
            survivors.count == inputs * outputs, "a mask of \(survivors.count) for \(inputs * outputs) weights")
        self.inputs = inputs
        self.outputs = outputs
        kernels = DenseKernels(instructionSet)
        code = instructionSet.code
        survivorCount = survivors.count { $0 }
        inputOf = AlignedBuffer(zeroed: survivorCount)
        var starts = [0]
        var place = 0
        for output in 0..<outputs {
            for input in 0..<inputs where survivors[output * inputs + input] {
                inputOf.pointer[place] = UInt32(input)
                place += 1
            }
            starts.append(place)
        }
        self.starts = starts
        gradientRuns = (0..<outputs).filter { starts[$0] < starts[$0 + 1] }.map { Self.run($0, starts) }
        setLive(outputs: Array(repeating: true, count: outputs))
    }

    /// Floats in compact arrays.
    public var paddedCount: Int { DenseShape.padded(survivorCount) }

    /// Chooses which outputs take part in the forward pass and in the input gradient; all do at first. The weights of
    /// the others are still updated: decay and momentum move them.
    public func setLive(outputs live: [Bool]) {
        precondition(live.count == outputs, "\(live.count) of \(outputs) outputs live or dead")
        deadOutputs = (0..<outputs).filter { !live[$0] }
        forwardRuns = (0..<outputs).filter { live[$0] }.map { Self.run($0, starts) }

        // Counting sort by input; outputs stay in ascending order.
        columnStarts = Array(repeating: 0, count: DenseShape.padded(inputs) + 1)
        for output in 0..<outputs where live[output] {
            for place in starts[output]..<starts[output + 1] { columnStarts[Int(inputOf.pointer[place]) + 1] += 1 }
        }
        for column in 1..<columnStarts.count { columnStarts[column] += columnStarts[column - 1] }
        var next = columnStarts
        terms = Array(repeating: tk_sparse_term(), count: Int(columnStarts[columnStarts.count - 1]))
        for output in 0..<outputs where live[output] {
            for place in starts[output]..<starts[output + 1] {
                let column = Int(inputOf.pointer[place])
                terms[Int(next[column])] = tk_sparse_term(output: UInt32(output), place: UInt32(place))
                next[column] += 1
            }
        }
    }

    /// y = W x + b for live outputs, +0 for the others; `rectify` applies ReLU.
    public func forward(
        weights: UnsafePointer<Float>, bias: UnsafePointer<Float>, rectify: Bool, x: UnsafePointer<Float>,
        y: UnsafeMutablePointer<Float>, batch: Int
    ) -> Magnitude {
        checkBatch(batch)
        for output in deadOutputs { (y + output * batch).update(repeating: 0, count: batch) }
        return Magnitude(
            bits: tk_sparse_forward(
                code, batch, forwardRuns, forwardRuns.count, inputOf.pointer, weights, bias, rectify ? 1 : 0, x, y))
    }

    /// dx = Wᵀ dy over live outputs where x > 0, else +0; the rows past `inputs` become +0.
    public func inputGradient(
        weights: UnsafePointer<Float>, dy: UnsafePointer<Float>, x: UnsafePointer<Float>,
        dx: UnsafeMutablePointer<Float>, batch: Int
    ) -> Magnitude {
        checkBatch(batch)
        return Magnitude(
            bits: tk_sparse_input_gradient(
                code, batch, columnStarts.count - 1, columnStarts, terms, weights, dy, x, dx))
    }

    /// dW = dy xᵀ of every survivor, dead outputs' included, and db = Σ dy.
    /// - Parameters:
    ///   - x: [input][batch], not transposed.
    ///   - gradient: compact.
    ///   - biasGradient: `outputs` rounded up to a multiple of 16; the padding becomes +0.
    public func weightGradient(
        dy: UnsafePointer<Float>, x: UnsafePointer<Float>, batch: Int, gradient: UnsafeMutablePointer<Float>,
        biasGradient: UnsafeMutablePointer<Float>
    ) -> Magnitude {
        checkBatch(batch)
        let magnitude = Magnitude(
            bits: tk_sparse_weight_gradient(
                code, batch, gradientRuns, gradientRuns.count, inputOf.pointer, survivorCount, dy, x, gradient))
        return max(
            magnitude, kernels.biasGradient(outputs: outputs, batch: batch, dy: dy, biasGradient: biasGradient))
    }

    private static func run(_ output: Int, _ starts: [Int]) -> tk_sparse_run {
        tk_sparse_run(output: UInt32(output), first: UInt32(starts[output]), last: UInt32(starts[output + 1]))
    }

    private func checkBatch(_ batch: Int) {
        precondition(batch > 0 && batch.isMultiple(of: 16), "a padded batch of \(batch)")
    }
}
