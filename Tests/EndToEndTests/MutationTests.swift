// SPDX-License-Identifier: Apache-2.0

import Foundation
import Quant
import TinySparse
import XCTest

/// Damaged and hostile files: each ends in a `FormatError` or loads and can be
/// read to the last byte. A trap ends the whole test run.
final class MutationTests: XCTestCase {
    func testGGUF() throws {
        let good = [
            TinyModel.llama(),
            TinyModel.gguf(TinyModel.llamaTensors(seed: 9), alignment: 64, version: 2),
        ]
        try run("GGUF", good, count: 20_000) { bytes, _ in
            let gguf = try GGUF(inMemory(bytes))
            Self.readEverything(gguf)
            try Self.readEverything(NativeModelFile(image: nativeImage(gguf), verify: true))
        }
    }

    /// Overwrites every place of the headers with numbers that lie.
    func testEveryPlaceOfTheHeadersLies() throws {
        for (name, good) in [("GGUF", TinyModel.llama()), ("native", try TinyModel.native())] {
            let header = try GGUF(inMemory(good)).tensors.map(\.range.lowerBound).min()!
            var random = TestRandom(state: 5)
            var (files, refused) = (0, 0)
            for place in stride(from: 0, to: header - 8, by: TestTier.isFull ? 1 : 50) {
                for width in [4, 4, 4, 8, 8, 8] {
                    var bytes = good
                    withUnsafeBytes(of: Self.evil.randomElement(using: &random)!) {
                        bytes.replaceSubrange(place..<(place + width), with: $0[..<width])
                    }
                    files += 1
                    do {
                        let gguf = try GGUF(inMemory(bytes))
                        Self.readEverything(gguf)
                        let isNative = name == "native"
                        let image = isNative ? gguf.file : try nativeImage(gguf)
                        try Self.readEverything(NativeModelFile(image: image, verify: false))
                    } catch is FormatError {
                        refused += 1
                    }
                }
            }
            print("mutations, every place of \(name): \(files) files, \(refused) refused, 0 crashes")
        }
    }

    func testNative() throws {
        let optDirectory = TemporaryDirectory()
        TinyModel.writeOPT(to: optDirectory)
        let opt = try nativeImage(optDirectory.path).contents
        try run("native", [TinyModel.native(), opt], count: 20_000) { bytes, number in
            // Without checksums every other check has to hold on its own.
            let file = try NativeModelFile(image: inMemory(bytes), verify: number % 4 == 0)
            Self.readEverything(file.gguf)
            try Self.readEverything(file)
        }
    }

    func testSafetensors() throws {
        try run("safetensors", [TinyModel.safetensors(TinyModel.optTensors())], count: 10_000) {
            bytes, _ in
            let file = try Safetensors(inMemory(bytes))
            for tensor in file.tensors { Self.touch(file.bytes(of: tensor)) }
        }
    }

    func testHuggingFaceDirectories() throws {
        let good = TinyModel.safetensors(TinyModel.optTensors())
        let directory = TemporaryDirectory()
        TinyModel.writeOPT(to: directory)
        try run("directory: weights", [good], count: 400) { bytes, _ in
            _ = directory.write(bytes, "model.safetensors")
            try Self.readEverything(NativeModelFile(image: nativeImage(directory.path), verify: true))
        }
        for (name, text) in [
            ("config.json", TinyModel.optConfig),
            ("tokenizer.json", TinyModel.tokenizerJSON),
        ] {
            TinyModel.writeOPT(to: directory)
            try run("directory: \(name)", [Array(text.utf8)], count: 400) { bytes, _ in
                _ = directory.write(bytes, name)
                try Self.readEverything(NativeModelFile(image: nativeImage(directory.path), verify: true))
            }
        }
    }

    // MARK: Running

    private func run(
        _ name: String, _ good: [[UInt8]], count: Int, _ load: ([UInt8], Int) throws -> Void
    ) throws {
        for bytes in good { try load(bytes, 0) }
        var (loaded, refused) = (0, 0)
        let count = TestTier.count(count)
        for number in 0..<count {
            let bytes = Self.mutated(good[number % good.count], seed: UInt64(number))
            do {
                try load(bytes, number)
                loaded += 1
            } catch is FormatError {
                refused += 1
            } catch {
                XCTFail("\(name) \(number): untyped error \(error)")
            }
        }
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        XCTAssertLessThan(usage.ru_maxrss, 1 << 20, "KiB of memory")
        print(
            "mutations, \(name): \(count) files, \(refused) refused, \(loaded) loaded, "
                + "0 crashes, peak \(usage.ru_maxrss / 1024) MiB")
    }

