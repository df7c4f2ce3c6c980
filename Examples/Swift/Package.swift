// swift-tools-version:6.3
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let package = Package(
    name: "Example",
    // Elsewhere: .package(url: "https://...", branch: "main"). Not by version, unless TINYSPARSE_PORTABLE=1: SwiftPM takes
    // packages with compiler flags for instruction sets only by path or branch.
    dependencies: [.package(name: "TinySparse", path: "../..")],
    targets: [
        .executableTarget(name: "Example", dependencies: [.product(name: "TinySparse", package: "TinySparse")]),
        .executableTarget(name: "BatchExample", dependencies: [.product(name: "TinySparse", package: "TinySparse")]),
    ]
)
