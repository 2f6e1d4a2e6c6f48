import Foundation
import Lottery
import Sweeps
import Training

/// Whether a bundle is what it says: one finding for each thing that was looked at.
struct BundleCheck {
    enum State: String, Encodable { case good, bad, unchecked }

    struct Finding: Encodable {
        var subject: String
        var state: State
        var found: String
    }

    private(set) var findings: [Finding] = []
    var isGood: Bool { findings.allSatisfy { $0.state != .bad } }

    private mutating func add(_ subject: String, _ state: State, _ found: String) {
        findings.append(Finding(subject: subject, state: state, found: found))
    }

    /// - Parameter catalog: where data sets are looked for, to evaluate the tickets.
    init(_ bundle: Bundle, catalog: DataCatalog) {
        if !bundle.strangers.isEmpty { add("archive", .bad, bundle.strangers.joined(separator: "; ")) }
        checkSums(of: bundle)
        guard let spec = bundle[Bundle.File.spec], let bytes = bundle[Bundle.File.results] else {
            add("results", .bad, "spec.yaml or results.json is missing")
            return
        }
        do {
            let results = try decode(bytes)
            let plan = try plan(String(decoding: spec, as: UTF8.self), results)
            let maker = try BundleMaker(plan: plan, results: results.records, curve: { _ in nil })
            checkResults(plan, results)
            compare(bundle, try maker.files(tables: maker.tables.tables.filter { $0 != .evaluations }))
            for id in maker.leaderboard.rows.compactMap(\.ticket).uniqued() where bundle[Bundle.File.ticket(id)] == nil
            {
                add(Bundle.File.ticket(id), .bad, "is missing")
            }
            try checkTickets(of: bundle, plan, results, catalog, spec: String(decoding: spec, as: UTF8.self))
        } catch { add("results", .bad, Failure(error).message) }
    }

    private mutating func checkSums(of bundle: Bundle) {
        guard let listed = bundle[Bundle.File.checksums] else { return add("checksums", .bad, "SHA256SUMS is missing") }
        let expected = Set(String(decoding: listed, as: UTF8.self).split(separator: "\n").map(String.init))
        let found = Set(bundle.checksums.split(separator: "\n").map(String.init))
        guard expected == found else {
            let names = Set(expected.symmetricDifference(found).map { String($0.dropFirst(66)) }).sorted()
            return add("checksums", .bad, "\(names.joined(separator: ", ")): not what SHA256SUMS says")
        }
        add("checksums", .good, "\(expected.count) files are what SHA256SUMS says")
    }

    private func decode(_ bytes: [UInt8]) throws -> BundleResults {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let results: BundleResults
        do { results = try decoder.decode(BundleResults.self, from: Data(bytes)) } catch let error as DecodingError {
            throw Failure(
                .infrastructure,
                "results.json is damaged\(BundleCheck.place(of: error)): take the bundle anew from where it was made")
        }
        guard results.format == BundleResults.currentFormat else {
            throw Failure(
                .usage,
                "the bundle is of form \(results.format), made by tombola \(results.version); this version reads form \(BundleResults.currentFormat): verify it with that one, or make it anew from its store"
            )
        }
        return results
    }

    /// Where in a JSON text, in words; empty if it is none at all.
    private static func place(of error: DecodingError) -> String {
        let path: [any CodingKey]
        switch error {
        case .keyNotFound(let key, let context): path = context.codingPath + [key]
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            path = context.codingPath
        @unknown default: path = []
        }
        return path.isEmpty ? "" : " at \(path.map(\.stringValue).joined(separator: "."))"
    }

    private func plan(_ spec: String, _ results: BundleResults) throws -> Plan {
        let vocabulary = Registry.standard.vocabulary
        let sweep = try Sweep(
            yaml: spec, file: Bundle.File.spec, vocabulary: vocabulary, maximumRuns: Sweep.runsAtMost)
        return try Plan(
            sweep: sweep, vocabulary: vocabulary,
            dataDigest: { name in
                guard let digest = results.datasets[name].flatMap({ Digest(hex: $0) }) else {
                    throw Failure(.usage, "results.json has no digest of the data set \(name)")
                }
                return digest
            })
    }

