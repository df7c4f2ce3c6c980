// SPDX-License-Identifier: Apache-2.0

import TinySparse
import XCTest

/// What a session has read, kept in a file: others go on from it with the same bits, and no file harms.
final class SavedStateTests: XCTestCase {
    private let directory = TemporaryDirectory()
    private var path: String { directory.path + "/session.state" }

    /// One session writes, another one of other kernels, threads and blocks goes on: with the logits of the reference.
    func testOthersGoOnWithTheSameBits() throws {
        let models = try GoldenModel.tiny() + GoldenModel.experts()
        for (number, golden) in models.enumerated() {
            for (turn, count) in [1, 15, 16, 17, golden.tokens.count - 1].enumerated() {
                let kernels = kernelSets[(number + turn) % kernelSets.count]
                let others = kernelSets[(number + turn + 1) % kernelSets.count]
                let writer = try golden.session(kernels, threads: 1 + turn % 3, block: [3, 16, 128][turn % 3])
                try writer.prefill(golden.tokens[..<count])
                XCTAssertEqual(try writer.save(to: path), count)
                let reader = try golden.session(others, threads: 1 + (turn + 1) % 3, block: [16, 128, 3][turn % 3])
                // What was there before leaves no trace.
                try reader.prefill(golden.tokens.reversed())
                let saved = try SavedState(path: path, of: golden.model)
                XCTAssertEqual(saved.tokens, Array(golden.tokens[..<count]))
                XCTAssertEqual(try reader.restore(saved, for: golden.tokens), count)
                let rest = try reader.trace(Array(golden.tokens[count...]))
                XCTAssertEqual(rest.logits, Array(golden.golden.logits[count...]), "\(golden.name), \(count)")
                XCTAssertEqual(rest.layers, Array(golden.golden.layers[count...]), "\(golden.name), \(count)")
            }
        }
    }

    /// The same with a cache of bytes, over pieces of the file that are not whole.
    func testLongTextsAndCachesOfBytes() throws {
        for (name, cache) in [
            ("tiny-llama", CacheType.int8), ("tiny-gemma", .int8), ("tiny-llama", .half), ("tiny-opt", .half),
            ("tiny-experts", .int8),
        ] {
            let model = try GoldenModel(tiny: name).model
            let text = (0..<min(model.config.contextLength, 200)).map {
                Int32(($0 * 37 + $0 / 7) % model.config.vocabularySize)
            }
            for count in [63, 64, 65, 128, 150] where count < text.count {
                let writer = try Session(model, .init(threads: 2, kernels: kernelSets.first, cacheType: cache))
                try writer.prefill(text[..<count])
                try writer.save(to: path)
                try writer.prefill(text[count...])
                let reader = try Session(
                    model, .init(threads: 1, blockSize: 7, kernels: kernelSets.last, cacheType: cache))
                let saved = try SavedState(path: path, of: model)
                XCTAssertEqual(try reader.restore(saved, for: text), count)
                try reader.prefill(text[count...])
                XCTAssertEqual(reader.logitsHash, writer.logitsHash, "\(name), \(cache), \(count)")
            }
        }
    }

    /// Only what a prompt begins with is taken, and one token is left to evaluate.
    func testPromptsThatBeginAlike() throws {
        let golden = try GoldenModel(tiny: "tiny-llama")
        let session = try golden.session()
        try session.prefill(golden.tokens[..<40])
        try session.save(to: path)
        let saved = try SavedState(path: path, of: golden.model)
        var other = golden.tokens
        other[20] = (other[20] + 1) % 50
        for (prompt, count) in [
            (other, 20), (Array(golden.tokens[..<40]), 39), (Array(golden.tokens[..<10]), 9), ([golden.tokens[0]], 0),
            ([other[20]], 0), ([], 0),
        ] as [([Int32], Int)] {
            XCTAssertEqual(try session.restore(saved, for: prompt), count)
            XCTAssertEqual(session.tokens, Array(prompt[..<count]))
            guard !prompt.isEmpty else { continue }
            try session.prefill(prompt[count...])
            let alone = try golden.session()
            try alone.prefill(prompt)
            XCTAssertEqual(session.logitsHash, alone.logitsHash)
        }
        XCTAssertEqual(try session.restore(saved), 40)
        // A context that is too short for all, and one that is too short for the prompt.
        let short = try golden.session(context: 30)
        try short.prefill([1, 2])
        XCTAssertEqual(try short.restore(saved, for: golden.tokens), 30)
        XCTAssertThrowsError(try short.restore(saved)) { XCTAssertTrue("\($0)".contains("larger context"), "\($0)") }
        XCTAssertEqual(short.tokens, [])
        // Nothing at all.
        short.rewind(to: 0)
        XCTAssertEqual(try short.save(to: path), 0)
        XCTAssertEqual(try session.restore(SavedState(path: path, of: golden.model)), 0)
    }

