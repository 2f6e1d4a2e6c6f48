import Foundation
import Testing

/// What measurements print, not how fast anything is.
@Suite struct BenchTests {
    private func json<Value>(_ words: [String], in folder: URL, as type: Value.Type) async throws -> Value {
        let ended = try await Program.run(["bench"] + words + ["--windows", "1", "--json"], in: folder)
        try #require(ended.status == 0, "\(ended.errors)")
        return try #require(
            try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? Value, "\(ended.output)")
    }

    @Test("A kernel's rate stands beside what limits it: bytes where it moves them, arithmetic where that takes longer")
    func kernels() async throws {
        try await withFolder { folder in
            let rows = try await json(["kernels", "--only", "softmax"], in: folder, as: [[String: Any]].self)
            #expect(rows.map { $0["shape"] as? String } == ["10 classes, 64 examples", "100 classes, 64 examples"])
            for row in rows {
                #expect(row["kernel"] as? String == "softmax" && row["unit"] as? String == "gigabytes")
                #expect(row["bound"] as? String == "memory")
                let rate = try #require(row["rate"] as? Double), limit = try #require(row["limit"] as? Double)
                #expect(rate > 0 && limit > 0 && limit.isFinite)
                #expect(row["slowest"] as? Double == rate && row["fastest"] as? Double == rate, "one window")
            }
            // 784 × 300 weights meet 64 examples: 32 multiply-adds a byte at the least.
            let dense = try await json(["kernels", "--only", "dense forward"], in: folder, as: [[String: Any]].self)
            let first = try #require(
                dense.first { $0["shape"] as? String == "784 → 300" && $0["density"] as? Double == 1 })
            #expect(first["unit"] as? String == "gigaflops" && first["bound"] as? String == "arithmetic")

            let table = try await Program.run(["bench", "kernels", "--only", "softmax", "--windows", "1"], in: folder)
            let lines = table.output.split(separator: "\n")
            #expect(table.status == 0 && lines.count >= 3 && lines[0].contains("of limit"), "\(table.output)")
            for line in lines.dropFirst(3) {
                #expect(
                    line
                        == "softmax is far from its limit because it takes a power and divides twice for each value, and takes a logarithm for each example"
                )
            }
            let none = try await Program.run(["bench", "kernels", "--only", "nothing"], in: folder)
            #expect(none.status == 2 && none.errors.contains("“nothing”"), "\(none.errors)")
        }
    }

    @Test("Training speed comes with its company; densities by layer come from P1's rates, or from a ticket")
    func train() async throws {
        try await withFolder { folder in
            let plain = try await json(["train", "--batch", "16"], in: folder, as: [String: Any].self)
            for name in [
                "steps_per_second", "slowest", "fastest", "gigaflops_per_second", "peak_gigaflops_per_second",
                "share_of_peak", "bytes_per_step",
            ] {
                let value = try #require(plain[name] as? Double, "\(name): \(plain)")
                #expect(value > 0 && value.isFinite, "\(name) is \(value)")
            }
            #expect(plain["model"] as? String == "lenet-300-100" && plain["batch"] as? Int == 16)
            #expect(plain["density"] as? Double == 1)

            let p1 = try await json(
                ["train", "--batch", "16", "--like", "p1", "--prunings", "15"], in: folder, as: [String: Any].self)
            // 0.8¹⁵ of 265,200 weights and 0.9¹⁵ of 1,000.
            #expect(abs(try #require(p1["density"] as? Double) - 0.03582) < 0.002)

            let spec = try TestSweep.write(TestSweep.tiny(branches: "[]"), in: folder)
            let ran = try await Program.run(["run", spec, "--json"], in: folder)
            let board = try #require(try JSONSerialization.jsonObject(with: Data(ran.output.utf8)) as? [[String: Any]])
            let ticket = try #require(board.first?["ticket"] as? String, "\(ran.output)")
            let density = try #require(board.first?["density"] as? Double)
            let exported = try await Program.run(
                ["ticket", "export", ticket, "--out", "t.safetensors"], in: folder)
            #expect(exported.status == 0, "\(exported.errors)")
            let network = ["train", "--model", "mlp", "--depth", "1", "--width", "12", "--dataset", "glyphs"]
            let like = try await json(network + ["--like", "t.safetensors"], in: folder, as: [String: Any].self)
            // As many at random: a standard deviation is half a hundredth.
            #expect(abs(try #require(like["density"] as? Double) - density) < 0.02 && density < 0.9)
            let other = try await Program.run(["bench", "train", "--like", "t.safetensors"], in: folder)
            #expect(other.status == 2 && other.errors.contains("has no mask for fc1.weight"), "\(other.errors)")
        }
    }
}
