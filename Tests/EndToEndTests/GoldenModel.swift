// SPDX-License-Identifier: Apache-2.0

import Foundation
import SIMDKernels
import TinySparse
import TinyTraining
import XCTest

/// The package's own folder.
let packageFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// What a reading of tokens came to, as hashes.
struct Trace: Equatable {
    /// One a position.
    var logits: [UInt64] = []
    /// For every position one a layer.
    var layers: [[UInt64]] = []
}

/// A model with the hashes that the independent reference has computed for its tokens.
struct GoldenModel {
    let name: String
    let path: String
    let model: Model
    let tokens: [Int32]
    /// Of all neurons and heads.
    let golden: Trace
    private let prefix: String

    /// - Parameter prefix: what the golden files' names begin with, `.tokens.txt` and so on following.
    init(path: String, prefix: String) throws {
        self.path = path
        self.prefix = prefix
        name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        model = try Model(path: path)
        let list = try String(contentsOfFile: prefix + ".tokens.txt", encoding: .utf8)
        tokens = list.split { $0 == "," || $0.isWhitespace }.map { Int32($0)! }
        golden = try Trace(hashes: prefix + ".dense.hashes.txt")
        XCTAssertEqual(golden.logits.count, tokens.count)
        XCTAssertEqual(golden.layers.first?.count, model.config.nLayers)
    }

    /// A committed tiny model, "tiny-llama" for instance.
    init(tiny name: String) throws {
        let stem = packageFolder.appendingPathComponent("Tests/EndToEndTests/Reference/fixtures/\(name)").path
        try self.init(path: stem + ".gguf", prefix: stem)
    }

    static func tiny() throws -> [GoldenModel] {
        try [
            "tiny-llama", "tiny-llama-relu", "tiny-opt", "tiny-llama-factors", "tiny-opt-gelu", "tiny-opt-gelu-erf",
            "tiny-llama-qkv-biases", "tiny-llama-biases", "tiny-gemma", "tiny-olmo", "tiny-parallel",
            "tiny-parallel-two",
            "tiny-bitnet", "tiny-bitnet-w4", "tiny-bitnet-ternary", "tiny-bamboo", "tiny-fatrelu", "tiny-opt-350m",
            "tiny-longrope",
        ].map { try .init(tiny: $0) }
    }

    /// Those whose neurons a router chooses.
    static func experts() throws -> [GoldenModel] {
        try ["tiny-experts", "tiny-experts-shared", "tiny-experts-ahead"].map { try .init(tiny: $0) }
    }

    func session(
        _ kernels: String? = nil, threads: Int = 1, block: Int = 128, context: Int = 0, sparsity: SelectionMethod = .off
    ) throws -> Session {
        try Session(
            model, .init(threads: threads, context: context, blockSize: block, kernels: kernels), sparsity)
    }

    /// A case with some neurons and heads only: which ones, and what that comes to.
    func sparse(_ name: String) throws -> (mask: SelectionMethod, golden: Trace) {
        var neurons = [[Int32]?](repeating: nil, count: model.config.nLayers), heads = neurons
        for line in try String(contentsOfFile: "\(prefix).\(name).mask.txt", encoding: .utf8).split(separator: "\n") {
            let fields = line.split(separator: " ")
            let list = fields[2] == "-" ? [] : fields[2].split(separator: ",").map { Int32($0)! }
            if fields[0] == "neurons" { neurons[Int(fields[1])!] = list } else { heads[Int(fields[1])!] = list }
        }
        return (.fixed(neurons: neurons, heads: heads), try Trace(hashes: "\(prefix).\(name).hashes.txt"))
    }
}

extension Trace {
    /// Reads a file of lines `POSITION HASH HASH_OF_LAYER...`.
    init(hashes path: String) throws {
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
            let fields = line.split(separator: " ").dropFirst().map { UInt64($0, radix: 16)! }
            logits.append(fields[0])
            layers.append(Array(fields.dropFirst()))
        }
    }
}

func hash(_ values: some Collection<Float>) -> UInt64 {
    Array(values).withUnsafeBytes { xxHash64($0) }
}

extension Session {
    /// Reads `new` and tells what every position came to.
    func trace(_ new: [Int32]) throws -> Trace {
        var byLayer = [[UInt64]](repeating: [], count: model.config.nLayers)
        let width = model.config.dModel
        observeLayers { state in
            guard state.layer >= 0 else { return }
            for t in 0..<state.tokens { byLayer[state.layer].append(hash(state.hidden[t * width..<(t + 1) * width])) }
        }
        defer { observeLayers(nil) }
        var trace = Trace()
        let start = tokens.count
        try evaluate(new, logitsFrom: 0) { position, logits in
            XCTAssertEqual(position, start + trace.logits.count)
            trace.logits.append(hash(logits))
        }
        trace.layers = new.indices.map { t in byLayer.map { $0[t] } }
        return trace
    }

    var logitsHash: UInt64 { hash(logits) }
}

/// The names of the kernel sets that this build and CPU have.
let kernelSets: [String] = Kernels.available.map(\.name)

/// Fails with the first position at which the two differ.
func assertSame(
    _ got: Trace, _ wanted: Trace, _ what: @autoclosure () -> String, file: StaticString = #filePath, line: UInt = #line
) {
    guard got != wanted else { return }
    guard got.logits.count == wanted.logits.count else {
        return XCTFail(
            "\(what()): \(got.logits.count) positions instead of \(wanted.logits.count)", file: file, line: line)
    }
    for t in got.logits.indices {
        for (n, (a, b)) in zip(got.layers[t], wanted.layers[t]).enumerated() where a != b {
            return XCTFail("\(what()): position \(t) differs from layer \(n) on", file: file, line: line)
        }
        if got.logits[t] != wanted.logits[t] {
            return XCTFail("\(what()): the logits of position \(t) differ", file: file, line: line)
        }
    }
    XCTFail("\(what()): differs", file: file, line: line)
}

/// The model of a native file after `change` to a tensor's bytes; checksums are not compared.
func changedModel(_ path: String, _ tensor: String, _ change: (UnsafeMutableRawBufferPointer) -> Void) throws -> Model {
    let file = try MappedFile(path: path)
    let gguf = try GGUF(file)
    guard let found = gguf.tensor(tensor) else {
        throw FormatError(.missing, path: path, item: tensor, "no such tensor")
    }
    let bytes = gguf.bytes(of: found)
    let start = bytes.baseAddress! - file.bytes.baseAddress!
    let image = try MappedFile(memoryNamed: path, size: file.size)
    image.writable.copyMemory(from: file.bytes)
    change(UnsafeMutableRawBufferPointer(rebasing: image.writable[start..<start + bytes.count]))
    image.seal()
    return try Model(NativeModelFile(image: image, verify: false))
}
