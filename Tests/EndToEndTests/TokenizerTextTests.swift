// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// What surrounds the tokenizers: streams of text, JSON.
final class TokenizerTextTests: XCTestCase {
    // MARK: - Streaming

    private func pieces<Element>(_ whole: [Element], _ random: inout SplitMix64) -> [[Element]] {
        var rest = whole[...]
        var pieces: [[Element]] = []
        while !rest.isEmpty {
            let count = Int.random(in: 0...4, using: &random)
            pieces.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }

    func testStreamingEqualsDecodingTheWhole() {
        var random = SplitMix64(state: 3)
        // Bytes that are interesting to UTF-8, and whole characters.
        let parts: [[UInt8]] =
            [
                0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED,
                0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF,
            ]
            .map { [$0] } + ["é", "漢", "👩‍👧", "x"].map { Array($0.utf8) }
        for _ in 0..<5000 {
            let bytes = (0..<Int.random(in: 0...12, using: &random)).flatMap { _ in
                parts.randomElement(using: &random)!
            }
            var decoder = StreamingDecoder()
            var text = ""
            for piece in pieces(bytes, &random) { text += decoder.feed(piece) }
            text += decoder.finish()
            XCTAssertEqual(
                Array(text.utf8), Array(String(decoding: bytes, as: UTF8.self).utf8), "\(bytes)")
            XCTAssertEqual(decoder.finish(), "")
        }
    }

    func testStreamingHoldsBackOnlyWhatCanContinue() {
        var decoder = StreamingDecoder()
        XCTAssertEqual(decoder.feed([0xF0, 0x9F, 0x98]), "")
        XCTAssertTrue(decoder.isPending)
        XCTAssertEqual(decoder.feed([0x80, 0xE2]), "😀")
        XCTAssertEqual(decoder.feed([0x41]), "\u{FFFD}A")
        // A surrogate, an overlong form, a code point too large: none can become a character.
        XCTAssertEqual(decoder.feed([0xED, 0xA0]), "\u{FFFD}\u{FFFD}")
        XCTAssertEqual(decoder.feed([0xE0, 0x80]), "\u{FFFD}\u{FFFD}")
        XCTAssertEqual(decoder.feed([0xF4, 0x90]), "\u{FFFD}\u{FFFD}")
        XCTAssertEqual(decoder.feed([0xC0]), "\u{FFFD}")
        XCTAssertFalse(decoder.isPending)
        XCTAssertEqual(decoder.feed([0xC3]), "")
        XCTAssertEqual(decoder.finish(), "\u{FFFD}")
    }

    func testStopStrings() {
        var stops = StopStrings(["\nUser:", "###", ""])
        XCTAssertEqual(stops.feed("Hello"), .init(text: "Hello", stop: nil))
        XCTAssertEqual(stops.feed("\nUs"), .init(text: "", stop: nil))
        XCTAssertEqual(stops.feed("age #"), .init(text: "\nUsage ", stop: nil))
        XCTAssertEqual(stops.feed("#\nUser"), .init(text: "##", stop: nil))
        XCTAssertEqual(stops.feed(": more"), .init(text: "", stop: "\nUser:"))
        XCTAssertEqual(stops.feed("anything"), .init(text: "", stop: "\nUser:"))
        XCTAssertEqual(stops.finish(), "")

        var open = StopStrings(["END"])
        XCTAssertEqual(open.feed("the EN"), .init(text: "the ", stop: nil))
        XCTAssertEqual(open.finish(), "EN")
    }

    /// A long stop string whose beginning the text repeats.
    func testLongStopStringsTakeLinearTime() {
        let count = 20_000
        var stops = StopStrings([
            String(repeating: "a", count: count) + "b", String(repeating: "a", count: count) + "c",
        ])
        let start = ContinuousClock.now
        var shown = ""
        for _ in 0..<2 * count { shown += stops.feed("a").text }
        XCTAssertEqual(shown.utf8.count, count)
        XCTAssertEqual(stops.feed("c").stop?.last, "c")
        XCTAssertLessThan((ContinuousClock.now - start).components.seconds, 60)
    }

    func testStopStringsDoNotDependOnTheCuts() {
        var random = SplitMix64(state: 4)
        for _ in 0..<3000 {
            let text = (0..<Int.random(in: 0...12, using: &random)).map { _ in
                ["a", "b", "é"].randomElement(using: &random)!
            }
            let stops = ["ab", "aab", "ba", "éa", "bbb", "a"].shuffled(using: &random).prefix(2).map { String($0) }
            var whole = StopStrings(stops)
            let first = whole.feed(text.joined())
            let expected = first.text + (first.stop == nil ? whole.finish() : "")
            var cut = StopStrings(stops)
            var out = ""
            var stop: String?
            for piece in pieces(text, &random) {
                let output = cut.feed(piece.joined())
                out += output.text
                stop = output.stop
            }
            if stop == nil { out += cut.finish() }
            XCTAssertEqual(out, expected)
            XCTAssertEqual(stop, first.stop)
            XCTAssertEqual(first.stop != nil, stops.contains { text.joined().contains($0) })
        }
    }

    // MARK: - JSON

    func testJSONValues() throws {
        let json = try JSON.parse(
            Array(
                #" {"a":[1,-2.5e3,true,false,null,"x\n\u00e9\ud83d\ude00\/"],"b":{},"c":2,"c":3} "#.utf8))
        let list = try XCTUnwrap(json["a"]?.array)
        XCTAssertEqual(list[0].integer, 1)
        XCTAssertEqual(list[1].double, -2500)
        XCTAssertEqual(list[2].bool, true)
        XCTAssertTrue(list[4].isNull)
        XCTAssertEqual(list[5].string, "x\né😀/")
        XCTAssertEqual(json["b"]?.object?.count, 0)
        XCTAssertEqual(json["c"]?.integer, 3)  // the last of a key, as in Python
        XCTAssertNil(json["d"])
        XCTAssertEqual(try JSON.parse(Array("9223372036854775807".utf8)).integer, .max)
        XCTAssertEqual(try JSON.parse(Array("9223372036854775808".utf8)).double, 0x1p63)
        let text = "quote\" \\ \n\r\t\u{1} é 😀"
        XCTAssertEqual(try JSON.parse(Array(JSON.quoted(text).utf8)).string, text)
    }

    func testJSONFaults() {
        let faults = [
            "", " ", "{", "[", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "[1 2]", "01",
            "1.", ".5", "-", "+1", "1e",
            "1e999", "tru", "nulll", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
            "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"",
            "[]]", "'a'", "NaN", "\u{FEFF}{}",
        ]
        for fault in faults { XCTAssertThrowsError(try JSON.parse(Array(fault.utf8)), fault) }
        XCTAssertThrowsError(try JSON.parse([0x22, 0xFF, 0x22]))
        XCTAssertThrowsError(try JSON.parse([0x22, 0x5C, 0x6E, 0xC3, 0x22]))
        XCTAssertThrowsError(try JSON.parse(Array(repeating: UInt8(ascii: "["), count: 1_000_000)))
        XCTAssertThrowsError(try JSON.parse(Array("[1,\n 2,x]".utf8))) {
            XCTAssertEqual(($0 as? JSONError)?.offset, 7)
        }
    }
}
