// SPDX-License-Identifier: Apache-2.0

import Foundation
import XCTest

/// Running programs, and where the package's are.
enum Tool {
    /// The folder of the package.
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    /// Where the products of this build are.
    static let products = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path

    static var tinysparse: String { products + "/tinysparse" }

    static func fixture(_ name: String) -> String { root + "/Tests/EndToEndTests/Reference/fixtures/" + name }

    struct Result {
        var code: Int32
        var output: String
        var errors: String
        /// What ended the program, if a signal did.
        var signal: Int32?
    }

    /// Runs a program to its end. Input and output go through files, which never block.
    static func run(
        _ program: String, _ arguments: [String], input: String = "", environment: [String: String] = [:]
    ) throws -> Result {
        let directory = TemporaryDirectory()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle(forReadingAtPath: directory.write(Array(input.utf8), "in"))
        let (out, err) = (directory.write([], "out"), directory.write([], "err"))
        process.standardOutput = FileHandle(forWritingAtPath: out)
        process.standardError = FileHandle(forWritingAtPath: err)
        try process.run()
        process.waitUntilExit()
        func text(_ path: String) -> String {
            String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
        }
        let signalled = process.terminationReason == .uncaughtSignal
        return Result(
            code: process.terminationStatus, output: text(out), errors: text(err),
            signal: signalled ? process.terminationStatus : nil)
    }

    /// - Throws: `XCTSkip` if a program is not on this machine.
    static func need(_ path: String, _ why: String) throws {
        guard FileManager.default.isExecutableFile(atPath: path) else { throw XCTSkip(why) }
    }
}
