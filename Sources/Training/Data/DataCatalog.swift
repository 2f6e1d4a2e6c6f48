import Glibc
import Lottery
import Synchronization

/// The registered data sets, and the folders they are looked for in: `--data`, then `TOMBOLA_DATA`, then the store's
/// `data`.
///
/// A folder holds one folder per data set, or the archive that the data set is published as. What throws does so for a name that is not
/// registered, for files that are missing, cut short or not the data set's, and for a folder that cannot be written to, with the place
/// and the remedy.
public struct DataCatalog: Sendable {
    private let registry: Registry
    /// In the order in which they are searched.
    public let folders: [String]

    public init(registry: Registry, folders: [String]) {
        self.registry = registry
        self.folders = folders
    }

    private var sources: [DatasetSource] { registry.datasets }

    /// What can be trained, and on how many images of the data sets that are here.
    public var vocabulary: Vocabulary {
        var vocabulary = registry.vocabulary
        vocabulary.trainCount = { [self] shape in
            // What is not here, or is no data set, is told by the digest, which every plan asks for.
            let here = try? self.shape(of: shape.name)
            return here?.trainCount ?? shape.trainCount
        }
        let known = KnownClasses()
        vocabulary.rarestClass = { [self] shape, data in
            // Likewise.
            guard let digest = try? digest(of: shape.name) else { return nil }
            return known.rarest(of: shape, digest, data) {
                (try? source(shape.name)).flatMap { source in try? images(of: source, locate(source)).trainLabels }
            }
        }
        return vocabulary
    }

    /// What the points of a grid ask for again and again.
    private final class KnownClasses: Sendable {
        private struct Split: Hashable {
            var dataset: Digest
            var data: DataSettings
        }

        private struct Known {
            /// By the data set's digest, since another may come in the same place. Nil where it has gone meanwhile.
            var labels: [Digest: [UInt8]?] = [:]
            var rarest: [Split: ClassCount?] = [:]
        }

        private let known = Mutex(Known())

        func rarest(
            of shape: DatasetShape, _ digest: Digest, _ data: DataSettings, labels read: () -> [UInt8]?
        ) -> ClassCount? {
            known.withLock { known in
                let split = Split(dataset: digest, data: data)
                if let rarest = known.rarest[split] { return rarest }
                let labels = known.labels[digest] ?? read()
                known.labels[digest] = .some(labels)
                let rarest = labels.flatMap { DataOrder.rarestClass(labels: $0, classes: shape.classes, data: data) }
                known.rarest[split] = .some(rarest)
                return rarest
            }
        }
    }

    /// The digest of the canonical file: the data set's name in task keys. Nothing is made or unpacked if it is known
    /// already: it is a constant for what the program makes, and kept beside files that have not changed since.
    public func digest(of name: String) throws(DataError) -> Digest {
        let source = try source(name)
        if let golden = source.goldenDigest { return golden }
        return try facts(of: source).digest
    }

    /// The data set's shape, with the counts of the files that are here. They are unpacked as for `digest(of:)`, if the
    /// data set may be there in part.
    public func shape(of name: String) throws(DataError) -> DatasetShape {
        let source = try source(name)
        guard source.mayBePartial else { return source.shape }
        return try facts(of: source).shape
    }

    /// Writes the canonical file into `directory`, whole or not at all.
    public func materialise(
        _ name: String, into directory: String
    ) throws(DataError) -> (path: String, digest: Digest, byteCount: Int) {
        let source = try source(name)
        let made = try canonicalFile(of: source, try locate(source))
        let path = "\(directory)/\(name)-\(made.digest.short).safetensors"
        do {
            try DurableFile.makeFolder(directory)
            try DurableFile.write(made.bytes, to: path)
        } catch { throw DataError(error) }
        return (path, made.digest, made.bytes.count)
    }

    /// Reads, unpacks and checks every file of a data set (or makes it), and says what was found.
    public func verify(_ name: String) throws(DataError) -> DataReport {
        let source = try source(name)
        let location = try locate(source)
        let made = try canonicalFile(of: source, location)
        var files: [DataReport.File] = []
        for found in location.files {
            let file: MappedFile
            do { file = try MappedFile(path: found.path) } catch { throw DataError(error) }
            let digest = file.digest
            files.append(
                .init(
                    path: found.path, byteCount: file.bytes.count, sha256: digest,
                    isAsPublished: digest == found.published.sha256))
        }
        return DataReport(
            shape: made.shape, digest: made.digest, folder: location.files.isEmpty ? nil : location.folder, files: files
        )
    }

