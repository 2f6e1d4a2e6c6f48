import Foundation
import Testing

/// What a study is read by, over one store: the words, the table and the JSON say the same.
@Suite struct StudyTests {
    private static let spec = """
        name: study
        dataset: glyphs
        data: {train: 1500, validation: 300}
        model: {family: mlp, width: 12}
        training: {iterations: 60, batch: 30, optimizer: adam, evaluate_every: 20}
        pruning: {rate: 0.4, levels: 2}
        branches: [random-reinit]
        matching_margin: 0.1
        replicates: 3
        grid: {depth: [1, 2], warmup: [0, 20], lr: [0.003, 0.03]}
        """
    private typealias Object = [String: Any]

    /// Rows of a table without quoted fields, by column.
    private func rows(_ csv: String) -> [[String: String]] {
        let lines = csv.components(separatedBy: "\r\n").filter { !$0.isEmpty }.map {
            $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        return lines.dropFirst().map { Dictionary(uniqueKeysWithValues: zip(lines[0], $0)) }
    }

    private func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }

    /// A line of a table in words, by what stands between two spaces or more.
    private func cells(_ line: String) -> [String] {
        line.components(separatedBy: "  ").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }

    private func json<T>(_ text: String, as _: T.Type) throws -> T {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? T)
    }

    private func percent(_ density: Double) -> String { String(format: "%.1f %%", 100 * density) }
    /// JSON's numbers are read back within their last place.
    private func isClose(_ one: Double?, _ other: Double?) -> Bool {
        guard let one, let other else { return one == nil && other == nil }
        return abs(one - other) <= 1e-12 * max(1, abs(one))
    }

    private func points(_ difference: Double) -> String {
        let text = String(format: "%.2f", abs(100 * difference))
        return (text == "0.00" ? "±" : difference < 0 ? "−" : "+") + text
    }

    @Test("Atlas, contrast and costs say in words, in CSV and in JSON what the leaderboard is made of")
    func faces() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(Self.spec, in: folder)
            let ran = try await Program.run(
                ["run", spec, "--json", "--store", "store", "--workers", "2"], in: folder, within: 300)
            #expect(ran.status == 0, "\(ran.errors)")
            let board = try json(ran.output, as: [Object].self)
            #expect(board.count == 8)
            func said(_ arguments: String...) async throws -> String {
                let ended = try await Program.run(arguments + ["--store", "store"], in: folder)
                #expect(ended.status == 0, "\(arguments): \(ended.errors)")
                return ended.output
            }
            try await best(board, said: said)
            try await atlas(board, said: said)
            try await contrast(said: said)
            try await costs(board, said: said)
        }
    }

    private func best(_ board: [Object], said: (String...) async throws -> String) async throws {
        let table = rows(try await said("leaderboard", "--csv"))
        let text = lines(try await said("leaderboard"))
        #expect(table.count == board.count && cells(text[0]).contains("matches best dense"))
        for (index, row) in board.enumerated() {
            let best = try #require(row["best_dense"] as? Object)
            let mean = try #require((best["accuracy"] as? Object)?["mean"] as? Double)
            #expect(isClose(table[index]["best_dense"].flatMap(Double.init), mean))
            #expect(table[index]["matches_best_dense"] == best["matching"] as? String)
            let point = try #require(best["point"] as? [String: Double])
            let words = "depth \(Int(point["depth"]!)), warmup \(Int(point["warmup"]!)), lr \(point["lr"]!)"
            #expect(table[index]["best_dense_point"] == words.replacing(",", with: ";"))
            #expect(
                text.contains { $0.hasPrefix("best dense network, by validation accuracy: \(words) with ") }, "\(text)")
            guard let difference = (best["difference"] as? Object)?["mean"] as? Double else { continue }
            #expect(text[1 + index].contains("\(best["matching"]!) (\(points(difference)))"), "\(text[1 + index])")
        }
    }

    private func atlas(_ board: [Object], said: (String...) async throws -> String) async throws {
        let atlas = try json(try await said("atlas", "--json"), as: [Object].self)
        let panels = try #require(atlas.first?["panels"] as? [Object])
        #expect(atlas.count == 1 && panels.map { $0["point"] as? [String: Int] } == [["depth": 1], ["depth": 2]])
        let table = rows(try await said("atlas", "--csv"))
        #expect(table.count == 8)
        let text = lines(try await said("atlas"))
        // For each panel a title, a heading and a line for each warmup; the legend at the end.
        try #require(text.count == 2 * 4 + 1, "\(text)")
        #expect(text[8].hasPrefix("sparsest winning / sparsest matching"))
        for (index, panel) in panels.enumerated() {
            #expect(text[4 * index] == "depth \(index + 1)")
            #expect(cells(text[4 * index + 1]) == ["warmup", "lr 0.003", "lr 0.03"])
            for cell in try #require(panel["cells"] as? [Object]) {
                let (row, column) = (try #require(cell["row"] as? Int), try #require(cell["column"] as? Int))
                let (warmup, rate) = ([0, 20][row], [0.003, 0.03][column])
                let entry = try #require(
                    board.first { entry in
                        let point = entry["point"] as? [String: Double]
                        return point == ["depth": Double(index + 1), "warmup": Double(warmup), "lr": rate]
                    })
                for key in ["winning_density", "matching_density", "last_density"] {
                    #expect(isClose(cell[key] as? Double, entry[key] as? Double), "\(key)")
                }
                for key in ["verdict", "decided", "ticket"] {
                    #expect(cell[key] as? String == entry[key] as? String, "\(key)")
                }
                let fields = try #require(
                    table.first {
                        $0["depth"] == "\(index + 1)" && $0["warmup"] == "\(warmup)" && $0["lr"] == "\(rate)"
                    })
                #expect(fields["verdict"] == entry["verdict"] as? String)
                #expect(isClose(fields["matching_density"].flatMap(Double.init), cell["matching_density"] as? Double))
                #expect(isClose(fields["winning_density"].flatMap(Double.init), cell["winning_density"] as? Double))
                #expect(isClose(fields["dense"].flatMap(Double.init), (entry["dense"] as? Object)?["mean"] as? Double))
                // In words: the densities, and a sign where the chain ended before its tickets failed.
                let words = cells(text[4 * index + 2 + row])[1 + column]
                let isCensored = entry["verdict"] as? String == "censored"
                for (part, key) in zip(words.components(separatedBy: " / "), ["winning_density", "matching_density"]) {
                    guard let density = cell[key] as? Double else {
                        #expect(part == "–")
                        continue
                    }
                    #expect(part.contains(percent(density)), "\(words)")
                    #expect(part.hasPrefix("≤ ") == (isCensored && density == cell["last_density"] as? Double))
                }
            }
        }
    }

    private func contrast(said: (String...) async throws -> String) async throws {
        let contrast = try json(try await said("contrast", "--json"), as: Object.self)
        let panels = try #require(contrast["panels"] as? [Object])
        #expect(panels.count == 4 && contrast["axis"] as? String == "warmup")
        let table = rows(try await said("contrast", "--csv"))
        #expect(table.count == 4 * 2)
        let text = lines(try await said("contrast"))
        // A title, a heading and two levels each; what p means at the end.
        try #require(text.count == 4 * 4 + 1, "\(text)")
        #expect(text[16].contains("8 tests"))
        #expect(try await said("contrast", "--level", "2").contains("4 tests"))
        // The numbers behind it, run by run.
        let levels = rows(try await said("export", "--table", "levels"))
        func gaps(depth: String, rate: String, warmup: String, level: String) throws -> [Double] {
            try (0..<3).map { replicate in
                func accuracy(_ branch: String) throws -> Double {
                    let row = levels.first {
                        $0["depth"] == depth && $0["lr"] == rate && $0["warmup"] == warmup && $0["level"] == level
                            && $0["replicate"] == "\(replicate)" && $0["branch"] == branch
                    }
                    return try #require((row?["final_test_accuracy"]).flatMap(Double.init), "\(branch)")
                }
                return try accuracy("ticket") - accuracy("random-reinit")
            }
        }
        for (index, panel) in panels.enumerated() {
            let point = try #require(panel["point"] as? [String: Double])
            let (depth, rate) = ("\(Int(point["depth"] ?? 0))", "\(point["lr"] ?? 0)")
            #expect(text[4 * index] == "depth \(depth), lr \(rate): ticket less random-reinit, in points")
            for (row, level) in try #require(panel["levels"] as? [Object]).enumerated() {
                let fields = table[2 * index + row]
                #expect(fields["depth"] == depth && fields["lr"] == rate && fields["level"] == "\(row + 1)")
                let from = try gaps(depth: depth, rate: rate, warmup: "0", level: "\(row + 1)")
                let to = try gaps(depth: depth, rate: rate, warmup: "20", level: "\(row + 1)")
                let mean = zip(from, to).map { $1 - $0 }.reduce(0, +) / 3
                let difference = try #require((level["difference"] as? Object)?["mean"] as? Double)
                #expect(abs(difference - mean) < 1e-12)
                #expect(isClose(fields["difference"].flatMap(Double.init), difference))
                #expect(isClose(fields["p_value"].flatMap(Double.init), level["p_value"] as? Double))
                #expect(fields["direction"] == level["direction"] as? String)
                let words = cells(text[4 * index + 2 + row])
                #expect(words.count == 8 && words[0] == "\(row + 1)" && words[2] == "3", "\(words)")
                #expect(words[5].hasPrefix(points(difference)), "\(words)")
            }
        }
    }

    private func costs(_ board: [Object], said: (String...) async throws -> String) async throws {
        let ledger = try json(try await said("leaderboard", "--costs", "--json"), as: [Object].self)
        let table = rows(try await said("leaderboard", "--costs", "--csv"))
        let text = lines(try await said("leaderboard", "--costs"))
        #expect(ledger.count == board.count && table.count == board.count && text.count == 1 + board.count)
        #expect(ledger.map { $0["level"] as? Int } == board.map { $0["level"] as? Int })
        #expect(ledger.contains { $0["level"] is Int })
        for (index, row) in ledger.enumerated() {
            guard let level = row["level"] as? Int else {
                for key in ["density", "training", "saved_flops", "paid_after", "ticket"] {
                    #expect(row[key] is NSNull, "\(row)")
                }
                // The dense network and two levels.
                #expect((row["search"] as? Object)?["steps"] as? Int == 3 * 60)
                #expect(table[index]["search_steps"] == "180" && table[index]["training_steps"] == "")
                #expect(table[index]["saved_flops"] == "" && table[index]["ticket"] == "")
                #expect(cells(text[1 + index]).count { $0 == "–" } == 6, "\(text[1 + index])")
                continue
            }
            let (search, training) = (row["search"] as? Object, row["training"] as? Object)
            // Rewound to the start: the search is the dense network and the levels before, of 60 steps each.
            #expect(search?["steps"] as? Int == 60 * level && training?["steps"] as? Int == 60)
            #expect(table[index]["search_steps"] == "\(60 * level)")
            let saved = try #require(row["saved_flops"] as? Double)
            #expect(isClose(table[index]["saved_flops"].flatMap(Double.init), saved))
            let words = cells(text[1 + index])
            #expect(words[0] == "\(row["rank"]!)" && words.last == row["ticket"] as? String, "\(words)")
            #expect(words.contains(String(format: "%.0f %%", 100 * saved)), "\(words)")
        }
    }
}
