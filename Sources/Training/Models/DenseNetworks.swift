import Lottery

extension ModelFamily {
    /// 784-300-100-10 on MNIST: 266,200 weights (LeCun et al. 1998; P1).
    public static let lenet300100 = ModelFamily(name: "lenet-300-100", semanticsVersion: 1, reads: []) {
        settings, data throws(SettingError) in
        var network = NetworkDescription.vectors(data)
        network.addDense([300, 100], classes: data.classes, to: network.images)
        return network
    }

    /// Any hidden layers: `depth` of `width` units, or those that `hidden` lists.
    public static let mlp = ModelFamily(name: "mlp", semanticsVersion: 1, reads: [.depth, .width, .hidden]) {
        settings, data throws(SettingError) in
        var network = NetworkDescription.vectors(data)
        network.addDense(try units(settings), classes: data.classes, to: network.images)
        return network
    }

    private static func units(_ settings: ModelSettings) throws(SettingError) -> [Int] {
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
}