    /// What was decoded with some neurons only is not what a prompt has: it is not kept.
    func testOfSparseSessionsThePromptIsKept() throws {
        let golden = try GoldenModel(tiny: "tiny-opt-predictors")
        let options = Session.Options(threads: 1, sparsity: .predicted())
        let writer = try Session(golden.model, options)
        try writer.prefill(golden.tokens[..<10])
        for token in golden.tokens[10..<20] { try writer.decode(token) }
        XCTAssertEqual(try writer.save(to: path), 10)
        // Prefilled again, they are.
        writer.rewind(to: 12)
        XCTAssertEqual(try writer.save(to: path), 10)
        writer.rewind(to: 8)
        try writer.prefill(golden.tokens[8..<20])
        XCTAssertEqual(try writer.save(to: path), 20)
        let reader = try Session(golden.model, options)
        try reader.restore(SavedState(path: path, of: golden.model))
        for session in [reader, writer] { for token in golden.tokens[20..<30] { try session.decode(token) } }
        XCTAssertEqual(reader.logitsHash, writer.logitsHash)
        // Without sparsity nothing is left out.
        let dense = try golden.session()
        for token in golden.tokens[..<20] { try dense.decode(token) }
        XCTAssertEqual(try dense.save(to: path), 20)
    }

    /// Drafts leave nothing in the file: neither those that were not chosen, nor, where the text is that of all neurons, sparse ones.
    func testOfSessionsWithDraftsTheTextIsKept() throws {
        for (name, options) in [
            ("tiny-llama", Session.Options(threads: 1, speculation: .promptLookup)),
            ("tiny-opt-predictors", .init(threads: 1, sparsity: .predicted(), speculation: .selfDraft)),
        ] {
            let golden = try GoldenModel(tiny: name)
            let writer = try Session(golden.model, options)
            var greedy = GenerationOptions()
            greedy.sampling = .greedy
            greedy.maxTokens = 20
            let prompt = Array(golden.tokens[..<8] + golden.tokens[..<8] + golden.tokens[..<5])
            var generation = try writer.generation(prompt: prompt, greedy)
            while try generation.next() != nil {}
            let text = writer.tokens
            XCTAssertEqual(try writer.save(to: path), text.count)
            let (reader, alone) = try (golden.session(), golden.session())
            XCTAssertEqual(try reader.restore(SavedState(path: path, of: golden.model)), text.count)
            try alone.prefill(text)
            for session in [reader, alone] { try session.decode(1) }
            XCTAssertEqual(reader.logitsHash, alone.logitsHash, name)
        }
    }

    /// A file of another model, type of cache or rotation is refused by name.
    func testFilesThatDoNotFitAreRefused() throws {
        func refusal(_ state: @autoclosure () throws -> SavedState, _ session: Session) -> String {
            do {
                try session.restore(state())
                return "none"
            } catch { return "\(error)" }
        }
        let golden = try GoldenModel(tiny: "tiny-llama")
        let session = try golden.session()
        try session.prefill(golden.tokens[..<20])
        try session.save(to: path)
        let other = try GoldenModel(tiny: "tiny-llama-relu")
        let wrong = refusal(try SavedState(path: path, of: other.model), try other.session())
        XCTAssertTrue(wrong.hasPrefix("\(path): model: is another one than "), wrong)
        let swapped = refusal(try SavedState(path: path, of: golden.model), try other.session())
        XCTAssertEqual(swapped, wrong)
        let bytes = try Session(golden.model, .init(threads: 1, cacheType: .int8))
        let type = refusal(try SavedState(path: path, of: golden.model), bytes)
        XCTAssertTrue(type.hasPrefix("\(path): cache: is of type half"), type)
        for text in [wrong, type] { XCTAssertTrue(text.hasSuffix("choose another file, or delete this one"), text) }
        // Rotations that depend on the context.
        let long = try GoldenModel(tiny: "tiny-longrope")
        let reader = try long.session(context: 16), writer = try long.session()
        try writer.prefill(long.tokens[..<10])
        try writer.save(to: path)
        let rotation = refusal(try SavedState(path: path, of: long.model), reader)
        XCTAssertTrue(rotation.hasPrefix("\(path): positions: "), rotation)
        // What is no such file is not taken for one, and what is none is told as such.
        XCTAssertTrue(
            refusal(try SavedState(path: golden.path, of: golden.model), session).contains("no saved session"))
        XCTAssertTrue(refusal(try SavedState(path: directory.path, of: golden.model), session).contains("a directory"))
        XCTAssertTrue(refusal(try SavedState(path: path + "2", of: golden.model), session).contains("cannot open"))
        XCTAssertThrowsError(try session.save(to: directory.path))
        XCTAssertThrowsError(try session.save(to: directory.path + "/no/where"))
    }

    /// A model converted in memory is the model that the file has.
    func testTheModelOfASourceIsThatOfItsNativeFile() throws {
        let source = directory.write(TinyModel.llama(), "source.gguf")
        let native = directory.path + "/native.gguf"
        try convert(source, to: native)
        let (inMemory, inFile) = (try Model(path: source), try Model(path: native))
        let session = try Session(inMemory, .init(threads: 1))
        try session.prefill([1, 2, 3])
        try session.save(to: path)
        XCTAssertEqual(try SavedState(path: path, of: inFile).tokens, [1, 2, 3])
    }
}
