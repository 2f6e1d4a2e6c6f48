import Foundation
import Kernels
import Synchronization
import Testing

@Suite("Elementary functions")
struct ReproducibleTests {
    /// Distance in units in the last place of `expected`.
    private func distance(_ actual: Double, _ expected: Double) -> Double {
        actual == expected || (actual.isNaN && expected.isNaN) ? 0 : abs(actual - expected) / expected.ulp
    }

    private func worst(_ range: ClosedRange<Double>, _ ours: (Double) -> Double, _ libm: (Double) -> Double) -> Double {
        var random = Stream(seed: 7)
        return (0..<20_000).reduce(0) { worst, _ in
            let x = range.lowerBound + random.uniform() * (range.upperBound - range.lowerBound)
            return max(worst, distance(ours(x), libm(x)))
        }
    }

    @Test("exp, log, cos and sin are within 2 ulp of libm")
    func accuracy() {
        #expect(worst(-700...700, Reproducible.exp, Foundation.exp) <= 2)
        #expect(worst(-1...1, Reproducible.exp, Foundation.exp) <= 2)
        #expect(worst(0.5...2, Reproducible.log, Foundation.log) <= 2)
        #expect(worst(1e-300...1e300, Reproducible.log, Foundation.log) <= 2)
        #expect(worst(0...1e-3, Reproducible.log, Foundation.log) <= 2)
        #expect(worst(-7...7, Reproducible.cos, Foundation.cos) <= 2)
        #expect(worst(-7...7, Reproducible.sin, Foundation.sin) <= 2)
        #expect(worst(-524_288...524_288, Reproducible.sin, Foundation.sin) <= 2)
    }

    @Test("Edges are those of IEEE 754")
    func edges() {
        #expect(Reproducible.exp(0) == 1)
        #expect(Reproducible.exp(-.infinity) == 0)
        #expect(Reproducible.exp(.infinity) == .infinity)
        #expect(Reproducible.exp(-746) == 0)
        #expect(Reproducible.exp(710) == .infinity)
        #expect(Reproducible.exp(.nan).isNaN)
        #expect(Reproducible.log(1) == 0)
        #expect(Reproducible.log(0) == -.infinity)
        #expect(Reproducible.log(.infinity) == .infinity)
        #expect(Reproducible.log(-1).isNaN)
        #expect(Reproducible.cos(0) == 1)
        #expect(Reproducible.sin(0) == 0)
        #expect(Reproducible.cos(.infinity).isNaN)
    }

    @Test("Golden bits: a change here changes every initialisation and needs a new semantics version")
    func golden() {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        var random = Stream(seed: 11)
        for _ in 0..<2_000 {
            let x = random.uniform(), y = random.uniform()
            for value in [
                Reproducible.exp(40 * x - 20), Reproducible.log(x), Reproducible.cos(9 * y), Reproducible.sin(9 * y),
            ] {
                hash = (hash ^ value.bitPattern) &* 0x100_0000_01b3
            }
        }
        #expect(String(hash, radix: 16) == "5ac38f9156226c29")
    }

    @Test("Results do not depend on whether denormals are flushed")
    func denormals() {
        /// The mode and results on a thread of its own. It starts with its creator's mode, so the default is set first.
        func onFreshThread(flushing: Bool) -> (flushes: Bool, bits: [UInt64]) {
            let results = Mutex<(Bool, [UInt64])>((false, []))
            let done = DispatchSemaphore(value: 0)
            Thread {
                fesetenv(UnsafePointer<fenv_t>(bitPattern: -1))  // FE_DFL_ENV, a macro that Swift does not see
                if flushing { FloatingPointMode.flushDenormals() }
                let bits = stride(from: -745.0, through: -700, by: 0.37).map { Reproducible.exp($0).bitPattern }
                results.withLock { $0 = (FloatingPointMode.flushesDenormals, bits) }
                done.signal()
            }.start()
            done.wait()
            return results.withLock { $0 }
        }
        let kept = onFreshThread(flushing: false)
        let flushed = onFreshThread(flushing: true)
        #expect(!kept.flushes && flushed.flushes)
        #expect(kept.bits == flushed.bits)
    }
}

@Suite("Choice of the instruction set")
struct InstructionSetTests {
    @Test("A known, supported name is taken; anything else gives the best")
    func chosen() {
        #expect(InstructionSet.chosen(by: "portable") == .portable)
        #expect(InstructionSet.chosen(by: nil) == .best)
        #expect(InstructionSet.chosen(by: "sse9") == .best)
        for wanted in InstructionSet.allCases {
            #expect(InstructionSet.chosen(by: wanted.rawValue) == (wanted.isSupported ? wanted : .best))
        }
        #expect(InstructionSet.supported.first == .portable && InstructionSet.supported.last == .best)
    }
}
