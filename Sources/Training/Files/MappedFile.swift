import Glibc
import Lottery

/// A file's bytes in memory, read-only, for as long as the value lives. Slots on one machine share the pages.
final class MappedFile {
    let path: String
    let bytes: UnsafeRawBufferPointer

    init(path: String) throws(FileError) {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("read", path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError("read", path) }
        let count = Int(status.st_size)
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw FileError("read", path)
        }
        bytes = UnsafeRawBufferPointer(start: address, count: count)
    }

    deinit {
        if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
    }

    var digest: Digest {
        var hasher = ContentHasher()
        hasher.update(bufferPointer: bytes)
        return hasher.finalize()
    }
}

/// A safetensors file whose header is checked and whose tensors are read when asked for.
struct TensorFile {
    let header: Safetensors.Header
    private let file: MappedFile

    init(path: String) throws(TrainingError) {
        do { file = try MappedFile(path: path) } catch { throw .unreadable("\(error)") }
        do { header = try Safetensors.header(of: file.bytes) } catch {
            throw .unreadable("\(path) is not a safetensors file: \(error)")
        }
    }

    var path: String { file.path }
    var digest: Digest { file.digest }

    /// The bytes of a tensor of `header`; they live as long as this value or a copy of it.
    func bytes(of entry: Safetensors.Entry) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: file.bytes[entry.range])
    }

    /// The bytes of a tensor of the given type and shape; they live as long as this value or a copy of it.
    func bytes(_ name: String, _ type: Safetensors.ElementType, shape: [Int?]) throws(TrainingError)
        -> UnsafeRawBufferPointer
    {
        guard let entry = header[name] else { throw .unreadable("\(path) has no tensor “\(name)”") }
        let fits = entry.shape.count == shape.count && zip(entry.shape, shape).allSatisfy { $1 == nil || $0 == $1 }
        guard entry.type == type, fits else {
            let wanted = shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
            throw .unreadable(
                "“\(name)” in \(path) is \(entry.type.rawValue) \(entry.shape), not \(type.rawValue) [\(wanted)]")
        }
        return bytes(of: entry)
    }

    func floats(_ name: String, shape: [Int?]) throws(TrainingError) -> [Float] {
        let raw = try bytes(name, .f32, shape: shape)
        return elements(raw, UInt32.self).map { Float(bitPattern: UInt32(littleEndian: $0)) }
    }

    func doubles(_ name: String, shape: [Int?]) throws(TrainingError) -> [Double] {
        let raw = try bytes(name, .f64, shape: shape)
        return elements(raw, UInt64.self).map { Double(bitPattern: UInt64(littleEndian: $0)) }
    }

    func indices(_ name: String, below count: Int) throws(TrainingError) -> [Int] {
        let raw = try bytes(name, .i32, shape: [nil])
        let indices = elements(raw, UInt32.self).map { Int(UInt32(littleEndian: $0)) }
        guard zip(indices, indices.dropFirst()).allSatisfy({ $0 < $1 }), indices.last ?? 0 < count else {
            throw .unreadable("“\(name)” in \(path) is no ascending list of indices below \(count)")
        }
        return indices
    }

    func integers(_ name: String, shape: [Int?]) throws(TrainingError) -> [Int] {
        let raw = try bytes(name, .i64, shape: shape)
        return elements(raw, UInt64.self).map { Int(Int64(bitPattern: UInt64(littleEndian: $0))) }
    }

    private func elements<Word: FixedWidthInteger>(_ raw: UnsafeRawBufferPointer, _ type: Word.Type) -> [Word] {
        // A file written elsewhere need not align its tensors.
        stride(from: 0, to: raw.count, by: MemoryLayout<Word>.size).map {
            raw.loadUnaligned(fromByteOffset: $0, as: Word.self)
        }
    }
}
