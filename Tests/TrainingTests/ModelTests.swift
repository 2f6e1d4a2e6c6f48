import Lottery
import Testing
import Training

@Suite("Models")
struct ModelTests {
    private static let cifar = DatasetShape(
        name: "cifar10", channels: 3, height: 32, width: 32, classes: 10, trainCount: 1, testCount: 1)
    private static let mnist = DatasetShape(
        name: "mnist", channels: 1, height: 28, width: 28, classes: 10, trainCount: 1, testCount: 1)

    private func layers(
        _ family: String, _ data: DatasetShape = cifar, _ change: (inout ModelSettings) -> Void = { _ in }
    ) throws -> [LayerShape] {
        var settings = ModelSettings()
        settings.family = family
        change(&settings)
        return try Registry.standard.vocabulary.layers(settings, data)
    }

    private func count(_ layers: [LayerShape]) -> Int { layers.reduce(0) { $0 + $1.weights } }

    @Test("Weight counts of P1's networks")
    func published() throws {
        #expect(try count(layers("lenet-300-100", Self.mnist)) == 266_200)
        #expect(try count(layers("conv-2")) == 4_300_992)
        #expect(try count(layers("conv-4")) == 2_425_024)
        #expect(try count(layers("conv-6")) == 2_261_184)
        let resnet = try layers("resnet") { $0.depth = 20 }
        #expect(count(resnet) == 270_896)
        #expect(count(resnet.filter { $0.kind == .conv }) == 267_696)
        #expect(try count(layers("vgg") { $0.depth = 19 }) == 20_024_000)
    }

    @Test("A ResNet of depth 6n + 2 has as many layers, and shortcuts with weights under option B only")
    func resnetDepths() throws {
        for depth in [8, 14, 20, 32, 44, 56, 110] {
            let projected = try layers("resnet") { $0.depth = depth }
            #expect(projected.filter { $0.kind != .shortcut }.count == depth)
            #expect(projected.filter { $0.kind == .shortcut }.map(\.weights) == [16 * 32, 32 * 64])
            let padded = try layers("resnet") {
                $0.depth = depth
                $0.shortcut = .padding
            }
            #expect(padded == projected.filter { $0.kind != .shortcut })
        }
    }

    @Test("A VGG of depth d has d − 3 convolutions and one dense layer", arguments: [11, 13, 16, 19])
    func vggDepths(depth: Int) throws {
        let found = try layers("vgg") { $0.depth = depth }
        // The published depths count three dense layers, where this one has one.
        #expect(found.count == depth - 2)
        #expect(found.last?.name == "classifier.0" && found.last?.kind == .output)
        #expect(found.dropLast().allSatisfy { $0.kind == .conv })
    }

    @Test("Names are PyTorch's")
    func names() throws {
        #expect(try layers("conv-4").map(\.name) == ["conv1", "conv2", "conv3", "conv4", "fc1", "fc2", "output"])
        let resnet = try layers("resnet") { $0.depth = 8 }
        #expect(
            resnet.map(\.name) == [
                "conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.downsample.0",
                "layer2.0.conv2", "layer3.0.conv1", "layer3.0.downsample.0", "layer3.0.conv2", "fc",
            ])
        let vgg = try layers("vgg") { $0.depth = 11 }
        #expect(
            vgg.map(\.name) == [0, 4, 8, 11, 15, 18, 22, 25].map { "features.\($0)" } + ["classifier.0"])
    }

    @Test("Width multiplies channels and units, halves to even, at least one")
    func width() throws {
        let narrow = try layers("conv-2") { $0.width = 0.125 }
        #expect(narrow.map(\.weights) == [8 * 3 * 9, 8 * 8 * 9, 32 * 8 * 256, 32 * 32, 10 * 32])
        let one = try layers("resnet") {
            $0.depth = 8
            $0.width = 0.01
        }
        #expect(one[0].weights == 27)
    }

    @Test("Settings that do not fit a family are refused with the remedy")
    func misfits() {
        func message(
            _ family: String, _ data: DatasetShape = Self.cifar, _ change: (inout ModelSettings) -> Void = { _ in }
        ) -> String {
            do {
                _ = try layers(family, data, change)
                return "accepted"
            } catch { return "\(error)" }
        }
        #expect(message("resnet") { $0.depth = 18 }.contains("8, 14, 20, 32, 44, 56, 110, not 18"))
        #expect(message("resnet").contains("not none"))
        #expect(message("vgg") { $0.depth = 12 }.contains("11, 13, 16, 19, not 12"))
        #expect(message("conv-4") { $0.depth = 4 }.contains("leave out depth"))
        #expect(message("conv-6") { $0.hidden = [3] }.contains("leave out hidden"))
        for family in ["conv-2", "lenet-300-100"] {
            #expect(message(family) { $0.shortcut = .padding }.contains("leave out shortcut"))
        }
        #expect(message("lenet-300-100") { $0.width = 2 }.contains("leave out width"))
        let small = DatasetShape(
            name: "small", channels: 1, height: 7, width: 9, classes: 2, trainCount: 1, testCount: 1)
        #expect(message("conv-6", small).contains("7×9"))
        #expect(message("vgg", small) { $0.depth = 11 }.contains("use larger images"))
        #expect(message("conv-4", small) == "accepted")
    }
}
