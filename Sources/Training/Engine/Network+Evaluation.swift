import Kernels

extension Network {
    /// The sum of the cross-entropies of `indices` of the images, in their order, and how many of them are classified
    /// rightly (of equal logits the first wins). NaN and 0 if an activation of any image is not finite.
    /// - Parameter indices: any number of images; results do not depend on how they are divided into batches.
    public func evaluate(
        images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>
    ) -> (lossSum: Double, correct: Int) {
        // Nothing interrupts it.
        evaluate(images: images, labels: labels, indices: indices, unless: { false })!
    }

    /// As above; nil if `isInterrupted`, which is asked after each batch but the last, said so.
    func evaluate(
        images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>,
        unless isInterrupted: () -> Bool
    ) -> (lossSum: Double, correct: Int)? {
        var lossSum = 0.0
        var correct = 0
        var start = 0
        while start < indices.count {
            let end = min(start + Network.evaluationBatch, indices.count)
            // What follows an overflow would depend on whether a pruned weight was multiplied with it or skipped.
            guard
                evaluateBatch(
                    images: images, labels: labels, indices: UnsafeBufferPointer(rebasing: indices[start..<end]),
                    lossSum: &lossSum, correct: &correct)
            else { return (.nan, 0) }
            start = end
            // A whole evaluation is not thrown away.
            if start < indices.count, isInterrupted() { return nil }
        }
        return (lossSum, correct)
    }

    /// As above, for the images at the positions `range`.
    public func evaluate(
        images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, range: Range<Int>
    ) -> (lossSum: Double, correct: Int) {
        evaluate(images: images, labels: labels, range: range, unless: { false })!
    }

    func evaluate(
        images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, range: Range<Int>, unless isInterrupted: () -> Bool
    ) -> (lossSum: Double, correct: Int)? {
        range.map { Int32($0) }.withUnsafeBufferPointer {
            evaluate(images: images, labels: labels, indices: $0, unless: isInterrupted)
        }
    }

    /// Adds a batch to the sums; false if an activation is not finite.
    private func evaluateBatch(
        images source: UnsafePointer<UInt8>, labels from: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>,
        lossSum: inout Double, correct: inout Int
    ) -> Bool {
        let pass = Pass(examples: indices.count, isTraining: false)
        load(images: source, labels: from, indices: indices, pass)
        guard forward(pass) != nil else {
            clearBatch()
            return false
        }
        let logits = UnsafePointer(activations[layers.count].rows)
        _ = kernels.softmaxCrossEntropy(
            classes: classes, batch: pass.width, count: indices.count, labels: labels.pointer, logits: logits,
            gradient: nil, lossSum: &lossSum)
        correct += kernels.countCorrect(
            classes: classes, batch: pass.width, count: indices.count, labels: labels.pointer, logits: logits)
        return true
    }
}
