// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// The files of a source checkpoint in GGUF: one, or the parts that llama.cpp's `gguf-split` makes of it, which are called
/// `NAME-00001-of-00003.gguf` and so on. The metadata is in the first.
package struct GGUFParts: Sendable {
    package let files: [GGUF]

    var first: GGUF { files[0] }

    /// Opens the other parts of a model beside the first.
    /// - Throws: `FormatError` naming the part that is missing or does not belong to the model.
    package init(_ first: GGUF) throws(FormatError) {
        let count = try first.optionalInteger("split.count") ?? 1
        guard count > 1 else {
            files = [first]
            return
        }
        let number = try first.integer("split.no")
        let ending = Self.ending(1, of: count)
        guard number == 0, count <= 9999, first.path.hasSuffix(ending) else {
            throw FormatError(
                .unsupported, path: first.path, item: "split.no",
                "is part \(number) of a model in \(count) files, counted from 0; "
                    + "open the first, whose name ends with \(ending)")
        }
        let stem = first.path.dropLast(ending.count)
        var files = [first]
        for number in 1..<count {
            let file = try GGUF(path: stem + Self.ending(number + 1, of: count))
            guard try file.integer("split.no") == number, try file.integer("split.count") == count else {
                throw FormatError(
                    .mismatch, path: file.path, item: "split.no",
                    "is not part \(number) of \(count), counted from 0; get all files of the model again")
            }
            files.append(file)
        }
        var names: Set<String> = []
        for file in files {
            for tensor in file.tensors where !names.insert(tensor.name).inserted {
                throw FormatError(.malformed, path: file.path, item: tensor.name, "the tensor is also in another part")
            }
        }
        let total = try first.optionalInteger("split.tensors.count") ?? names.count
        guard names.count == total else {
            throw FormatError(
                .mismatch, path: first.path, item: "split.tensors.count",
                "the parts have \(names.count) tensors, not \(total); get all files of the model again")
        }
        self.files = files
    }

    /// The tensor called `name` and the file it is in.
    func tensor(_ name: String) -> (file: GGUF, tensor: GGUF.Tensor)? {
        for file in files {
            if let tensor = file.tensor(name) { return (file, tensor) }
        }
        return nil
    }

    /// `-00001-of-00003.gguf`
    private static func ending(_ number: Int, of count: Int) -> String {
        func padded(_ number: Int) -> String {
            let digits = "\(number)"
            return String(repeating: "0", count: max(5 - digits.utf8.count, 0)) + digits
        }
        return "-\(padded(number))-of-\(padded(count)).gguf"
    }
}
