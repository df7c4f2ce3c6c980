// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// `tinysparse batch`: JSON lines in and out.
final class BatchTests: XCTestCase {
    private let common = ["batch", "-m", Tool.fixture("tiny-llama.gguf"), "-t", "1", "--in-order"]

    private func batch(_ options: [String], _ lines: [String]) throws -> [String] {
        let result = try Tool.run(Tool.tinysparse, common + options, input: lines.joined(separator: "\n"))
        XCTAssertEqual(result.code, 0, result.errors)
        return result.output.split(separator: "\n").map(String.init)
    }

    /// One answer to each line.
    private func answerEach(of lines: [String]) throws -> [String] {
        let answers = try batch([], lines)
        guard answers.count == lines.count else { throw XCTestError(.failureWhileWaiting) }
        return answers
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

    /// Messages are framed by a chat template; a prompt with its text has the same tokens.
    func testMessages() throws {
        let messages = #"[{"role": "user", "content": "Once"}]"#
        let lines = [
            #"{"prompt": "user: Once\nbot:", "max_tokens": 6, "seed": 1}"#,
            #"{"messages": \#(messages), "max_tokens": 6, "seed": 1}"#,
            #"{"messages": \#(messages), "max_tokens": 6, "seed": 1, "template_args": {"end": " and somebody else:"}}"#,
            #"{"messages": \#(messages), "prompt": "x"}"#, #"{"messages": 5}"#, #"{"messages": []}"#,
            #"{"messages": \#(messages), "tools": 1, "bos": 2}"#, #"{"prompt": "x", "tools": []}"#,
        ]
        let directory = TemporaryDirectory()
        let source = """
            {% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ end }}{% else %}{{ raise_exception('nothing') }}{% endfor %}
            """
        let template = directory.write(Array(source.utf8), "chat.jinja")
        let answers = try batch(["--template", template, "--template-arg", #"end="\nbot:""#], lines)
        XCTAssertEqual(answers.count, lines.count)
        let texts = answers.map { $0.dropFirst(#"{"id": 1, "#.count) }
        XCTAssert(texts[0].hasPrefix(#""text": "#), answers[0])
        XCTAssertEqual(texts[1], texts[0])
        XCTAssertNotEqual(texts[2], texts[0])
        XCTAssertEqual(texts[3], #""line": 4, "error": "a prompt and messages cannot be combined"}"#)
        XCTAssertEqual(texts[4], #""line": 5, "error": "messages: a list is needed"}"#)
        XCTAssertEqual(texts[5], #""line": 6, "error": "the chat template \#(template): line 1: nothing"}"#)
        XCTAssert(texts[6].contains("unknown member"), answers[6])
        XCTAssert(texts[7].contains("unknown member"), answers[7])
        // Without a template.
        XCTAssert(try batch([], [lines[1]])[0].contains("no chat template; choose a --template"))
    }

    /// The text of a number, digit for digit; a string with the same characters.
    func testIdentifiersComeBackAsTheyWere() throws {
        let ids = [
            "9007199254740993", "9223372036854775807", "9223372036854775808", "123456789012345678901234567890",
            "-0", "1.50", "1e2", "1E+2", "0.1000000000000000055511151231257827", "\"a \\\" b\"", "\"\"", "true",
        ]
        let lines = ids.map { "{\"prompt\": \"a\", \"id\" :\t\($0) , \"max_tokens\": 1}" }
        let answers = try answerEach(of: lines)
        XCTAssertEqual(answers.count, ids.count)
        for (id, answer) in zip(ids, answers) { XCTAssert(answer.hasPrefix("{\"id\": \(id), \"text\": "), answer) }

        // Ids that were not answered are not skipped, though they are the same double.
        let directory = TemporaryDirectory()
        let file = directory.write(Array((answers.joined(separator: "\n") + "\n").utf8), "answers.jsonl")
        let others = ["9007199254740992", "9007199254740994", "\"9007199254740993\"", "100"]
        let again = lines + others.map { "{\"prompt\": \"a\", \"id\": \($0), \"max_tokens\": 1}" }
        let rest = try batch(["--resume", file], again)
        XCTAssertEqual(rest.count, others.count)
        for (id, answer) in zip(others, rest) { XCTAssert(answer.hasPrefix("{\"id\": \(id), \"text\": "), answer) }
    }

    func testWholeNumbersHoweverTheyAreWritten() throws {
        let answers = try answerEach(
            of: ["2", "2.0", "0.2e1", "2E0", "2.5", "9007199254740993.0", "1e400", "\"2\"", "true"].map {
                "{\"prompt\": \"Once\", \"temperature\": 0, \"max_tokens\": \($0)}"
            })
        for answer in answers[..<4] { XCTAssert(answer.contains("\"tokens\": 2,"), answer) }
        for answer in answers[4...] { XCTAssert(answer.contains("\"error\""), answer) }

        let seeds = try answerEach(
            of: ["9223372036854775808", "18446744073709551615", "18446744073709551616", "-1"].map {
                "{\"prompt\": \"Once\", \"max_tokens\": 8, \"seed\": \($0)}"
            })
        for (answer, seed) in zip(seeds, ["9223372036854775808", "18446744073709551615"]) {
            let run = try Tool.run(
                Tool.tinysparse, ["run"] + common[1..<5] + ["-n", "8", "--seed", seed, "Once"]
            ).output.dropLast()
            XCTAssert(answer.contains(JSON.quoted(String(run))), answer)
        }
        for answer in seeds[2...] { XCTAssert(answer.contains("\"error\": \"seed: a whole number from 0"), answer) }
    }

    func testAByteOrderMarkIsSkipped() throws {
        XCTAssertEqual(try batch([], ["\u{FEFF}" + good[0], good[1]]), try batch([], [good[0], good[1]]))
        XCTAssertEqual(try batch([], ["\u{FEFF}"]), [])
        XCTAssert(try answerEach(of: [good[0], "\u{FEFF}" + good[1]])[1].contains("\"error\""))
    }

    func testWhatIsNoIdentifierIsAnError() throws {
        let answers = try answerEach(
            of: ["{\"id\": [1], \"prompt\": \"a\"}", "{\"id\": {}, \"prompt\": \"a\"}", "{\"promt\": 1}", good[0]])
        for (index, answer) in answers[..<2].enumerated() {
            XCTAssertEqual(
                answer,
                "{\"id\": \(index + 1), \"line\": \(index + 1), \"error\": \"id: a string or a number is needed\"}")
        }
        XCTAssert(answers[2].contains("unknown member \\\"promt\\\""), answers[2])
        XCTAssert(answers[3].hasPrefix("{\"id\": 0, \"text\": "), answers[3])
    }

    /// Of several members with one key the last counts, as in Python.
    func testTheLastOfEqualKeysCounts() throws {
        let answer = try answerEach(
            of: ["{\"id\": 1, \"id\": 2, \"prompt\": \"a\", \"max_tokens\": 5, \"max_tokens\": 1, \"seed\": 3}"])[0]
        XCTAssert(answer.hasPrefix("{\"id\": 2, ") && answer.contains("\"tokens\": 1,"), answer)
    }

    /// Extreme options cost no other request its answer.
    func testExtremeOptionsEndNothing() throws {
        let extremes = [
            "\"repeat_penalty\": 1e-38", "\"repeat_penalty\": 1e-45", "\"temperature\": 1e-45", "\"top_p\": 1e-45",
            "\"min_p\": 1", "\"top_k\": 9223372036854775807", "\"repeat_penalty\": 0", "\"temperature\": 1e39",
        ]
        let answers = try answerEach(of: extremes.map { "{\"prompt\": \"Once\", \"max_tokens\": 9, \($0)}" })
        for answer in answers[..<6] { XCTAssert(answer.contains("\"tokens\": "), answer) }
        for answer in answers[6...] { XCTAssert(answer.contains("is needed\"}"), answer) }
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
