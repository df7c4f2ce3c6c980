// SPDX-License-Identifier: Apache-2.0

import TinySparse
import TinySparseC
import XCTest

/// Batches, saved sessions and conditions of the interface for C, called from Swift; Examples/C calls them from C.
final class CBatchTests: XCTestCase {
    /// What the callback of a batch has heard.
    private final class Listener {
        var texts: [Int64: String] = [:]
        var reasons: [Int64: [Int32]] = [:]
        /// Texts to cancel at their first piece.
        var unwanted: Set<Int64> = []
        var pointer: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

        static let callback:
            @convention(c) (Int64, UnsafePointer<CChar>?, Int, Int32, UnsafeMutableRawPointer?) -> Int32 = {
                id, piece, size, reason, context in
                let listener = Unmanaged<Listener>.fromOpaque(context!).takeUnretainedValue()
                let bytes = UnsafeBufferPointer(start: piece, count: size).map { UInt8(bitPattern: $0) }
                listener.texts[id, default: ""] += String(decoding: bytes, as: UTF8.self)
                listener.reasons[id, default: []].append(reason)
                return listener.unwanted.contains(id) ? 0 : 1
            }
    }

    private func open(_ options: String = #"{"threads": 1, "places": 3}"#) throws -> (OpaquePointer, OpaquePointer) {
        let model = try XCTUnwrap(tinysparseModelOpen(Tool.fixture("tiny-llama.gguf"), nil, nil, 0))
        return (model, try XCTUnwrap(tinysparseBatchOpen(model, options, nil, nil, 0)))
    }

