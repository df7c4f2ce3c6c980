// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// Other packages can depend on this one, in every way that its README promises, and get the same bits.
///
/// The builds take minutes; TINYSPARSE_SKIP_CONSUMER=1 leaves them out.
final class ConsumerTests: XCTestCase {
    override func setUpWithError() throws { try TestTier.needFull() }

    private static let fixture = packageFolder.appendingPathComponent(
        "Tests/EndToEndTests/Reference/fixtures/tiny-llama-relu.gguf")

    /// Prints what a model makes of some tokens: kernels, a hash of logits, a text.
    private static let probe = """
        import TinySparse

        let model = try Model(path: CommandLine.arguments[1])
        let session = try Session(model, .init(threads: 2))
        var options = GenerationOptions()
        options.maxTokens = 20
        options.sampling.temperature = 2
        options.sampling.seed = 7
        try session.generate("the quick brown fox", options) { print($0, terminator: ""); return true }
        print()
        print(session.logits.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1.bitPattern)) &* 0x100_0000_01b3 })

        """

    private func swiftOrSkip() throws -> String {
        if let skip = ProcessInfo.processInfo.environment["TINYSPARSE_SKIP_CONSUMER"], skip != "0" {
            throw XCTSkip("SKIPPED: TINYSPARSE_SKIP_CONSUMER is set")
        }
        guard let swift = findProgram("swift") else { throw XCTSkip("SKIPPED: there is no swift on the search path") }
        return swift
    }

    /// Writes a package with the programs `probe` and, if the README has its example, `embed`.
    private func makePackage(at folder: URL, dependency: String, embed: String?) throws {
        var programs = [("probe", Self.probe)]
        if let embed { programs.append(("embed", embed)) }
        for (name, text) in programs {
            let source = folder.appendingPathComponent("Sources/\(name)")
            try FileManager.default.createDirectory(at: source, withIntermediateDirectories: true)
            try text.write(to: source.appendingPathComponent("main.swift"), atomically: true, encoding: .utf8)
        }
        let targets = programs.map {
            ".executableTarget(name: \"\($0.0)\", dependencies: [.product(name: \"TinySparse\", package: \"TinySparse\")])"
        }
        let manifest = """
            // swift-tools-version:6.0
            import PackageDescription
            let package = Package(
                name: "consumer", dependencies: [\(dependency)], targets: [\(targets.joined(separator: ", "))])

            """
        try manifest.write(to: folder.appendingPathComponent("Package.swift"), atomically: true, encoding: .utf8)
    }

    private func build(_ swift: String, _ folder: URL, portable: Bool = false) throws {
        let result = try runProcess(
            swift, ["build", "-c", "release", "--manifest-cache", "none"], in: folder,
            environment: ["TINYSPARSE_PORTABLE": portable ? "1" : "0"], limit: 900)
        guard result.status == 0 else {
            throw Failed(description: "swift build: \(result.output.suffix(3000))\n\(result.errors.suffix(3000))")
        }
    }

    private func buildExample(_ swift: String, scratch: URL) throws {
        let example = packageFolder.appendingPathComponent("Examples/Swift").path
        let result = try runProcess(
            swift,
            [
                "build", "-c", "release", "--manifest-cache", "none", "--package-path", example, "--scratch-path",
                scratch.path,
            ], environment: ["TINYSPARSE_PORTABLE": "0"], limit: 900)
        guard result.status == 0 else {
            throw Failed(description: "Examples/Swift: \(result.output.suffix(3000))\n\(result.errors.suffix(3000))")
        }
    }

    private struct Failed: Error, CustomStringConvertible { let description: String }

    private func run(_ program: String, _ folder: URL, kernels: String? = nil) throws -> String {
        let result = try runProcess(
            folder.appendingPathComponent(".build/release/\(program)").path, [Self.fixture.path], in: folder,
            environment: kernels.map { ["TINYSPARSE_KERNELS": $0] } ?? [:], limit: 120)
        XCTAssertEqual(result.status, 0, "\(program): \(result.errors)")
        return result.output
    }

