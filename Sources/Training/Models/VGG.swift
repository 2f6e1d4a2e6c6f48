import Lottery

extension ModelFamily {
    /// VGG for CIFAR (Simonyan and Zisserman 2015, table 1, with batch-norm): five groups of 3×3 convolutions at 64,
    /// 128, 256, 512 and 512 channels times `width`, max pooling after the first four, average pooling, one dense
    /// layer. Names are torchvision's.
    public static let vgg = ModelFamily(name: "vgg", semanticsVersion: 1, reads: [.depth, .width]) {
        settings, data throws(SettingError) in
        guard let depth = settings.depth, let counts = vggGroups[depth] else {
            let known = vggGroups.keys.sorted().map(String.init).joined(separator: ", ")
            throw SettingError("vgg needs a depth of \(known), not \(settings.depth.map(String.init) ?? "none")")
        }
        try settings.requirePixels(data, halvings: 4, family: "vgg")
        var network = NetworkDescription.maps(data)
        var tensor = network.images
        // torchvision counts every module, ReLU and pooling included.
        var module = 0
        for (group, count) in counts.enumerated() {
            for _ in 0..<count {
                tensor = network.addConvolution(
                    "features.\(module)", "features.\(module + 1)", settings.scaled([64, 128, 256, 512, 512][group]),
                    to: tensor)
                module += 3
            }
            guard group < 4 else { break }
            tensor = network.add(MaxPoolDescription(), to: tensor)
            module += 1
        }
        tensor = network.add(AveragePoolDescription(), to: tensor)
        _ = network.add(
            DenseDescription(name: "classifier.0", kind: .output, outputs: data.classes, rectifies: false), to: tensor)
        return network
    }

    private static let vggGroups = [
        11: [1, 1, 2, 2, 2], 13: [2, 2, 2, 2, 2], 16: [2, 2, 3, 3, 3], 19: [2, 2, 4, 4, 4],
    ]
}
