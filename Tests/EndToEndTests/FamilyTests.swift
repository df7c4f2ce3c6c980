// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// Every family of models computes what Transformers, or its published code, computes, up to the rounding of int8; and every
/// field of a configuration that changes something is read, or refused. `Families/README.md` describes the fixtures.
final class FamilyTests: XCTestCase {
    private static let folder = packageFolder.path + "/Tests/EndToEndTests/Families/"
    private let directory = TemporaryDirectory()

    /// A tiny model and what it computes.
    private struct Case {
        let name: String
        let config: JSON
        let expected: JSON
        let tokens: [Int32]
        /// Of some positions, one after another.
        let logits: [Float]
        let kept: [Int]

        var files: String { FamilyTests.folder + name + "/" }

        init(_ name: String) throws {
            self.name = name
            let folder = FamilyTests.folder + name
            config = try JSON.parse([UInt8](Data(contentsOf: URL(fileURLWithPath: folder + "/config.json"))))
            expected = try JSON.parse([UInt8](Data(contentsOf: URL(fileURLWithPath: folder + "/expected.json"))))
            tokens = expected["tokens"]!.array!.map { Int32($0.integer!) }
            kept = expected["kept_positions"]!.array!.map { Int($0.integer!) }
            let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/logits.f32"))
            logits = data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        }

        /// All families, or those whose names begin so.
        static func all(_ prefix: String = "") throws -> [Case] {
            try FileManager.default.contentsOfDirectory(atPath: FamilyTests.folder).sorted().filter {
                $0.hasPrefix(prefix) && FileManager.default.fileExists(atPath: FamilyTests.folder + $0 + "/logits.f32")
            }.map { try Case($0) }
        }

        /// What the error of int8 weights and activations may come to: 1.3 times that of an emulation.
        var tolerance: Double { 1.3 * max(expected["rms_int8"]!.double!, expected["rms_int8_max"]?.double ?? 0) }

        /// The root mean square of the differences between centered logits, and the share of positions with the same best
        /// token.
        func distance(_ got: [[Float]]) -> (rms: Double, top1: Double) {
            let vocabulary = logits.count / kept.count
            var sum = 0.0
            for (i, position) in kept.enumerated() {
                let wanted = FamilyTests.centered(Array(logits[i * vocabulary..<(i + 1) * vocabulary]))
                for (a, b) in zip(FamilyTests.centered(got[position]), wanted) { sum += (a - b) * (a - b) }
            }
            let greedy = expected["greedy"]!.array!.map { Int($0.integer!) }
            let same = zip(got, greedy).filter { $0.firstIndex(of: $0.max()!) == $1 }.count
            return ((sum / Double(logits.count)).squareRoot(), Double(same) / Double(got.count))
        }
    }

    private static func centered(_ x: [Float]) -> [Double] {
        let mean = x.reduce(0) { $0 + Double($1) } / Double(x.count)
        return x.map { Double($0) - mean }
    }

