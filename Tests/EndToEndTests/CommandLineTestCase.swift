// SPDX-License-Identifier: Apache-2.0

import Foundation
import XCTest

/// Runs the executable as a user does.
class CommandLineTestCase: XCTestCase {
    static let commands = [
        "run", "chat", "batch", "bench", "perplexity", "score", "logits", "verify", "convert", "inspect", "tokenize",
        "profile",
        "train-predictors", "sweep",
    ]

    static let endless = ["run", "-m", model, "--greedy", "--context-shift", "-n", "1000000000", "hello"]

    static let model = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Reference/fixtures/tiny-llama.gguf").path

    /// Beside the tests, where SwiftPM puts both.
    static let executable = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("tinysparse").path

    struct Outcome {
        let status: Int32
        let output: String
        let errors: String
    }

    func tinysparse(_ arguments: String...) throws -> Outcome { try tinysparse(arguments) }

    func tinysparse(
        _ arguments: [String], input: Data = Data(), environment: [String: String] = [:]
    ) throws -> Outcome {
        try run(Self.executable, arguments, input: input, environment: environment)
    }

    func launch(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:], in directory: String? = nil
    ) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        var variables = ProcessInfo.processInfo.environment
        variables["TINYSPARSE_MODEL"] = nil
        variables["TINYSPARSE_KERNELS"] = nil
        process.environment = variables.merging(environment) { $1 }
        if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
        process.standardInput = Pipe()
        process.standardOutput = Pipe()
        process.standardError = Pipe()
        try process.run()
        return process
    }

    /// Runs to the end. What the tests make is far less than a pipe holds, so that nothing blocks.
    func run(
        _ executable: String, _ arguments: [String], input: Data = Data(), environment: [String: String] = [:],
        in directory: String? = nil
    ) throws -> Outcome {
        let process = try launch(executable, arguments, environment: environment, in: directory)
        let standardInput = (process.standardInput as! Pipe).fileHandleForWriting
        // A program that ended without reading is no reason to die.
        signal(SIGPIPE, SIG_IGN)
        try? standardInput.write(contentsOf: input)
        try standardInput.close()
        let output = (process.standardOutput as! Pipe).fileHandleForReading.readDataToEndOfFile()
        let errors = (process.standardError as! Pipe).fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        XCTAssertEqual(process.terminationReason, .exit, "\(arguments) crashed")
        return Outcome(
            status: process.terminationStatus, output: String(decoding: output, as: UTF8.self),
            errors: String(decoding: errors, as: UTF8.self))
    }

    func json(_ outcome: Outcome) throws -> [String: Any] {
        XCTAssertEqual(outcome.status, 0, outcome.errors)
        return try XCTUnwrap(JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    }
}