    private mutating func checkResults(_ plan: Plan, _ results: BundleResults) {
        let records = results.records
        let keys = Set(plan.tasks.map(\.key))
        let strangers = records.keys.filter { !keys.contains($0) }.count
        let isAsked = plan.isAsked(within: Extent(plan: plan) { CellResult(records[$0] ?? .pending) })
        let missing = zip(plan.tasks, isAsked).count { $1 && records[$0.key] == nil }
        if strangers > 0 {
            add(
                "spec", .bad,
                "\(Format.count(strangers)) results belong to no training of the spec, as this version names them")
        } else {
            let open = missing == 0 ? "" : ", \(Format.count(missing)) have none yet"
            add("spec", .good, "\(Format.count(records.count)) results belong to its trainings\(open)")
        }
    }

    private mutating func compare(_ bundle: Bundle, _ remade: [(name: String, bytes: [UInt8])]) {
        for file in remade {
            guard let held = bundle[file.name] else {
                add(file.name, .bad, "is missing")
                continue
            }
            add(
                file.name, held == file.bytes ? .good : .bad,
                held == file.bytes ? "is what the results come to" : "is not what the results come to")
        }
    }

    private mutating func checkTickets(
        of bundle: Bundle, _ plan: Plan, _ results: BundleResults, _ catalog: DataCatalog, spec: String
    ) throws {
        let folder = FileManager.default.temporaryDirectory.path + "/tombola-verify-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer {
            // What stays behind is only a nuisance.
            try? FileManager.default.removeItem(atPath: folder)
        }
        var paths: [Digest: String] = [:]
        let records = results.records
        for file in bundle.files where file.name.hasPrefix("tickets/") {
            let ticket: TicketFile
            do { ticket = try TicketFile(file.bytes) } catch {
                add(file.name, .bad, "it is no ticket: \(error)")
                continue
            }
            let metadata = ticket.metadata
            guard let planned = plan.tasks.first(where: { $0.key.digest.hex == metadata["task"] }),
                let said = metadata["test_images_right"].flatMap({ Int($0) }),
                file.name == Bundle.File.ticket(planned.key.digest.short)
            else {
                add(file.name, .bad, "it belongs to no training of the spec, or to another one than its name says")
                continue
            }
            let task = planned.task
            guard case .done(let summary, _, _) = records[planned.key] else {
                add(file.name, .bad, "results.json has no result of its training")
                continue
            }
            if let misfit = ticket.misfit(with: task, summary, spec: spec) {
                add(file.name, .bad, misfit)
                continue
            }
            // A ticket is measured in f32, a training in bf16 was not.
            if task.training.precision == .f32, let final = summary.final, final.testCorrect != said {
                add(
                    file.name, .bad,
                    "says \(Format.count(said)) test images right, and results.json \(Format.count(final.testCorrect))")
                continue
            }
            let dataset = metadata["dataset"] ?? ""
            if paths[task.dataset] == nil {
                guard let here = try? catalog.digest(of: dataset), here == task.dataset else {
                    add(file.name, .unchecked, "the data set \(dataset) is not at hand; say where with --data")
                    continue
                }
                paths[task.dataset] = try catalog.materialise(dataset, into: folder).path
            }
            let path = "\(folder)/ticket.safetensors"
            try Data(file.bytes).write(to: URL(filePath: path))
            let recount: Ticket.Recount
            do {
                recount = try Ticket.recount(
                    of: task, exported: path, dataset: paths[task.dataset] ?? "", registry: .standard)
            } catch .unsupported(let reason) {
                // Memory that is missing here says nothing of the ticket.
                add(file.name, .unchecked, "cannot be evaluated here: \(reason)")
                continue
            } catch {
                add(file.name, .bad, "cannot be evaluated: \(error)")
                continue
            }
            if let misfit = ticket.misfit(with: recount) {
                add(file.name, .bad, misfit)
                continue
            }
            guard recount.beginsAsDrawn != false else {
                add(file.name, .bad, "rewinds to other weights than those that its seed draws")
                continue
            }
            let right = recount.testImagesRight
            add(
                file.name, right == said ? .good : .bad,
                "gets \(Format.count(right)) test images right\(right == said ? "" : ", and says \(Format.count(said))")"
            )
        }
    }
}
