import Glibc
import Lottery

/// The registered data sets, and the folders they are looked for in: `--data`, then `TOMBOLA_DATA`, then the store's `data`.
///
/// A folder holds one folder per data set, named like it.
public struct DataCatalog: Sendable {
    private let sources: [DatasetSource]
    /// In the order in which they are searched.
    public let folders: [String]

    public init(registry: Registry, folders: [String]) {
        sources = registry.datasets
        self.folders = folders
    }

    /// The digest of the canonical file: the data set's name in task keys. Nothing is made or unpacked if it is known already:
    /// it is a constant for what the program makes, and kept beside files that have not changed since.
    public func digest(of name: String) throws(DataError) -> Digest {
        let source = try source(name)
        if let golden = source.goldenDigest { return golden }
        let found = try locate(source)
        let cache = DigestCache(files: found.paths, folder: found.folder, fallback: folders.last)
        if let known = cache.read() { return known }
        let digest = Digest.of(try canonicalFile(of: source, found))
        cache.write(digest)
        return digest
    }

    /// Writes the canonical file into `directory`, whole or not at all.
    public func materialise(
        _ name: String, into directory: String
    ) throws(DataError) -> (path: String, digest: Digest, byteCount: Int) {
        let source = try source(name)
        let found = source.files.isEmpty ? nil : try locate(source)
        let bytes = try canonicalFile(of: source, found)
        let digest = Digest.of(bytes)
        let path = "\(directory)/\(name)-\(digest.short).safetensors"
        do {
            try DurableFile.makeFolder(directory)
            try DurableFile.write(bytes, to: path)
        } catch { throw DataError(error) }
        return (path, digest, bytes.count)
    }

    /// Reads, unpacks and checks every file of a data set (or makes it), and says what was found.
    public func verify(_ name: String) throws(DataError) -> DataReport {
        let source = try source(name)
        let found = source.files.isEmpty ? nil : try locate(source)
        let digest = Digest.of(try canonicalFile(of: source, found))
        var files: [DataReport.File] = []
        for (published, path) in zip(source.files, found?.paths ?? []) {
            let file: MappedFile
            do { file = try MappedFile(path: path) } catch { throw DataError(error) }
            let digest = file.digest
            files.append(
                .init(
                    path: path, byteCount: file.bytes.count, sha256: digest, isAsPublished: digest == published.sha256))
        }
        return DataReport(shape: source.shape, digest: digest, folder: found?.folder, files: files)
    }

    /// Every registered data set, and whether it is at hand; nothing is unpacked.
    public func list() -> [DataStatus] {
        sources.map { source in
            if source.files.isEmpty { return DataStatus(shape: source.shape, state: .made, folder: nil, fault: nil) }
            do throws(DataError) {
                return DataStatus(shape: source.shape, state: .present, folder: try locate(source).folder, fault: nil)
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

    private struct Location {
        var folder: String
        var paths: [String]
    }

    /// The first folder that holds any of the files must hold them all.
    private func locate(_ source: DatasetSource) throws(DataError) -> Location {
        let name = source.shape.name
        for parent in folders {
            let folder = "\(parent)/\(name)"
            let paths = source.files.map { file in
                file.acceptedNames.map { "\(folder)/\($0)" }.first { DurableFile.facts(of: $0) != nil }
            }
            if paths.allSatisfy({ $0 == nil }) { continue }
            guard let absent = zip(source.files, paths).first(where: { $1 == nil }) else {
                return Location(folder: folder, paths: paths.compactMap { $0 })
            }
            throw DataError(
                .malformed,
                "\(folder) lacks \(absent.0.name); put it there (packed or not), or run `tombola data fetch \(name)`")
        }
        let places = folders.map { "\($0)/\(name)" }.joined(separator: ", ")
        throw DataError(
            .missing,
            "\(name) is not here (looked in \(places.isEmpty ? "no folder" : places)); run `tombola data fetch \(name)`, or put "
                + source.files.map(\.name).joined(separator: ", ")
                + " into a folder \(name) and name the folder above it with --data or TOMBOLA_DATA")
    }

    private func canonicalFile(of source: DatasetSource, _ found: Location?) throws(DataError) -> [UInt8] {
        var files: [DataFile] = []
        for (file, path) in zip(source.files, found?.paths ?? []) {
            let bytes = try Gzip.contents(of: path, maximumByteCount: file.maximumDecodedBytes)
            files.append(DataFile(path: path, bytes: bytes))
        }
        let bytes = try source.decode(files).canonicalFile(source.shape)
        if let golden = source.goldenDigest {
            let digest = Digest.of(bytes)
            // Generation is exact arithmetic: another digest is a faulty build, and must not pass for the same data.
            guard digest == golden else {
                throw DataError(
                    .malformed,
                    "\(source.shape.name) came out as \(digest.hex), not \(golden.hex); build the program again")
            }
        }
        return bytes
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

/// The digest of a canonical file, kept with the sizes and times of the files it came from. A cache only: whatever cannot be
/// read or written is computed again.
private struct DigestCache {
    private let stamp: String
    private let places: [String]

    init(files: [String], folder: String, fallback: String?) {
        let facts = files.map { path in
            let facts = DurableFile.facts(of: path)
            return "\(path) \(facts?.byteCount ?? -1) \(facts?.changedNanoseconds ?? -1)"
        }
        stamp = (["tombola data digest 1"] + facts).joined(separator: "\n")
        let name = folder.split(separator: "/").last ?? "data"
        places = ["\(folder)/.digest"] + (fallback.map { ["\($0)/.\(name).digest"] } ?? [])
    }

    func read() -> Digest? {
        for place in places {
            guard let file = try? MappedFile(path: place) else { continue }  // No cache yet.
            let text = String(decoding: file.bytes, as: UTF8.self)
            if text.hasPrefix(stamp + "\n"), let digest = Digest(hex: text.dropFirst(stamp.count + 1)) { return digest }
        }
        return nil
    }

    func write(_ digest: Digest) {
        for place in places {
            // A folder of data may be read-only; the next place or the next start will do.
            if (try? DurableFile.write(Array("\(stamp)\n\(digest.hex)".utf8), to: place)) != nil { return }
        }
    }
}
