import Kernels

/// A batch in f64, on its way through `LossCurvature`: [value][lane], an image a lane. Gradients of the lanes that pad
/// the last are 0.
struct ExactBatch {
    let images: Int

    var lanes: Int { (images + 7) / 8 * 8 }
}

/// A convolution of a batch in f64, or a dense layer, which is one of a single pixel.
///
/// Sums run, one after the other in each lane, over channels first: of results over those of the input, then taps; of input
/// gradients over those of the output, then its pixels. A weight's gradient runs over the pixels of the output; of each the images
/// add up in four sums, image mod 4, and these from the first to the last.
struct ExactProduct {
    private let inputs, outputs, taps: Int
    /// Of each pixel of the output, which of the input it reads by which tap; and the other way round.
    private let reads: [[Link]]
    private let isReadBy: [[Link]]

    private struct Link {
        let tap: Int
        let pixel: Int
    }

    /// What one pixel sums: where a weight is, counted from its row's first, and where the values begin.
    private struct Term {
        let weight: Int
        let values: Int
    }

    init(inputs: Int, outputs: Int) {
        (self.inputs, self.outputs, taps) = (inputs, outputs, 1)
        reads = [[Link(tap: 0, pixel: 0)]]
        isReadBy = reads
    }

    init(_ shape: ConvolutionShape) {
        let (x, y) = (shape.input, shape.output)
        let padding = (shape.kernel - 1) / 2
        (inputs, outputs, taps) = (x.channels, y.channels, shape.kernel * shape.kernel)
        var reads: [[Link]] = Array(repeating: [], count: y.height * y.width)
        var isReadBy: [[Link]] = Array(repeating: [], count: x.height * x.width)
        for pixel in reads.indices {
            for tap in 0..<taps {
                let row = pixel / y.width * shape.stride + tap / shape.kernel - padding
                let column = pixel % y.width * shape.stride + tap % shape.kernel - padding
                guard (0..<x.height).contains(row), (0..<x.width).contains(column) else { continue }
                reads[pixel].append(Link(tap: tap, pixel: row * x.width + column))
                isReadBy[row * x.width + column].append(Link(tap: tap, pixel: pixel))
            }
        }
        (self.reads, self.isReadBy) = (reads, isReadBy)
    }

    /// - Parameters:
    ///   - weights: [outputs][inputs][taps].
    ///   - bias: of each output; nil for none.
    func callAsFunction(_ x: [Double], _ batch: ExactBatch, weights: [Double], bias: [Double]?) -> [Double] {
        var y = products(
            x, batch, links: reads, channels: inputs, channelStride: taps, weights: weights, rows: outputs,
            rowStride: inputs * taps)
        if let bias {
            let run = reads.count * batch.lanes
            for index in y.indices { y[index] += bias[index / run] }
        }
        return y
    }

    func gradient(_ dy: [Double], x: [Double], _ batch: ExactBatch, weights: [Double]) -> LayerGradient {
        LayerGradient(
            input: products(
                dy, batch, links: isReadBy, channels: outputs, channelStride: inputs * taps, weights: weights,
                rows: inputs, rowStride: taps),
            weight: weightGradient(dy, x: x, batch))
    }

    private func terms(
        _ links: [Link], channels: Int, channelStride: Int, pixels: Int, _ batch: ExactBatch
    ) -> [Term] {
        (0..<channels).flatMap { channel in
            links.map {
                Term(
                    weight: channel * channelStride + $0.tap, values: (channel * pixels + $0.pixel) * batch.lanes)
            }
        }
    }

    /// Of each row and pixel the sum of weights times values over the channels and links.
    private func products(
        _ x: [Double], _ batch: ExactBatch, links: [[Link]], channels: Int, channelStride: Int, weights: [Double],
        rows: Int, rowStride: Int
    ) -> [Double] {
        let lanes = batch.lanes
        var y = [Double](repeating: 0, count: rows * links.count * lanes)
        // The values of one pixel's terms, [lane / 8][term]: every row reads them, and where they come from is far
        // apart.
        var panel: [SIMD8<Double>] = Array(repeating: .zero, count: channels * taps * lanes / 8)
        for pixel in links.indices {
            let terms = terms(
                links[pixel], channels: channels, channelStride: channelStride, pixels: x.count / lanes / channels,
                batch)
            x.withUnsafeBufferPointer { x in
                for (place, term) in terms.enumerated() {
                    for eight in 0..<lanes / 8 {
                        panel[eight * terms.count + place] = load(x.baseAddress! + term.values + 8 * eight)
                    }
                }
            }
            y.withUnsafeMutableBufferPointer { y in
                weights.withUnsafeBufferPointer { weights in
                    panel.withUnsafeBufferPointer { panel in
                        for eight in 0..<lanes / 8 {
                            Self.products(
                                terms, panel.baseAddress! + eight * terms.count, weights.baseAddress!, rows: rows,
                                rowStride: rowStride, y.baseAddress! + pixel * lanes + 8 * eight,
                                yStride: links.count * lanes)
                        }
                    }
                }
            }
        }
        return y
    }

