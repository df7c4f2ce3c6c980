// SPDX-License-Identifier: Apache-2.0

import Foundation
import XCTest

/// The static binary of Examples/Boards/build-static, if it has been built (building it takes a minute).
final class StaticBinaryTests: XCTestCase {
    private let binary =
        ProcessInfo.processInfo.environment["TINYSPARSE_STATIC"] ?? Tool.root + "/.build-static/tinysparse"
    private let chroot = "/usr/sbin/chroot"

    override func setUpWithError() throws {
        try TestTier.needFull()
        try Tool.need(binary, "not built: Examples/Boards/build-static")
    }

    func testNeedsNoLibrary() throws {
        let result = try Tool.run("/usr/bin/env", ["ldd", binary])
        XCTAssert((result.output + result.errors).contains("not a dynamic executable"), result.output)
        let size = try FileManager.default.attributesOfItem(atPath: binary)[.size] as! Int
        print("static binary: \(size) bytes")
        XCTAssertLessThan(size, 14_000_000)
    }

    func testRunsInAnEmptyRootDirectory() throws {
        try Tool.need(chroot, "there is no chroot")
        guard geteuid() == 0 else { throw XCTSkip("only root may change the root directory") }
        let directory = TemporaryDirectory()
        let root = directory.path
        try FileManager.default.copyItem(atPath: binary, toPath: root + "/tinysparse")
        try FileManager.default.copyItem(atPath: Tool.fixture("tiny-llama.gguf"), toPath: root + "/model.gguf")
        let arguments = ["run", "-m", "/model.gguf", "-n", "4", "--greedy", "Once"]
        let inside = try Tool.run(chroot, [root, "/tinysparse"] + arguments)
        XCTAssertEqual(inside.code, 0, inside.errors)
        let model = arguments.map { $0 == "/model.gguf" ? Tool.fixture("tiny-llama.gguf") : $0 }
        XCTAssertEqual(inside.output, try Tool.run(binary, model).output)
        let verified = try Tool.run(chroot, [root, "/tinysparse", "verify", "/model.gguf", "-t", "2"])
        XCTAssertEqual(verified.code, 0, verified.errors)
    }

    /// From the start of the process to its end after the first token. A shell starts many, for Foundation
    /// takes its time to notice the end of a process.
    func testStartsQuickly() throws {
        let command = "\"\(binary)\" run -m \(Tool.fixture("tiny-llama.gguf")) -n 1 --greedy Once > /dev/null"
        let count = 20
        func time(_ command: String) throws -> Double {
            let start = ContinuousClock.now
            XCTAssertEqual(try Tool.run("/bin/sh", ["-c", command]).code, 0)
            return Double((ContinuousClock.now - start).components.attoseconds) / 1e15
                + Double((ContinuousClock.now - start).components.seconds) * 1e3
        }
        let once = try time(command)
        let many = try time(Array(repeating: command, count: count + 1).joined(separator: " && "))
        let milliseconds = (many - once) / Double(count)
        print("static binary, first token: \(milliseconds) ms")
        XCTAssertLessThan(milliseconds, 50)
    }
}