    /// Every registered data set, and whether it is at hand. Nothing is unpacked but what may be there in part, whose
    /// images are counted.
    public func list() -> [DataStatus] {
        sources.map { source in
            if source.files.isEmpty { return DataStatus(shape: source.shape, state: .made, folder: nil, fault: nil) }
            do throws(DataError) {
                let folder = try locate(source).folder
                return DataStatus(
                    shape: try shape(of: source.shape.name), state: .present, folder: folder, fault: nil)
            } catch {
                let state: DataStatus.State = error.kind == .missing ? .missing : .incomplete
                return DataStatus(shape: source.shape, state: state, folder: nil, fault: error.description)
            }
        }
    }

    func source(_ name: String) throws(DataError) -> DatasetSource {
        guard let source = sources.first(where: { $0.shape.name == name }) else {
            let known = sources.map(\.shape.name).joined(separator: ", ")
            throw DataError(.unknown, "there is no data set “\(name)”; known are \(known)")
        }
        return source
    }

    /// Where a data set is. Empty, with no folder, for what the program makes.
    private struct Location {
        /// Of the files, or of the archive.
        var folder: String
        var files: [(published: DatasetSource.PublishedFile, path: String)]
        var isArchive: Bool
    }

    /// The first folder that holds any of the files, or the archive, must hold enough. Files win over an archive beside
    /// them.
    private func locate(_ source: DatasetSource) throws(DataError) -> Location {
        guard !source.files.isEmpty else { return Location(folder: "", files: [], isArchive: false) }
        for parent in folders {
            let folder = "\(parent)/\(source.folder)"
            let paths = source.files.map { path(of: $0, in: folder) }
            if paths.contains(where: { $0 != nil }) {
                try source.check(paths.map { $0 != nil }, in: folder)
                return Location(
                    folder: folder,
                    files: zip(source.files, paths).compactMap { file, path in path.map { (file, $0) } },
                    isArchive: false)
            }
            if let archive = source.archive, let path = path(of: archive, in: parent) {
                return Location(folder: parent, files: [(archive, path)], isArchive: true)
            }
        }
        throw DataError(
            .missing,
            "\(source.shape.name) is not here (looked in \(places(of: source))); run `tombola data fetch "
                + "\(source.shape.name)`, or \(source.placement) with --data or TOMBOLA_DATA")
    }

    private func places(of source: DatasetSource) -> String {
        let places = folders.map { folder in
            "\(folder)/\(source.folder)" + (source.archive.map { " and \(folder)/\($0.name)" } ?? "")
        }
        return places.isEmpty ? "no folder" : places.joined(separator: ", ")
    }

    /// The file of `folder` that is `file`, under whichever accepted name.
    private func path(of file: DatasetSource.PublishedFile, in folder: String) -> String? {
        file.acceptedNames.map { "\(folder)/\($0)" }.first { DurableFile.facts(of: $0) != nil }
    }

    private struct CanonicalFile {
        var bytes: [UInt8]
        var digest: Digest
        /// With the counts of its images.
        var shape: DatasetShape
    }

    private func images(of source: DatasetSource, _ location: Location) throws(DataError) -> ImageSet {
        try source.decode(location.isArchive ? unpacked(source, location) : contents(location))
    }

    private func canonicalFile(of source: DatasetSource, _ location: Location) throws(DataError) -> CanonicalFile {
        let images = try images(of: source, location)
        let bytes = images.canonicalFile(source.shape)
        let digest = Digest.of(bytes)
        // Generation is exact arithmetic: another digest is a faulty build, and must not pass for the same data.
        if let golden = source.goldenDigest, digest != golden {
            throw DataError(
                .malformed,
                "\(source.shape.name) came out as \(digest.hex), not \(golden.hex); build the program again")
        }
        var shape = source.shape
        shape.trainCount = images.trainCount
        shape.testCount = images.testCount
        return CanonicalFile(bytes: bytes, digest: digest, shape: shape)
    }

    private func contents(_ location: Location) throws(DataError) -> [DataFile] {
        var files: [DataFile] = []
        for (file, path) in location.files {
            let bytes = try Gzip.contents(of: path, maximumByteCount: file.decodedByteCount + 1)
            files.append(DataFile(name: file.name, path: path, bytes: bytes))
        }
        return files
    }

