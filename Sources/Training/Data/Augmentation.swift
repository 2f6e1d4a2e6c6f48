import Kernels
import Lottery

/// Random changes to training images: a horizontal flip, and a crop of the padded image.
///
/// How image i is changed in epoch e depends on (augmentation seed, e, i) only: not on the batch it is in, on the order
/// of batches, or on where the training was interrupted. All levels and controls of a replicate see the same changed
/// images.
package struct Augmentation {
    private let flip: Bool
    /// p: pixels of padding on each side.
    private let padding: Int
    private let channels: Int
    private let height: Int
    private let width: Int
    private let random: CounterRandom

    /// Nil if the settings change nothing.
    package init?(_ settings: AugmentationSettings, shape: DatasetShape, seed: UInt64) {
        guard settings != AugmentationSettings() else { return nil }
        flip = settings.flip
        padding = settings.crop
        channels = shape.channels
        height = shape.height
        width = shape.width
        random = CounterRandom(seed: seed, purpose: .augmentation)
    }

    var imageByteCount: Int { channels * height * width }

    /// Fills `staging` [indices.count][C][H][W] with the images at `indices`, changed as the epoch has it.
    ///
    /// First the image is mirrored with probability ½, then a window of its own size is cut from it after it got
    /// `padding` pixels of value 0 on each side; each of the (2p + 1)² places of the window is as likely as another.
    /// Padding is black before normalisation, as torchvision's `RandomCrop` has it in open_lth; He et al. 2016 pad with
    /// the mean.
    package func fill(
        _ staging: UnsafeMutablePointer<UInt8>, from images: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>,
        epoch: Int
    ) {
        for (position, index) in indices.enumerated() {
            let words = random.words(epoch: epoch, index: UInt64(index))
            change(
                images + Int(index) * imageByteCount, into: staging + position * imageByteCount,
                isMirrored: flip && words[0] >> 31 == 1,
                down: shift(words[1]), right: shift(words[2]))
        }
    }

    /// One of −padding…padding from a random word, by multiply-shift: its bias is below (2 · padding + 1) · 2⁻³².
    private func shift(_ word: UInt32) -> Int {
        Int(word.multipliedFullWidth(by: UInt32(2 * padding + 1)).high) - padding
    }

    /// Pixel (y, x) of the target is pixel (y + down, x + right) of the source, mirrored or not, and 0 outside of it.
    private func change(
        _ source: UnsafePointer<UInt8>, into target: UnsafeMutablePointer<UInt8>, isMirrored: Bool, down: Int,
        right: Int
    ) {
        let first = min(max(0, -right), width)
        let columns = first..<max(first, min(width, width - right))
        for plane in 0..<channels {
            for y in 0..<height {
                let row = target + (plane * height + y) * width
                guard (0..<height).contains(y + down) else {
                    row.update(repeating: 0, count: width)
                    continue
                }
                let from = source + (plane * height + y + down) * width
                row.update(repeating: 0, count: columns.lowerBound)
                if isMirrored {
                    let last = from + (width - 1 - right - columns.lowerBound)
                    let to = row + columns.lowerBound
                    for x in 0..<columns.count { to[x] = last[-x] }
                } else {
                    (row + columns.lowerBound).update(from: from + columns.lowerBound + right, count: columns.count)
                }
                (row + columns.upperBound).update(repeating: 0, count: width - columns.upperBound)
            }
        }
    }
}

/// The images and labels of one batch, side by side, once they are changed by augmentation.
final class AugmentedBatch {
    private let augmentation: Augmentation
    private let images: AlignedBuffer<UInt8>
    private let labels: AlignedBuffer<UInt8>
    /// 0..<batch.
    private let indices: AlignedBuffer<Int32>

    init(_ augmentation: Augmentation, batch: Int) {
        self.augmentation = augmentation
        images = AlignedBuffer(zeroed: batch * augmentation.imageByteCount)
        labels = AlignedBuffer(zeroed: batch)
        indices = AlignedBuffer(copying: (0..<Int32(batch)).map { $0 })
    }

    /// Takes the batch `indices` of `epoch` from the training set of `data`, and hands it to `body` as if it were a
    /// data set of its own: images, labels, and the indices of all of them.
    func with<Result>(
        _ indices: UnsafeBufferPointer<Int32>, of data: ImageData, epoch: Int,
        _ body: (UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafeBufferPointer<Int32>) -> Result
    ) -> Result {
        precondition(indices.count <= labels.count, "a batch of \(indices.count) in place of \(labels.count)")
        augmentation.fill(images.pointer, from: data.trainImages, indices: indices, epoch: epoch)
        for (position, index) in indices.enumerated() { labels.pointer[position] = data.trainLabels[Int(index)] }
        return body(
            images.pointer, labels.pointer, UnsafeBufferPointer(start: self.indices.pointer, count: indices.count))
    }
}
