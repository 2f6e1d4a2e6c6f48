import CKernels
import Kernels
import Testing

@Suite struct KernelBenchTests {
    /// Pairs of a pixel and a tap that is on the map, along one side.
    struct Pixels {
        var side, kernel, stride, pairs: Int
    }

    @Test(
        "A weight meets the pixels that are there, and none of the halo",
        arguments: [
            Pixels(side: 2, kernel: 3, stride: 1, pairs: 4), Pixels(side: 4, kernel: 3, stride: 1, pairs: 10),
            Pixels(side: 32, kernel: 3, stride: 2, pairs: 47), Pixels(side: 16, kernel: 1, stride: 2, pairs: 8),
            Pixels(side: 8, kernel: 1, stride: 1, pairs: 8),
        ])
    func pixels(of map: Pixels) {
        let shape = ConvolutionShape(
            input: PlanesShape(channels: 3, height: map.side, width: map.side), outputs: 2, kernel: map.kernel,
            stride: map.stride)
        #expect(shape.pixelsPerWeight == Double(map.pairs * map.pairs) / Double(map.kernel * map.kernel))
    }

    @Test("A stream writes where it is told to, and nothing else", arguments: InstructionSet.supported)
    func stream(set: InstructionSet) {
        let code = [InstructionSet.portable: TK_PORTABLE, .avx2: TK_AVX2, .avx512: TK_AVX512][set]!
        for (lines, others) in [(0, 0), (1, 0), (0, 1), (67, 131), (200, 64)] {
            let room = 256 * 16
            let read = AlignedBuffer<Float>(copying: Array(repeating: 3, count: room))
            let updated = AlignedBuffer<Float>(copying: (0..<room).map { Float($0 % 100 - 50) })
            let written = AlignedBuffer<Float>(copying: Array(repeating: 7, count: room))
            tk_stream(code, 2, read.pointer, 64 * others, updated.pointer, 64 * others, written.pointer, 64 * lines)
            #expect((0..<room).allSatisfy { read[$0] == 3 && updated[$0] == Float($0 % 100 - 50) })
            #expect((0..<room).allSatisfy { written[$0] == ($0 < 16 * lines ? 0 : 7) }, "\(lines) lines")
        }
    }

    @Test("Bytes that are only read, updated or written have a bandwidth")
    func bandwidth() {
        for traffic in [Traffic(read: 4_096), Traffic(updated: 4_096), Traffic(written: 4_096)] {
            let rate = MachinePeak.gigabytesPerSecond(traffic, .best)
            #expect(rate > 0 && rate.isFinite, "\(traffic)")
        }
    }
}
