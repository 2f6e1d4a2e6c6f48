import Lottery
import Training

/// Networks of the registry in sizes that tests want.
enum TestNetworks {
    static func mlp(inputs: Int, hidden: [Int], classes: Int) -> NetworkDescription {
        make("mlp", channels: 1, height: 1, width: inputs, classes: classes) { $0.hidden = hidden }
    }

    static func make(
        _ family: String, channels: Int = 3, height: Int, width: Int, classes: Int = 10,
        _ change: (inout ModelSettings) -> Void = { _ in }
    ) -> NetworkDescription {
        var settings = ModelSettings()
        settings.family = family
        change(&settings)
        let shape = DatasetShape(
            name: "test", channels: channels, height: height, width: width, classes: classes, trainCount: 1,
            testCount: 1)
        guard let model = Registry.standard.models.first(where: { $0.name == family }) else {
            preconditionFailure("no family \(family)")
        }
        do { return try model.describe(settings, shape) } catch { preconditionFailure("\(family): \(error)") }
    }
}
