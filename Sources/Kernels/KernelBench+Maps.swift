/// Convolutions and what lies between them.
extension KernelBench {
    /// Of 16 examples, in a convolution.
    private static let blocks = 4

    func convolutions(channels: Int, side: Int, outputs: Int, kernel: Int, stride: Int) {
        let shape = ConvolutionShape(
            input: PlanesShape(channels: channels, height: side, width: side), outputs: outputs, kernel: kernel,
            stride: stride)
        for density in [1, 0.1, 0.02] { convolution(shape, density: density) }
        tileConvolution(shape)
    }

    private static let shortChains =
        "few weights of an output survive: each multiply-add reads a line of its own, and a chain ends soon after it has begun"
    private static let farLines =
        "each multiply-add reads a line of its own, which is rarely in the first-level cache where few weights survive"
    private static let fewTerms =
        "a weight has few terms on maps of 2 × 2, and to add up the 16 lanes of its sum takes as long as they"
    private static let emptyPixels = "of each four pixels that it stores, three have no products"
    private static let haloProducts =
        "more than half of the products on maps of 2 × 2 are with the halo, which tiles take as zeros"
    private static let emptySteps =
        "a step of a sum has room for 32 products, and a pixel of 16 channels fills half of it"

    private func convolution(_ shape: ConvolutionShape, density: Double) {
        let names = ["forward", "input gradient", "weight gradient"].map { "convolution \($0)" }
        guard wantsAny(names) else { return }
        let mask = density < 1 ? Self.survivors(shape.weightCount, density) : nil
        let convolution = Convolution(shape: shape, survivors: mask, instructionSet: instructionSet)
        let weightGradient = ConvolutionWeightGradient(
            shape: shape, survivors: mask, instructionSet: instructionSet)
        let count = DenseShape.padded(convolution.survivorCount)
        let weights = Self.values(count)
        let gradient = Self.values(count)
        let maps = BenchConvolutionMaps(shape, inPairs: false)
        let flops = maps.flops(survivors: convolution.survivorCount)
        let live = mask.map { Self.live($0, inputs: shape.input.channels, taps: shape.kernel * shape.kernel) }
        let (into, out) = (maps.inputBytes(live?.inputs), maps.outputBytes(live?.outputs))
        let all = 4 * convolution.survivorCount
        convolution.load(weights: weights.pointer)
        let shortChains = density < 1 ? Self.shortChains : nil
        report(
            names[0], maps.name, density, flops: flops, Traffic(read: all + into, written: maps.outputBytes()),
            because: shortChains
        ) {
            _ = convolution.forward(
                x: maps.x.pointer.floats, bias: nil, rectify: false, y: maps.y.pointer.floats, blocks: Self.blocks,
                examples: 16 * Self.blocks, sums: nil)
        }
        report(
            names[1], maps.name, density, flops: flops,
            Traffic(read: all + out + into, written: maps.inputGradientBytes),
            because: shortChains ?? Self.emptyPixels(shape)
        ) {
            _ = convolution.inputGradient(
                dy: maps.dy.pointer.floats, addend: nil, gate: maps.x.pointer.floats, dx: maps.dx.pointer.floats,
                blocks: Self.blocks)
        }
        let fewTerms = shape.output.width <= 2 ? Self.fewTerms : nil
        report(
            names[2], maps.name, density, flops: flops, Traffic(read: into + out, written: all),
            because: density < 1 ? Self.farLines : fewTerms
        ) {
            _ = weightGradient.compute(
                x: maps.x.pointer.floats, dy: maps.dy.pointer.floats, blocks: Self.blocks, gradient: gradient.pointer,
                biasGradient: nil)
        }
    }

    private static func emptyPixels(_ shape: ConvolutionShape) -> String? {
        shape.kernel == 1 && shape.stride == 2 ? emptyPixels : nil
    }

