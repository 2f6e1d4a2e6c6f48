import Kernels
import Lottery

/// A family of networks: what the model settings mean to it.
public struct ModelFamily: Sendable {
    /// Registered name: `lenet-300-100`.
    public let name: String
    public let semanticsVersion: Int
    /// What of the model settings decides the layers. The rest is refused, since it would be in keys and change nothing.
    let reads: Set<Part>
    /// The layers for images of a shape; says which setting does not fit.
    let network: @Sendable (ModelSettings, DatasetShape) throws(SettingError) -> NetworkDescription

    /// A model setting that not every family has.
    enum Part: String { case depth, width, hidden, shortcut }

    init(
        name: String, semanticsVersion: Int, reads: Set<Part>,
        network: @escaping @Sendable (ModelSettings, DatasetShape) throws(SettingError) -> NetworkDescription
    ) {
        self.name = name
        self.semanticsVersion = semanticsVersion
        self.reads = reads
        self.network = network
    }

    /// The network of `settings` on images like those of `data`; says which setting does not fit the family.
    public func describe(
        _ settings: ModelSettings, _ data: DatasetShape
    ) throws(SettingError) -> NetworkDescription {
        let isSet: [(part: Part, isSet: Bool)] = [
            (.depth, settings.depth != nil), (.width, settings.width != nil), (.hidden, settings.hidden != nil),
            (.shortcut, settings.shortcut != ModelSettings().shortcut),
        ]
        if let stray = isSet.first(where: { $0.isSet && !reads.contains($0.part) }) {
            let part = stray.part.rawValue
            throw SettingError("\(name) has no \(part) to choose; leave out \(part), or use another family")
        }
        return try network(settings, data)
    }
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
    /// Refuses images that `halvings` poolings would leave without a pixel.
    func requirePixels(_ data: DatasetShape, halvings: Int, family: String) throws(SettingError) {
        guard min(data.height, data.width) >> halvings >= 1 else {
            throw SettingError(
                "\(family) halves images \(halvings) times, which leaves nothing of \(data.height)×\(data.width); "
                    + "use larger images or a smaller network")
        }
    }
}
