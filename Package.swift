// swift-tools-version:6.3
// SPDX-License-Identifier: Apache-2.0
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
            vectorSet("KernelsSSE41", "SSE41", define: "KERNELS_SSE41", clang: ["-msse4.1"]),
            vectorSet("KernelsAVX2", "AVX2/Base", define: "KERNELS_AVX2", clang: ["-march=x86-64-v3"]),
            vectorSet(
                "KernelsAVXVNNI", "AVX2/VNNI", define: "KERNELS_AVX2", clang: ["-march=x86-64-v3", "-mavxvnni"]),
            vectorSet(
                "KernelsAVX512", "AVX512VNNI", define: "KERNELS_AVX512", clang: ["-march=x86-64-v4", "-mavx512vnni"]),
        ]
    case "arm64":
        [
            vectorSet("KernelsNEON", "NEON/Base", define: "KERNELS_ARM", clang: ["-march=armv8-a"]),
            vectorSet("KernelsNEONDot", "NEON/Dot", define: "KERNELS_ARM", clang: ["-march=armv8-a+dotprod"]),
            vectorSet(
                "KernelsNEONMatrix", "NEON/Matrix", define: "KERNELS_ARM", clang: ["-march=armv8-a+dotprod+i8mm"]),
        ]
    default: []
    }

/// Kernels are optimized in debug builds too: unoptimized, a SIMD primitive is a function call, and the tests would take
/// hours. Whole-module optimization (kernels rely on inlining across files) makes one object file of a module, where
/// SwiftPM's debug builds expect one for each source file: with one thread for code generation there is one for each.
func kernelSettings(define: [String], clang: [String] = []) -> [SwiftSetting] {
    let flags = ["-Ounchecked", "-wmo"] + clang.flatMap { ["-Xcc", $0] }
    return define.map { .define($0) } + [
        .unsafeFlags(flags), .unsafeFlags(["-num-threads", "1"], .when(configuration: .debug)),
    ]
}

/// A kernel set of vector instructions.
func vectorSet(_ name: String, _ folder: String, define: String, clang: [String]) -> Target {
    .target(
        name: name, dependencies: ["KernelTable"], path: "Sources/SIMDKernels/" + folder,
        swiftSettings: [.enableExperimentalFeature("BuiltinModule")] + kernelSettings(define: [define], clang: clang))
}

/// A module of the library, in a folder of Sources/TinySparse.
func layer(_ name: String, _ folder: String, on dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/TinySparse/" + folder, exclude: exclude)
}

let package = Package(
    name: "TinySparse",
    products: [
        .library(name: "TinySparse", targets: ["TinySparse"]),
        // For programs in C and other languages: Sources/TinySparse/CInterface/include/tinysparse.h.
        .library(name: "TinySparseStatic", type: .static, targets: ["TinySparseC"]),
        .executable(name: "tinysparse", targets: ["TinyCLI"]),
    ],
    targets: vectorKernels + [
        // From the bottom up: a module knows those above it in this list, and only those that it names.
        layer("TinyPlatform", "Platform", on: []),
        .target(name: "KernelTable", path: "Sources/SIMDKernels/Interface"),
        .target(
            name: "KernelsScalar", dependencies: ["KernelTable"], path: "Sources/SIMDKernels/Scalar",
            swiftSettings: portable ? [] : kernelSettings(define: [])),
        .target(
            name: "SIMDKernels",
            dependencies: ["KernelTable", "KernelsScalar", "TinyPlatform"]
                + vectorKernels.map { .target(name: $0.name) },
            path: "Sources/SIMDKernels/Dispatch",
            swiftSettings: portable ? [.define("TINYSPARSE_PORTABLE")] : []),
        .target(name: "Quant", dependencies: ["SIMDKernels", "TinyPlatform"]),
        layer("TinySupport", "Support", on: ["TinyPlatform"]),
        layer("TinyTemplates", "Templates", on: ["TinySupport", "TinyPlatform"]),
        layer("TinyTokenizer", "Tokenizer", on: ["TinySupport", "TinyTemplates"]),
        layer("TinyConstraints", "Constraints", on: ["TinySupport"]),
        layer("TinyFormats", "Formats", on: ["TinySupport", "TinyTokenizer", "Quant", "TinyPlatform"]),
        layer(
            "TinyRuntime", "Runtime",
            on: ["TinyConstraints", "TinyFormats", "TinyTokenizer", "TinyTemplates", "SIMDKernels", "TinyPlatform"]),
        layer("TinyConversion", "Conversion", on: ["TinyFormats", "TinyRuntime", "TinyPlatform"]),
        layer("TinyTraining", "Training", on: ["TinyRuntime", "TinyFormats", "TinyPlatform"]),
        layer("TinySparse", "Umbrella", on: ["TinyConstraints", "TinyRuntime", "TinyConversion"]),
        layer("TinySparseC", "CInterface", on: ["TinySparse"], exclude: ["include"]),
        // The editor of chat.
        .target(name: "TinyTerminal", dependencies: ["TinySupport"], path: "Sources/TinyCLI/Terminal"),
        .executableTarget(
            name: "TinyCLI", dependencies: ["TinySparse", "TinyTraining", "TinyTerminal"], exclude: ["Terminal"]),
        .testTarget(name: "SIMDKernelTests", dependencies: ["SIMDKernels", "Quant"], exclude: ["Fixtures"]),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "TinyPlatform", "TinySparse", "TinySparseC", "TinyTerminal", "TinyTraining", "SIMDKernels",
            ],
            exclude: ["Reference", "Fixtures", "Families", "Fuzz", "FuzzCorpus", "Soak"]),
        // Drivers for libFuzzer: docs/HARDENING.md.
        .executableTarget(name: "TinyFuzz", dependencies: ["TinySparse"], path: "Tests/EndToEndTests/Fuzz"),
        // Batches under load: docs/HARDENING.md.
        .executableTarget(name: "TinySoak", dependencies: ["TinySparse"], path: "Tests/EndToEndTests/Soak"),
    ],
    swiftLanguageModes: [.v6]
)
