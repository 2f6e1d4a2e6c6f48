import Lottery
import Testing
import Training

@Suite("Augmentation")
struct AugmentationTests {
    private static func shape(_ channels: Int, _ height: Int, _ width: Int) -> DatasetShape {
        DatasetShape(
            name: "test", channels: channels, height: height, width: width, classes: 2, trainCount: 50, testCount: 1)
    }

    private static func settings(flip: Bool, crop: Int) -> AugmentationSettings {
        var settings = AugmentationSettings()
        settings.flip = flip
        settings.crop = crop
        return settings
    }

    /// Fifty images whose bytes are never 0, so that padding shows.
    private static func images(_ shape: DatasetShape) -> [UInt8] {
        let random = CounterRandom(seed: 11, purpose: .glyphs)
        return (0..<shape.trainCount * shape.channels * shape.height * shape.width).map {
            UInt8(1 + random.integer(below: 255, epoch: 0, index: UInt64($0)))
        }
    }

    private static func filled(
        _ augmentation: Augmentation, _ shape: DatasetShape, _ images: [UInt8], _ indices: [Int32], epoch: Int
    ) -> [[UInt8]] {
        let size = shape.channels * shape.height * shape.width
        // Whatever was there before must not show through.
        var staging = [UInt8](repeating: 77, count: indices.count * size)
        staging.withUnsafeMutableBufferPointer { staging in
            images.withUnsafeBufferPointer { images in
                indices.withUnsafeBufferPointer {
                    guard let from = images.baseAddress, let to = staging.baseAddress else { return }
                    augmentation.fill(to, from: from, indices: $0, epoch: epoch)
                }
            }
        }
        return indices.indices.map { Array(staging[$0 * size..<($0 + 1) * size]) }
    }

    /// The image mirrored or not, padded, and cut at (top, left) of what is padded.
    private static func reference(
        _ image: ArraySlice<UInt8>, _ shape: DatasetShape, isMirrored: Bool, padding: Int, top: Int, left: Int
    ) -> [UInt8] {
        let wide = shape.width + 2 * padding
        var result: [UInt8] = []
        for channel in 0..<shape.channels {
            var padded = [UInt8](repeating: 0, count: (shape.height + 2 * padding) * wide)
            for y in 0..<shape.height {
                for x in 0..<shape.width {
                    let from = isMirrored ? shape.width - 1 - x : x
                    padded[(y + padding) * wide + x + padding] =
                        image[image.startIndex + (channel * shape.height + y) * shape.width + from]
                }
            }
            for y in top..<top + shape.height { result += padded[y * wide + left..<y * wide + left + shape.width] }
        }
        return result
    }

