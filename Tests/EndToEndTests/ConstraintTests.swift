// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// What regular expressions and grammars accept, and what is refused of them.
final class ConstraintTests: XCTestCase {
    // MARK: - Regular expressions

    func testRegularExpressions() {
        let cases: [(String, [String], [String])] = [
            ("", [""], ["a"]), ("abc", ["abc"], ["ab", "abcd", "xabc"]), ("^abc$", ["abc"], ["ab", "abcd"]),
            ("a|bc|", ["a", "bc", ""], ["b", "abc"]), ("a*b+c?", ["b", "aabbc", "bb"], ["a", "ac", "bcc"]),
            ("(?:ab){2,3}", ["abab", "ababab"], ["ab", "abababab"]), ("a{2}", ["aa"], ["a", "aaa"]),
            ("a{2,}", ["aa", "aaaaa"], ["a"]), ("(?<name>x|y)z", ["xz", "yz"], ["z"]), ("a+?b*?", ["a", "aab"], ["b"]),
            ("[a-cx]", ["a", "b", "x"], ["d", "", "aa"]), ("[^a-c]", ["d", "é", "\n", "\u{1F600}"], ["a", ""]),
            ("[-a]", ["-", "a"], ["b"]), ("[a-]", ["-", "a"], ["b"]), ("[\\w.-]", ["-", "a", "."], ["+"]),
            ("[\\]\\\\^]", ["]", "\\", "^"], ["a"]), ("[[]", ["["], ["]"]),
            (".", ["a", "é", "\t"], ["\n", "\r", "\u{2028}", ""]), ("\\d\\D", ["1a", "0é"], ["11", "\u{0661}a"]),
            ("\\w\\W", ["_-", "Z "], ["é ", "ab"]), ("\\s\\S", [" a", "\u{3000}b"], ["ab", "  "]),
            ("\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\^\\$\\/\\\\", [".*+?()[]{}|^$/\\"], [""]),
            ("\\t\\n\\v\\f\\r\\x41\\u00e9\\u{1F600}\\uD83D\\uDE00", ["\t\n\u{0B}\u{0C}\rAé\u{1F600}\u{1F600}"], []),
            ("é{2}", ["éé"], ["é", "ééé"]), ("[à-ÿ]", ["é", "ÿ"], ["\u{100}", "e"]), ("]}", ["]}"], []),
            ("[\\u{10000}-\\u{10FFFF}]", ["\u{10000}", "\u{10FFFF}", "\u{50000}"], ["\u{FFFF}"]),
            ("(a*)*b", ["b", "aab"], ["a"]), ("(|a)+", ["", "aaa"], ["b"]),
            ("(a{0,3}){0,3}", ["", "aaaaaaaaa"], ["aaaaaaaaaa"]),
        ]
        for (source, good, bad) in cases {
            check(try .regularExpression(source), accepts: good, refuses: bad, source)
        }
    }

    func testRegularExpressionsThatAreRefused() {
        let cases: [(String, Int)] = [
            ("a(b", 2), ("ab)", 3), ("a[bc", 2), ("[]", 1), ("*a", 1), ("a**", 3), ("a++", 3), ("a{2}{3}", 5),
            ("a{3,2}", 2),
            ("a{,3}", 2), ("a{x", 2), ("{2}", 1), ("(?=a)", 1), ("(?!a)", 1), ("(?<=a)", 1), ("(?i)a", 1),
            ("(a)\\1", 4),
            ("\\bword", 1), ("\\p{L}", 1), ("\\k<a>", 1), ("a\\", 2), ("[z-a]", 2), ("[\\d-z]", 2), ("\\x4", 3),
            ("\\uD800", 3),
            ("\\u{110000}", 3), ("(^a)", 2), ("a$b", 2), ("a^b", 2), ("(a$)", 3), ("a{70000}", 3), ("\\é", 1),
        ]
        for (source, column) in cases {
            check(try .regularExpression(source), failsAt: "line 1, column \(column)", source)
        }
        check(try .regularExpression("a\nb("), failsAt: "line 2, column 2", "the second line")
        let deep = String(repeating: "(", count: 10_000)
        check(try .regularExpression(deep), failsAt: "line 1, column 66", "groups in groups")
        XCTAssertThrowsError(try Constraint.regularExpression(String(repeating: "a{60000}", count: 10))) {
            XCTAssertFalse("\($0)".isEmpty)
        }
        XCTAssertThrowsError(try Constraint.regularExpression(String(repeating: "ab", count: 1 << 20)))
    }