    /// The folder of a case, with a configuration of its own and the tokenizer that all share.
    private func folder(_ item: Case, config: JSON? = nil) throws -> String {
        let files = directory.path + "/" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: files, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: files + "/model.safetensors", withDestinationPath: item.files + "model.safetensors")
        try FileManager.default.createSymbolicLink(
            atPath: files + "/tokenizer.json", withDestinationPath: Self.folder + "tokenizer.json")
        if let config {
            try Data(config.text.utf8).write(to: URL(fileURLWithPath: files + "/config.json"))
        } else {
            try FileManager.default.createSymbolicLink(
                atPath: files + "/config.json", withDestinationPath: item.files + "config.json")
        }
        return files
    }

    private func logits(_ model: Model, _ item: Case) throws -> [[Float]] {
        var options = Session.Options()
        // Where rotations depend on the length of a text, that is the session's context here.
        if item.expected["context"] != nil { options.context = item.tokens.count }
        let session = try Session(model, options)
        var rows: [[Float]] = []
        try session.evaluate(item.tokens, logitsFrom: 0) { rows.append(Array($1)) }
        return rows
    }

    // MARK: Tests

    func testHuggingFaceFoldersComputeWhatTransformersComputes() throws {
        let cases = try Case.all()
        XCTAssertGreaterThan(cases.count, 60)
        for item in cases {
            do {
                let result = item.distance(try logits(Model(path: folder(item)), item))
                XCTAssertNil(Self.refused[item.name])
                XCTAssertLessThan(result.rms, item.tolerance, item.name)
                XCTAssertGreaterThanOrEqual(result.top1, item.expected["top1_int8"]!.double! - 0.1, item.name)
            } catch let error as FormatError {
                XCTAssertEqual(error.item, Self.refused[item.name], "\(item.name): \(error)")
            }
        }
    }

    /// All that run, or every sixth in the quick tier.
    private static func some() throws -> [Case] {
        let all = try Case.all().filter { refused[$0.name] == nil }
        return TestTier.isFull ? all : all.enumerated().filter { $0.offset % 6 == 0 }.map(\.element)
    }

    /// What published models of these families do not have, and is refused by the name of the field.
    private static let refused = [
        "opt-plain": "layer_norm_elementwise_affine", "olmoe-clip": "clip_qkv",
        "qwen2-moe-layers": "mlp_only_layers", "qwen3-moe-layers": "mlp_only_layers",
        "stablelm-parallel": "qk_layernorm",
    ]

    func testGGUFFilesOfLlamaCppComputeTheSame() throws {
        let cases = try Case.all().filter { FileManager.default.fileExists(atPath: $0.files + "model.gguf") }
        XCTAssertGreaterThan(cases.count, 20)
        for item in cases {
            do {
                let result = item.distance(try logits(Model(path: item.files + "model.gguf"), item))
                XCTAssertLessThan(result.rms, item.tolerance, item.name)
            } catch {
                XCTFail("\(item.name): \(error)")
            }
        }
    }

    /// With another value of a field that matters, a model computes something else, or is refused: no field is ignored.
    func testNoFieldIsIgnored() throws {
        var checked = 0, refused = 0, number = 0
        for item in try Case.all() where Self.refused[item.name] == nil {
            let base = try logits(Model(path: folder(item)), item)
            for key in item.expected["keys"]!.array! {
                let name = key["key"]!.string!, effect = key["effect"]!.double!
                let changed = item.config.replacing(
                    name.split(separator: ".").map(String.init)[...], with: key["alternative"]!)
                number += 1
                guard TestTier.isFull || number % 5 == 0 else { continue }
                checked += 1
                do {
                    let other = try logits(Model(path: folder(item, config: changed)), item)
                    let vocabulary = Double(base[0].count), kept = item.kept
                    var sum = 0.0
                    for position in kept {
                        for (a, b) in zip(Self.centered(base[position]), Self.centered(other[position])) {
                            sum += (a - b) * (a - b)
                        }
                    }
                    let difference = (sum / (vocabulary * Double(kept.count))).squareRoot()
                    XCTAssertGreaterThan(difference, effect / 2, "\(item.name): \(name) has \(difference) of \(effect)")
                } catch {
                    XCTAssertTrue(error is FormatError || error is RuntimeError, "\(error)")
                    refused += 1
                }
            }
        }
        print("\(checked) fields, \(refused) of which are refused with another value")
        XCTAssertGreaterThan(number, 300)
        XCTAssertLessThan(refused, checked / 3)
    }

    /// A conversion to 4 bits runs, and the file it makes computes what the model in memory does.
    func testNativeFilesKeepEverything() throws {
        for item in try Self.some() {
            let source = try folder(item)
            for weights in [WeightFormat.int8, .w4all] {
                let path = directory.path + "/\(item.name)-\(weights).gguf"
                try convert(source, to: path, weights: weights)
                let model = try Model(path: path)
                let direct = try logits(model, item)
                if weights == .int8 {
                    XCTAssertEqual(try logits(Model(path: source), item), direct, item.name)
                } else {
                    XCTAssertLessThan(item.distance(direct).rms, 2 * item.expected["logits_std"]!.double!, item.name)
                }
            }
        }
    }

    /// The bits do not depend on kernel set, threads or blocks.
    func testEveryKernelSetGivesTheSameBits() throws {
        for item in try Self.some() {
            let model = try Model(path: folder(item))
            var wanted: [UInt32]?
            for kernels in kernelSets {
                for (threads, block) in [(1, 1), (2, 7), (2, 128)] {
                    let session = try Session(
                        model, Session.Options(threads: threads, blockSize: block, kernels: kernels))
                    var bits: [UInt32] = []
                    try session.evaluate(item.tokens, logitsFrom: 0) { bits += $1.map { $0.bitPattern } }
                    XCTAssertEqual(
                        bits, wanted ?? bits, "\(item.name), \(kernels), \(threads) threads, blocks of \(block)")
                    wanted = wanted ?? bits
                }
            }
        }
    }
}

extension JSON {
    /// With another value under a path of keys.
    fileprivate func replacing(_ path: ArraySlice<String>, with value: JSON) -> JSON {
        guard let key = path.first, case .object(let members) = self else { return value }
        let inner = (self[key] ?? .object([])).replacing(path.dropFirst(), with: value)
        return .object(members.filter { $0.key != key } + [(key: key, value: inner)])
    }

    /// As text.
    fileprivate var text: String {
        if isNull { return "null" }
        if let bool { return bool ? "true" : "false" }
        if let integer { return "\(integer)" }
        if let double { return "\(double)" }
        if let string { return String(decoding: try! JSONEncoder().encode(string), as: UTF8.self) }
        if let array { return "[" + array.map(\.text).joined(separator: ", ") + "]" }
        return "{" + object!.map { JSON.string($0.key).text + ": " + $0.value.text }.joined(separator: ", ") + "}"
    }
}
