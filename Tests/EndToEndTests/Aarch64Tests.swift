// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// Builds the runtime for 64-bit ARM and runs it under qemu: kernels and tiny models against the independent
/// reference, on processors without and with the dot product, and with matrix products, and all commands against this
/// machine's.
final class Aarch64Tests: XCTestCase {
    override func setUpWithError() throws {
        try TestTier.needFull()
        // The build takes many minutes: .ci/run asks for it by itself, if there is time.
        if ProcessInfo.processInfo.environment["TINYSPARSE_WITHOUT_ARM"] != nil {
            throw XCTSkip("SKIPPED: ARM, by TINYSPARSE_WITHOUT_ARM")
        }
    }

    private static let processors = ["cortex-a72", "neoverse-n1", "max"]

    func testRunsUnderQemuWithTheSameBits() throws {
        let qemu = try qemuOrSkip()
        let products = try TemporaryFolder()
        let build = try runProcess(script("build-aarch64"), [products.url.path], limit: 1200)
        XCTAssertEqual(build.status, 0, build.errors)
        guard build.status == 0 else { return }

        let here = CommandLineTestCase.executable
        let check = try runProcess(script("check-aarch64"), [products.url.path, here], limit: 1200)
        XCTAssertEqual(check.status, 0, check.output + check.errors)
        print(check.output)

        let program = products.url.appendingPathComponent("tinysparse").path
        for name in ["tiny-llama", "tiny-opt-gelu"] {
            let path = packageFolder.appendingPathComponent("Tests/EndToEndTests/Reference/fixtures/\(name).gguf").path
            let cache = products.url.appendingPathComponent("\(name).cache").path
            let here = try text(of: path, keepingThePromptIn: cache)
            for processor in Self.processors {
                for options in [[], ["-v", "--prompt-cache", cache, "--prompt-cache-read-only"]] {
                    let there = try runProcess(
                        qemu,
                        ["-cpu", processor, program, "run", "-m", path, "-n", "24", "--seed", "7"] + options
                            + ["Once upon"])
                    XCTAssertEqual(there.status, 0, there.errors)
                    XCTAssertEqual(there.output, here + "\n", "\(name) on \(processor)")
                    XCTAssertEqual(there.errors.contains("tokens from the prompt cache"), !options.isEmpty)
                }
            }
        }
    }

    /// What this machine writes, by the options that the command line has by default.
    /// - Parameter cache: a file for what it has read of the prompt.
    private func text(of path: String, keepingThePromptIn cache: String) throws -> String {
        var options = GenerationOptions()
        options.maxTokens = 24
        options.sampling.seed = 7
        var text = ""
        let session = try Session(Model(path: path))
        try session.generate("Once upon", options) { piece in
            if text.isEmpty { try session.save(to: cache) }
            text += piece
            return true
        }
        return text
    }

    private func script(_ name: String) -> String {
        packageFolder.appendingPathComponent("Examples/Boards/\(name)").path
    }

    private func qemuOrSkip() throws -> String {
        let tools = ["swiftc", "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-objcopy"].allSatisfy {
            findProgram($0) != nil
        }
        let headers = FileManager.default.fileExists(atPath: "/usr/aarch64-linux-gnu/include/stdio.h")
        guard tools, headers, let qemu = findProgram("qemu-aarch64-static", "qemu-aarch64") else {
            throw XCTSkip(
                "SKIPPED: for ARM, apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static")
        }
        return qemu
    }
}