    private func tileConvolution(_ shape: ConvolutionShape) {
        let names = ["forward", "input gradient", "weight gradient"].map { "bf16 convolution \($0)" }
        guard wantsAny(names) else { return }
        let convolution = TileConvolution(shape: shape, survivors: nil, backend: tiles)
        let count = DenseShape.padded(shape.weightCount)
        let weights = Self.values(count)
        let gradient = Self.values(count)
        let maps = BenchConvolutionMaps(shape, inPairs: true)
        let flops = maps.flops(survivors: shape.weightCount)
        let (into, out) = (maps.inputBytes(), maps.outputBytes())
        // The weights are there in bf16, and their gradients in f32.
        let all = 2 * shape.weightCount
        let haloProducts = shape.kernel == 3 && shape.output.width <= 2 ? Self.haloProducts : nil
        let emptySteps = shape.kernel == 1 && shape.input.channels <= 16 ? Self.emptySteps : nil
        convolution.load(weights: weights.pointer)
        report(
            names[0], maps.name, flops: flops, by: .tiles, Traffic(read: all + into, written: out),
            because: haloProducts ?? emptySteps
        ) {
            _ = convolution.forward(
                x: maps.x.pointer, bias: nil, rectify: false, y: maps.y.pointer, blocks: Self.blocks,
                examples: 16 * Self.blocks, sums: nil)
        }
        report(
            names[1], maps.name, flops: flops, by: .tiles,
            Traffic(read: all + out + into, written: maps.inputGradientBytes),
            because: haloProducts ?? Self.emptyPixels(shape)
        ) {
            _ = convolution.inputGradient(
                dy: maps.dy.pointer, addend: nil, gate: maps.x.pointer, dx: maps.dx.pointer, blocks: Self.blocks)
        }
        report(
            names[2], maps.name, flops: flops, by: .tiles, Traffic(read: into + out, written: 2 * all),
            because: haloProducts
        ) {
            _ = convolution.weightGradient(
                x: maps.x.pointer, dy: maps.dy.pointer, blocks: Self.blocks, gradient: gradient.pointer,
                biasGradient: nil)
        }
    }

    /// A convolution that stores the maxima of its results, and where their gradients go.
    func pooledConvolution(channels: Int, side: Int) {
        let names = ["pooled convolution forward", "pooled convolution's winners' gradient"]
        guard wantsAny(names) else { return }
        let shape = ConvolutionShape(
            input: PlanesShape(channels: channels, height: side, width: side), outputs: channels, kernel: 3, stride: 1)
        let maps = BenchConvolutionMaps(shape, inPairs: false)
        let y = BenchMaps(shape.output.halved, blocks: Self.blocks, inPairs: false)
        let dy = BenchMaps(shape.output.halved, blocks: Self.blocks, inPairs: false)
        let winners = AlignedBuffer<UInt64>(zeroed: shape.output.halved.blockLines * Self.blocks)
        let bytes = maps.outputBytes()
        // Of maxima, and of the eight bytes for each line of them that say where they were.
        let (pooled, places) = (bytes / 4, bytes / 32)
        for density in [1, 0.1, 0.02] {
            let mask = density < 1 ? Self.survivors(shape.weightCount, density) : nil
            let convolution = Convolution(shape: shape, survivors: mask, instructionSet: instructionSet)
            let live = mask.map { Self.live($0, inputs: channels, taps: 9) }
            let weights = Self.values(DenseShape.padded(convolution.survivorCount))
            let bias = Self.values(channels)
            convolution.load(weights: weights.pointer)
            report(
                names[0], maps.name, density, flops: maps.flops(survivors: convolution.survivorCount),
                Traffic(
                    read: 4 * convolution.survivorCount + maps.inputBytes(live?.inputs), written: pooled + places)
            ) {
                _ = convolution.forwardPooled(
                    x: maps.x.pointer.floats, bias: bias.pointer, rectify: true, y: y.pointer.floats,
                    winners: winners.pointer, blocks: Self.blocks)
            }
        }
        let kernels = PlanesKernels(instructionSet)
        report(names[1], maps.name, Traffic(read: 2 * pooled + places, written: bytes)) {
            _ = kernels.maxPoolGradient(
                shape.output, winners: winners.pointer, y: y.pointer, dy: dy.pointer, dx: maps.dx.pointer,
                blocks: Self.blocks)
        }
    }

