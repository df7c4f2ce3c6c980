// SPDX-License-Identifier: Apache-2.0

import XCTest

/// `tinysparse batch`: JSON lines in and out.
final class BatchTests: XCTestCase {
    private let common = ["batch", "-m", Tool.fixture("tiny-llama.gguf"), "-t", "1"]

    private func batch(_ options: [String], _ lines: [String]) throws -> [String] {
        let result = try Tool.run(Tool.tinysparse, common + options, input: lines.joined(separator: "\n"))
        XCTAssertEqual(result.code, 0, result.errors)
        return result.output.split(separator: "\n").map(String.init)
    }

    private let good = (0..<30).map {
        "{\"id\": \($0), \"prompt\": \"Once \($0)\", \"max_tokens\": 6, \"seed\": \($0)}"
    }

    func testOneBadLineCostsOneError() throws {
        let answers = try batch(
            [],
            [
                "{\"id\": \"a\", \"prompt\": \"Once\", \"max_tokens\": 3}", "", "{oops", "[]",
                "{\"id\": \"b\", \"prompt\": \"Once\", \"max_tokens\": -1}", "{\"id\": \"c\", \"prompt\": 5}",
                "{\"id\": \"d\", \"prompt\": \"Once\", \"maxtokens\": 1}",
                "{\"prompt\": \"\\ud83d\\ude42\", \"max_tokens\": 1}",
                "{\"id\": \"e\", \"prompt\": \"\(String(repeating: "long ", count: 500))\"}",
            ])
        XCTAssertEqual(answers.count, 8)
        XCTAssert(answers[0].hasPrefix("{\"id\": \"a\", \"text\": "), answers[0])
        XCTAssert(answers[0].contains("\"tokens\": 3, \"prompt_tokens\": "), answers[0])
        XCTAssert(answers[1].hasPrefix("{\"id\": 3, \"line\": 3, \"error\": \"JSON: "), answers[1])
        XCTAssertEqual(answers[2], "{\"id\": 4, \"line\": 4, \"error\": \"is no JSON object\"}")
        XCTAssert(answers[3].contains("\"b\", \"line\": 5, \"error\": \"max_tokens: "), answers[3])
        XCTAssert(answers[4].contains("\"error\": \"prompt: a string is needed"), answers[4])
        XCTAssert(answers[5].contains("unknown member \\\"maxtokens\\\""), answers[5])
        XCTAssert(answers[6].hasPrefix("{\"id\": 8, \"text\": "), answers[6])
        XCTAssert(answers[7].contains("\"error\": \"the context of "), answers[7])
    }

    func testJobsGiveTheSameAnswers() throws {
        let alone = try batch([], good)
        XCTAssertEqual(alone.count, 30)
        XCTAssertEqual(alone, try batch([], good))
        for jobs in ["2", "7"] { XCTAssertEqual(try batch(["-j", jobs], good).sorted(), alone.sorted()) }
    }

    /// An output that was cut off in the middle of a line is cut back and gone on with.
    func testResuming() throws {
        let whole = try batch([], good)
        let directory = TemporaryDirectory()
        let half = Array(whole.joined(separator: "\n").utf8.prefix(1000))
        let file = directory.write(half, "answers.jsonl")
        let input = directory.write(Array(good.joined(separator: "\n").utf8), "in.jsonl")
        let command = "\(Tool.tinysparse) \(common.joined(separator: " ")) --resume \(file) < \(input) >> \(file)"
        for _ in 0..<2 { XCTAssertEqual(try Tool.run("/bin/sh", ["-c", command]).code, 0) }
        XCTAssertEqual(try String(contentsOfFile: file, encoding: .utf8), whole.joined(separator: "\n") + "\n")
    }

    func testWhatEndsTheProgram() throws {
        let missing = try Tool.run(Tool.tinysparse, ["batch", "-m", "/no/model", "--json"], input: good[0])
        XCTAssertEqual(missing.code, 1)
        XCTAssert(missing.output.hasPrefix("{\"error\": \"/no/model: "), missing.output)
        XCTAssertEqual(try Tool.run(Tool.tinysparse, common + ["-j", "0"]).code, 2)
    }
}
