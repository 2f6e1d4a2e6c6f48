import Foundation
import Kernels
import Lottery
import Testing
import Training

/// `Tests/pytorch/make_fixtures.py` writes the files and says what is in them.
@Suite("Networks train as PyTorch's do")
struct PyTorchTests {
    init() { FloatingPointMode.flushDenormals() }

    private struct Fixture {
        let tensors: [String: Safetensors.Tensor]
        let metadata: [String: String]
        let description: NetworkDescription
        let network: Network
        let images: [UInt8]
        let labels: [UInt8]
        let batch: Int

        init(_ name: String, engine: Engine = Engine()) throws {
            let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().appending(path: "pytorch/fixtures")
            (tensors, metadata) = try Safetensors.decode(contents(folder.appending(path: "\(name).safetensors").path))
            let pixels = try #require(tensors["pixels"])
            images = pixels.bytes
            labels = try #require(tensors["labels"]).bytes
            batch = try #require(Int(metadata["batch"] ?? ""))

            let kind = try #require(metadata["network"])
            let width = Double(metadata["width"] ?? "")
            var optimizer = OptimizerSettings()
            optimizer.name = try #require(metadata["optimizer"])
            optimizer.momentum = Double(metadata["momentum"] ?? "") ?? 0
            optimizer.weightDecay = Double(metadata["weight_decay"] ?? "") ?? 0
            let parts = kind.split(separator: "-")
            let hasDepth = ["resnet", "vgg"].contains(parts[0])
            description = TestNetworks.make(
                hasDepth ? String(parts[0]) : kind, channels: pixels.shape[1], height: pixels.shape[2],
                width: pixels.shape[3]
            ) { [metadata] settings in
                if kind == "mlp" {
                    settings.hidden = metadata["hidden"]?.split(separator: ",").compactMap { Int($0) }
                } else {
                    settings.width = width
                }
                if hasDepth { settings.depth = Int(parts[1]) }
                if metadata["option"] == "A" { settings.shortcut = .padding }
            }
            network = Network(
                description, optimizer: optimizer, batch: batch, pixelMean: [0.5, 0.5, 0.5],
                pixelDeviation: [0.25, 0.25, 0.25], engine: engine)
            try initialise()
        }

        private func initialise() throws {
            let order = try #require(metadata["order"]).split(separator: ",").map(String.init)
            let trained = network.parameters.filter(\.isTrained).map(\.name)
            #expect(Set(order) == Set(trained))
            for (k, name) in order.enumerated() {
                let index = try #require(network.index(of: name))
                let parameter = network.parameters[index]
                guard parameter.isWeight else { continue }
                let fanIn = parameter.count / parameter.shape[0]
                let exponent = (Int.bitWidth - 1 - fanIn.leadingZeroBitCount) / 2
                network.setValues(
                    (0..<parameter.count).map { i in
                        let drawn = Int(Self.mix(UInt32(k << 24 + i)) >> 8) - 1 << 23
                        return Float(scalbn(Double(drawn), -23 - exponent))
                    }, of: index)
            }
        }

        private static func mix(_ value: UInt32) -> UInt32 {
            var x = value
            x ^= x >> 16
            x &*= 0x7feb_352d
            x ^= x >> 15
            x &*= 0x846c_a68b
            return x ^ x >> 16
        }

        func indices(_ step: Int) -> [Int32] { (0..<batch).map { Int32((step * batch + $0) % labels.count) } }
    }

    private static let networks = ["mlp", "conv-2", "resnet-8-a", "resnet-8-b", "resnet-8-batch-50", "vgg-11"]

    /// Against those in f64, PyTorch's own in f32 are off by up to 3e-6.
    @Test("Gradients of one step agree to 1e-5 of their tensor's norm, however small it is", arguments: networks)
    func gradients(name: String) throws {
        let fixture = try Fixture(name)
        let indices = fixture.indices(0)
        let result = try #require(
            indices.withUnsafeBufferPointer {
                fixture.network.lossAndGradient(images: fixture.images, labels: fixture.labels, indices: $0)
            })
        for (index, parameter) in fixture.network.parameters.enumerated() where parameter.isTrained {
            let theirs = try #require(fixture.tensors["gradient.\(parameter.name)"]?.floatValues)
            let norm = Self.norm(theirs.map(Double.init))
            let apart = Self.norm(zip(result.gradients[index], theirs).map { Double($0) - Double($1) })
            #expect(norm > 0 && theirs.count == parameter.count)
            #expect(apart <= 1e-5 * norm, "\(parameter.name): \(apart / norm)")
        }
    }

    /// Theirs are of f64, stored in f32.
    @Test("The Hessian times the gradient is double backward's to 1e-7 of its tensor's norm", arguments: networks)
    func curvature(name: String) throws {
        let fixture = try Fixture(name)
        let network = fixture.network
        let values = network.parameters.indices.map { network.values(of: $0) }
        let curvature = LossCurvature(
            fixture.description, values: values, pixelMean: [0.5, 0.5, 0.5], pixelDeviation: [0.25, 0.25, 0.25],
            labelSmoothing: 0, images: fixture.images, labels: fixture.labels, groups: [fixture.indices(0)[...]])
        let weights = network.parameters.indices.filter { network.parameters[$0].isWeight }
        let products = try #require(
            curvature(weights.map { values[$0] }, weights.map { Mask(dense: values[$0].count) }))
        var compared = 0
        for (product, weight) in zip(products, weights) {
            let name = network.parameters[weight].name
            guard let theirs = fixture.tensors["product.\(name)"]?.floatValues else { continue }
            let norm = Self.norm(theirs.map(Double.init))
            let apart = Self.norm(zip(product, theirs).map { $0 - Double($1) })
            #expect(norm > 0 && theirs.count == product.count)
            #expect(apart <= 1e-7 * norm, "\(name): \(apart / norm)")
            compared += 1
        }
        #expect(compared > 1)
    }

    private static func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }

    @Test("Losses of the first steps, 40 or 200, agree to 1e-3", arguments: networks)
    func losses(name: String) throws {
        let fixture = try Fixture(name)
        let theirs = try #require(fixture.tensors["losses"]?.floatValues)
        let rate = try #require(Float(fixture.metadata["learning_rate"] ?? ""))
        #expect(theirs.count == (fixture.batch == 50 ? 40 : 200))
        var worst: Float = 0
        for step in theirs.indices {
            let outcome = fixture.indices(step).withUnsafeBufferPointer {
                fixture.network.train(
                    images: fixture.images, labels: fixture.labels, indices: $0, learningRate: rate)
            }
            guard case .trained(let loss) = outcome else {
                Issue.record("diverged at step \(step)")
                return
            }
            worst = max(worst, (loss - theirs[step]).magnitude / theirs[step])
        }
        #expect(worst < 1e-3, "the largest relative difference is \(worst)")
    }
}
