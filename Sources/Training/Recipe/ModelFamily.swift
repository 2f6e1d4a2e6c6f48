import Lottery

/// A family of networks: what the model settings mean to it. Every one here is dense layers `fc1`…`fcN`, `output`.
public struct ModelFamily: Sendable {
    /// Registered name: `lenet-300-100`.
    public let name: String
    public let semanticsVersion: Int
    /// Units of each hidden layer, first to last; says which setting does not fit.
    let hidden: @Sendable (ModelSettings) throws(SettingError) -> [Int]

    /// 784-300-100-10 on MNIST: 266,200 weights (LeCun et al. 1998; P1).
    public static let lenet300100 = ModelFamily(name: "lenet-300-100", semanticsVersion: 1) {
        settings throws(SettingError) in
        guard settings.depth == nil && settings.width == nil && settings.hidden == nil else {
            throw SettingError(
                "lenet-300-100 has its own layers; leave out depth, width and hidden, or use the family mlp")
        }
        return [300, 100]
    }

    /// Any hidden layers: `depth` of `width` units, or those that `hidden` lists.
    public static let mlp = ModelFamily(name: "mlp", semanticsVersion: 1) { settings throws(SettingError) in
        switch (settings.hidden, settings.depth, settings.width) {
        case (let hidden?, nil, nil): return hidden
        case (nil, let depth?, let width?):
            guard let units = Int(exactly: width) else {
                throw SettingError("mlp needs a whole number of units as its width, not \(width)")
            }
            return Array(repeating: units, count: depth)
        case (.some, _, _): throw SettingError("mlp takes either hidden or both depth and width, not all of them")
        case (nil, _, _): throw SettingError("mlp needs both depth and width, or hidden instead, such as [300, 100]")
        }
    }

    /// Layers with weights, in network order.
    func layers(_ settings: ModelSettings, _ data: DatasetShape) throws(SettingError) -> [LayerShape] {
        let hidden = try hidden(settings)
        var inputs = data.channels * data.height * data.width
        var layers: [LayerShape] = []
        for (index, units) in hidden.enumerated() {
            layers.append(LayerShape(name: "fc\(index + 1)", kind: .fc, weights: inputs * units, biases: units))
            inputs = units
        }
        layers.append(LayerShape(name: "output", kind: .output, weights: inputs * data.classes, biases: data.classes))
        return layers
    }
}