    /// For eight lanes and all rows, two at a time; the last of an odd number is computed twice.
    private static func products(
        _ terms: [Term], _ panel: UnsafePointer<SIMD8<Double>>, _ weights: UnsafePointer<Double>, rows: Int,
        rowStride: Int, _ y: UnsafeMutablePointer<Double>, yStride: Int
    ) {
        for row in stride(from: 0, to: rows, by: 2) {
            let next = min(row + 1, rows - 1)
            let (first, second) = (weights + row * rowStride, weights + next * rowStride)
            var (a, b) = (SIMD8<Double>.zero, SIMD8<Double>.zero)
            for place in terms.indices {
                let (weight, values) = (terms[place].weight, panel[place])
                a += first[weight] * values
                b += second[weight] * values
            }
            store(a, y + row * yStride)
            store(b, y + next * yStride)
        }
    }

    private func weightGradient(_ dy: [Double], x: [Double], _ batch: ExactBatch) -> [Double] {
        let lanes = batch.lanes
        var gradient = [Double](repeating: 0, count: outputs * inputs * taps)
        for pixel in reads.indices {
            let terms = terms(
                reads[pixel], channels: inputs, channelStride: taps, pixels: isReadBy.count, batch)
            gradient.withUnsafeMutableBufferPointer { gradient in
                x.withUnsafeBufferPointer { x in
                    dy.withUnsafeBufferPointer { dy in
                        for place in stride(from: 0, to: terms.count, by: 2) {
                            addGradients(
                                terms[place], terms[min(place + 1, terms.count - 1)], x.baseAddress!,
                                dy.baseAddress! + pixel * lanes, lanes: lanes, to: gradient.baseAddress!)
                        }
                    }
                }
            }
        }
        return gradient
    }

    /// Adds one pixel's share to the gradients of two terms' weights of all outputs, two at a time. Of an odd number the
    /// last is there twice, and so each sum is read before any is written.
    private func addGradients(
        _ first: Term, _ second: Term, _ x: UnsafePointer<Double>, _ dy: UnsafePointer<Double>, lanes: Int,
        to gradient: UnsafeMutablePointer<Double>
    ) {
        let (row, yRow) = (inputs * taps, reads.count * lanes)
        for output in stride(from: 0, to: outputs, by: 2) {
            let next = min(output + 1, outputs - 1)
            var (a, b, c, d) = (SIMD4<Double>.zero, SIMD4<Double>.zero, SIMD4<Double>.zero, SIMD4<Double>.zero)
            for lane in stride(from: 0, to: lanes, by: 4) {
                let (x0, x1) = (load4(x + first.values + lane), load4(x + second.values + lane))
                let (y0, y1) = (load4(dy + output * yRow + lane), load4(dy + next * yRow + lane))
                a += y0 * x0
                b += y0 * x1
                c += y1 * x0
                d += y1 * x1
            }
            let places = (
                gradient + output * row + first.weight, gradient + output * row + second.weight,
                gradient + next * row + first.weight, gradient + next * row + second.weight
            )
            let sums = (
                places.0.pointee + sum(a), places.1.pointee + sum(b), places.2.pointee + sum(c),
                places.3.pointee + sum(d)
            )
            (places.0.pointee, places.1.pointee) = (sums.0, sums.1)
            (places.2.pointee, places.3.pointee) = (sums.2, sums.3)
        }
    }
}

@inline(__always)
private func load(_ from: UnsafePointer<Double>) -> SIMD8<Double> {
    UnsafeRawPointer(from).loadUnaligned(as: SIMD8<Double>.self)
}

@inline(__always)
private func load4(_ from: UnsafePointer<Double>) -> SIMD4<Double> {
    UnsafeRawPointer(from).loadUnaligned(as: SIMD4<Double>.self)
}

@inline(__always)
private func store(_ values: SIMD8<Double>, _ to: UnsafeMutablePointer<Double>) {
    UnsafeMutableRawPointer(to).storeBytes(of: values, as: SIMD8<Double>.self)
}

@inline(__always)
private func sum(_ values: SIMD4<Double>) -> Double { ((values[0] + values[1]) + values[2]) + values[3] }
