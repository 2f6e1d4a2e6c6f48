import Lottery

extension ModelFamily {
    /// The CIFAR ResNet of 6n + 2 layers (He et al. 2016, section 4.2): three stages of n blocks at 16, 32 and 64
    /// channels times `width`, batch-norm after every convolution, average pooling. `shortcut` A pads with zeros, B
    /// projects by 1×1 convolutions. Names are torchvision's.
    public static let resnet = ModelFamily(name: "resnet", semanticsVersion: 1, reads: [.depth, .width, .shortcut]) {
        settings, data throws(SettingError) in
        guard let depth = settings.depth, resnetDepths.contains(depth) else {
            let known = resnetDepths.map(String.init).joined(separator: ", ")
            throw SettingError("resnet needs a depth of \(known), not \(settings.depth.map(String.init) ?? "none")")
        }
        var network = NetworkDescription.maps(data)
        var tensor = network.addConvolution("conv1", "bn1", settings.scaled(16), to: network.images)
        for stage in 1...3 {
            for block in 0..<depth / 6 {
                tensor = network.addBasicBlock(
                    "layer\(stage).\(block)", outputs: settings.scaled(8 << stage),
                    stride: stage > 1 && block == 0 ? 2 : 1, settings.shortcut, to: tensor)
            }
        }
        tensor = network.add(AveragePoolDescription(), to: tensor)
        _ = network.add(
            DenseDescription(name: "fc", kind: .output, outputs: data.classes, rectifies: false), to: tensor)
        return network
    }

    private static let resnetDepths = [8, 14, 20, 32, 44, 56, 110]
}

extension NetworkDescription {
    /// A convolution without bias and its batch-norm.
    mutating func addConvolution(
        _ name: String, _ norm: String, _ outputs: Int, kind: LayerKind = .conv, kernel: Int = 3, stride: Int = 1,
        rectifies: Bool = true, to input: Tensor, shortcut: Tensor? = nil
    ) -> Tensor {
        let convolution = add(
            ConvolutionDescription(
                name: name, kind: kind, outputs: outputs, kernel: kernel, stride: stride, hasBias: false,
                rectifies: false), to: input)
        return add(
            BatchNormDescription(name: norm, kind: kind, rectifies: rectifies), to: convolution, shortcut: shortcut)
    }

    fileprivate mutating func addBasicBlock(
        _ name: String, outputs: Int, stride: Int, _ kind: ShortcutKind, to input: Tensor
    ) -> Tensor {
        let inner = addConvolution("\(name).conv1", "\(name).bn1", outputs, stride: stride, to: input)
        var shortcut = input
        if stride > 1 || input.shape.units != outputs {
            switch kind {
            case .padding:
                shortcut = add(PadShortcutDescription(outputs: outputs, stride: stride), to: input)
            case .projection:
                shortcut = addConvolution(
                    "\(name).downsample.0", "\(name).downsample.1", outputs, kind: .shortcut, kernel: 1, stride: stride,
                    rectifies: false, to: input)
            }
        }
        return addConvolution("\(name).conv2", "\(name).bn2", outputs, to: inner, shortcut: shortcut)
    }
}
