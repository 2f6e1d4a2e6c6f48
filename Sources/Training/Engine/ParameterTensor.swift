import Kernels
import Lottery

/// The values of one parameter, its gradient and its optimizer state, as kernels read them.
final class ParameterTensor {
    enum Layout: Hashable {
        /// The survivors in PyTorch's order, one after the other.
        case compact
        /// [outputs][inputs], both rounded up to a multiple of 16; pruned weights and the padding are +0.
        case rows
    }

    let parameter: Network.Parameter
    /// Tensors of optimizer state: 0, 1 or 2.
    let stateCount: Int
    private(set) var layout = Layout.compact
    /// Nil while no weight is pruned.
    private(set) var mask: Mask?
    /// Flat indices of the survivors under a mask.
    private var survivors: [Int32] = []

    private var buffer: AlignedBuffer<Float>
    private var state1Buffer: AlignedBuffer<Float>
    private var state2Buffer: AlignedBuffer<Float>
    private var gradientBuffer = AlignedBuffer<Float>(zeroed: 0)
    private var hasGradient = false
    /// `magnitude`, unless values have come from outside since it was found.
    private var known: Magnitude?
    /// `survivorBits`, from when clipping first wants them.
    private var bits: BitBuffer?

    private final class BitBuffer {
        let buffer: AlignedBuffer<UInt16>
        init(_ buffer: consuming AlignedBuffer<UInt16>) { self.buffer = buffer }
    }

    /// The tensor as a new network has it. A weight takes no memory before its layer has laid it.
    init(_ parameter: Network.Parameter, stateCount: Int) {
        precondition(parameter.count <= Int(Int32.max), "\(parameter.name) has \(parameter.count) elements")
        self.parameter = parameter
        self.stateCount = parameter.isTrained ? stateCount : 0
        let count = parameter.isWeight ? 0 : DenseShape.padded(parameter.count)
        buffer = AlignedBuffer(zeroed: count)
        state1Buffer = AlignedBuffer(zeroed: self.stateCount > 0 ? count : 0)
        state2Buffer = AlignedBuffer(zeroed: self.stateCount > 1 ? count : 0)
        if parameter.initialValue != 0 { setFlat(Array(repeating: parameter.initialValue, count: parameter.count)) }
    }

    var survivorCount: Int { mask?.survivors ?? parameter.count }
    /// Floats of `values`, a multiple of 16.
    var paddedCount: Int { buffer.count }
    var values: UnsafeMutablePointer<Float> { buffer.pointer }
    /// Of the same layout as `values`; there from when it is first wanted.
    var gradient: UnsafeMutablePointer<Float> {
        if !hasGradient { gradientBuffer = AlignedBuffer(zeroed: paddedCount) }
        hasGradient = true
        return gradientBuffer.pointer
    }

    var updated: UpdatedTensor {
        UpdatedTensor(
            values: buffer.pointer, state1: stateCount > 0 ? state1Buffer.pointer : nil,
            state2: stateCount > 1 ? state2Buffer.pointer : nil)
    }

    /// Takes one step from `gradient`.
    func update(_ rule: UpdateRule, _ kernels: DenseKernels) {
        wasUpdated(kernels.update(rule: rule, count: paddedCount, gradient: gradient, tensor: updated))
    }

    /// Values and state were updated; none is larger than this.
    func wasUpdated(_ magnitude: Magnitude) { known = magnitude }

    /// A bound of the magnitudes of values and state.
    /// - Complexity: O(1) after an update, else O(count).
    var magnitude: Magnitude { known ?? measuredMagnitude() }

    /// The largest magnitude among values and state.
    func measuredMagnitude() -> Magnitude {
        var largest = Magnitude.zero
        for place in 0..<paddedCount {
            largest = max(largest, Magnitude(buffer.pointer[place]))
            if stateCount > 0 { largest = max(largest, Magnitude(state1Buffer.pointer[place])) }
            if stateCount > 1 { largest = max(largest, Magnitude(state2Buffer.pointer[place])) }
        }
        known = largest
        return largest
    }

    /// Σ g² of the survivors in f64: the same in every layout.
    func gradientSumOfSquares(_ norm: GradientNorm) -> Double {
        switch layout {
        case .compact: return norm.sumOfSquares(count: paddedCount, gradient)
        case .rows:
            if bits == nil { bits = BitBuffer(survivorBits()) }
            guard let bits else { preconditionFailure("no bits of \(parameter.name)") }
            let inputs = DenseShape.padded(parameter.count / parameter.shape[0])
            return norm.sumOfSquares(
                rows: paddedCount / inputs, inputs: inputs, mask: bits.buffer.pointer, gradient)
        }
    }

    /// What an update changes, as it is.
    func snapshot() -> Snapshot {
        Snapshot(values: copy(buffer), state1: copy(state1Buffer), state2: copy(state2Buffer))
    }

    func restore(_ snapshot: Snapshot) {
        buffer.pointer.update(from: snapshot.values, count: snapshot.values.count)
        state1Buffer.pointer.update(from: snapshot.state1, count: snapshot.state1.count)
        state2Buffer.pointer.update(from: snapshot.state2, count: snapshot.state2.count)
        known = nil
    }

