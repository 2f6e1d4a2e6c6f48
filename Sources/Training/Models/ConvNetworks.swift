import Lottery

extension ModelFamily {
    /// Pairs of 3×3 convolutions `conv1`, `conv2`, … with ReLU, a 2×2 max pooling after each pair, then `fc1`, `fc2`
    /// and `output` (P1, figure 2, scaled down from VGG). `width` multiplies channels and hidden units.
    public static let conv2 = plain(depth: 2)
    public static let conv4 = plain(depth: 4)
    public static let conv6 = plain(depth: 6)

    private static func plain(depth: Int) -> ModelFamily {
        ModelFamily(name: "conv-\(depth)", semanticsVersion: 1, reads: [.width]) {
            settings, data throws(SettingError) in
            try settings.requirePixels(data, halvings: depth / 2, family: "conv-\(depth)")
            var network = NetworkDescription.maps(data)
            var tensor = network.images
            for pair in 0..<depth / 2 {
                for number in [2 * pair + 1, 2 * pair + 2] {
                    tensor = network.add(
                        ConvolutionDescription(
                            name: "conv\(number)", kind: .conv, outputs: settings.scaled(64 << pair), hasBias: true,
                            rectifies: true), to: tensor)
                }
                tensor = network.add(MaxPoolDescription(), to: tensor)
            }
            tensor = network.add(FlattenDescription(), to: tensor)
            let units = settings.scaled(256)
            network.addDense([units, units], classes: data.classes, to: tensor)
            return network
        }
    }
}
