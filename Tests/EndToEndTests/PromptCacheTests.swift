// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// `--prompt-cache`: the same texts with the file and without.
final class PromptCacheTests: XCTestCase {
    private let directory = TemporaryDirectory()
    private var cache: String { directory.path + "/prompt.cache" }
    private let model = Tool.fixture("tiny-llama.gguf")

    private func run(_ prompt: String, _ options: [String] = [], cached: Bool = true) throws -> Tool.Result {
        let all = ["run", "-m", model, "-n", "12", "--seed", "3", "-t", "1", "-v"] + options
        return try Tool.run(Tool.tinysparse, all + (cached ? ["--prompt-cache", cache] : []) + ["--", prompt])
    }

    private func bytes() throws -> [UInt8] { try MappedFile(path: cache).contents }
    private func bytesHash() throws -> UInt64 { try bytes().withUnsafeBytes { xxHash64($0) } }

    /// The tokens that the statistics say were not evaluated.
    private func taken(_ result: Tool.Result) -> Int {
        let words = result.errors.split(separator: " ")
        return words.dropFirst().first == "tokens" ? Int(words[0].dropFirst()) ?? -1 : 0
    }

    func testTextsAreTheSameWithTheFile() throws {
        let prompt = "Once upon a time there was a king who"
        let prompts = [
            prompt + " slept", prompt + " slept", prompt + " sang", prompt, "Twice", prompt + " sang a song",
        ]
        var known: [UInt64] = []
        for (number, text) in prompts.enumerated() {
            let options = ["-k", kernelSets[number % kernelSets.count]]
            let (alone, cached) = try (run(text, options, cached: false), run(text, options))
            XCTAssertEqual(cached.code, 0, cached.errors)
            XCTAssertEqual(cached.output, alone.output)
            XCTAssertEqual(taken(alone), 0)
            known.append(try bytesHash())
            XCTAssertEqual(taken(cached) > 0, [1, 2, 3].contains(number), "\(number): \(cached.errors)")
        }
        XCTAssertEqual(known[0], known[1], "written again although the prompt is in it")
        XCTAssertEqual(known[2], known[3], "written again although the prompt is in it")
        XCTAssertNotEqual(known[1], known[2])
        // A prompt of the whole context, an empty text, and a shift of the context.
        for (text, options) in [(prompt, ["-n", "0"]), (prompt, ["-c", "48", "-n", "40", "--context-shift"])] {
            let (alone, cached) = try (run(text, options, cached: false), run(text, options))
            XCTAssertEqual(cached.output, alone.output)
        }
    }

    func testReadOnly() throws {
        let missing = try run("Once", ["--prompt-cache-read-only"])
        XCTAssertEqual(missing.code, 1)
        XCTAssertTrue(missing.errors.contains("cannot open"), missing.errors)
        _ = try run("Once upon a time")
        let before = try bytesHash()
        let other = try run("Once upon a midnight", ["--prompt-cache-read-only"])
        XCTAssertEqual(other.output, try run("Once upon a midnight", cached: false).output)
        XCTAssertGreaterThan(taken(other), 0)
        XCTAssertEqual(try bytesHash(), before)
        XCTAssertEqual(try run("Once", ["--prompt-cache-read-only"], cached: false).code, 2)
    }

    func testFilesThatCannotBeUsed() throws {
        for (path, message) in [
            (model, "is no saved session"), (directory.path, "is a directory"), ("/no/where", "cannot create"),
        ] {
            let result = try run("Once", ["--prompt-cache", path], cached: false)
            XCTAssertEqual(result.code, 1)
            XCTAssertEqual(result.output, "")
            XCTAssertTrue(result.errors.contains("\(path): \(message)"), result.errors)
        }
        _ = try run("Once upon a time")
        let other = try run("Once", ["--cache", "int8"])
        XCTAssertEqual(other.code, 1)
        XCTAssertTrue(other.errors.contains("choose another file, or delete this one"), other.errors)
        let before = try bytes()
        _ = directory.write(Array(before.dropLast(3)), "prompt.cache")
        XCTAssertEqual(try run("Once upon a time").code, 1)
    }

    /// A disk that is full costs the file, and not the text.
    func testAFileThatCannotBeWritten() throws {
        _ = try run("Once upon a time")
        let before = try bytesHash()
        let prompt = "Something else altogether, and more of it"
        let command =
            "ulimit -f 2; exec \(Tool.tinysparse) run -m \(model) -n 12 --seed 3 --prompt-cache \(cache) '\(prompt)'"
        let result = try Tool.run("/bin/sh", ["-c", command])
        XCTAssertEqual(result.code, 0, result.errors)
        XCTAssertEqual(result.output, try run(prompt, cached: false).output)
        XCTAssertTrue(result.errors.contains("the prompt was not kept: \(cache): cannot write"), result.errors)
        XCTAssertEqual(try bytesHash(), before)
    }

    /// A conversation keeps its beginning; the answers are those without the file.
    func testChat() throws {
        let source = "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '\\n' }}{% endfor %}bot:"
        let template = directory.write(Array(source.utf8), "chat.jinja")
        func chat(_ options: [String], _ input: String) throws -> Tool.Result {
            let all = ["chat", "-m", model, "-n", "6", "--seed", "3", "-v", "--template", template]
            return try Tool.run(Tool.tinysparse, all + ["--system", "You are a pirate"] + options, input: input)
        }
        let inputs = ["hello\nagain\n", "good day\nagain\n", "good day\n/reset\nbye\n"]
        for (number, input) in inputs.enumerated() {
            let (alone, cached) = try (chat([], input), chat(["--prompt-cache", cache], input))
            XCTAssertEqual(cached.code, 0, cached.errors)
            XCTAssertEqual(cached.output, alone.output)
            XCTAssertEqual(taken(cached) > 0, number > 0, cached.errors)
        }
    }
}
