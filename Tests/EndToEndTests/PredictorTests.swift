// SPDX-License-Identifier: Apache-2.0

import SIMDKernels
import TinySparse
import TinyTraining
import XCTest

/// Running with predictors: the bits of the reference, and files whose predictors are strange or broken.
final class PredictorTests: XCTestCase {
    private func models() throws -> [GoldenModel] {
        try [
            "tiny-opt-predictors", "tiny-llama-predictors", "tiny-llama-gates", "tiny-opt-groups", "tiny-bitnet",
            "tiny-bamboo", "tiny-fatrelu", "tiny-parallel-two", "tiny-powerinfer", "tiny-powerinfer-falcon",
            "tiny-dejavu", "tiny-relu-ternary",
        ].map { try GoldenModel(tiny: $0) }
    }

    func testPredictedBitsAreThoseOfTheReference() throws {
        for golden in try models() {
            let wanted = try Trace(hashes: stem(golden) + ".predicted.hashes.txt")
            XCTAssertNotEqual(wanted, golden.golden, golden.name)
            for kernels in kernelSets {
                for (threads, block) in [(1, 1), (1, 128), (2, 1), (2, 7), (3, 64)] {
                    let session = try golden.session(kernels, threads: threads, block: block, sparsity: .predicted())
                    assertSame(
                        try session.trace(golden.tokens), wanted,
                        "\(golden.name), \(kernels), \(threads) threads, blocks of \(block)")
                }
            }
        }
    }

    func testDenseAndGivenChoicesOfModelsWithPredictors() throws {
        for golden in try models() {
            assertSame(try golden.session(block: 7).trace(golden.tokens), golden.golden, golden.name)
            for name in ["sparse", "edge"] {
                let (mask, wanted) = try golden.sparse(name)
                assertSame(
                    try golden.session(threads: 2, block: 7, sparsity: mask).trace(golden.tokens), wanted,
                    "\(golden.name) \(name)")
            }
        }
    }

    /// A prompt is dense however it is cut, and what follows is sparse on its keys and values.
    func testPromptsAreReadDense() throws {
        for golden in try models() {
            let prompt = golden.tokens.prefix(20), rest = golden.tokens.dropFirst(20)
            func bits(_ session: Session) -> [UInt32] { session.logits.map(\.bitPattern) }
            let dense = try golden.session(block: 64)
            try dense.evaluate(prompt)
            let promptBits = bits(dense)
            try dense.evaluate(rest)
            var after: Set<[UInt32]> = []
            for (threads, block) in [(1, 1), (2, 7), (2, 64)] {
                let session = try golden.session(threads: threads, block: block, sparsity: .predicted())
                try session.prefill(prompt)
                XCTAssertEqual(bits(session), promptBits, golden.name)
                try session.evaluate(rest)
                after.insert(bits(session))
            }
            XCTAssertEqual(after.count, 1, golden.name)
            XCTAssertFalse(after.contains(bits(dense)), golden.name)
        }
    }

