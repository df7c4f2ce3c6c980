// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// Follows texts byte by byte: a vocabulary whose tokens are the bytes.
struct ByteMatcher {
    private static let bytes = TokenBytes((0..<256).map { [UInt8($0)] }, ends: [])
    private let matcher: ConstraintMatcher

    init(_ constraint: Constraint) throws {
        matcher = try ConstraintMatcher(constraint, Self.bytes, allowsEnd: false)
    }

    var accepts: Bool { matcher.accepts }
    /// The bytes that can come next.
    func next() throws -> [UInt8] { try matcher.allowed().map { UInt8($0) } }
    func advance(_ byte: UInt8) throws { try matcher.advance(Int32(byte)) }

    /// Whether a whole text is accepted.
    static func accepts(_ constraint: Constraint, _ text: [UInt8]) throws -> Bool {
        let matcher = try ByteMatcher(constraint)
        for byte in text {
            guard try matcher.matcher.allows(Int32(byte)) else { return false }
            try matcher.advance(byte)
        }
        return matcher.accepts
    }

    static func accepts(_ constraint: Constraint, _ text: String) throws -> Bool {
        try accepts(constraint, Array(text.utf8))
    }
}

/// A matcher of grammars that tries everything, to compare with: it knows no states, only where a pattern can end.
struct ReferenceMatcher {
    let grammar: Grammar
    let text: [UInt8]
    private var known: [[Int]: Set<Int>] = [:]

    static func accepts(_ grammar: Grammar, _ text: [UInt8]) -> Bool {
        var matcher = ReferenceMatcher(grammar: grammar, text: text)
        return matcher.ends(of: .rule(0), from: 0).contains(text.count)
    }

    private init(grammar: Grammar, text: [UInt8]) {
        self.grammar = grammar
        self.text = text
    }

    private mutating func ends(of pattern: Pattern, from start: Int) -> Set<Int> {
        switch pattern {
        case .bytes(let bytes): return text[start...].starts(with: bytes) ? [start + bytes.count] : []
        case .scalar(let set):
            for length in 1...4 where start + length <= text.count {
                guard let character = String(validating: text[start..<start + length], as: UTF8.self) else { continue }
                let scalars = Array(character.unicodeScalars)
                return scalars.count == 1 && set.contains(scalars[0].value) ? [start + length] : []
            }
            return []
        case .sequence(let parts):
            return parts.reduce(into: [start]) { places, part in
                places = Set(places.flatMap { ends(of: part, from: $0) })
            }
        case .alternatives(let parts): return Set(parts.flatMap { ends(of: $0, from: start) })
        case .repeated(let part, let minimum, let maximum):
            var places: Set<Int> = [start]
            for _ in 0..<minimum { places = Set(places.flatMap { ends(of: part, from: $0) }) }
            var all = places
            var left = maximum.map { $0 - minimum } ?? .max
            while left > 0 {
                places = Set(places.flatMap { ends(of: part, from: $0) })
                if places.isSubset(of: all) { break }
                all.formUnion(places)
                left -= 1
            }
            return all
        case .rule(let rule):
            if let known = known[[rule, start]] { return known }
            // A rule that gets back here without reading anything is part of what nothing matches.
            known[[rule, start]] = []
            let found = ends(of: grammar.rules[rule].pattern, from: start)
            known[[rule, start]] = found
            return found
        }
    }
}

extension XCTestCase {
    /// Checks which texts a constraint accepts.
    func check(
        _ constraint: @autoclosure () throws -> Constraint, accepts good: [String], refuses bad: [String],
        _ what: String, line: UInt = #line
    ) {
        do {
            let constraint = try constraint()
            for text in good {
                XCTAssertTrue(try ByteMatcher.accepts(constraint, text), "\(what) and \(text)", line: line)
            }
            for text in bad {
                XCTAssertFalse(try ByteMatcher.accepts(constraint, text), "\(what) and \(text)", line: line)
            }
        } catch {
            XCTFail("\(what): \(error)", line: line)
        }
    }

    /// Checks how an error begins, and that it says something of the matter.
    func check(
        _ constraint: @autoclosure () throws -> Constraint, failsAt place: String, _ what: String, line: UInt = #line
    ) {
        XCTAssertThrowsError(try constraint(), what, line: line) { error in
            XCTAssertTrue(error is ConstraintError, "\(error)", line: line)
            // A place that ends with a slash is the beginning of a pointer.
            let beginning = place.hasSuffix("/") ? place : place + ": "
            XCTAssertTrue("\(error)".hasPrefix(beginning), "\(what): \(error)", line: line)
        }
    }
}
