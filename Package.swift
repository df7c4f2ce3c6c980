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
let architecture = Context.environment["TINYSPARSE_ARCH"] ?? host

/// The vector kernels of the architecture built for; a portable build leaves them out altogether.
let vectorKernels: [Target] =
    portable
    ? []
    : architecture == "arm64"
        ? [
            kernels("KernelsNEON", in: "NEON/Base", define: ["KERNELS_ARM"], clang: []),
            kernels("KernelsNEONDot", in: "NEON/Dot", define: ["KERNELS_ARM"], clang: ["-march=armv8-a+dotprod"]),
        ]
        : [
            kernels("KernelsAVX2", in: "AVX2", define: ["KERNELS_X86", "KERNELS_AVX2"], clang: ["-march=x86-64-v3"]),
            kernels(
                "KernelsAVX512", in: "AVX512VNNI", define: ["KERNELS_X86", "KERNELS_AVX512"],
                clang: ["-march=x86-64-v4", "-mavx512vnni"]),
        ]

func kernels(_ name: String, in folder: String, define: [String], clang: [String]) -> Target {
    .target(
        name: name, dependencies: ["KernelTable"], path: "Sources/SIMDKernels/" + folder,
        swiftSettings: kernelSettings(define: define, clang: clang))
}

/// Kernels are optimised in debug builds too: without it, tests in debug would take hours.
func kernelSettings(define: [String], clang: [String]) -> [SwiftSetting] {
    if portable { return define.map { .define($0) } }
    let flags = ["-Ounchecked", "-wmo"] + clang.flatMap { ["-Xcc", $0] }
    return define.map { .define($0) } + [.unsafeFlags(flags)]
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
            swiftSettings: kernelSettings(define: ["KERNELS_SCALAR"], clang: [])),
        .target(
            name: "SIMDKernels",
            dependencies: ["KernelTable", "KernelsScalar"] + vectorKernels.map { .target(name: $0.name) },
            path: "Sources/SIMDKernels/Dispatch",
            swiftSettings: portable ? [.define("TINYSPARSE_PORTABLE")] : []),
        .target(name: "Quant", dependencies: ["SIMDKernels"]),
        .target(
            name: "TinySparse", dependencies: ["Quant", "SIMDKernels"], exclude: ["CInterface/include"]),
        .executableTarget(name: "TinyCLI", dependencies: ["TinySparse", "SIMDKernels"]),
        .testTarget(name: "SIMDKernelTests", dependencies: ["SIMDKernels", "Quant"]),
        .testTarget(
            name: "EndToEndTests", dependencies: ["TinySparse", "SIMDKernels"],
            exclude: ["Reference", "Fixtures", "CInterface", "FuzzCorpus"]),
    ],
    swiftLanguageModes: [.v6]
)