    func testAMarginThatKeepsAllAndOneThatKeepsNothing() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-predictors")
        assertSame(
            try golden.session(sparsity: .predicted(margin: 1e30, heads: false)).trace(golden.tokens), golden.golden,
            "all")
        let layers = golden.model.config.nLayers
        let none = SelectionMethod.fixed(
            neurons: .init(repeating: [], count: layers), heads: .init(repeating: nil, count: layers))
        assertSame(
            try golden.session(sparsity: .predicted(margin: -1e30, heads: false)).trace(golden.tokens),
            try golden.session(sparsity: none).trace(golden.tokens), "nothing")
        let all = [Float?](repeating: nil, count: layers)
        assertSame(
            try golden.session(sparsity: .thresholds(neurons: all, heads: all)).trace(golden.tokens), golden.golden,
            "dense")
        XCTAssertThrowsError(try golden.session(sparsity: .thresholds(neurons: all.dropLast(), heads: all)))
        XCTAssertThrowsError(try golden.session(sparsity: .thresholds(neurons: [.nan] + all.dropFirst(), heads: all)))
    }

    func testKeepComputesTheShareAsked() throws {
        let golden = try GoldenModel(tiny: "tiny-llama-predictors")
        for share in [0.05, 0.5, 0.999, 1] {
            let session = try golden.session(block: 1, sparsity: .keep(share, heads: false))
            _ = try session.trace(golden.tokens)
            let total = Double(golden.model.config.dFF)
            XCTAssertEqual(session.activity.neuronShare, (total * share).rounded(.up) / total, accuracy: 1e-9)
            XCTAssertEqual(session.activity.headShare, 1)
            let other = try golden.session("scalar", threads: 2, block: 7, sparsity: .keep(share, heads: false))
            assertSame(
                try other.trace(golden.tokens),
                try golden.session(block: 64, sparsity: .keep(share, heads: false)).trace(golden.tokens), "\(share)")
        }
    }

    func testNeuronsThatShareAScoreAreKeptTogether() throws {
        let golden = try GoldenModel(tiny: "tiny-opt-groups")
        let config = golden.model.config
        let groups = config.dFF / config.predictors.neuronGroup
        for share in [0.0, 0.3, 1] {
            let session = try golden.session(block: 1, sparsity: .keep(share, heads: false))
            _ = try session.trace(Array(golden.tokens.prefix(8)))
            // Of three layers with predictors; the fourth is dense.
            let kept = (session.activity.neuronShare * 4 - 1) / 3
            XCTAssertEqual(kept, (Double(groups) * share).rounded(.up) / Double(groups), accuracy: 1e-9)
        }
    }

    func testBrokenPredictorsAreTypedErrors() throws {
        let golden = try GoldenModel(tiny: "tiny-opt-predictors")
        func file(_ change: (inout PredictorConfig) -> Void, without missing: String = "-") throws {
            var predictors = golden.model.config.predictors
            change(&predictors)
            let image = try rewritten(golden.model.file, predictors, without: missing)
            _ = try Model(NativeModelFile(image: image, verify: true))
        }
        XCTAssertNoThrow(try file { _ in })
        func assertFails(_ kind: FormatError.Kind, _ item: String, _ body: () throws -> Void, line: UInt = #line) {
            XCTAssertThrowsError(try body(), line: line) { error in
                guard let error = error as? FormatError else { return XCTFail("\(error)", line: line) }
                XCTAssertEqual(error.kind, kind, "\(error)", line: line)
                XCTAssertTrue(error.item?.contains(item) == true, "\(error)", line: line)
            }
        }
        assertFails(.malformed, "neuron_ranks") { try file { $0.neuronRanks.removeLast() } }
        assertFails(.malformed, "neuron_ranks") { try file { $0.neuronRanks[0] = -1 } }
        assertFails(.malformed, "head_ranks") { try file { $0.headRanks[1] = 5000 } }
        assertFails(.malformed, "neuron_thresholds") { try file { $0.neuronThresholds[0] = .nan } }
        assertFails(.malformed, "head_thresholds") { try file { $0.headThresholds[0] = .infinity } }
        assertFails(.mismatch, "ffn_predictor_a") { try file { $0.neuronRanks[0] = 9 } }
        assertFails(.missing, "ffn_predictor_a") { try file { $0.neuronRanks[1] = 4 } }
        assertFails(.missing, "attn_predictor_b") { try file({ _ in }, without: "blk.1.attn_predictor_b.weight") }
        assertFails(.malformed, "neuron_group") { try file { $0.neuronGroup = 5 } }  // of 192 neurons
        assertFails(.malformed, "neuron_group") { try file { $0.neuronGroup = 0 } }
        assertFails(.mismatch, "ffn_predictor_b") { try file { $0.neuronGroup = 8 } }
        assertFails(.malformed, "gates") { try file { $0.gates = [true, false, false, false] } }  // no gates in OPT
        // No predictor where the file names none: dense, and the tensor that is left over does not matter.
        XCTAssertNoThrow(try file { $0.neuronRanks[0] = 0 })
        for (name, value) in [
            ("ffn_predictor_b.bias", Float.nan), ("ffn_predictor_a.scale", .infinity), ("ffn_predictor_b.scale", -1),
        ] {
            assertFails(.notFinite, name) {
                _ = try changedModel(golden.path, "blk.0." + name) { $0.storeBytes(of: value, as: Float.self) }
            }
        }
    }

    private func stem(_ golden: GoldenModel) -> String { String(golden.path.dropLast(".gguf".count)) }

    /// The same file with other metadata about predictors, and without one of the tensors.
    private func rewritten(_ model: NativeModelFile, _ predictors: PredictorConfig, without missing: String) throws
        -> MappedFile
    {
        var writer = GGUFWriter(alignment: 64)
        for entry in model.gguf.entries {
            let isOwn = entry.key == "general.alignment" || entry.key == "tinysparse.checksums"
            if !isOwn, !entry.key.hasPrefix("tinysparse.predictors.") { writer.copy(entry, from: model.gguf.file) }
        }
        let key = "tinysparse.predictors."
        writer.add(key + "neuron_ranks", predictors.neuronRanks.map(Int32.init))
        writer.add(key + "neuron_thresholds", predictors.neuronThresholds)
        writer.add(key + "head_ranks", predictors.headRanks.map(Int32.init))
        writer.add(key + "head_thresholds", predictors.headThresholds)
        writer.add(key + "lookahead", predictors.neuronInput == .attentionNorm)
        if predictors.neuronGroup != 1 { writer.add(key + "neuron_group", UInt32(predictors.neuronGroup)) }
        if !predictors.gates.isEmpty { writer.add(key + "gates", predictors.gates.map { $0 ? 1 : 0 } as [Int32]) }
        let tensors = model.gguf.tensors.filter { $0.name != missing }
        writer.addChecksums("tinysparse.checksums", count: tensors.count)
        for tensor in tensors { writer.addTensor(tensor.name, tensor.format!, dimensions: tensor.dimensions) }
        var layout = writer.finish()
        for (index, tensor) in tensors.enumerated() {
            layout.set(checksum: xxHash64(model.gguf.bytes(of: tensor)), ofTensor: index)
        }
        let image = try MappedFile(memoryNamed: model.path, size: layout.size)
        layout.header.withUnsafeBytes { image.writable.copyMemory(from: $0) }
        for (index, tensor) in tensors.enumerated() {
            UnsafeMutableRawBufferPointer(rebasing: image.writable[layout.tensors[index]])
                .copyMemory(from: model.gguf.bytes(of: tensor))
        }
        image.seal()
        return image
    }
}
