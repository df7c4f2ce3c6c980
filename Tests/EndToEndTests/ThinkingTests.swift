// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// What a thinking model thinks is told from what it answers, however the text comes in pieces.
final class ThinkingTests: CommandLineTestCase {
    private func parts(_ text: String, after prompt: String, piece: Int) -> ThinkingSplitter.Parts {
        var splitter = ThinkingSplitter(after: prompt)
        var all = ThinkingSplitter.Parts()
        func add(_ parts: ThinkingSplitter.Parts) {
            all.thinking += parts.thinking
            all.answer += parts.answer
        }
        var rest = Substring(text)
        while !rest.isEmpty {
            add(splitter.feed(String(rest.prefix(piece))))
            rest = rest.dropFirst(piece)
        }
        add(splitter.finish())
        return all
    }

    func testPartsAreTheSameForAllPieces() {
        let assistant = "<|im_start|>assistant\n"
        let cases: [(prompt: String, text: String, thinking: String, answer: String)] = [
            (assistant, "<think>\nHm.\n</think>\n\nYes.", "\nHm.\n", "Yes."),
            (assistant, "\n<think>a</think>b</think>c", "a", "b</think>c"),
            (assistant, "<think></think>é 漢", "", "é 漢"),
            (assistant, "  Yes, <think>no</think>.", "", "  Yes, <think>no</think>."),
            (assistant, "<thin", "", "<thin"),
            (assistant, "<think>never </thi", "never </thi", ""),
            (assistant, "<think>a</think> \n", "a", ""),
            (assistant + "<think>\n", "a << b </ c</think>\nd", "a << b </ c", "d"),
            (assistant + "<think>\n\n</think>\n\n", "d", "", "d"),
            (assistant, "", "", ""),
        ]
        for (prompt, text, thinking, answer) in cases {
            for piece in 1...12 {
                let found = parts(text, after: prompt, piece: piece)
                XCTAssertEqual(found.thinking, thinking, "\(text), pieces of \(piece)")
                XCTAssertEqual(found.answer, answer, "\(text), pieces of \(piece)")
            }
        }
    }

    func testThinkingIsShownOrHidden() throws {
        let directory = TemporaryDirectory()
        let template = directory.write(
            Array("{{ messages[0].content }}{% if add_generation_prompt %}<think>\n{% endif %}".utf8), "thinking.jinja")
        func text(_ mode: String) throws -> String {
            let result = try tinysparse(
                "run", "-m", Self.model, "--chat", "--template", template, "--greedy", "-n", "12", "--thinking", mode,
                "the cat")
            XCTAssertEqual(result.status, 0, result.errors)
            return result.output
        }
        let raw = try text("raw")
        XCTAssertGreaterThan(raw.count, 3)
        XCTAssertEqual(try text("show"), raw)
        XCTAssertEqual(try text("hide"), "\n")
        // The second prompt is all but its last token in the cache already.
        let chat = try tinysparse(
            ["chat", "-m", Self.model, "--template", template, "--greedy", "-n", "12", "--thinking", "hide"],
            input: Data("the cat\n/reset\nthe cat\n".utf8))
        XCTAssertEqual(chat.status, 0, chat.errors)
        XCTAssertEqual(chat.output, "\n\n")
        let refused = try tinysparse("run", "-m", Self.model, "--chat", "--thinking", "aloud", "x")
        XCTAssertEqual(refused.status, 2)
        XCTAssert(refused.errors.contains("show, hide or raw"), refused.errors)
    }
}
