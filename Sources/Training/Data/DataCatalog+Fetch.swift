import Foundation
import Lottery

extension DataCatalog {
    /// How far a download is.
    public struct FetchProgress: Sendable {
        public var file: String
        public var fileNumber: Int
        public var fileCount: Int
        public var byteCount: Int
    }

    /// Downloads the published files of a data set into its folder in `folder`, or their archive into `folder`, each
    /// checked against its SHA-256 before it gets its name. Files that are there already and right are kept. `curl`
    /// does the transfer, so that proxies and certificates are the system's.
    /// - Returns: the paths of the files; none if the program makes the data set.
    public func fetch(
        _ name: String, into folder: String, progress: (FetchProgress) -> Void = { _ in }
    ) throws(DataError) -> [String] {
        let source = try source(name)
        if source.archive != nil, let unpacked = try unpackedFiles(of: source, in: folder) { return unpacked }
        let directory = source.archive == nil ? "\(folder)/\(source.folder)" : folder
        let files = source.published
        var paths: [String] = []
        for (index, file) in files.enumerated() {
            let path = "\(directory)/\(file.name)"
            paths.append(path)
            if sha256(of: path) == file.sha256 { continue }
            do { try DurableFile.makeFolder(directory) } catch { throw DataError(error) }
            try download(file, of: source, to: path) { byteCount in
                progress(
                    .init(file: file.name, fileNumber: index + 1, fileCount: files.count, byteCount: byteCount))
            }
        }
        return paths
    }

    /// The files of a folder that was made by hand from the archive; nil if there are none. A part of them would hide
    /// what is fetched.
    private func unpackedFiles(of source: DatasetSource, in folder: String) throws(DataError) -> [String]? {
        let directory = "\(folder)/\(source.folder)"
        let paths = source.files.map { "\(directory)/\($0.name)" }
        let counts = paths.map { DurableFile.facts(of: $0)?.byteCount }
        if counts.allSatisfy({ $0 == nil }) { return nil }
        guard zip(source.files, counts).allSatisfy({ $0.decodedByteCount == $1 }) else {
            throw DataError(
                .malformed,
                "\(directory) holds a part of \(source.shape.name), which wins over the archive that would be fetched; "
                    + "move it away, then fetch again")
        }
        return paths
    }

    private func download(
        _ file: DatasetSource.PublishedFile, of source: DatasetSource, to path: String, progress: (Int) -> Void
    ) throws(DataError) {
        var faults: [String] = []
        for mirror in source.mirrors {
            let address = mirror + file.name
            let part = "\(path).part"
            defer { unlink(part) }
            if let fault = curl(address, to: part, progress: progress) {
                faults.append("\(address): \(fault)")
                continue
            }
            guard let digest = sha256(of: part) else {
                faults.append("\(address): nothing came")
                continue
            }
            guard digest == file.sha256 else {
                faults.append("\(address): SHA-256 is \(digest.hex), not \(file.sha256.hex)")
                continue
            }
            do { try DurableFile.rename(part, to: path) } catch { throw DataError(error) }
            return
        }
        let folder = String(path.dropLast(file.name.count + 1))
        let byHand = source.published.map { "\($0.name) (SHA-256 \($0.sha256.hex))" }.joined(separator: ", ")
        throw DataError(
            .network,
            "no mirror gave \(file.name) of \(source.shape.name) (\(faults.joined(separator: "; "))); where there is no network, "
                + "put these files, packed or not, into \(folder): \(byHand)")
    }

    /// Runs curl; nil if it succeeded, else what it said.
    private func curl(_ address: String, to path: String, progress: (Int) -> Void) -> String? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "curl", "--fail", "--location", "--silent", "--show-error", "--proto", "=https,file",
            "--connect-timeout", "20", "--retry", "2", "--speed-limit", "1000", "--speed-time", "60",
            "--output", path, "--", address,
        ]
        let said = Pipe()
        process.standardError = said
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        do { try process.run() } catch { return "cannot run curl: \(error.localizedDescription)" }
        while process.isRunning {
            progress(DurableFile.facts(of: path)?.byteCount ?? 0)
            usleep(100_000)
        }
        process.waitUntilExit()
        progress(DurableFile.facts(of: path)?.byteCount ?? 0)
        if process.terminationStatus == 0 { return nil }
        let text = String(decoding: said.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        if process.terminationStatus == 127 { return "curl is not installed (apt-get install curl)" }
        return text.split(separator: "\n").first.map(String.init)
            ?? "curl ended with status \(process.terminationStatus)"
    }

    private func sha256(of path: String) -> Digest? {
        guard DurableFile.facts(of: path) != nil else { return nil }
        let file = try? MappedFile(path: path)  // One that cannot be read is fetched again.
        return file?.digest
    }
}

extension DatasetSource {
    /// What there is to download.
    fileprivate var published: [PublishedFile] { archive.map { [$0] } ?? files }
}
