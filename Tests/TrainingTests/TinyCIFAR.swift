import Foundation
import Lottery
import Training

/// Data sets in CIFAR's binary format, small enough for tests: 3×4×4 images, two training files of 20 images.
enum TinyCIFAR {
    static let shape = DatasetShape(
        name: "tiny-cifar", channels: 3, height: 4, width: 4, classes: 5, trainCount: 40, testCount: 10)
    static let archive = "tiny-cifar.tar.gz"

    static func registry(
        coarseClasses: Int? = nil, mirrors: [String] = [], archiveDigest: Digest = Digest.of([])
    ) -> Registry {
        var registry = Registry.standard
        registry.datasets = [
            .cifar(
                shape, coarseClasses: coarseClasses, folder: "tiny-bin",
                train: [("batch_1.bin", Digest.of([])), ("batch_2.bin", Digest.of([]))],
                test: ("test.bin", Digest.of(file("test.bin", coarseClasses: coarseClasses))),
                archive: (archive, archiveDigest), mirrors: mirrors)
        ]
        return registry
    }

    static func catalog(_ folders: [String], coarseClasses: Int? = nil) -> DataCatalog {
        DataCatalog(registry: registry(coarseClasses: coarseClasses), folders: folders)
    }

    static let names = ["batch_1.bin", "batch_2.bin", "test.bin"]

    /// A file whole. Image i of it has the fine label i mod 5 and the coarse label i mod 2.
    static func file(_ name: String, coarseClasses: Int? = nil) -> [UInt8] {
        var bytes: [UInt8] = []
        for image in 0..<(name == "test.bin" ? 10 : 20) {
            if coarseClasses != nil { bytes.append(UInt8(image % 2)) }
            bytes.append(UInt8(image % 5))
            bytes += pixels(of: image, in: name)
        }
        return bytes
    }

    /// [3][4][4], brighter from channel to channel.
    static func pixels(of image: Int, in name: String) -> [UInt8] {
        let random = CounterRandom(seed: 5, purpose: .glyphs)
        let part = names.firstIndex(of: name)!
        return (0..<48).map { pixel in
            let noise = random.integer(below: 100, epoch: part, index: UInt64(image * 48 + pixel))
            return UInt8(50 * (pixel / 16) + noise)
        }
    }

    /// Writes files into `parent`/tiny-bin.
    static func place(
        _ names: [String] = TinyCIFAR.names, in folder: TemporaryFolder, parent: String = "data",
        coarseClasses: Int? = nil
    ) throws -> String {
        let place = try folder.folder("\(parent)/tiny-bin")
        for name in names { try write(file(name, coarseClasses: coarseClasses), to: "\(place)/\(name)") }
        return "\(folder.path)/\(parent)"
    }

    /// A ustar archive with a folder, the files and something else, not packed.
    static func tar(_ names: [String] = TinyCIFAR.names) -> [UInt8] {
        var bytes = entry("tiny-bin/", [], kind: "5") + entry("tiny-bin/readme.html", Array("<p>".utf8))
        for name in names { bytes += entry("tiny-bin/\(name)", file(name)) }
        return bytes + Array(repeating: 0, count: 1024)
    }

    static func entry(_ name: String, _ content: [UInt8], kind: Character = "0") -> [UInt8] {
        func field(_ text: String, _ count: Int) -> [UInt8] {
            Array(text.utf8) + Array(repeating: 0, count: count - text.utf8.count)
        }
        func octal(_ value: Int, _ count: Int) -> String {
            let digits = String(value, radix: 8)
            return String(repeating: "0", count: count - digits.count) + digits
        }
        var start = field(name, 100)
        for number in ["0000644", "0000000", "0000000"] { start += field(number, 8) }
        for number in [content.count, 0] { start += field(octal(number, 11), 12) }
        var end = field(String(kind), 1) + field("", 100)
        end += Array("ustar\u{0}00".utf8) + field("", 247)
        let sum = (start + end).reduce(8 * 32) { $0 + Int($1) }
        let padding = Array(repeating: UInt8(0), count: (512 - content.count % 512) % 512)
        return start + field(octal(sum, 6), 7) + [32] + end + content + padding
    }
}

/// Packs or unpacks with the system's programs.
func runTool(_ path: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    struct Failed: Error {}
    guard process.terminationStatus == 0 else { throw Failed() }
}