    /// The Swift block of the README that follows the comment `<!-- example: embed -->`.
    private func embedExample() -> String? {
        guard let text = try? String(contentsOf: packageFolder.appendingPathComponent("README.md"), encoding: .utf8),
            let marker = text.range(of: "<!-- example: embed -->"),
            let start = text.range(of: "```swift\n", range: marker.upperBound..<text.endIndex),
            let end = text.range(of: "\n```", range: start.upperBound..<text.endIndex)
        else { return nil }
        return String(text[start.upperBound..<end.lowerBound]) + "\n"
    }

    /// Puts the fixture wherever the example expects a model, beside its own program.
    private func placeModels(namedIn example: String, in folder: URL) throws {
        for piece in example.split(separator: "\"").filter({ $0.hasSuffix(".gguf") && !$0.hasPrefix("/") }) {
            let place = folder.appendingPathComponent(String(piece))
            try FileManager.default.createDirectory(
                at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
            try FileManager.default.copyItem(at: Self.fixture, to: place)
        }
    }

    /// What `probe` prints, made in this process.
    private func expected() throws -> String {
        let model = try Model(path: Self.fixture.path)
        let session = try Session(model, .init(threads: 2))
        var options = GenerationOptions()
        options.maxTokens = 20
        options.sampling.temperature = 2
        options.sampling.seed = 7
        var text = ""
        try session.generate("the quick brown fox", options) {
            text += $0
            return true
        }
        let hash = session.logits.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1.bitPattern)) &* 0x100_0000_01b3
        }
        return "\(text)\n\(hash)\n"
    }

    func testAPackageThatDependsByPathGetsTheSameBits() throws {
        let swift = try swiftOrSkip()
        let embed = embedExample()
        let folder = try TemporaryFolder()
        let package = folder.url.appendingPathComponent("usual")
        try makePackage(
            at: package, dependency: ".package(name: \"TinySparse\", path: \"\(packageFolder.path)\")", embed: embed)
        try build(swift, package)
        let expected = try expected()
        XCTAssertGreaterThan(expected.count, 20)
        for set in kernelSets { XCTAssertEqual(try run("probe", package, kernels: set), expected, set) }
        // The manifest of Examples/Swift is in use as it is; what is built here already is not built again.
        try buildExample(swift, scratch: package.appendingPathComponent(".build"))
        XCTAssertFalse(try run("Example", package).isEmpty, "Examples/Swift printed nothing")
        let batch = try run("BatchExample", package)
        for id in 0..<6 { XCTAssertTrue(batch.contains("[\(id)] ends ("), batch) }
        guard let embed else {
            throw XCTSkip("SKIPPED in part: README.md has no Swift block after <!-- example: embed --> yet")
        }
        try placeModels(namedIn: embed, in: package)
        XCTAssertFalse(try run("embed", package).isEmpty, "the README's example printed nothing")
    }

    /// Without unsafe flags, as packages are built that others depend on by version: fewer kernels, and the same bits.
    func testAPackageThatDependsByBranchOfARepositoryGetsTheSameBitsWithoutUnsafeFlags() throws {
        let swift = try swiftOrSkip()
        guard let git = findProgram("git") else { throw XCTSkip("SKIPPED: there is no git on the search path") }
        guard FileManager.default.fileExists(atPath: packageFolder.appendingPathComponent(".git").path) else {
            throw XCTSkip("SKIPPED: this checkout has no .git to depend on")
        }
        let folder = try TemporaryFolder()
        // A branch of its own, whatever is checked out here: CI often has no branch at all.
        let repository = folder.url.appendingPathComponent("TinySparse")
        let safe = ["-c", "safe.directory=*"]
        for arguments in [
            safe + ["clone", "-q", packageFolder.path, repository.path],
            ["-C", repository.path, "checkout", "-q", "-B", "consumed"],
        ] {
            let result = try runProcess(git, arguments, limit: 120)
            guard result.status == 0 else { throw XCTSkip("SKIPPED: git cannot clone this checkout: \(result.errors)") }
        }
        let package = folder.url.appendingPathComponent("consumer")
        try makePackage(
            at: package, dependency: ".package(url: \"file://\(repository.path)\", branch: \"consumed\")", embed: nil)
        try build(swift, package, portable: true)
        XCTAssertEqual(try run("probe", package), try expected())
    }
}