    /// Random expressions match what they match in Python: as a whole, and anywhere in a string of JSON.
    func testRandomExpressionsMatchAsInPython() throws {
        struct Case: Decodable {
            let source: String
            let whole: [String], found: [String], none: [String]
        }
        let file = Tool.root + "/Tests/EndToEndTests/Fixtures/constraints/regexes.json"
        let cases = try JSONDecoder().decode([Case].self, from: Data(contentsOf: URL(fileURLWithPath: file)))
        XCTAssertEqual(cases.count, 400)
        for one in cases {
            let what = one.source
            check(try .regularExpression(what), accepts: one.whole, refuses: one.found + one.none, what)
            let schema = "{\"type\": \"string\", \"pattern\": \(JSON.quoted(what))}"
            check(
                try .jsonSchema(schema), accepts: (one.whole + one.found).map { JSON.quoted($0) },
                refuses: one.none.map { JSON.quoted($0) }, schema)
        }
    }

    func testNestedRepetitionsAreShared() throws {
        let constraint = try Constraint.regularExpression("(?:(?:ab{0,1000}){0,1000}c){0,1000}")
        XCTAssertTrue(try ByteMatcher.accepts(constraint, String(repeating: "abbac", count: 1000)))
        XCTAssertFalse(try ByteMatcher.accepts(constraint, String(repeating: "abbac", count: 1001)))
    }

    // MARK: - Grammars

    func testGrammars() {
        let cases: [(String, [String], [String])] = [
            ("root ::= \"a\" b+\nb ::= [x-z] | \"é\"  # a comment\n", ["ax", "aéz"], ["a", "xa"]),
            ("root::=(\n  \"a\" |\n  \"b\"\n)*", ["", "abba"], ["c"]),
            ("\n# first\nroot ::=\n  \"a\" |\n  \"b\" \"c\"\n\n", ["a", "bc"], ["b", "abc"]),
            ("root ::= \"a\"{2} [b]{1,} (\"c\" \"d\"){,2} .", ["aabx", "aabbcdcd\n"], ["aab", "aabcd"]),
            ("root ::= \"\\\"\\\\\\x41\\u00e9\\U0001F600\\n\\t\\r\\[\\]\"", ["\"\\Aé\u{1F600}\n\t\r[]"], []),
            ("root ::= [^\\]a-] [-\\x30-\\x39]", ["x5", "é-"], ["a5", "]5", "-5", "xa"]),
            ("root ::= a-1 a_2\na-1 ::= \"1\"\na_2 ::= \"2\"", ["12"], ["1"]),
            // Recursion in the middle and at the end.
            ("root ::= \"(\" root \")\" root |", ["", "()", "(())()", "()(()())"], ["(", ")(", "(()"]),
            ("root ::= item (\",\" item)*\nitem ::= \"[\" root? \"]\" | [0-9]", ["1,[2,[3]],[]"], ["[", "1,"]),
            ("root ::= \"a\" root \"a\" | \"b\"", ["b", "aba", "aaabaaa"], ["ab", "aab a"]),
            // What nothing matches is left out.
            ("root ::= \"a\" | endless\nendless ::= \"b\" endless", ["a"], ["b", "ba"]),
            ("root ::= \"a\" endless*\nendless ::= \"b\" endless", ["a"], ["ab"]),
        ]
        for (source, good, bad) in cases { check(try .grammar(source), accepts: good, refuses: bad, source) }
    }