    @Test("Images are mirrored, padded with black and cut, as their drawn numbers say")
    func reference() throws {
        for (shape, flip, crop) in [
            (AugmentationTests.shape(1, 5, 7), true, 2), (AugmentationTests.shape(3, 8, 8), true, 4),
            (AugmentationTests.shape(3, 4, 3), false, 2), (AugmentationTests.shape(2, 3, 4), true, 0),
            (AugmentationTests.shape(3, 32, 32), true, 4), (AugmentationTests.shape(1, 1, 1), true, 3),
        ] {
            let images = AugmentationTests.images(shape)
            let size = images.count / shape.trainCount
            let augmentation = try #require(
                Augmentation(AugmentationTests.settings(flip: flip, crop: crop), shape: shape, seed: 9))
            let random = CounterRandom(seed: 9, purpose: .augmentation)
            for epoch in [0, 3] {
                let indices = (0..<Int32(shape.trainCount)).map { $0 }
                let filled = AugmentationTests.filled(augmentation, shape, images, indices, epoch: epoch)
                for index in indices.map(Int.init) {
                    let words = random.words(epoch: epoch, index: UInt64(index))
                    let places = Double(2 * crop + 1)
                    let expected = AugmentationTests.reference(
                        images[index * size..<(index + 1) * size], shape, isMirrored: flip && words[0] >= 1 << 31,
                        padding: crop, top: Int(Double(words[1]) * 0x1p-32 * places),
                        left: Int(Double(words[2]) * 0x1p-32 * places))
                    #expect(filled[index] == expected, "\(shape), flip \(flip), crop \(crop), image \(index)")
                }
            }
        }
    }

    @Test("What an image becomes depends on seed, epoch and image, not on its batch or its place there")
    func addresses() throws {
        let shape = AugmentationTests.shape(3, 8, 8)
        let images = AugmentationTests.images(shape)
        let settings = AugmentationTests.settings(flip: true, crop: 4)
        let augmentation = try #require(Augmentation(settings, shape: shape, seed: 1))
        func batch(_ augmentation: Augmentation, _ indices: [Int32], _ epoch: Int) -> [[UInt8]] {
            AugmentationTests.filled(augmentation, shape, images, indices, epoch: epoch)
        }
        let together = batch(augmentation, [4, 9, 30], 2)
        #expect(batch(augmentation, [30], 2)[0] == together[2])
        #expect(batch(augmentation, [7, 30, 4], 2) == [batch(augmentation, [7], 2)[0], together[2], together[0]])
        let many = (0..<50).map { Int32($0) }
        let other = try #require(Augmentation(settings, shape: shape, seed: 2))
        // One in 162 is changed alike by chance.
        for changed in [batch(augmentation, many, 3), batch(other, many, 2)] {
            #expect(zip(changed, batch(augmentation, many, 2)).count { $0 == $1 } <= 3)
        }
    }

    @Test("Half the images are mirrored, and every window is as likely as another")
    func distribution() throws {
        let shape = AugmentationTests.shape(1, 9, 9)
        // A single bright pixel, off the middle line, shows where the image went.
        var image = [UInt8](repeating: 0, count: 81)
        image[4 * 9 + 3] = 255
        let augmentation = try #require(
            Augmentation(AugmentationTests.settings(flip: true, crop: 2), shape: shape, seed: 5))
        let draws = 20_000
        var counts: [Int: Int] = [:]
        for epoch in 0..<draws {
            let changed = AugmentationTests.filled(augmentation, shape, image, [0], epoch: epoch)[0]
            counts[try #require(changed.firstIndex(of: 255)), default: 0] += 1
        }
        // Columns 1…5 unmirrored and 3…7 mirrored, rows 2…6.
        for row in 2...6 {
            for column in 1...7 {
                let ways = ((1...5).contains(column) ? 1 : 0) + ((3...7).contains(column) ? 1 : 0)
                let expected = Double(draws * ways) / 50
                let found = Double(counts[row * 9 + column] ?? 0)
                #expect(
                    abs(found - expected) < 5 * expected.squareRoot(), "(\(row), \(column)): \(found) of \(expected)")
            }
        }
        #expect(counts.values.reduce(0, +) == draws && counts.count == 35)
    }

    @Test("The changed images have golden bits")
    func golden() throws {
        let shape = AugmentationTests.shape(3, 32, 32)
        let augmentation = try #require(
            Augmentation(AugmentationTests.settings(flip: true, crop: 4), shape: shape, seed: 1))
        let indices = (0..<50).map { Int32($0) }
        let filled = AugmentationTests.filled(
            augmentation, shape, AugmentationTests.images(shape), indices, epoch: 1)
        #expect(Digest.of(filled.flatMap(\.self)).short == "b54fa347bbfc")
    }

    @Test("Settings that change nothing make no augmentation")
    func none() {
        #expect(Augmentation(AugmentationSettings(), shape: AugmentationTests.shape(3, 8, 8), seed: 1) == nil)
    }

    // MARK: In training

    private func augmented(_ bench: TrainingBench, _ change: (inout TrainingTask) -> Void = { _ in }) -> TrainingTask {
        bench.dense {
            $0.data.augment.flip = true
            $0.data.augment.crop = 1
            change(&$0)
        }
    }

    @Test("Training on changed images goes on from any step with the same bits")
    func interruption() throws {
        let bench = try TrainingBench()
        let task = augmented(bench)
        let whole = try bench.train(task, keep: [17])
        let stopped = try bench.train(task, keep: [17], stops: [1, 14, 15, 16, 30], place: "stopped")
        #expect(whole.outputs == stopped.outputs)
    }

    @Test("Only training images are changed; the augmentation seed decides how")
    func evaluation() throws {
        let bench = try TrainingBench()
        let plain = try bench.train(bench.dense()).outputs["metrics"]
        let changed = try bench.train(augmented(bench)).outputs["metrics"]
        let reseeded = try bench.train(augmented(bench) { $0.seeds.augmentation = 8 }).outputs["metrics"]
        func losses(_ file: [UInt8]?) throws -> [Double] {
            let tensors = try Safetensors.decode(file ?? []).tensors
            return try #require(tensors["validation.loss"]?.doubleValues) + (tensors["test.loss"]?.doubleValues ?? [])
        }
        // Evaluations at steps 0, 10, …, 40: of validation, then of the test set. Before the first step nothing was
        // trained on.
        for first in [0, 5] {
            #expect(try losses(plain)[first] == losses(changed)[first])
            #expect(try losses(plain)[first] == losses(reseeded)[first])
            #expect(try losses(plain)[first + 1] != losses(changed)[first + 1])
            #expect(try losses(changed)[first + 1] != losses(reseeded)[first + 1])
        }
    }

    @Test("A replay and a level rewound to its step meet the images that the trajectory met")
    func replay() throws {
        let bench = try TrainingBench()
        let task = augmented(bench)
        let dense = try bench.train(task, keep: [20])
        var replay = task
        replay.stopAfter = 20
        #expect(try bench.train(replay, place: "replay").outputs["step-20"] == dense.outputs["step-20"])
        // With nothing pruned, going on from step 20 is the trajectory itself.
        var rewound = bench.pruned(task, parent: task, rate: "0")
        rewound.start = .rewound(trajectory: task.key, step: 20, optimizer: .restore)
        let again = try bench.train(rewound)
        #expect(again.outputs["final"] == dense.outputs["final"])
    }
}
