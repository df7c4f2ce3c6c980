// SPDX-License-Identifier: Apache-2.0

import Foundation
import XCTest

/// What may happen to a program that runs for long among others.
final class HardeningTests: XCTestCase {
    /// The mapped file of a running program is cut to nothing.
    func testAModelThatIsShortenedWhileMappedEndsTheProgramWithAMessage() throws {
        let directory = TemporaryDirectory()
        let file = directory.path + "/model.gguf"
        try FileManager.default.copyItem(atPath: Tool.fixture("tiny-llama.gguf"), toPath: file)
        let process = Process()
        let (input, output, errors) = (Pipe(), Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: Tool.tinysparse)
        // A limit of memory keeps the weights where they are, in the file.
        process.arguments = ["batch", "-m", file, "-t", "1", "--memory-limit", "1G"]
        (process.standardInput, process.standardOutput, process.standardError) = (input, output, errors)
        try process.run()
        let request = Data("{\"prompt\": \"Once\", \"max_tokens\": 4}\n".utf8)
        input.fileHandleForWriting.write(request)
        XCTAssert(String(decoding: output.fileHandleForReading.availableData, as: UTF8.self).contains("\"text\""))
        truncate(file, 0)
        input.fileHandleForWriting.write(request)
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
        XCTAssertEqual(process.terminationReason, .exit)
        XCTAssertEqual(process.terminationStatus, 1)
        let message = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        XCTAssert(message.contains("was shortened"), message)
    }

    /// The fuzz drivers over their corpus and some damage to it, always the same.
    func testFuzzDrivers() throws {
        let driver = Tool.products + "/TinyFuzz"
        try Tool.need(driver, "swift build --product TinyFuzz makes the drivers")
        for (target, count) in [
            ("gguf", 2000), ("native", 1000), ("safetensors", 20_000), ("folder", 5000), ("tokenizer", 2000),
            ("template", 50_000), ("schema", 20_000), ("regex", 20_000), ("grammar", 20_000), ("prompt", 500),
        ] {
            let folder = Tool.root + "/Tests/EndToEndTests/FuzzCorpus/" + target
            let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { folder + "/" + $0 }
            let result = try Tool.run(
                driver, [target, "\(TestTier.count(count))"] + files,
                environment: ["TINYSPARSE_MODEL": Tool.fixture("tiny-llama.gguf")])
            XCTAssertEqual(result.code, 0, result.errors)
            XCTAssertNil(result.signal, result.errors)
            print(result.output, terminator: "")
        }
    }
}