    /// Values that overflow, reach beyond the end, or sit on a boundary.
    private static let evil: [UInt64] = [
        0, 1, 2, 3, 7, 31, 63, 0x7f, 0x80, 0xff, 0xffff, 1 << 16, 1 << 20, 1 << 30,
        0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, 1 << 60, 1 << 62,
        0x7fff_ffff_ffff_fffe, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000,
        0xffff_ffff_ffff_fff0, 0xffff_ffff_ffff_ffff,
    ]

    private static let evilText = [
        "-1", "0", "1e999", "18446744073709551616", "9223372036854775807", "null", "[", "]", "{", "}",
        "\"", "\\", "\\ud800", "\u{0}", ",", ":", "[[[[[[[[", "1.5", "true", "../x",
    ]

    private static func mutated(_ good: [UInt8], seed: UInt64) -> [UInt8] {
        var random = TestRandom(state: seed &* 0x1234_5678_9abc_def1)
        var bytes = good
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            guard bytes.count > 16 else { break }
            // Most of what can go wrong is in the header.
            let anywhere = Int.random(in: 0..<4, using: &random) == 0
            let end = anywhere ? bytes.count : min(bytes.count, 5000)
            let place = Int.random(in: 0..<(end - 8), using: &random)
            switch Int.random(in: 0..<9, using: &random) {
            case 0: bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random))
            case 1: bytes = Array(bytes[..<place])
            case 2, 3: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 4:
                let value = evil.randomElement(using: &random)!
                withUnsafeBytes(of: value) { bytes.replaceSubrange(place..<(place + 8), with: $0) }
            case 5:
                let value = UInt32(truncatingIfNeeded: evil.randomElement(using: &random)!)
                withUnsafeBytes(of: value) { bytes.replaceSubrange(place..<(place + 4), with: $0) }
            case 6:
                let length = min(Int.random(in: 1...40, using: &random), bytes.count - place)
                bytes.removeSubrange(place..<(place + length))
            case 7:
                let length = min(Int.random(in: 1...40, using: &random), bytes.count - place)
                bytes.insert(contentsOf: bytes[place..<(place + length)], at: place)
            default:
                let text = Array(evilText.randomElement(using: &random)!.utf8)
                let length = min(Int.random(in: 0...text.count, using: &random), bytes.count - place)
                bytes.replaceSubrange(place..<(place + length), with: text)
            }
        }
        return bytes
    }

    // MARK: Reading everything

    private static func readEverything(_ gguf: GGUF) {
        for entry in gguf.entries {
            _ = try? entry.integer(in: gguf.file)
            _ = try? entry.double(in: gguf.file)
            _ = try? entry.bool(in: gguf.file)
            _ = try? entry.string(in: gguf.file)
            _ = try? entry.byteStrings(in: gguf.file)
            _ = try? entry.int32s(in: gguf.file)
            _ = try? entry.floats(in: gguf.file)
            _ = try? entry.uint64s(in: gguf.file)
        }
        for tensor in gguf.tensors { touch(gguf.bytes(of: tensor)) }
    }

    private static func readEverything(_ file: NativeModelFile) throws {
        _ = try? file.tokenizerSpec()
        for spec in file.config.tensorSpecs {
            switch try file.tensor(spec.id) {
            case .floats(let values):
                XCTAssertEqual(values.count, spec.sourceShape.reduce(1, *))
                touch(values)
            case .int8(let matrix, let isNeuronMajor):
                touch(matrix, scales: isNeuronMajor ? matrix.cols : matrix.rows)
            case .fourBit(let matrix):
                let size =
                    FourBitMatrix.blockBytes(forColumns: matrix.cols) * FourBitMatrix.blocks(forRows: matrix.rows)
                touch(UnsafeRawBufferPointer(start: matrix.blocks, count: size))
            case .ternary(let matrix):
                touch(UnsafeRawBufferPointer(start: matrix.weights, count: matrix.rows * matrix.stride))
                touch(UnsafeBufferPointer(start: matrix.scales, count: matrix.rows))
            }
        }
        XCTAssertNoThrow(try file.tensor(TensorID(.lmHead)))
    }

    private static func touch(_ matrix: Matrix, scales: Int) {
        XCTAssertLessThanOrEqual(matrix.cols, matrix.stride)
        XCTAssertEqual(Int(bitPattern: matrix.weights) % 64, 0)
        XCTAssertEqual(Int(bitPattern: matrix.scales) % 64, 0)
        touch(UnsafeRawBufferPointer(start: matrix.weights, count: matrix.rows * matrix.stride))
        touch(UnsafeBufferPointer(start: matrix.scales, count: scales))
    }

    private static func touch(_ values: UnsafeBufferPointer<Float>) {
        XCTAssertEqual(Int(bitPattern: values.baseAddress!) % 64, 0)
        touch(UnsafeRawBufferPointer(values))
    }

    private static func touch(_ bytes: UnsafeRawBufferPointer) {
        XCTAssertGreaterThanOrEqual(xxHash64(bytes), 0)  // reads them all
    }
}