    /// The files in the archive, in the order of `source.files`.
    private func unpacked(_ source: DatasetSource, _ location: Location) throws(DataError) -> [DataFile] {
        let (archive, path) = location.files[0]
        let bytes = try Gzip.contents(of: path, maximumByteCount: archive.decodedByteCount + 1)
        guard bytes.count <= archive.decodedByteCount else {
            throw DataError(
                .malformed,
                "\(path): it unpacks to more than the \(archive.decodedByteCount) bytes of \(source.shape.name); "
                    + "remove it and get it again")
        }
        let entries = try Tar.entries(of: bytes, path: path)
        let found = source.files.map { file in entries.first { $0.name == file.name } }
        try source.check(found.map { $0 != nil }, in: path)
        return zip(source.files, found).compactMap { file, entry in
            entry.map { DataFile(name: file.name, path: "\(path) (\(file.name))", bytes: Array(bytes[$0.range])) }
        }
    }

    /// Digest and counts of the canonical file, remembered as long as the files do not change.
    private func facts(of source: DatasetSource) throws(DataError) -> (digest: Digest, shape: DatasetShape) {
        let location = try locate(source)
        let cache = FactsCache(
            files: location.files.map(\.path),
            places: [
                location.isArchive ? "\(location.folder)/.\(source.folder).digest" : "\(location.folder)/.digest"
            ] + (folders.last.map { ["\($0)/.\(source.folder).digest"] } ?? []))
        if let known = cache.read() {
            var shape = source.shape
            shape.trainCount = known.trainCount
            shape.testCount = known.testCount
            return (known.digest, shape)
        }
        let made = try canonicalFile(of: source, location)
        cache.write(
            .init(trainCount: made.shape.trainCount, testCount: made.shape.testCount, digest: made.digest))
        return (made.digest, made.shape)
    }
}

extension DatasetSource {
    /// Throws if the files that are there, by their places in `files`, are not enough.
    fileprivate func check(_ isThere: [Bool], in place: String) throws(DataError) {
        guard let absent = lack(in: isThere) else { return }
        throw DataError(
            .malformed,
            "\(place) lacks \(absent); put it there\(archive == nil ? " (packed or not)" : ""), or run `tombola data fetch "
                + "\(shape.name)`")
    }

    /// What to put where by hand: the middle of a sentence.
    fileprivate var placement: String {
        let names = files.map(\.name).joined(separator: ", ")
        guard let archive else { return "put \(names) into a folder \(folder) and name the folder above it" }
        return "put \(archive.name), or a folder \(folder) with \(names), into a folder and name that"
    }
}

/// What `verify` found.
public struct DataReport: Sendable, Codable {
    public var shape: DatasetShape
    /// Of the canonical file.
    public var digest: Digest
    /// Nil for what the program makes.
    public var folder: String?
    public var files: [File]

    public struct File: Sendable, Codable {
        public var path: String
        public var byteCount: Int
        public var sha256: Digest
        /// Whether it is byte for byte what its authors published; other packings of the same content are as good.
        public var isAsPublished: Bool
    }
}

/// Whether a data set is at hand.
public struct DataStatus: Sendable, Codable {
    public enum State: String, Sendable, Codable {
        /// The program makes it.
        case made
        case present
        case incomplete
        case missing
    }

    public var shape: DatasetShape
    public var state: State
    public var folder: String?
    /// Why it is not present, with the remedy.
    public var fault: String?
}

/// What a canonical file holds, kept with the sizes and times of the files it came from. A cache only: whatever cannot
/// be read or written is computed again.
private struct FactsCache {
    struct Facts {
        var trainCount: Int
        var testCount: Int
        var digest: Digest
    }

    private let stamp: String
    /// Paths to try, in order.
    private let places: [String]

    init(files: [String], places: [String]) {
        let facts = files.map { path in
            let facts = DurableFile.facts(of: path)
            return "\(path) \(facts?.byteCount ?? -1) \(facts?.changedNanoseconds ?? -1)"
        }
        stamp = (["tombola data digest 2"] + facts).joined(separator: "\n") + "\n"
        self.places = places
    }

    func read() -> Facts? {
        for place in places {
            guard let file = try? MappedFile(path: place) else { continue }  // No cache yet.
            let text = String(decoding: file.bytes, as: UTF8.self)
            guard text.hasPrefix(stamp) else { continue }
            let fields = text.dropFirst(stamp.count).split(separator: " ")
            if fields.count == 3, let train = Int(fields[0]), let test = Int(fields[1]),
                let digest = Digest(hex: fields[2])
            {
                return Facts(trainCount: train, testCount: test, digest: digest)
            }
        }
        return nil
    }

    func write(_ facts: Facts) {
        let text = "\(stamp)\(facts.trainCount) \(facts.testCount) \(facts.digest.hex)"
        for place in places {
            // A folder of data may be read-only; the next place or the next start will do.
            if (try? DurableFile.write(Array(text.utf8), to: place)) != nil { return }
        }
    }
}
