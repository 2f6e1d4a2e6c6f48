// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// A Swift target of ours: strict settings, and nothing imported that is not named here.
func house(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let collections: Target.Dependency = .product(name: "Collections", package: "swift-collections")

let package = Package(
    name: "tombola",
    products: [
        .executable(name: "tombola", targets: ["tombola"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // Pure: they decide, and touch no clock, socket, file or system randomness.
        house("Lottery", [crypto]),
        house("Verdicts", ["Lottery"]),
        house("Sweeps", ["Lottery", "Verdicts", yams]),
        house("Coordination", ["Lottery", collections]),
        house("Wire", ["Coordination", "Lottery"]),
        house("Simulation", ["Lottery", "Sweeps", "Coordination", "Wire", collections]),

        // Numbers.
        .target(name: "CKernels"),
        house("Kernels", ["CKernels"]),
        // Data sets are published packed by gzip, and bundles are packed so.
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CLinux"),
        house("Training", ["Lottery", "Kernels", "CZlib", "CLinux"]),

        // The outer rooms: they do.
        .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
        house("ZeroMQ", ["CZeroMQ", "CLinux"]),
        house("Artifacts", ["Lottery"]),
        // Bundles are archives that anyone can unpack.
        .systemLibrary(name: "CArchive", providers: [.apt(["libarchive-dev"])]),
        house("Archives", ["CArchive", "CZlib"]),
        house("Keys", ["Artifacts", "ZeroMQ"]),
        house("Blobs", ["Lottery", "Coordination", "Artifacts"]),
        house("Store", ["Lottery", "Coordination", "Artifacts", grdb]),
        house(
            "CoordinatorService",
            [
                "Lottery", "Coordination", "Wire", "Sweeps", "Store", "Artifacts", "Blobs", "Keys", "ZeroMQ", "CLinux",
                logging,
            ]),
        house(
            "WorkerService",
            ["Lottery", "Coordination", "Wire", "Artifacts", "Blobs", "Keys", "ZeroMQ", "CLinux", logging]),
        house("Client", ["Lottery", "Coordination", "Wire", "Keys", "ZeroMQ"]),
        .executableTarget(
            name: "tombola",
            dependencies: [
                "Lottery", "Verdicts", "Sweeps", "Coordination", "Training", "Kernels", "Artifacts", "Store",
                "CoordinatorService", "WorkerService", "Client", "Keys", "Simulation", "Wire", "ZeroMQ", "Archives",
                "CLinux",
                logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        tests("LotteryTests", ["Lottery"]),
        tests("VerdictsTests", ["Verdicts", "Lottery"]),
        // Shipped specs are read with the vocabulary of the real training core.
        tests("SweepsTests", ["Sweeps", "Lottery", "Verdicts", "Training"]),
        tests("CoordinationTests", ["Coordination", "Wire", "Lottery"]),
        tests("SimulationTests", ["Simulation"]),
        tests("WireTests", ["Wire", "Coordination", "Lottery"]),
        tests("KernelsTests", ["Kernels", "CKernels"]),
        tests("TrainingTests", ["Training", "Kernels", "Lottery"]),
        tests("ZeroMQTests", ["ZeroMQ"]),
        tests("KeysTests", ["Keys", "ZeroMQ"]),
        tests("ArtifactsTests", ["Artifacts", "Lottery"]),
        tests("ArchivesTests", ["Archives"]),
        tests("StoreTests", ["Store", "Artifacts", "Coordination", "Lottery", grdb]),
        // A worker and its slots' children for tests: it sleeps, copies and dies on command.
        .executableTarget(
            name: "SlotFixture", dependencies: ["WorkerService", "Coordination", "Lottery", logging],
            path: "Tests/SlotFixture",
            swiftSettings: strict),
        tests(
            "ServiceTests",
            [
                "CoordinatorService", "WorkerService", "Client", "Sweeps", "Store", "Blobs", "Artifacts",
                "Coordination", "Wire",
                "Keys", "ZeroMQ", "Lottery", "SlotFixture", logging,
            ]),
        tests("TombolaTests", ["tombola", "Store", "Coordination", "Wire", "ZeroMQ", "Lottery"]),
    ],
    swiftLanguageModes: [.v6]
)
