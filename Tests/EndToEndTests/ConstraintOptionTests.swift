// SPDX-License-Identifier: Apache-2.0

import Foundation
import XCTest

/// `--json-schema`, `--regex` and `--grammar` of the command line.
final class ConstraintOptionTests: CommandLineTestCase {

    func testTextsAndFiles() throws {
        let folder = try TemporaryFolder()
        let schema = folder.url.appendingPathComponent("schema.json"),
            grammar = folder.url.appendingPathComponent("a.gbnf")
        try Data("{\"const\": [1, \"é\"]}".utf8).write(to: schema)
        try Data("root ::= \"- \" x\nx ::= \"yes\"\n".utf8).write(to: grammar)
        for (options, text) in [
            (["--json-schema", schema.path], "[1,\"é\"]\n"), (["--json-schema", "{\"enum\": [true]}"], "true\n"),
            (["--grammar", grammar.path], "- yes\n"), (["--grammar", "root ::= \"x\"{3}"], "xxx\n"),
            (["--regex", "(?:ab){2}!"], "abab!\n"),
            (["--speculate", "off", "--regex=a{20}"], String(repeating: "a", count: 20) + "\n"),
        ] {
            let outcome = try tinysparse(["run", "-m", Self.model, "-t", "1", "--greedy"] + options + ["Once"])
            XCTAssertEqual(outcome.output, text, outcome.errors)
            XCTAssertEqual(outcome.status, 0)
        }
        let chat = try tinysparse(
            ["chat", "-m", Self.model, "-t", "1", "--template", "plain", "--regex", "yes|no", "--temperature", "5"],
            input: Data("One?\nTwo?\n".utf8))
        let answers = chat.output.split(separator: "\n")
        XCTAssertEqual(answers.count, 2, chat.errors)
        XCTAssertTrue(answers.allSatisfy { $0 == "yes" || $0 == "no" }, chat.output)
        // The option is the default of requests.
        let batch = try tinysparse(
            ["batch", "-m", Self.model, "-t", "1", "--in-order", "--regex", "a{3}"],
            input: Data(
                "{\"prompt\": \"x\"}\n{\"prompt\": \"x\", \"json_schema\": {\"const\": null}}\n{\"prompt\": \"x\", \"regex\": \"(\"}\n"
                    .utf8))
        let lines = batch.output.split(separator: "\n")
        XCTAssertTrue(lines[0].contains("\"text\": \"aaa\""), batch.output)
        XCTAssertTrue(lines[1].contains("\"text\": \"null\""), batch.output)
        XCTAssertTrue(lines[2].contains("regex: line 1, column 1"), batch.output)
    }

    func testErrorsNameThePlace() throws {
        for (options, message) in [
            (["--regex", "a(b"], "--regex: line 1, column 2: "),
            (["--grammar", "root ::= x\n"], "--grammar: line 1, column 10: "),
            (
                ["--json-schema", "{\"properties\": {\"a\": {\"not\": {}}}}"],
                "--json-schema: #/properties/a/not: \"not\" is not supported"
            ),
            (["--json-schema", "{\"a\""], "--json-schema: line 1, column 5: "),
            (["--json-schema", "missing.json"], "missing.json: cannot open"),
            (["--regex", "a", "--grammar", "b"], "--regex and --grammar cannot be combined"),
        ] {
            let outcome = try tinysparse(["run", "-m", Self.model] + options + ["Once"])
            XCTAssertNotEqual(outcome.status, 0)
            XCTAssertTrue(outcome.errors.contains(message), outcome.errors)
        }
    }
}
