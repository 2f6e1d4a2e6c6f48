import Foundation
import Lottery
import Testing
import Training

@Suite("Data sets in CIFAR's format")
struct CIFARTests {
    private func error(_ body: () throws -> Void) throws -> DataError {
        try #require(#expect(throws: DataError.self) { try body() })
    }

    @Test("The canonical file has the images in the order of the files, the fine labels, and moments per channel")
    func decoding() throws {
        for coarse in [nil, 2] {
            let folder = try TemporaryFolder()
            let data = try TinyCIFAR.place(in: folder, coarseClasses: coarse)
            let made = try TinyCIFAR.catalog([data], coarseClasses: coarse).materialise("tiny-cifar", into: folder.path)
            let (tensors, metadata) = try Safetensors.decode(contents(made.path))
            let images = ["batch_1.bin", "batch_2.bin"].flatMap { name in
                (0..<20).map { TinyCIFAR.pixels(of: $0, in: name) }
            }
            #expect(tensors["train.images"]?.shape == [40, 3, 4, 4] && tensors["test.images"]?.shape == [10, 3, 4, 4])
            #expect(tensors["train.images"]?.uint8Values == images.flatMap(\.self))
            #expect(tensors["train.labels"]?.uint8Values == (0..<40).map { UInt8($0 % 20 % 5) })
            #expect(tensors["test.labels"]?.uint8Values == (0..<10).map { UInt8($0 % 5) })
            #expect(metadata["classes"] == "5")
            for (name, moment) in [("mean", 1), ("std", 2)] {
                let found = (metadata[name] ?? "").split(separator: " ").compactMap { Double($0) }
                #expect(found.count == 3)
                for (channel, value) in found.enumerated() {
                    let pixels = images.flatMap { $0[16 * channel..<16 * (channel + 1)] }.map { Double($0) / 255 }
                    let mean = pixels.reduce(0, +) / Double(pixels.count)
                    let variance = pixels.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(pixels.count)
                    #expect(abs(value - (moment == 1 ? mean : variance.squareRoot())) < 1e-12)
                }
            }
        }
    }

    @Test("Any of the training files will do; counts come from the files, and another part is other data")
    func parts() throws {
        var digests: Set<Digest> = []
        for (names, count) in [
            (TinyCIFAR.names, 40), (["batch_1.bin", "test.bin"], 20), (["batch_2.bin", "test.bin"], 20),
        ] {
            let folder = try TemporaryFolder()
            let catalog = TinyCIFAR.catalog([try TinyCIFAR.place(names, in: folder)])
            #expect(try catalog.shape(of: "tiny-cifar").trainCount == count)
            #expect(catalog.vocabulary.trainCount(TinyCIFAR.shape) == count)
            #expect(catalog.list().map(\.shape.trainCount) == [count] && catalog.list().map(\.state) == [.present])
            let report = try catalog.verify("tiny-cifar")
            #expect(report.shape.trainCount == count && report.shape.testCount == 10)
            #expect(try report.digest == catalog.digest(of: "tiny-cifar"))
            #expect(report.files.map(\.isAsPublished) == names.map { $0 == "test.bin" })
            digests.insert(report.digest)
        }
        #expect(digests.count == 3)
    }

    @Test("A file may hold fewer images than published")
    func shortFiles() throws {
        let folder = try TemporaryFolder()
        let data = try TinyCIFAR.place(in: folder)
        for (name, images) in [("batch_2.bin", 3), ("test.bin", 1)] {
            try write(Array(TinyCIFAR.file(name).prefix(images * 49)), to: "\(data)/tiny-bin/\(name)")
        }
        let catalog = TinyCIFAR.catalog([data])
        let shape = try catalog.shape(of: "tiny-cifar")
        #expect(shape.trainCount == 23 && shape.testCount == 1)
        // What was remembered is forgotten when a file comes or goes.
        try FileManager.default.removeItem(atPath: "\(data)/tiny-bin/batch_1.bin")
        #expect(try catalog.shape(of: "tiny-cifar").trainCount == 3)
    }

