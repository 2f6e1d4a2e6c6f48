import Lottery

/// How files of a level hold one parameter, so that they shrink with its density: where weights are pruned, tensors
/// hold the values of the survivors alone, [survivors], and `survivors.NAME` i32 their flat indices, ascending; else
/// tensors have the parameter's shape and there is no such list. Resume files are without the lists, which whoever goes
/// on makes before it reads one.
struct SurvivorForm {
    private let parameter: Network.Parameter
    private let indices: [Int32]?

    init(_ parameter: Network.Parameter, mask: Mask?) {
        self.init(
            parameter,
            indices: mask.flatMap { $0.survivors < $0.count ? $0.survivingIndices.map { Int32($0) } : nil })
    }

    /// - Parameter indices: ascending; nil where nothing is pruned.
    fileprivate init(_ parameter: Network.Parameter, indices: [Int32]?) {
        precondition(parameter.count <= Int(Int32.max), "\(parameter.name) has \(parameter.count) elements")
        self.parameter = parameter
        self.indices = indices
    }

    /// Of its tensors.
    fileprivate var shape: [Int] { indices.map { [$0.count] } ?? parameter.shape }

    /// The tensor `PREFIX.NAME` of values in the parameter's own layout.
    func tensor(_ prefix: String, _ values: [Float]) -> Safetensors.Tensor {
        tensor(prefix, packed: packed(values))
    }

    /// - Parameter packed: as `packed` gives them.
    func tensor(_ prefix: String, packed: [Float]) -> Safetensors.Tensor {
        let name = "\(prefix).\(parameter.name)"
        return indices == nil ? .init(name: name, shape: parameter.shape, packed) : .init(name: name, packed)
    }

    /// The values of those that survive.
    func packed(_ values: [Float]) -> [Float] { indices?.map { values[Int($0)] } ?? values }

    /// The values in the parameter's own layout, +0 where pruned.
    func unpacked(_ packed: [Float]) -> [Float] {
        guard let indices else { return packed }
        var values = [Float](repeating: 0, count: parameter.count)
        for (value, index) in zip(packed, indices) { values[Int(index)] = value }
        return values
    }

    var survivors: Safetensors.Tensor? { indices.map { .init(name: SurvivorForm.listName(of: parameter), $0) } }

    static func listName(of parameter: Network.Parameter) -> String { "survivors.\(parameter.name)" }
}

extension TensorFile {
    /// The values of `PREFIX.NAME` in the parameter's own layout, +0 where pruned.
    /// - Parameter mask: which of them survive, if the file does not list them; nil: all.
    func values(
        _ prefix: String, of parameter: Network.Parameter, unlisted mask: Mask? = nil
    ) throws(TrainingError) -> [Float] {
        let form = try form(of: parameter, unlisted: mask)
        return form.unpacked(try floats("\(prefix).\(parameter.name)", shape: form.shape))
    }

    /// Whether `values` would find what it needs.
    func check(_ prefix: String, of parameter: Network.Parameter, unlisted mask: Mask? = nil) throws(TrainingError) {
        _ = try bytes("\(prefix).\(parameter.name)", .f32, shape: form(of: parameter, unlisted: mask).shape)
    }

    private func form(of parameter: Network.Parameter, unlisted mask: Mask?) throws(TrainingError) -> SurvivorForm {
        let list = SurvivorForm.listName(of: parameter)
        guard header[list] != nil else { return SurvivorForm(parameter, mask: mask) }
        return SurvivorForm(parameter, indices: try indices(list, below: parameter.count).map { Int32($0) })
    }

    /// Which elements of a parameter survive in this file.
    func mask(of parameter: Network.Parameter) throws(TrainingError) -> Mask {
        let list = SurvivorForm.listName(of: parameter)
        if header[list] != nil {
            var survives = [Bool](repeating: false, count: parameter.count)
            for index in try indices(list, below: parameter.count) { survives[index] = true }
            return Mask(survives)
        }
        // So have it files for others: an exported ticket holds weights whole and its masks as a byte a weight.
        let name = "mask.\(parameter.name)"
        guard header[name] != nil else { return Mask(dense: parameter.count) }
        let bytes = try bytes(name, .u8, shape: parameter.shape)
        guard bytes.allSatisfy({ $0 <= 1 }) else {
            throw .unreadable("“\(name)” in \(path) holds other bytes than 0 and 1")
        }
        return Mask(bytes.map { $0 == 1 })
    }
}
