// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import TinyTraining
import XCTest

/// The bits of the reference once more: models that are converted here, models made anew, the shipped one
/// and a real one.
final class ExactnessTests: XCTestCase {
    override func setUpWithError() throws { try TestTier.needFull() }

    func testConvertedModelsRunToTheReferencesBits() throws {
        let reference = try NumpyReference()
        for (name, type) in [
            ("llama", "F32"), ("llama", "BF16"), ("llama-relu", "F16"), ("opt", "F32"), ("opt", "F16"),
            ("opt-gelu", "BF16"), ("opt-gelu-erf", "F32"), ("llama-biases", "F32"),
        ] {
            let folder = try TemporaryFolder()
            try reference.run("make_tiny.py", "--hf", name, folder.path("model"), "--dtype", type)
            let native = folder.path("native.gguf")
            try convert(folder.path("model"), to: native)
            try reference.run("make_tiny.py", "--goldens", native, folder.path("native"))
            let golden = try GoldenModel(path: native, prefix: folder.path("native"))
            for kernels in kernelSets { try assertExact(golden, kernels, "\(name) of \(type)") }
            // The same model without a native file: converted in memory.
            let model = try Model(path: folder.path("model"))
            assertSame(
                try Session(model, .init(threads: 2)).trace(golden.tokens), golden.golden,
                "\(name) of \(type), in memory")
        }
    }

    func testModelsMadeAnewRunToTheReferencesBits() throws {
        let reference = try NumpyReference()
        for (i, name) in ["llama", "llama-relu", "opt", "llama-factors", "opt-gelu", "opt-gelu-erf"].enumerated() {
            let folder = try TemporaryFolder()
            try reference.run("make_tiny.py", "--native", name, folder.path("m.gguf"), "--seed", "\(100 + i)")
            try reference.run("make_tiny.py", "--goldens", folder.path("m.gguf"), folder.path("m"))
            let golden = try GoldenModel(path: folder.path("m.gguf"), prefix: folder.path("m"))
            for kernels in kernelSets { try assertExact(golden, kernels, "\(name), another seed") }
        }
    }

    /// The committed models are too small to be worth splitting; in this one, threads share every matrix.
    func testAModelLargeEnoughToBeSplitAmongThreadsRunsToTheReferencesBits() throws {
        let reference = try NumpyReference()
        let folder = try TemporaryFolder()
        try reference.run("make_tiny.py", "--big", folder.path("big.gguf"))
        try reference.run("make_tiny.py", "--goldens", folder.path("big.gguf"), folder.path("big"))
        let golden = try GoldenModel(path: folder.path("big.gguf"), prefix: folder.path("big"))
        for kernels in kernelSets {
            for threads in 1...4 {
                for block in [1, 3, 128] {
                    let what = "\(kernels), \(threads) threads, blocks of \(block)"
                    assertSame(
                        try golden.session(kernels, threads: threads, block: block).trace(golden.tokens), golden.golden,
                        what)
                    for name in ["sparse", "edge"] {
                        let (mask, wanted) = try golden.sparse(name)
                        let session = try golden.session(kernels, threads: threads, block: block, sparsity: mask)
                        assertSame(try session.trace(golden.tokens), wanted, "\(name), \(what)")
                    }
                }
            }
        }
    }

    private func assertExact(_ golden: GoldenModel, _ kernels: String, _ what: String) throws {
        for (threads, block) in [(1, 128), (2, 5)] {
            assertSame(
                try golden.session(kernels, threads: threads, block: block).trace(golden.tokens), golden.golden,
                "\(what), \(kernels)")
            for name in ["sparse", "edge"] {
                let (mask, wanted) = try golden.sparse(name)
                assertSame(
                    try golden.session(kernels, threads: threads, block: block, sparsity: mask).trace(golden.tokens),
                    wanted, "\(what), \(name), \(kernels)")
            }
        }
    }

    /// The goldens are made by `make_tiny.py --goldens models/tinysparse-fairy.gguf models/reference/tinysparse-fairy`.
    func testTheShippedModelRunsToTheReferencesBits() throws {
        let path = packageFolder.appendingPathComponent("models/tinysparse-fairy.gguf").path
        let prefix = packageFolder.appendingPathComponent("models/reference/tinysparse-fairy").path
        for file in [path, prefix + ".tokens.txt", prefix + ".dense.hashes.txt"] {
            guard FileManager.default.fileExists(atPath: file) else { throw XCTSkip("SKIPPED: there is no \(file)") }
        }
        let golden = try GoldenModel(path: path, prefix: prefix)
        for kernels in kernelSets {
            for (threads, block) in [(1, 128), (2, 7), (2, 1), (3, 4096)] {
                assertSame(
                    try golden.session(kernels, threads: threads, block: block).trace(golden.tokens), golden.golden,
                    "\(kernels), \(threads) threads, blocks of \(block)")
            }
            for name in ["sparse", "edge"] where FileManager.default.fileExists(atPath: "\(prefix).\(name).hashes.txt")
            {
                let (mask, wanted) = try golden.sparse(name)
                for block in [1, 128] {
                    assertSame(
                        try golden.session(kernels, threads: 2, block: block, sparsity: mask).trace(golden.tokens),
                        wanted,
                        "\(kernels), \(name), blocks of \(block)")
                }
            }
        }
    }

    /// TINYSPARSE_SMOLLM2 names a GGUF file of SmolLM2-135M.
    func testARealModelRunsToTheSameBitsEverywhereAndToTheReferences() throws {
        guard let path = ProcessInfo.processInfo.environment["TINYSPARSE_SMOLLM2"] else {
            throw XCTSkip("SKIPPED: TINYSPARSE_SMOLLM2 names no model file")
        }
        let folder = try TemporaryFolder()
        let native = folder.path("smollm2.gguf")
        try convert(path, to: native)
        let model = try Model(path: native)
        let tokens = model.tokenizer.encode(
            "Once upon a time there was a little robot who could not stop counting to 17.")
        XCTAssertGreaterThan(tokens.count, 10)
        let wanted = try Session(model, .init(threads: 2)).trace(tokens)
        for kernels in kernelSets {
            for (threads, block) in [(1, 1), (2, 7), (3, 128)] {
                assertSame(
                    try Session(model, .init(threads: threads, blockSize: block, kernels: kernels)).trace(tokens),
                    wanted,
                    "\(kernels), \(threads) threads, blocks of \(block)")
            }
        }
        let reference = try NumpyReference()
        let few = tokens.prefix(6)
        let output = try reference.run(
            "reference.py", native, "--layers", "--tokens", few.map { "\($0)" }.joined(separator: ","))
        try output.write(toFile: folder.path("hashes.txt"), atomically: true, encoding: .utf8)
        let golden = try Trace(hashes: folder.path("hashes.txt"))
        XCTAssertEqual(golden.logits.count, few.count)
        assertSame(
            Trace(logits: Array(wanted.logits.prefix(few.count)), layers: Array(wanted.layers.prefix(few.count))),
            golden,
            "against the reference")
    }
}
