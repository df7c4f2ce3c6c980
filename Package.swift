// swift-tools-version:6.0
import PackageDescription

// The kernels are compiled once per instruction set, each in a target of its own, so that no
// function of one set can be mistaken for a function of another. Compiling for an instruction
// set needs a compiler flag which SwiftPM calls unsafe, and SwiftPM refuses unsafe flags in
// packages that are depended on by version. TINYSPARSE_PORTABLE=1 builds without them: the
// plain Swift kernels only, the same results, slower.
let portable = Context.environment["TINYSPARSE_PORTABLE"].map { $0 != "0" } ?? false

/// The architecture built for: this machine's, unless TINYSPARSE_ARCH (x86_64, arm64) says otherwise.
#if arch(arm64)
let host = "arm64"
#else
let host = "x86_64"
#endif

/// The vector kernels of an architecture; a portable build leaves them out altogether.
let vectorKernels: [Target] =
    switch portable ? "none" : Context.environment["TINYSPARSE_ARCH"] ?? host {
    case "x86_64":
        [
            .target(
                name: "KernelsAVX2", dependencies: ["KernelTable"], path: "Sources/SIMDKernels/AVX2",
                swiftSettings: kernelSettings(define: "KERNELS_AVX2", clang: ["-march=x86-64-v3"])),
            .target(
                name: "KernelsAVX512", dependencies: ["KernelTable"], path: "Sources/SIMDKernels/AVX512VNNI",
                swiftSettings: kernelSettings(
                    define: "KERNELS_AVX512", clang: ["-march=x86-64-v4", "-mavx512vnni"])),
        ]
    case "arm64":
        [
            .target(
                name: "KernelsNEON", dependencies: ["KernelTable"], path: "Sources/SIMDKernels/NEON/Base",
                swiftSettings: kernelSettings(define: "KERNELS_ARM", clang: ["-march=armv8-a"])),
            .target(
                name: "KernelsNEONDot", dependencies: ["KernelTable"], path: "Sources/SIMDKernels/NEON/Dot",
                swiftSettings: kernelSettings(define: "KERNELS_ARM", clang: ["-march=armv8-a+dotprod"])),
        ]
    default: []
    }

/// Kernels are optimised in debug builds too: without it, tests in debug would take hours.
func kernelSettings(define: String, clang: [String]) -> [SwiftSetting] {
    let flags = ["-Ounchecked", "-wmo"] + clang.flatMap { ["-Xcc", $0] }
    return [.define(define), .enableExperimentalFeature("BuiltinModule"), .unsafeFlags(flags)]
}

let package = Package(
    name: "TinySparse",
    products: [
        .library(name: "TinySparse", targets: ["TinySparse"]),
        // For programs in C and other languages: Sources/TinySparse/CInterface/include/tinysparse.h.
        .library(name: "TinySparseStatic", type: .static, targets: ["TinySparse"]),
        .executable(name: "tinysparse", targets: ["TinyCLI"]),
    ],
    targets: vectorKernels + [
        .target(name: "KernelTable", path: "Sources/SIMDKernels/Table"),
        .target(
            name: "KernelsScalar", dependencies: ["KernelTable"], path: "Sources/SIMDKernels/Scalar",
            swiftSettings: portable ? [] : [.unsafeFlags(["-Ounchecked", "-wmo"])]),
        .target(
            name: "SIMDKernels",
            dependencies: ["KernelTable", "KernelsScalar"] + vectorKernels.map { .target(name: $0.name) },
            path: "Sources/SIMDKernels/Dispatch",
            swiftSettings: portable ? [.define("TINYSPARSE_PORTABLE")] : []),
        .target(name: "Quant", dependencies: ["SIMDKernels"]),
        .target(name: "TinySparse", dependencies: ["Quant", "SIMDKernels"], exclude: ["CInterface/include"]),
        .executableTarget(name: "TinyCLI", dependencies: ["TinySparse", "SIMDKernels"]),
        .testTarget(name: "SIMDKernelTests", dependencies: ["SIMDKernels", "Quant"]),
        .testTarget(
            name: "EndToEndTests", dependencies: ["TinySparse", "SIMDKernels"],
            exclude: ["Reference", "Fixtures", "CInterface", "Fuzz", "FuzzCorpus"]),
        // Drivers for libFuzzer: docs/HARDENING.md.
        .executableTarget(name: "TinyFuzz", dependencies: ["TinySparse"], path: "Tests/EndToEndTests/Fuzz"),
    ],
    swiftLanguageModes: [.v6]
)