    private func alone(_ model: OpaquePointer, _ prompt: String, _ options: String) throws -> (String, Int32) {
        let session = try XCTUnwrap(tinysparseSessionOpen(model, #"{"threads": 1}"#, nil, nil, 0))
        defer { tinysparseSessionClose(session) }
        final class Text { var text = "" }
        let text = Text()
        var reason: Int32 = -9
        XCTAssertEqual(
            tinysparseGenerate(
                session, prompt, prompt.utf8.count, options,
                { piece, size, context in
                    let bytes = UnsafeBufferPointer(start: piece, count: size).map { UInt8(bitPattern: $0) }
                    Unmanaged<Text>.fromOpaque(context!).takeUnretainedValue().text += String(
                        decoding: bytes, as: UTF8.self)
                    return 1
                }, Unmanaged.passUnretained(text).toOpaque(), &reason, nil, 0), 0)
        return (text.text, reason)
    }

    func testEachTextIsTheOneItIsAlone() throws {
        let (model, batch) = try open()
        defer { tinysparseModelClose(model) }
        let template = #""chat_template": "{% for m in messages %}{{ m.role ~ ' ' ~ m.content }}{% endfor %}""#
        let listener = Listener()
        var wanted: [Int64: (String, Int32)] = [:]
        for number in 0..<9 {
            let isChat = number % 3 == 2
            let prompt = isChat ? "" : "Once upon a time \(number)"
            let messages = #""messages": [{"role": "user", "content": "Hi \#(number)"}], \#(template), "#
            let options = #"{\#(isChat ? messages : "")"max_tokens": \#(3 + number), "seed": \#(number)}"#
            var id: Int64 = -1
            XCTAssertEqual(tinysparseBatchAdd(batch, prompt, prompt.utf8.count, options, &id, nil, 0), 0)
            XCTAssertEqual(id, Int64(number))
            wanted[id] = try alone(model, prompt, options)
            XCTAssertEqual(tinysparseBatchHasPlace(batch), number < 2 ? 1 : 0)
            if number % 2 == 0 {
                XCTAssertEqual(tinysparseBatchStep(batch, Listener.callback, listener.pointer, nil, 0), 0)
            }
        }
        while tinysparseBatchIsIdle(batch) == 0 {
            XCTAssertEqual(tinysparseBatchStep(batch, Listener.callback, listener.pointer, nil, 0), 0)
        }
        for (id, (text, reason)) in wanted {
            XCTAssertEqual(listener.texts[id], text)
            XCTAssertEqual(listener.reasons[id]?.last, reason)
            XCTAssertTrue(listener.reasons[id]!.dropLast().allSatisfy { $0 == -1 })
        }
        tinysparseBatchClose(batch)
    }

    func testTextsAreCancelled() throws {
        let (model, batch) = try open(#"{"threads": 1, "places": 2, "block_size": 8}"#)
        defer { tinysparseModelClose(model) }
        let listener = Listener()
        let long = String(repeating: "so ", count: 35)
        for prompt in ["Once", long, "Twice", "Thrice"] {
            XCTAssertEqual(tinysparseBatchAdd(batch, prompt, prompt.utf8.count, #"{"seed": 1}"#, nil, nil, 0), 0)
        }
        listener.unwanted = [0]
        // The second while its prompt is read, the third before it has a place.
        for _ in 0..<2 { XCTAssertEqual(tinysparseBatchStep(batch, Listener.callback, listener.pointer, nil, 0), 0) }
        for id in [1, 2, 77, -1] as [Int64] { tinysparseBatchCancel(batch, id) }
        while tinysparseBatchIsIdle(batch) == 0 {
            XCTAssertEqual(tinysparseBatchStep(batch, Listener.callback, listener.pointer, nil, 0), 0)
        }
        for id in [0, 1, 2] as [Int64] { XCTAssertEqual(listener.reasons[id]?.last, 4, "\(id)") }
        XCTAssertEqual(listener.texts[1], "")
        XCTAssertEqual(listener.reasons[3]?.last, try alone(model, "Thrice", #"{"seed": 1}"#).1)
        tinysparseBatchClose(batch)
    }

    func testWhatIsRefused() throws {
        let (model, batch) = try open()
        let badOption: Int32 = 2
        for options in [#"{"places": 0}"#, #"{"places": 257}"#, #"{"place": 1}"#, "[]", "{", #"{"threads": 999}"#] {
            var status: Int32 = 0
            XCTAssertNil(tinysparseBatchOpen(model, options, &status, nil, 0), options)
            XCTAssertEqual(status, badOption, options)
        }
        for (prompt, size, options) in [
            ("a", 1, #"{"max_token": 1}"#), ("a", -1, "{}"), (nil, 3, "{}"), ("a", 1, #"{"messages": []}"#),
            ("", 0, #"{"messages": [{"role": "user", "content": "x"}]}"#),
        ] as [(String?, Int, String)] {
            var message = [CChar](repeating: 1, count: 90)
            XCTAssertEqual(tinysparseBatchAdd(batch, prompt, size, options, nil, &message, 90), badOption, options)
            XCTAssertGreaterThan(message.prefix { $0 != 0 }.count, 5)
        }
        let long = String(repeating: "word ", count: 600)
        XCTAssertEqual(tinysparseBatchAdd(batch, long, long.utf8.count, nil, nil, nil, 0), 3)
        XCTAssertEqual(tinysparseBatchIsIdle(batch), 1)
        // Handles of another kind.
        for wrong in [nil, model] as [OpaquePointer?] {
            XCTAssertEqual(tinysparseBatchAdd(wrong, "a", 1, nil, nil, nil, 0), badOption)
            XCTAssertEqual(tinysparseBatchStep(wrong, nil, nil, nil, 0), badOption)
            tinysparseBatchCancel(wrong, 0)
            XCTAssertEqual(tinysparseBatchIsIdle(wrong), 1)
            XCTAssertEqual(tinysparseBatchHasPlace(wrong), 0)
            tinysparseBatchClose(wrong)
        }
        XCTAssertEqual(tinysparsePosition(batch), 0)
        XCTAssertEqual(tinysparseBatchStep(batch, nil, nil, nil, 0), 0)
        // A batch keeps its model.
        tinysparseModelClose(model)
        XCTAssertEqual(tinysparseBatchAdd(batch, "a", 1, #"{"max_tokens": 2}"#, nil, nil, 0), 0)
        while tinysparseBatchIsIdle(batch) == 0 { XCTAssertEqual(tinysparseBatchStep(batch, nil, nil, nil, 0), 0) }
        tinysparseBatchClose(batch)
    }

    func testSessionsAreSavedAndRestored() throws {
        let directory = TemporaryDirectory(), path = directory.path + "/c.state"
        let model = try XCTUnwrap(tinysparseModelOpen(Tool.fixture("tiny-llama.gguf"), nil, nil, 0))
        defer { tinysparseModelClose(model) }
        func open() throws -> OpaquePointer {
            try XCTUnwrap(tinysparseSessionOpen(model, #"{"threads": 1}"#, nil, nil, 0))
        }
        let text: [Int32] = (0..<30).map { $0 * 7 % 200 }
        let writer = try open(), reader = try open()
        XCTAssertEqual(tinysparseRead(writer, text, 20, nil, 0), 0)
        XCTAssertEqual(tinysparseSave(writer, path, nil, 0), 0)
        XCTAssertEqual(tinysparseRead(writer, Array(text[20...]), 10, nil, 0), 0)
        for (tokens, count, position) in [(text, 30, 20), (text, 20, 19), (text, 5, 4), (nil, 0, 20)]
            as [([Int32]?, Int, Int)]
        {
            XCTAssertEqual(tinysparseRestore(reader, path, tokens, count, nil, 0), 0)
            XCTAssertEqual(tinysparsePosition(reader), position)
            XCTAssertEqual(tinysparseRead(reader, Array(text[position...]), 30 - position, nil, 0), 0)
            let size = Int(tinysparseVocabularySize(model))
            XCTAssertEqual(
                Array(UnsafeBufferPointer(start: tinysparseLogits(reader), count: size)),
                Array(UnsafeBufferPointer(start: tinysparseLogits(writer), count: size)))
        }
        XCTAssertEqual(tinysparseRestore(reader, path + "2", nil, 0, nil, 0), 1)
        XCTAssertEqual(tinysparseRestore(reader, Tool.fixture("tiny-llama.gguf"), nil, 0, nil, 0), 1)
        for path in [nil, ""] as [String?] {
            XCTAssertNotEqual(tinysparseRestore(reader, path, nil, 0, nil, 0), 0)
            XCTAssertNotEqual(tinysparseSave(reader, path, nil, 0), 0)
        }
        XCTAssertEqual(tinysparseRestore(reader, path, nil, 3, nil, 0), 2)
        XCTAssertEqual(tinysparseRestore(model, path, nil, 0, nil, 0), 2)
        XCTAssertEqual(tinysparseSave(nil, path, nil, 0), 2)
        for session in [reader, writer] { tinysparseSessionClose(session) }
    }

    /// A condition ends reading and writing between two blocks.
    func testConditions() throws {
        let model = try XCTUnwrap(tinysparseModelOpen(Tool.fixture("tiny-llama.gguf"), nil, nil, 0))
        defer { tinysparseModelClose(model) }
        let session = try XCTUnwrap(tinysparseSessionOpen(model, #"{"threads": 1, "block_size": 8}"#, nil, nil, 0))
        defer { tinysparseSessionClose(session) }
        final class Counter { var left = 0 }
        let counter = Counter()
        tinysparseSessionWhile(
            session,
            { context in
                let counter = Unmanaged<Counter>.fromOpaque(context!).takeUnretainedValue()
                counter.left -= 1
                return counter.left >= 0 ? 1 : 0
            }, Unmanaged.passUnretained(counter).toOpaque())
        let text: [Int32] = (0..<60).map { $0 * 7 % 200 }
        counter.left = 3
        XCTAssertEqual(tinysparseRead(session, text, 60, nil, 0), 7)
        XCTAssertEqual(tinysparsePosition(session), 24)
        let prompt = String(repeating: "so ", count: 20)
        for left in [2, 20] {
            tinysparseRewind(session, 0)
            counter.left = left
            var reason: Int32 = -9
            XCTAssertEqual(
                tinysparseGenerate(
                    session, prompt, prompt.utf8.count, #"{"max_tokens": 10000, "temperature": 0}"#, nil, nil, &reason,
                    nil, 0), 0)
            XCTAssertEqual(reason, 4)
            XCTAssertEqual(tinysparsePosition(session) == 16, left == 2)
        }
        tinysparseSessionWhile(session, nil, nil)
        tinysparseRewind(session, 0)
        XCTAssertEqual(tinysparseRead(session, text, 60, nil, 0), 0)
        tinysparseSessionWhile(nil, nil, nil)
        tinysparseSessionWhile(model, nil, nil)
    }
}