    @Test("Where the data is not here, plans take the published counts")
    func absent() throws {
        let folder = try TemporaryFolder()
        let catalog = TinyCIFAR.catalog([folder.path])
        #expect(catalog.vocabulary.trainCount(TinyCIFAR.shape) == 40)
        let error = try error { _ = try catalog.digest(of: "tiny-cifar") }
        #expect(error.kind == .missing)
        for part in [
            "\(folder.path)/tiny-bin and \(folder.path)/tiny-cifar.tar.gz", "tombola data fetch tiny-cifar",
            "put tiny-cifar.tar.gz, or a folder tiny-bin with batch_1.bin, batch_2.bin, test.bin",
        ] { #expect(error.description.contains(part), "\(error)") }
        #expect(catalog.list().map(\.state) == [.missing])
    }

    @Test("Files that are too few are told")
    func incomplete() throws {
        for (names, says) in [
            (["batch_1.bin", "batch_2.bin"], "lacks test.bin"),
            (["test.bin"], "lacks any of batch_1.bin, batch_2.bin;"),
        ] {
            let folder = try TemporaryFolder()
            let data = try TinyCIFAR.place(names, in: folder)
            let catalog = TinyCIFAR.catalog([data])
            let unpacked = try error { _ = try catalog.digest(of: "tiny-cifar") }
            #expect(
                unpacked.kind == .malformed && unpacked.description.contains("\(data)/tiny-bin \(says)"), "\(unpacked)")
            #expect(catalog.list().map(\.state) == [.incomplete])

            let other = try folder.folder("archive")
            try write(TinyCIFAR.tar(names), to: "\(other)/tiny-cifar.tar")
            let packed = try error { _ = try TinyCIFAR.catalog([other]).digest(of: "tiny-cifar") }
            #expect(packed.description.contains("\(other)/tiny-cifar.tar \(says)"), "\(packed)")
        }
    }

    @Test("Files that are not what they should be are named, with the fault")
    func malformed() throws {
        let cases: [(file: String, says: String, (inout [UInt8]) -> Void)] = [
            ("batch_1.bin", "979 bytes are no whole number of images of 49 bytes", { $0.removeLast() }),
            ("test.bin", "491 bytes are no whole number of images", { $0.append(0) }),
            ("test.bin", "0 bytes are no whole number", { $0 = [] }),
            ("batch_2.bin", "a label of image 7 is 5, but must be in 0…4", { $0[7 * 49] = 5 }),
            // A longer file is not read further than shows that it is longer.
            ("batch_2.bin", "981 bytes are no whole number of images", { $0 += $0 }),
        ]
        for (file, says, damage) in cases {
            let folder = try TemporaryFolder()
            let data = try TinyCIFAR.place(in: folder)
            let path = "\(data)/tiny-bin/\(file)"
            var bytes = try contents(path)
            damage(&bytes)
            try write(bytes, to: path)
            let error = try error { _ = try TinyCIFAR.catalog([data]).verify("tiny-cifar") }
            #expect(error.kind == .malformed && error.description.hasPrefix(path), "\(error)")
            #expect(error.description.contains(says), "\(error)")
        }
        let folder = try TemporaryFolder()
        let data = try TinyCIFAR.place(in: folder, coarseClasses: 2)
        var bytes = try contents("\(data)/tiny-bin/test.bin")
        bytes[3 * 50] = 2
        try write(bytes, to: "\(data)/tiny-bin/test.bin")
        let coarse = try error { _ = try TinyCIFAR.catalog([data], coarseClasses: 2).verify("tiny-cifar") }
        #expect(coarse.description.contains("a label of image 3 is 2, but must be in 0…1"), "\(coarse)")
    }

    @Test("The archive, packed or not, is as good as its files; files win over an archive beside them")
    func archive() throws {
        let folder = try TemporaryFolder()
        let unpacked = try TinyCIFAR.catalog([try TinyCIFAR.place(in: folder)]).digest(of: "tiny-cifar")
        let other = try folder.folder("archive")
        try write(TinyCIFAR.tar(), to: "\(other)/tiny-cifar.tar")
        let catalog = TinyCIFAR.catalog([other])
        #expect(try catalog.digest(of: "tiny-cifar") == unpacked)
        #expect(FileManager.default.fileExists(atPath: "\(other)/.tiny-bin.digest"))
        #expect(try catalog.verify("tiny-cifar").files.map(\.path) == ["\(other)/tiny-cifar.tar"])
        try runTool("/bin/gzip", ["\(other)/tiny-cifar.tar"])
        #expect(try catalog.digest(of: "tiny-cifar") == unpacked)
        #expect(try catalog.verify("tiny-cifar").files.map(\.path) == ["\(other)/tiny-cifar.tar.gz"])

        let part = try folder.folder("archive/tiny-bin")
        for name in ["batch_2.bin", "test.bin"] { try write(TinyCIFAR.file(name), to: "\(part)/\(name)") }
        #expect(try catalog.digest(of: "tiny-cifar") != unpacked)
        #expect(try catalog.verify("tiny-cifar").folder == part)
    }