    struct Snapshot {
        fileprivate let values, state1, state2: [Float]
    }

    private func copy(_ buffer: borrowing AlignedBuffer<Float>) -> [Float] {
        Array(UnsafeBufferPointer(start: buffer.pointer, count: buffer.count))
    }

    /// Takes over a mask and a layout: survivors keep value and state, pruned weights have none.
    func lay(_ mask: Mask?, _ layout: Layout) {
        precondition(
            parameter.isWeight && (mask.map { $0.count == parameter.count } ?? true),
            "a mask of \(mask?.count ?? 0) for \(parameter.name), \(parameter.count) weights")
        // Without memory there are no values to keep.
        let hasValues = paddedCount > 0
        let kept =
            hasValues
            ? [flat(buffer), stateCount > 0 ? flat(state1Buffer) : [], stateCount > 1 ? flat(state2Buffer) : []] : []
        self.mask = mask
        self.layout = layout
        survivors = mask?.survivingIndices.map { Int32($0) } ?? []
        let rows = parameter.shape[0]
        let count =
            switch layout {
            case .compact: DenseShape.padded(survivorCount)
            case .rows: DenseShape.padded(rows) * DenseShape.padded(parameter.count / rows)
            }
        buffer = AlignedBuffer(zeroed: count)
        state1Buffer = AlignedBuffer(zeroed: stateCount > 0 ? count : 0)
        state2Buffer = AlignedBuffer(zeroed: stateCount > 1 ? count : 0)
        gradientBuffer = AlignedBuffer(zeroed: 0)
        hasGradient = false
        bits = nil
        guard hasValues else { return }
        pack(kept[0], into: buffer)
        if stateCount > 0 { pack(kept[1], into: state1Buffer) }
        if stateCount > 1 { pack(kept[2], into: state2Buffer) }
    }

    /// One bit per weight in the layout `rows`, as dense kernels read it; padding is pruned.
    func survivorBits() -> AlignedBuffer<UInt16> {
        precondition(layout == .rows, "\(parameter.name) is compact")
        let bits = AlignedBuffer<UInt16>(zeroed: paddedCount / 16)
        forEachSurvivor { place, _ in bits.pointer[place / 16] |= 1 << UInt16(place % 16) }
        return bits
    }

    // MARK: In PyTorch's layout

    /// The values, flat and row-major; +0 where pruned.
    var flatValues: [Float] { flat(buffer) }
    var flatGradient: [Float] { hasGradient ? flat(gradientBuffer) : Array(repeating: 0, count: parameter.count) }

    /// −0 becomes +0, and what is pruned stays +0.
    func setFlat(_ values: [Float]) { pack(values, into: buffer) }

    func state(_ slot: Int) -> [Float] { slot == 0 ? flat(state1Buffer) : flat(state2Buffer) }

    func setState(_ slot: Int, _ values: [Float]) {
        if slot == 0 { pack(values, into: state1Buffer) } else { pack(values, into: state2Buffer) }
    }

    func clearState() {
        state1Buffer.clear()
        state2Buffer.clear()
        known = nil
    }

    /// Whether every bit of every place without a surviving weight, in values and state, is 0.
    var restIsZero: Bool {
        var isSurvivor = [Bool](repeating: false, count: paddedCount)
        forEachSurvivor { place, _ in isSurvivor[place] = true }
        var found: UInt32 = 0
        for place in 0..<paddedCount where !isSurvivor[place] {
            found |= buffer.pointer[place].bitPattern
            if stateCount > 0 { found |= state1Buffer.pointer[place].bitPattern }
            if stateCount > 1 { found |= state2Buffer.pointer[place].bitPattern }
        }
        return found == 0
    }

    /// Where each surviving weight is, and its flat index.
    private func forEachSurvivor(_ body: (_ place: Int, _ flat: Int) -> Void) {
        switch layout {
        case .compact:
            guard mask != nil else { return (0..<parameter.count).forEach { body($0, $0) } }
            for (place, flat) in survivors.enumerated() { body(place, Int(flat)) }
        case .rows:
            let columns = parameter.count / parameter.shape[0]
            let stride = DenseShape.padded(columns)
            guard mask != nil else {
                for row in 0..<parameter.shape[0] {
                    for column in 0..<columns { body(row * stride + column, row * columns + column) }
                }
                return
            }
            for flat in survivors {
                let (row, column) = Int(flat).quotientAndRemainder(dividingBy: columns)
                body(row * stride + column, Int(flat))
            }
        }
    }

    private func flat(_ buffer: borrowing AlignedBuffer<Float>) -> [Float] {
        let source = buffer.pointer
        var values = [Float](repeating: 0, count: parameter.count)
        values.withUnsafeMutableBufferPointer { values in
            forEachSurvivor { place, flat in values[flat] = source[place] }
        }
        return values
    }

    private func pack(_ values: [Float], into buffer: borrowing AlignedBuffer<Float>) {
        precondition(
            values.count == parameter.count, "\(values.count) values for \(parameter.name), \(parameter.count)")
        let target = buffer.pointer
        known = nil
        values.withUnsafeBufferPointer { values in
            forEachSurvivor { place, flat in target[place] = values[flat] + 0 }
        }
    }
}
