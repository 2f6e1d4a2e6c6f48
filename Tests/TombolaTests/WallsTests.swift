import Foundation
import Testing

/// Which rooms of the house may import which, and what pure rooms must not touch.
@Suite struct WallsTests {
    /// The table of `Architecture.md`. Modules of the toolchain (`System`) are checked by purity instead.
    static let mayImport: [String: Set<String>] = [
        "Lottery": ["Crypto"],
        "Verdicts": ["Lottery"],
        "Sweeps": ["Lottery", "Verdicts", "Yams"],
        "Coordination": ["Lottery", "Collections", "DequeModule", "HeapModule", "OrderedCollections"],
        "Wire": ["Coordination", "Lottery"],
        "Simulation": ["Lottery", "Sweeps", "Coordination", "Wire", "HeapModule", "OrderedCollections"],
        "CKernels": [],
        "Kernels": ["CKernels"],
        "Training": ["Lottery", "Kernels", "CZlib", "CLinux"],
        "CZeroMQ": [],
        "CLinux": [],
        "CZlib": [],
        "ZeroMQ": ["CZeroMQ", "CLinux"],
        "Artifacts": ["Lottery"],
        "CArchive": [],
        "Archives": ["CArchive", "CZlib"],
        "Keys": ["Artifacts", "ZeroMQ"],
        "Blobs": ["Lottery", "Coordination", "Artifacts"],
        "Store": ["Lottery", "Coordination", "Artifacts", "GRDB"],
        "CoordinatorService": [
            "Lottery", "Coordination", "Wire", "Sweeps", "Store", "Artifacts", "Blobs", "Keys", "ZeroMQ",
            "CLinux", "Logging",
        ],
        "WorkerService": [
            "Lottery", "Coordination", "Wire", "Artifacts", "Blobs", "Keys", "ZeroMQ", "CLinux", "Logging",
        ],
        "Client": ["Lottery", "Coordination", "Wire", "Keys", "ZeroMQ"],
        "tombola": [
            "Lottery", "Verdicts", "Sweeps", "Coordination", "Wire", "Kernels", "Training", "ZeroMQ", "Artifacts",
            "Store",
            "CoordinatorService",
            "WorkerService", "Client", "Keys", "Simulation", "Archives", "CLinux", "Logging", "ArgumentParser",
        ],
    ]

    static let pure = ["Lottery", "Verdicts", "Sweeps", "Coordination", "Wire", "Simulation"]

    /// Modules of the toolchain. Pure rooms get only those without a way to the outside that the words below would not
    /// show.
    static let toolchain: Set<String> = [
        "Foundation", "FoundationEssentials", "Synchronization", "Glibc", "Musl", "Dispatch",
    ]
    static let toolchainForPure: Set<String> = ["Foundation", "FoundationEssentials"]

    /// Clocks, sockets, files, the environment and the system's random numbers, as they are written in Swift.
    static let impureWords = [
        #"\bDate\(\)"#, #"\bDate\.now"#, #"\.now\b"#, #"\bContinuousClock\b"#, #"\bSuspendingClock\b"#,
        #"\bclock_gettime\b"#,
        #"\bgettimeofday\b"#, #"\bDispatch\w+"#, #"\bTimer\b"#, #"\bTask\.sleep\b"#, #"\bsleep\("#,
        #"\bFileManager\b"#, #"\bFileHandle\b"#, #"\b(String|Data)\(contentsOf"#, #"\bfopen\("#, #"\bO_[A-Z]{4,}\b"#,
        #"\bwrite\(to(File)?:"#, #"\bURLSession\b"#, #"\bsocket\("#, #"\bProcess\(\)"#, #"\bProcessInfo\b"#,
        #"\bgetenv\("#,
        #"\bThread\b"#, #"\.random\("#, #"\.randomElement\(\)"#, #"\.shuffled?\(\)"#, #"\barc4random"#,
        #"\bSystemRandomNumberGenerator\b"#, #"\bUUID\(\)"#, #"\bgetrandom\b"#,
    ]

    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static var importLine: Regex<(Substring, Substring)> {
        #/\s*(?:@\w+\s+|public\s+|package\s+|internal\s+|private\s+)*import\s+(?:(?:struct|enum|class|func)\s+)?(\w+)/#
    }

    /// What is wrong with a Swift file of `target`, a sentence each.
    static func faults(in source: String, target: String, file: String) throws -> [String] {
        guard let allowed = mayImport[target] else { return ["\(file): \(target) has no row in the table of walls"] }
        let impure = try NSRegularExpression(pattern: impureWords.joined(separator: "|"))
        var faults: [String] = []
        for (index, line) in source.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let code = line.prefix { $0 != "/" } + (line.contains("//") ? "" : line.drop { $0 != "/" })
            let place = "\(file):\(index + 1)"
            if code.contains("import "), let match = code.prefixMatch(of: importLine) {
                let module = String(match.1)
                let system = pure.contains(target) ? toolchainForPure : toolchain
                if !allowed.contains(module), !system.contains(module) {
                    faults.append("\(place): \(target) must not import \(module)")
                }
            } else if pure.contains(target) {
                let code = String(code)
                for match in impure.matches(in: code, range: NSRange(code.startIndex..., in: code)) {
                    let word = Range(match.range, in: code).map { code[$0] } ?? ""
                    faults.append("\(place): \(target) is pure and must not use \(word)")
                }
            }
        }
        return faults
    }

    @Test("No room imports another than the table of walls allows, and pure rooms touch nothing outside")
    func wallsHold() throws {
        let sources = WallsTests.root.appending(path: "Sources")
        let targets = try FileManager.default.contentsOfDirectory(atPath: sources.path()).sorted()
        #expect(Set(targets).isSuperset(of: WallsTests.pure + ["tombola"]), "found only \(targets)")
        for target in targets {
            let folder = sources.appending(path: target)
            for case let path as String in try #require(FileManager.default.enumerator(atPath: folder.path()))
            where path.hasSuffix(".swift") {
                let source = try String(contentsOf: folder.appending(path: path), encoding: .utf8)
                for fault in try WallsTests.faults(in: source, target: target, file: "Sources/\(target)/\(path)") {
                    Issue.record(Comment(rawValue: fault))
                }
            }
        }
    }

    @Test(
        "A broken wall is found",
        arguments: [
            ("Sweeps", "import Coordination"), ("WorkerService", "public import Training"),
            ("Kernels", "@preconcurrency import Lottery"),
            ("Coordination", "import Glibc"), ("Coordination", "let now = Date()"),
            ("Wire", "let n = Int.random(in: 0..<3)"),
            ("Lottery", "try String(contentsOfFile: path)"),
            ("Verdicts", "var generator = SystemRandomNumberGenerator()"),
            ("Attic", "import Lottery"),
        ])
    func brokenWallIsFound(target: String, line: String) throws {
        let faults = try WallsTests.faults(in: "import Foundation\n\(line)\n", target: target, file: "x.swift")
        #expect(faults.count == 1, "\(faults)")
    }

    @Test("Comments and allowed imports are no fault")
    func allowedIsNoFault() throws {
        let source = "import Foundation\nimport Lottery\n// Date() would be a clock\nlet ratio = a / b\n"
        #expect(try WallsTests.faults(in: source, target: "Sweeps", file: "x.swift").isEmpty)
    }
}