    @Test("An archive with some of the files is a part of the data set")
    func partialArchive() throws {
        let folder = try TemporaryFolder()
        try write(TinyCIFAR.tar(["test.bin", "batch_2.bin"]), to: "\(folder.path)/tiny-cifar.tar.gz")
        let data = try TinyCIFAR.place(["batch_2.bin", "test.bin"], in: folder)
        #expect(
            try TinyCIFAR.catalog([folder.path]).digest(of: "tiny-cifar")
                == TinyCIFAR.catalog([data]).digest(of: "tiny-cifar"))
    }

    @Test("What tar and gzip make is read", .enabled(if: FileManager.default.isExecutableFile(atPath: "/bin/tar")))
    func systemTar() throws {
        let folder = try TemporaryFolder()
        let data = try TinyCIFAR.place(in: folder)
        for format in ["ustar", "gnu", "v7", "pax"] {
            let other = try folder.folder(format)
            try runTool(
                "/bin/tar", ["-C", data, "--format=\(format)", "-czf", "\(other)/tiny-cifar.tar.gz", "./tiny-bin"])
            #expect(
                try TinyCIFAR.catalog([other]).digest(of: "tiny-cifar")
                    == TinyCIFAR.catalog([data]).digest(of: "tiny-cifar"), "\(format)")
        }
    }

    @Test("Damaged archives are told")
    func damagedArchives() throws {
        let whole = TinyCIFAR.tar()
        let last = 512 + 1024 + 2 * (512 + 1024)
        let cases: [(says: String, (inout [UInt8]) -> Void)] = [
            ("is truncated", { $0.removeLast($0.count - last - 700) }),
            ("is truncated", { $0.removeLast($0.count - last - 100) }),
            ("no tar header at byte \(last)", { $0[last + 3] ^= 1 }),
            ("no tar header at byte 0", { $0[124] = 0x39 }),
            ("no tar header at byte 0", { $0[0] ^= 0xff }),
            ("lacks test.bin", { $0.replaceSubrange(last..<$0.count, with: []) }),
            (
                "(test.bin): its 489 bytes are no whole number of images",
                {
                    $0.replaceSubrange(
                        last..<$0.count, with: TinyCIFAR.entry("test.bin", Array(repeating: 0, count: 489)))
                }
            ),
            ("unpacks to more than the", { $0 += TinyCIFAR.entry("x", Array(repeating: 0, count: 2 << 20)) }),
        ]
        for (says, damage) in cases {
            var bytes = whole
            damage(&bytes)
            let folder = try TemporaryFolder()
            try write(bytes, to: "\(folder.path)/tiny-cifar.tar.gz")
            let error = try error { _ = try TinyCIFAR.catalog([folder.path]).digest(of: "tiny-cifar") }
            #expect(error.kind == .malformed && error.description.contains(says), "\(error), not: \(says)")
            #expect(error.description.hasPrefix("\(folder.path)/tiny-cifar.tar.gz"), "\(error)")
        }
    }

    @Test(
        "Fetching gets the archive, keeps what was unpacked by hand, and stops at a part that would hide it",
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/curl"), "curl is not installed"))
    func fetch() throws {
        let folder = try TemporaryFolder()
        let mirror = try folder.folder("mirror")
        try write(TinyCIFAR.tar(), to: "\(mirror)/tiny-cifar.tar")
        try runTool("/bin/gzip", ["\(mirror)/tiny-cifar.tar"])
        let digest = Digest.of(try contents("\(mirror)/tiny-cifar.tar.gz"))
        let registry = TinyCIFAR.registry(mirrors: ["file://\(mirror)/"], archiveDigest: digest)
        let data = try folder.folder("data")
        let catalog = DataCatalog(registry: registry, folders: [data])
        #expect(try catalog.fetch("tiny-cifar", into: data) == ["\(data)/tiny-cifar.tar.gz"])
        let report = try catalog.verify("tiny-cifar")
        #expect(report.shape == TinyCIFAR.shape && report.files.map(\.isAsPublished) == [true])

        let whole = try TinyCIFAR.place(in: folder, parent: "whole")
        #expect(try catalog.fetch("tiny-cifar", into: whole) == TinyCIFAR.names.map { "\(whole)/tiny-bin/\($0)" })
        let part = try TinyCIFAR.place(["batch_1.bin", "test.bin"], in: folder, parent: "part")
        let error = try error { _ = try catalog.fetch("tiny-cifar", into: part) }
        #expect(error.description.contains("\(part)/tiny-bin holds a part of tiny-cifar"), "\(error)")
        #expect(!FileManager.default.fileExists(atPath: "\(part)/tiny-cifar.tar.gz"))
    }

    @Test("An MLP trains on images of three channels")
    func training() throws {
        let folder = try TemporaryFolder()
        let data = try TinyCIFAR.place(in: folder)
        let made = try TinyCIFAR.catalog([data]).materialise("tiny-cifar", into: folder.path)
        var settings = DataSettings()
        settings.validation = 8
        var model = ModelSettings()
        model.family = "mlp"
        model.hidden = [16]
        var recipe = TrainingSettings()
        recipe.iterations = 60
        recipe.batch = 16
        let task = TrainingTask(
            numerics: .f32Lanes16, dataset: made.digest, data: settings, model: model, training: recipe,
            seeds: Seeds(base: 1, replicate: 0), pruning: nil, start: .initialisation)
        let result = try LevelTrainer(registry: TinyCIFAR.registry()).run(
            TrainingRequest(task: task, keepSteps: []), inputs: [TrainingRequest.Input.dataset: made.path],
            outputDirectory: folder.path, resumeFile: nil, checkpointSeconds: .infinity
        ) { _ in .goOn }
        let summary = try #require(result?.summary)
        #expect(summary.divergedAt == nil && summary.final?.testCount == 10 && summary.final?.validationCount == 8)
    }

    /// The folder of CIFAR-10 or a part of it, from the environment.
    private static var realData: String? {
        guard let data = ProcessInfo.processInfo.environment["TOMBOLA_DATA"] else { return nil }
        let folder = "\(data)/cifar-10-batches-bin"
        return FileManager.default.fileExists(atPath: "\(folder)/test_batch.bin") ? folder : nil
    }

    @Test("Real CIFAR-10, or a part of it, is read where it is at hand", .enabled(if: CIFARTests.realData != nil))
    func cifar10() throws {
        let folder = try TemporaryFolder()
        // Counting images writes their digest beside them; the data itself is left alone.
        let place = try folder.folder("cifar-10-batches-bin")
        let real = try #require(CIFARTests.realData)
        for name in try FileManager.default.contentsOfDirectory(atPath: real) where name.hasSuffix(".bin") {
            try FileManager.default.createSymbolicLink(
                atPath: "\(place)/\(name)", withDestinationPath: "\(real)/\(name)")
        }
        let catalog = DataCatalog(registry: .standard, folders: [folder.path])
        let shape = try catalog.shape(of: "cifar10")
        #expect((1...50_000).contains(shape.trainCount) && (1...10_000).contains(shape.testCount))
        let made = try catalog.materialise("cifar10", into: folder.path)
        let (tensors, metadata) = try Safetensors.decode(contents(made.path))
        #expect(tensors["train.images"]?.shape == [shape.trainCount, 3, 32, 32])
        // Any ten thousand images have about the figures everybody normalises with.
        for (name, expected) in [("mean", [0.4914, 0.4822, 0.4465]), ("std", [0.2470, 0.2435, 0.2616])] {
            let found = (metadata[name] ?? "").split(separator: " ").compactMap { Double($0) }
            #expect(found.count == 3 && zip(found, expected).allSatisfy { abs($0 - $1) < 0.01 }, "\(name): \(found)")
        }
    }
}
