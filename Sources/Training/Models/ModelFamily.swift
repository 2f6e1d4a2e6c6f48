import Kernels
import Lottery

/// A family of networks: what the model settings mean to it.
public struct ModelFamily: Sendable {
    /// Registered name: `lenet-300-100`.
    public let name: String
    public let semanticsVersion: Int
    /// The layers for images of a shape; says which setting does not fit.
    let network: @Sendable (ModelSettings, DatasetShape) throws(SettingError) -> NetworkDescription

    /// The network of `settings` on images like those of `data`; says which setting does not fit the family.
    public func describe(
        _ settings: ModelSettings, _ data: DatasetShape
    ) throws(SettingError) -> NetworkDescription { try network(settings, data) }
}

extension NetworkDescription {
    /// A network that reads an image as one vector.
    static func vectors(_ data: DatasetShape) -> NetworkDescription {
        NetworkDescription(images: .features(data.channels * data.height * data.width))
    }

    /// A network that reads an image as maps.
    static func maps(_ data: DatasetShape) -> NetworkDescription {
        NetworkDescription(
            images: .planes(PlanesShape(channels: data.channels, height: data.height, width: data.width)))
    }

    /// Dense layers `fc1`, `fc2`, … with ReLU, then `output`.
    mutating func addDense(_ hidden: [Int], classes: Int, to input: Tensor) {
        var tensor = input
        for (position, units) in hidden.enumerated() {
            tensor = add(
                DenseDescription(name: "fc\(position + 1)", kind: .fc, outputs: units, rectifies: true), to: tensor)
        }
        _ = add(DenseDescription(name: "output", kind: .output, outputs: classes, rectifies: false), to: tensor)
    }
}

extension ModelSettings {
    /// Refuses what a convolutional family does not take: its layers are its own but for `width`.
    func requireNoUnits(of family: String) throws(SettingError) {
        guard hidden == nil else {
            throw SettingError("\(family) has its own layers; leave out hidden, or use the family mlp")
        }
    }

    /// Refuses images that `halvings` poolings would leave without a pixel.
    func requirePixels(_ data: DatasetShape, halvings: Int, family: String) throws(SettingError) {
        guard min(data.height, data.width) >> halvings >= 1 else {
            throw SettingError(
                "\(family) halves images \(halvings) times, which leaves nothing of \(data.height)×\(data.width); "
                    + "use larger images or a smaller network")
        }
    }
}