    func maps(_ shape: PlanesShape, blocks: Int, inPairs: Bool) {
        let names = [
            "batch-norm apply", "batch-norm gradient sums", "batch-norm gradient", "max pooling",
            "max pooling gradient", "average pooling", "average pooling gradient", "flattening", "flattening gradient",
            "padded shortcut", "padded shortcut gradient", "shortcut gradient",
        ].map { (inPairs ? "bf16 " : "") + $0 }
        guard wantsAny(names) else { return }
        let kernels: any MapKernels = inPairs ? PairPlanesKernels(tiles) : PlanesKernels(instructionSet)
        let z = BenchMaps(shape, blocks: blocks, inPairs: inPairs)
        let y = BenchMaps(shape, blocks: blocks, inPairs: inPairs)
        let dy = BenchMaps(shape, blocks: blocks, inPairs: inPairs)
        let half = BenchMaps(shape.halved, blocks: blocks, inPairs: inPairs)
        let dHalf = BenchMaps(shape.halved, blocks: blocks, inPairs: inPairs)
        let channels = shape.channels
        let wide = shape.shortcut(outputs: 2 * channels, stride: 2)
        let padded = BenchMaps(wide, blocks: blocks, inPairs: inPairs)
        let features = Self.values(channels * shape.height * shape.width * 16 * blocks)
        let scale = Self.values(channels)
        let shift = Self.values(channels)
        let c = Self.values(channels)
        let sums = Self.values(2 * channels * blocks)
        let values = channels * shape.height * shape.width * 16 * blocks
        let bytes = (inPairs ? 2 : 4) * values
        let name = "\(channels) × \(shape.height) × \(shape.width), \(16 * blocks) examples"
        // Features are f32 beside maps of either kind.
        let featureBytes = 4 * values
        func report(
            _ kernel: Int, read: Int, updated: Int = 0, written: Int = 0, _ body: () -> Void
        ) {
            self.report(names[kernel], name, Traffic(read: read, updated: updated, written: written), body)
        }
        report(0, read: bytes, written: bytes) {
            _ = kernels.batchNormApply(
                shape, z: z.pointer, scale: scale.pointer, shift: shift.pointer, shortcut: nil, rectify: true,
                live: nil, y: y.pointer, blocks: blocks)
        }
        report(1, read: 2 * bytes) {
            kernels.batchNormGradientSums(
                shape, dy: dy.pointer, z: z.pointer, mean: shift.pointer, inverseDeviation: scale.pointer,
                sums: sums.pointer, examples: 16 * blocks)
        }
        report(2, read: 2 * bytes, written: bytes) {
            _ = kernels.batchNormGradient(
                shape, dy: dy.pointer, z: z.pointer, a: scale.pointer, b: shift.pointer, c: c.pointer, live: nil,
                examples: 16 * blocks, dz: y.pointer)
        }
        report(3, read: bytes, written: bytes / 4) {
            _ = kernels.maxPool(shape, x: z.pointer, y: half.pointer, blocks: blocks)
        }
        report(4, read: bytes + bytes / 4, written: bytes) {
            _ = kernels.maxPoolGradient(
                shape, x: z.pointer, dy: dHalf.pointer, addend: nil, gate: nil, dx: y.pointer, blocks: blocks)
        }
        report(5, read: bytes) {
            _ = kernels.averagePool(shape, x: z.pointer, y: features.pointer, blocks: blocks)
        }
        report(6, read: bytes, written: bytes) {
            _ = kernels.averagePoolGradient(
                shape, dy: features.pointer, addend: nil, gate: z.pointer, dx: y.pointer, blocks: blocks)
        }
        report(7, read: bytes, written: featureBytes) {
            kernels.flatten(shape, x: z.pointer, y: features.pointer, blocks: blocks)
        }
        report(8, read: featureBytes + bytes, written: bytes) {
            _ = kernels.flattenGradient(
                shape, dy: features.pointer, addend: nil, gate: z.pointer, dx: y.pointer, blocks: blocks)
        }
        // A fourth of the pixels is read, and twice as many maps of as many pixels are written.
        report(9, read: bytes / 4, written: bytes / 2) {
            kernels.padShortcut(
                input: shape, outputs: 2 * channels, stride: 2, x: z.pointer, y: padded.pointer, blocks: blocks)
        }
        report(10, read: bytes + bytes / 4, written: bytes) {
            _ = kernels.padShortcutGradient(
                input: shape, outputs: 2 * channels, stride: 2, dy: padded.pointer, addend: nil, gate: z.pointer,
                dx: y.pointer, blocks: blocks)
        }
        report(11, read: 2 * bytes, updated: bytes) {
            _ = kernels.accumulate(
                shape, dy: dy.pointer, addend: y.pointer, gate: z.pointer, dx: y.pointer, blocks: blocks)
        }
    }
}
