// swift-tools-version: 6.2
import PackageDescription

// The kernels and their tests alone, by links, so that the address sanitizer and undefined behaviour's traps are built
// into nothing else. `deploy/test.sh` runs it. C is not optimised here: a sanitized kernel would take minutes to
// compile, and what is read past an end is no less past it.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "sanitizers",
    targets: [
        .target(name: "CKernels"),
        .target(name: "Kernels", dependencies: ["CKernels"], swiftSettings: strict),
        .testTarget(name: "KernelsTests", dependencies: ["Kernels", "CKernels"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