    func testGrammarsThatAreRefused() {
        let cases: [(String, String)] = [
            ("root ::= \"a", "line 1, column 10"), ("root ::= [a", "line 1, column 10"),
            ("root ::= (\"a\"", "line 1, column 10"),
            ("root = \"a\"", "line 1, column 6"), ("root ::= \"a\" )", "line 1, column 14"),
            ("\n ::= x", "line 2, column 2"),
            ("root ::= a\n", "line 1, column 10"), ("root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1"),
            ("root ::= \"\\q\"", "line 1, column 11"), ("root ::= [z-a]", "line 1, column 11"),
            ("root ::= \"a\"{3,2}", "line 1, column 13"),
            ("root ::= \"a\"{}", "line 1, column 13"), ("root ::= <think>", "line 1, column 10"),
            ("root ::= \"\\uD800\"", "line 1, column 13"),
            // Left recursion, also by way of others and after what can be empty.
            ("root ::= root \"a\" | \"b\"", "line 1, column 1"),
            ("root ::= x\nx ::= y \"a\"\ny ::= x | \"b\"", "line 2, column 1"),
            ("root ::= \"a\"? empty root \"a\" | \"c\"\nempty ::= \"b\"*", "line 1, column 1"),
            ("root ::= (\"a\" | root)+", "line 1, column 1"), ("root ::= \"a\" root", "line 1, column 1"),
        ]
        for (source, place) in cases { check(try .grammar(source), failsAt: place, source) }
        for source in ["", "a ::= \"b\"", "# nothing"] {
            XCTAssertThrowsError(try Constraint.grammar(source)) { XCTAssertTrue("\($0)".contains("root"), "\($0)") }
        }
        check(
            try .grammar("root ::= " + String(repeating: "(", count: 100_000)), failsAt: "line 1, column 75",
            "groups in groups")
        // Chains of rules are no recursion of the program.
        let chain = (0..<5000).map { "r\($0) ::= r\($0 + 1) | \"b\"" }.joined(separator: "\n")
        check(
            try .grammar("root ::= r0\n\(chain)\nr5000 ::= \"a\""), accepts: ["a", "b"], refuses: ["ab"],
            "a chain of rules")
    }

    /// llama.cpp's own grammars, if TINYSPARSE_GRAMMARS names the folder.
    func testGrammarsOfLlamaCpp() throws {
        guard let folder = ProcessInfo.processInfo.environment["TINYSPARSE_GRAMMARS"] else {
            throw XCTSkip("SKIPPED: set TINYSPARSE_GRAMMARS to the folder grammars of llama.cpp")
        }
        let texts = [
            "arithmetic.gbnf": "1+2*(x-3)=y\n", "chess.gbnf": "1. e4 e5\n2. Nf3 Nc6\n", "english.gbnf": "Hello, world!",
            "json.gbnf": "{\"a\": [1, true, \"\\u00e9\"]}", "json_arr.gbnf": "[\n1,\n{}]",
            "japanese.gbnf": "ひらがな、カタカナ。",
            "list.gbnf": "- one\n- two\n", "c.gbnf": "int main(){int x = 1;}",
        ]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) where name.hasSuffix(".gbnf") {
            let constraint = try Constraint.grammar(String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8))
            let text = try XCTUnwrap(texts[name], name)
            XCTAssertTrue(try ByteMatcher.accepts(constraint, text), name)
        }
    }

    // MARK: - Characters

    /// The byte ranges of sets are those of their characters, and of no others.
    func testRangesOfCharactersAreSplitIntoBytes() {
        var random = SplitMix64(state: 4)
        let edges: [UInt32] = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]
        for _ in 0..<TestTier.count(1000) {
            let ranges = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                let ends = (0..<2).map { _ in
                    Bool.random(using: &random)
                        ? edges.randomElement(using: &random)! : UInt32.random(in: 0...0x10FFFF, using: &random)
                }
                return min(ends[0], ends[1])...max(ends[0], ends[1])
            }
            let set = ScalarSet(ranges)
            let sequences = set.utf8
            let counts = sequences.map { $0.reduce(1) { $0 * $1.count } }
            XCTAssertEqual(counts.reduce(0, +), set.ranges.reduce(0) { $0 + $1.count })
            let samples = edges + ranges.flatMap { [$0.lowerBound, $0.upperBound] }
            for code in samples.flatMap({ [$0, $0 &+ 1, $0 &- 1] }) {
                guard let scalar = Unicode.Scalar(code) else { continue }
                let bytes = Array(String(scalar).utf8)
                let isThere = sequences.contains { ranges in
                    ranges.count == bytes.count && zip(ranges, bytes).allSatisfy { $0.contains($1) }
                }
                XCTAssertEqual(isThere, ranges.contains { $0.contains(code) }, "\(code)")
                XCTAssertEqual(set.contains(code), isThere)
                XCTAssertEqual(set.inverted.contains(code), !isThere)
            }
            for (a, b) in zip(sequences, sequences.dropFirst()) {
                XCTAssertTrue(a[0] == b[0] || a[0].upperBound < b[0].lowerBound)
            }
        }
    }
}
