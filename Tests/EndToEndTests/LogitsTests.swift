// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import XCTest

/// `tinysparse logits` and the NumPy files it writes.
final class LogitsTests: CommandLineTestCase {
    private let directory = TemporaryDirectory()

    /// A .npy file, read by the format's description.
    private struct Array2D {
        let rows: Int, columns: Int
        let values: [UInt32]

        init(path: String) throws {
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            XCTAssertEqual(Array(bytes.prefix(8)), [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0])
            let length = Int(bytes[8]) | Int(bytes[9]) << 8
            XCTAssertEqual((10 + length) % 64, 0)
            let header = String(decoding: bytes[10..<10 + length], as: UTF8.self)
            XCTAssert(header.hasSuffix("\n"))
            let trimmed = header.trimmingCharacters(in: .whitespacesAndNewlines)
            let prefix = "{'descr': '<f4', 'fortran_order': False, 'shape': ("
            XCTAssert(trimmed.hasPrefix(prefix) && trimmed.hasSuffix("), }"), trimmed)
            let shape = trimmed.dropFirst(prefix.count).dropLast(4).split(separator: ",").map {
                Int($0.trimmingCharacters(in: .whitespaces))
            }
            (rows, columns) = (try XCTUnwrap(shape[0]), try XCTUnwrap(shape[1]))
            XCTAssertEqual(bytes.count, 10 + length + 4 * rows * columns)
            values = stride(from: 10 + length, to: bytes.count, by: 4).map { at in
                (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) }
            }
        }
    }

    /// Writes the logits of `arguments` and reads them.
    private func logits(_ arguments: String...) throws -> (Array2D, Outcome) {
        let path = directory.path + "/logits.npy"
        let result = try tinysparse(["logits", "--force", "-o", path] + arguments)
        XCTAssertEqual(result.status, 0, result.errors)
        return (try Array2D(path: path), result)
    }

    /// The logits of every position by tokens read one by one.
    private func expected(_ ids: [Int32], _ model: Model, _ options: Session.Options = .init()) throws -> [UInt32] {
        let session = try Session(model, options)
        return try ids.flatMap { id in
            try session.decode(id)
            return session.logits.map(\.bitPattern)
        }
    }

    func testTheFileHasTheLogitsOfASession() throws {
        let model = try Model(path: Self.model)
        let text = "The brown fox and the machine."
        let ids = model.tokenizer.encode(text, addSpecial: true)
        let (array, result) = try logits("-m", Self.model, "--print-tokens", text)
        XCTAssertEqual([array.rows, array.columns], [ids.count, model.config.vocabularySize])
        XCTAssertEqual(array.values, try expected(ids, model))

        let list = ids.map(String.init).joined(separator: ",")
        XCTAssertEqual(result.output, list + "\n")
        XCTAssert(result.errors.hasPrefix("\(ids.count) tokens: \(list.prefix(10))"), result.errors)
        XCTAssertEqual(try logits("-m", Self.model, "--tokens", list).0.values, array.values)
        XCTAssertEqual(try logits(Self.model, "-t", "1", "-k", "scalar", text).0.values, array.values)
        let file = directory.write(Array(text.utf8), "text")
        XCTAssertEqual(try logits("-m", Self.model, "-f", file).0.values, array.values)

        let plain = model.tokenizer.encode(text, addSpecial: false)
        XCTAssertEqual(try logits("-m", Self.model, "--no-special", text).0.values, try expected(plain, model))
        let one = try logits("-m", Self.model, "--tokens", "7")
        XCTAssertEqual(one.0.values, try expected([7], model))
        XCTAssertEqual(one.1.errors, "1 token: 7\n")
    }

    func testStandardOutputAndStandardInput() throws {
        let (array, _) = try logits("-m", Self.model, "a hen")
        let (npy, text) = (directory.path + "/piped.npy", directory.write(Array("a hen".utf8), "hen"))
        let piped = try run(
            "/bin/sh",
            ["-c", "\"$0\" logits -m \"$1\" -o - - < \"$2\" > \"$3\"", Self.executable, Self.model, text, npy])
        XCTAssertEqual(piped.status, 0, piped.errors)
        XCTAssertEqual(try Array2D(path: npy).values, array.values)
        let closed = try run(
            "/bin/sh", ["-c", "exec \"$0\" logits -m \"$1\" -o - x >&-", Self.executable, Self.model])
        XCTAssertEqual(closed.status, 1)
        XCTAssert(closed.errors.contains("cannot write the output"), closed.errors)
    }

    func testSessionOptionsCount() throws {
        let path = Tool.fixture("tiny-llama-predictors.gguf")
        let model = try Model(path: path)
        let ids: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6]
        let list = ids.map(String.init).joined(separator: " ")
        let options = Session.Options(sparsity: .predicted(heads: true), cacheType: .int8)
        let sparse = try logits("-m", path, "--cache", "int8", "--tokens", list).0
        XCTAssertEqual(sparse.values, try expected(ids, model, options))
        let dense = try logits("-m", path, "--sparsity", "off", "--tokens", list).0
        XCTAssertEqual(dense.values, try expected(ids, model))
        XCTAssertNotEqual(sparse.values, dense.values)
        // A screen makes estimates of some logits, and these are exact.
        let screened = Tool.fixture("tiny-llama-screen.gguf")
        XCTAssertEqual(
            try logits("-m", screened, "--tokens", list).0.values,
            try expected(ids, Model(path: screened), Session.Options(sparsity: .predicted(heads: true))))
    }

    func testWhatIsRefused() throws {
        let path = directory.path + "/refused.npy"
        let cases: [(arguments: [String], status: Int32, says: String)] = [
            (["x"], 2, "--output OUT is missing"),
            (["-o", path], 2, "the text is missing"),
            (["-o", path, "two", "words", "more"], 2, "quotes"),
            (["-o", path, "--tokens", "1", "a.gguf", "x"], 2, "unexpected argument"),
            (["-o", path, "--tokens", "1,x"], 2, "\"x\" is not a token id"),
            (["-o", path, "--tokens", ""], 2, "expected token ids"),
            (["-o", path, "--tokens", "1", "--no-special"], 2, "cannot be combined"),
            (["-o", path, "--tokens", "1", "-f", "x"], 2, "cannot be combined"),
            (["-o", path, "--lm-head-screen", "on", "x"], 2, "unknown option"),
            (["-o", "-", "--print-tokens", "x"], 2, "both use standard output"),
            (["-o", path, ""], 1, "the text is empty"),
            (["-o", path, "-"], 1, "the text is empty"),
            (["-o", path, "--tokens", "1,100000"], 1, "token 100000"),
            (["-o", path, "--tokens", "-1"], 1, "token -1"),
            (["-o", path, String(repeating: "x ", count: 200)], 1, "reads at most 128"),
            (["-o", path, "--sparsity", "0.5", "x"], 1, "no predictors"),
            (["-o", directory.path, "x"], 1, "already exists"),
            (["-o", directory.path, "--force", "x"], 1, "is not a regular file"),
            (["-o", path + "/in/no/folder", "x"], 1, "cannot create"),
        ]
        for (arguments, status, says) in cases {
            let result = try tinysparse(["logits", "-m", Self.model] + arguments)
            XCTAssertEqual(result.status, status, "\(arguments): \(result.errors)")
            XCTAssert(result.errors.contains(says), "\(arguments): \(result.errors)")
            XCTAssertEqual(result.output, "", "\(arguments)")
        }
        XCTAssertEqual(directory.contents, [])
        _ = directory.write([1], "refused.npy")
        XCTAssertEqual(try tinysparse("logits", "-m", Self.model, "-o", path, "x").status, 1)
        XCTAssertEqual(try Data(contentsOf: URL(fileURLWithPath: path)), Data([1]))
    }

    func testAFullDiskLeavesNothing() throws {
        let path = directory.path + "/logits.npy"
        let command =
            "ulimit -f 4; exec \"$0\" logits -m \"$1\" -o \"$2\" --tokens 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"
        let result = try run("/bin/sh", ["-c", command, Self.executable, Self.model, path])
        XCTAssertEqual(result.status, 1, result.errors)
        XCTAssert(result.errors.contains("logits.npy: cannot "), result.errors)
        XCTAssertEqual(directory.contents, [])
    }
}
