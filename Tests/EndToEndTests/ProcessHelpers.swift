// SPDX-License-Identifier: Apache-2.0

import Foundation
import XCTest

/// How a program ended.
struct ProcessOutcome {
    let status: Int32
    let output: String
    let errors: String
}

/// Runs a program to its end, or for `limit` seconds.
func runProcess(
    _ program: String, _ arguments: [String], in folder: URL? = nil, environment: [String: String] = [:],
    limit: Double = 600
) throws -> ProcessOutcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    // Files and not pipes: whatever its children do, nothing blocks.
    let scratch = try TemporaryFolder()
    let files = ["out", "err"].map { scratch.url.appendingPathComponent($0) }
    for file in files { try Data().write(to: file) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: files[0])
    process.standardError = try FileHandle(forWritingTo: files[1])
    try process.run()
    let deadline = Date(timeIntervalSinceNow: limit)
    while process.isRunning, Date() < deadline { usleep(10_000) }
    if process.isRunning {
        process.terminate()
        XCTFail("\(program) did not end within \(limit) seconds")
    }
    process.waitUntilExit()
    func text(_ file: URL) throws -> String { String(decoding: try Data(contentsOf: file), as: UTF8.self) }
    return ProcessOutcome(status: process.terminationStatus, output: try text(files[0]), errors: try text(files[1]))
}

/// The first of these programs on the search path.
func findProgram(_ names: String...) -> String? {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
    for name in names {
        for folder in folders where FileManager.default.isExecutableFile(atPath: "\(folder)/\(name)") {
            return "\(folder)/\(name)"
        }
    }
    return nil
}

/// A folder that goes when its owner does.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("tinysparse-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }
}

/// The independent reference, run by a Python that has numpy.
struct NumpyReference {
    private let python: String
    private let folder = packageFolder.appendingPathComponent("Tests/EndToEndTests/Reference")

    /// - Throws: `XCTSkip` where there is no such Python. TINYSPARSE_PYTHON names one.
    init() throws {
        let named = ProcessInfo.processInfo.environment["TINYSPARSE_PYTHON"]
        for python in [named, findProgram("python3")].compactMap({ $0 }) {
            let found = try? runProcess(python, ["-c", "import numpy; print(numpy.__version__)"], limit: 60)
            if let found, found.status == 0 {
                self.python = python
                return
            }
        }
        throw XCTSkip("SKIPPED: no python3 with numpy; name one by TINYSPARSE_PYTHON")
    }

    @discardableResult
    func run(_ script: String, _ arguments: String...) throws -> String {
        let environment = ["PYTHONDONTWRITEBYTECODE": "1"]
        let result = try runProcess(
            python, [folder.appendingPathComponent(script).path] + arguments, environment: environment)
        guard result.status == 0 else { throw Failed(description: "\(script) \(arguments): \(result.errors)") }
        return result.output
    }

    struct Failed: Error, CustomStringConvertible { let description: String }
}
