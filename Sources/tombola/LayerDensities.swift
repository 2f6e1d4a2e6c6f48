import Foundation
import Lottery
import Training

/// The share of each weight tensor that survives, for a measurement.
enum LayerDensities {
    /// Those of the masks in a ticket's file.
    static func read(ticket path: String, for network: NetworkDescription) throws(Failure) -> [Double] {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw Failure(.usage, "cannot read \(path); --like takes p1 or a file from `tombola ticket export`")
        }
        let tensors: [String: Safetensors.Tensor]
        do { tensors = try Safetensors.decode(Array(bytes)).tensors } catch {
            throw Failure(.usage, "\(path) is no ticket: \(error)")
        }
        var densities: [Double] = []
        for parameter in network.parameters where parameter.isWeight {
            guard let mask = tensors["mask.\(parameter.name)"]?.uint8Values, mask.count == parameter.count else {
                throw Failure(
                    .usage, "\(path) has no mask for \(parameter.name) with \(parameter.count) weights; name its model")
            }
            densities.append(Double(mask.count { $0 != 0 }) / Double(mask.count))
        }
        return densities
    }

    /// What `prunings` levels at P1's rates leave of each layer: by layer for dense and plain convolutional networks,
    /// and for ResNet and VGG, which P1 prunes globally, of all convolutions alike.
    static func published(of network: NetworkDescription, family: String, prunings: Int) -> [Double] {
        let convolution = family.hasPrefix("conv-6") ? 0.15 : family.hasPrefix("conv-") ? 0.1 : 0.2
        let output = family.hasPrefix("resnet") || family.hasPrefix("vgg") ? 0 : 0.1
        return network.parameters.filter(\.isWeight).map { parameter in
            let rate =
                switch parameter.kind {
                case .conv: convolution
                case .fc: 0.2
                case .output: output
                case .shortcut: 0.0
                }
            return pow(1 - rate, Double(prunings))
        }
    }
}
