// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// Random grammars accept the texts that a matcher which tries everything accepts.
final class ConstraintPropertyTests: XCTestCase {
    private static let alphabet = ["a", "b", "é"].map { Array($0.utf8) }

    private func pattern(_ random: inout SplitMix64, rules: Int, depth: Int) -> Pattern {
        let kind = Int.random(in: 0..<(depth > 0 ? 8 : 4), using: &random)
        func parts(_ random: inout SplitMix64) -> [Pattern] {
            (0..<Int.random(in: 0...3, using: &random)).map { _ in pattern(&random, rules: rules, depth: depth - 1) }
        }
        switch kind {
        case 0: return .bytes(Self.alphabet.randomElement(using: &random)!)
        case 1: return .scalar(ScalarSet([0x61...UInt32.random(in: 0x61...0xFF, using: &random)]))
        case 2, 7: return .rule(Int.random(in: 0..<rules, using: &random))
        case 3: return .bytes(Array("ab".utf8))
        case 4: return .sequence(parts(&random))
        case 5: return .alternatives(parts(&random))
        default:
            let minimum = Int.random(in: 0...2, using: &random)
            let maximum = Bool.random(using: &random) ? nil : minimum + Int.random(in: 0...2, using: &random)
            return .repeated(
                pattern(&random, rules: rules, depth: depth - 1), minimum: minimum, maximum: maximum)
        }
    }

    private func grammar(_ random: inout SplitMix64) -> Grammar {
        let count = Int.random(in: 1...4, using: &random)
        return Grammar(
            rules: (0..<count).map {
                .init(name: "r\($0)", place: .everywhere, pattern: pattern(&random, rules: count, depth: 3))
            })
    }

    /// All texts of the alphabet up to a length in characters.
    private func texts(upTo length: Int) -> [[UInt8]] {
        var all: [[UInt8]] = [[]], last: [[UInt8]] = [[]]
        for _ in 0..<length {
            last = last.flatMap { text in Self.alphabet.map { text + $0 } }
            all += last
        }
        return all
    }

    func testRandomGrammarsAcceptWhatTheyDescribe() throws {
        var random = SplitMix64(state: 11)
        let texts = texts(upTo: 5)
        var runnable = 0, accepted = 0, refused = 0, walked = 0, ambiguous = 0
        for number in 0..<TestTier.count(10_000) {
            let grammar = grammar(&random)
            guard let constraint = try? Constraint(grammar) else { continue }
            runnable += 1
            for text in texts {
                let isAccepted = try ByteMatcher.accepts(constraint, text)
                guard isAccepted == ReferenceMatcher.accepts(grammar, text) else {
                    return XCTFail("grammar \(number): \(isAccepted) for \(text): \(grammar)")
                }
                if isAccepted { accepted += 1 } else { refused += 1 }
            }
            for _ in 0..<3 {
                let text: [UInt8]?
                do {
                    text = try walk(constraint, &random)
                } catch let error as ConstraintError where error.description.hasPrefix("too ambiguous") {
                    // Long texts of a grammar that repeats what can be empty: refused, as it says.
                    ambiguous += 1
                    continue
                }
                guard let text else { continue }
                walked += 1
                guard ReferenceMatcher.accepts(grammar, text) else {
                    return XCTFail("grammar \(number) leads to \(text): \(grammar)")
                }
            }
        }
        XCTAssertGreaterThan(runnable, 20)
        XCTAssertGreaterThan(accepted, 100)
        XCTAssertGreaterThan(refused, 1000)
        XCTAssertGreaterThan(walked, 20)
        XCTAssertLessThan(ambiguous, 1 + walked / 1000)
    }

    /// A text that random bytes lead to, of those that can come next; nil if it is not complete after 60.
    private func walk(_ constraint: Constraint, _ random: inout SplitMix64) throws -> [UInt8]? {
        let matcher = try ByteMatcher(constraint)
        var text: [UInt8] = []
        while text.count < 60 {
            if matcher.accepts, text.count > 12 || Int.random(in: 0..<4, using: &random) == 0 { return text }
            guard let byte = try matcher.next().randomElement(using: &random) else {
                // Every way can be completed: where nothing can follow, the text is complete.
                XCTAssertTrue(matcher.accepts)
                return text
            }
            text.append(byte)
            try matcher.advance(byte)
        }
        return nil
    }

    /// The tokens that can come next are those each of whose bytes can, whatever was forgotten on the way.
    func testAllowedTokensAreThoseThatAreTried() throws {
        var random = SplitMix64(state: 5)
        let source = "root ::= item (\",\" item)*\nitem ::= \"[\" root? \"]\" | [a-c]{1,900} | \"é\" | \"\\U0001F600\"*"
        let constraint = try Constraint.grammar(source)
        let pieces = ["[", "]", ",", "a", "b", "c", "é", "\u{1F600}"].map { Array($0.utf8) }
        var vocabulary = (0..<400).map { _ in
            (0..<Int.random(in: 0...5, using: &random)).flatMap { _ in pieces.randomElement(using: &random)! }
        }
        vocabulary += (0..<256).map { [UInt8($0)] }
        let tokens = TokenBytes(vocabulary, ends: [7, 3, 9999])
        for _ in 0..<TestTier.count(500) {
            let matcher = try ConstraintMatcher(constraint, tokens, allowsEnd: true)
            for _ in 0..<60 {
                let allowed = try matcher.allowed()
                let tried = try (0..<Int32(vocabulary.count)).filter { try matcher.allows($0) }
                XCTAssertEqual(allowed, tried)
                XCTAssertEqual(allowed.contains(3), matcher.accepts)
                guard let token = allowed.filter({ $0 != 3 && $0 != 7 }).randomElement(using: &random) else {
                    XCTAssertTrue(matcher.isAtEnd)
                    break
                }
                try matcher.advance(token)
            }
        }
    }

    /// Texts of any length take bounded memory, and grammars that are too ambiguous end in an error.
    func testBounds() throws {
        let nested = try Constraint.grammar("root ::= \"[\" root \"]\" | \"x\"")
        let depth = TestTier.count(100_000)
        let text = Array(repeating: UInt8(ascii: "["), count: depth) + [UInt8(ascii: "x")]
        XCTAssertTrue(try ByteMatcher.accepts(nested, text + Array(repeating: UInt8(ascii: "]"), count: depth)))
        XCTAssertFalse(try ByteMatcher.accepts(nested, text + Array(repeating: UInt8(ascii: "]"), count: depth - 1)))

        let ambiguous = try Constraint.regularExpression("(?:(?:a?){0,2000}b?){0,2000}")
        XCTAssertThrowsError(try ByteMatcher.accepts(ambiguous, "ab")) { XCTAssertTrue($0 is ConstraintError) }
        // An exponential number of ways to read a text are few states.
        let ways = try Constraint.regularExpression("(?:a|aa|a*)*b")
        XCTAssertTrue(try ByteMatcher.accepts(ways, String(repeating: "a", count: 500) + "b"))
    }
}
