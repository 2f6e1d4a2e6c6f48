import Foundation
import Lottery
import Testing
import Training

@Suite("Data sets")
struct DataTests {
    private func catalog(_ folders: [String]) -> DataCatalog {
        DataCatalog(registry: TinyData.registry(), folders: folders)
    }

    /// Packs `path` into `path`.gz with the system's gzip.
    private func gzip(_ path: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/gzip")
        process.arguments = [path]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test("The rarest class of a split is that of the images that a training sees", arguments: [nil, 400, 2_000])
    func rarestClass(train: Int?) throws {
        let registry = Registry.standard
        let catalog = DataCatalog(registry: registry, folders: [])
        let shape = try #require(catalog.vocabulary.datasets.first { $0.name == "glyphs" })
        var data = DataSettings()
        data.train = train
        data.validation = 300
        let folder = try TemporaryFolder()
        let path = try catalog.materialise("glyphs", into: folder.path).path
        let file = try Safetensors.decode(Array(try Data(contentsOf: URL(filePath: path))))
        let labels = try #require(file.tensors["train.labels"]).bytes
        let order = try DataOrder(imageCount: shape.trainCount, data: data, batch: 10, seed: 7)
        var counts = Array(repeating: 0, count: shape.classes)
        for image in order.training { counts[Int(labels[Int(image)])] += 1 }
        let rarest = try #require(catalog.vocabulary.rarestClass(shape, data))
        #expect(rarest.count == counts.min() && counts[rarest.label] == rarest.count)
        #expect(counts.reduce(0, +) == (train ?? shape.trainCount) - 300)
        // A data set that is not here is told of elsewhere.
        let cifar = try #require(catalog.vocabulary.datasets.first { $0.name == "cifar10" })
        #expect(catalog.vocabulary.rarestClass(cifar, data) == nil)
    }

    @Test("Packed, unpacked and oddly named files decode to one canonical file")
    func packings() throws {
        let folder = try TemporaryFolder()
        let data = try TinyData.place(in: folder)
        let plain = try catalog([data]).materialise("tiny", into: "\(folder.path)/plain")
        try gzip("\(data)/tiny/train-images-idx3-ubyte")
        try FileManager.default.moveItem(
            atPath: "\(data)/tiny/t10k-labels-idx1-ubyte", toPath: "\(data)/tiny/t10k-labels.idx1-ubyte")
        let packed = try catalog([data]).materialise("tiny", into: "\(folder.path)/packed")
        #expect(plain.digest == packed.digest)
        #expect(try contents(plain.path) == contents(packed.path))
        let bytes = try contents(plain.path)
        #expect(Digest.of(bytes) == plain.digest && plain.byteCount == bytes.count)
        #expect(try catalog([data]).digest(of: "tiny") == plain.digest)

        let (tensors, metadata) = try Safetensors.decode(contents(plain.path))
        #expect(tensors["train.images"]?.shape == [300, 1, 6, 6] && tensors["test.labels"]?.shape == [90])
        #expect(tensors["test.images"]?.uint8Values == Array(TinyData.files()[2].bytes[16...]))
        #expect(metadata["name"] == "tiny" && metadata["classes"] == "4")
        let pixels = TinyData.files()[0].bytes[16...].map { Double($0) / 255 }
        let mean = pixels.reduce(0, +) / Double(pixels.count)
        #expect(abs(Double(metadata["mean"]!)! - mean) < 1e-12)
    }

    @Test("The first folder that holds the data set serves")
    func order() throws {
        let folder = try TemporaryFolder()
        let first = try folder.folder("first")
        let second = try TinyData.place(in: folder, parent: "second")
        #expect(try catalog([first, second]).verify("tiny").folder == "\(second)/tiny")
        _ = try TinyData.place(in: folder, parent: "first")
        #expect(try catalog([first, second]).verify("tiny").folder == "\(first)/tiny")
        #expect(catalog([first]).list().map(\.state) == [.present])
    }

    @Test("A digest is remembered beside the files, and forgotten when they change")
    func digestCache() throws {
        let folder = try TemporaryFolder()
        let data = try TinyData.place(in: folder)
        let catalog = catalog([data])
        let digest = try catalog.digest(of: "tiny")
        let cache = "\(data)/tiny/.digest"
        let text = String(decoding: try contents(cache), as: UTF8.self)
        #expect(text.hasSuffix(digest.hex))
        // What is remembered is what is used: nothing is decoded again.
        let other = Digest.of([1])
        try write(Array((text.dropLast(64) + other.hex).utf8), to: cache)
        #expect(try catalog.digest(of: "tiny") == other)
        var labels = try contents("\(data)/tiny/train-labels-idx1-ubyte")
        labels[8] = 3
        try write(labels, to: "\(data)/tiny/train-labels-idx1-ubyte")
        let changed = try catalog.digest(of: "tiny")
        #expect(changed != other && changed != digest)
    }

    @Test("Absent and incomplete data sets are told with the remedy")
    func missing() throws {
        let folder = try TemporaryFolder()
        let catalog = catalog([folder.path])
        let missing = try #require(#expect(throws: DataError.self) { try catalog.digest(of: "tiny") })
        #expect(missing.kind == .missing)
        for part in ["\(folder.path)/tiny", "tombola data fetch tiny", "train-images-idx3-ubyte.gz", "--data"] {
            #expect(missing.description.contains(part), "\(missing)")
        }
        #expect(catalog.list().map(\.state) == [.missing])
        let data = try TinyData.place(in: folder)
        try FileManager.default.removeItem(atPath: "\(data)/tiny/train-labels-idx1-ubyte")
        let incomplete = try #require(#expect(throws: DataError.self) { try self.catalog([data]).digest(of: "tiny") })
        #expect(incomplete.description.contains("lacks train-labels-idx1-ubyte.gz"), "\(incomplete)")
        #expect(self.catalog([data]).list().map(\.state) == [.incomplete])
        let unknown = try #require(#expect(throws: DataError.self) { try catalog.digest(of: "tinny") })
        #expect(unknown.kind == .unknown && unknown.description.contains("known are tiny"))
    }

    @Test("Files that are not what they should be are named, with the fault")
    func malformed() throws {
        let cases: [(file: String, says: String, (inout [UInt8]) -> Void)] = [
            ("train-images-idx3-ubyte", "starts with 0x00000801", { $0[3] = 1 }),
            ("train-images-idx3-ubyte", "300×6×7", { $0[15] = 7 }),
            ("t10k-images-idx3-ubyte", "91×6×6 images, but tiny has 90×6×6", { $0[7] = 91 }),
            ("t10k-images-idx3-ubyte", "truncated: 3255 of 3256", { $0.removeLast() }),
            ("t10k-images-idx3-ubyte", "bytes after the last", { $0.append(0) }),
            ("train-labels-idx1-ubyte", "label 5 is 4, but tiny has the classes 0…3", { $0[8 + 5] = 4 }),
            ("train-labels-idx1-ubyte", "only 0 bytes", { $0 = [] }),
            ("t10k-labels-idx1-ubyte", "truncated", { $0.removeLast(40) }),
        ]
        for (file, says, damage) in cases {
            let folder = try TemporaryFolder()
            let data = try TinyData.place(in: folder)
            let path = "\(data)/tiny/\(file)"
            var bytes = try contents(path)
            damage(&bytes)
            try write(bytes, to: path)
            let error = try #require(#expect(throws: DataError.self) { try catalog([data]).verify("tiny") })
            #expect(error.kind == .malformed)
            #expect(error.description.contains(says) && error.description.contains(path), "\(error)")
        }
    }

    @Test("A packed file that is cut or damaged is told")
    func damagedPacking() throws {
        for (damage, says): ((inout [UInt8]) -> Void, String) in [
            ({ $0.removeLast(30) }, "truncated"), ({ $0[$0.count / 2] ^= 0x55 }, "cannot be unpacked"),
        ] {
            let folder = try TemporaryFolder()
            let data = try TinyData.place(in: folder)
            let path = "\(data)/tiny/train-images-idx3-ubyte"
            try gzip(path)
            var bytes = try contents(path + ".gz")
            damage(&bytes)
            try write(bytes, to: path + ".gz")
            let error = try #require(#expect(throws: DataError.self) { try catalog([data]).digest(of: "tiny") })
            #expect(error.kind == .malformed && error.description.contains(says), "\(error)")
        }
    }

    /// Mirrors are folders here: curl reads `file:` addresses as it does others.
    @Test(
        "Fetching takes the first mirror whose file has the published digest, and keeps what is right already",
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/curl"), "curl is not installed"))
    func fetch() throws {
        let folder = try TemporaryFolder()
        let published = try folder.folder("published")
        let broken = try folder.folder("broken")
        for file in TinyData.files() {
            try write(file.bytes, to: "\(published)/\(file.name)")
            try gzip("\(published)/\(file.name)")
            try write([1, 2, 3], to: "\(broken)/\(file.name).gz")
        }
        let digests = try TinyData.files().map { Digest.of(try contents("\(published)/\($0.name).gz")) }
        let mirrors = ["file:///nowhere/at/all/", "file://\(broken)/", "file://\(published)/"]
        let registry = TinyData.registry(mirrors: mirrors, sha256: digests)
        let catalog = DataCatalog(registry: registry, folders: ["\(folder.path)/data"])
        var files: Set<String> = []
        let paths = try catalog.fetch("tiny", into: "\(folder.path)/data") { files.insert($0.file) }
        #expect(paths.count == 4 && files.count == 4)
        let report = try catalog.verify("tiny")
        #expect(report.files.allSatisfy(\.isAsPublished) && report.files.map(\.sha256) == digests)
        files = []
        _ = try catalog.fetch("tiny", into: "\(folder.path)/data") { files.insert($0.file) }
        #expect(files.isEmpty)

        let offline = DataCatalog(
            registry: TinyData.registry(mirrors: Array(mirrors.prefix(2)), sha256: digests), folders: [])
        let error = try #require(
            #expect(throws: DataError.self) { try offline.fetch("tiny", into: "\(folder.path)/other") })
        #expect(error.kind == .network)
        for part in ["/nowhere/at/all/", "SHA-256 is", "put these files", "\(folder.path)/other/tiny", digests[3].hex] {
            #expect(error.description.contains(part), "\(error)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder.path)/other/tiny") == [])
    }

    @Test("Real MNIST is read whole, where it is at hand", .enabled(if: DataTests.realData != nil))
    func mnist() throws {
        let folder = try TemporaryFolder()
        let catalog = DataCatalog(registry: .standard, folders: [try #require(DataTests.realData)])
        let made = try catalog.materialise("mnist", into: folder.path)
        let (tensors, metadata) = try Safetensors.decode(contents(made.path))
        #expect(tensors["train.images"]?.shape == [60_000, 1, 28, 28])
        #expect(tensors["test.labels"]?.uint8Values?.prefix(5) == [7, 2, 1, 0, 4])
        // The figures everybody normalises with: 0.1307 and 0.3081.
        #expect(
            abs(Double(metadata["mean"] ?? "")! - 0.1307) < 0.002
                && abs(Double(metadata["std"] ?? "")! - 0.3081) < 0.002)
    }

    /// A folder with MNIST, from the environment.
    static var realData: String? {
        guard let folder = ProcessInfo.processInfo.environment["TOMBOLA_DATA"],
            FileManager.default.fileExists(atPath: "\(folder)/mnist")
        else { return nil }
        return folder
    }
}
