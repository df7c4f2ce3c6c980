// SPDX-License-Identifier: Apache-2.0

import Quant
import SIMDKernels
import TinyPlatform
import TinySupport
import TinyTokenizer

/// A model ready to run: a native file, mapped, or the native image of a source
/// checkpoint, in memory. Everything is checked on opening, so that no later access to
/// a matrix or vector handed out here can leave its memory.
package final class NativeModelFile: @unchecked Sendable {
    package let config: ModelConfig
    /// The container; its metadata has the vocabulary.
    package let gguf: GGUF
    private let tensors: [TensorID: StoredTensor]

    package static let checksumsKey = "tinysparse.checksums"
    /// What the keys of the vocabulary begin with that GGUF does not have.
    package static let tokenizerKeys = "tinysparse.tokenizer."

    /// The path, for messages.
    package var path: String { gguf.path }

    /// Opens a native file by mapping it.
    /// - Parameter verify: read every weight and compare checksums. Costs one
    ///   pass over the file at the speed of memory or disk, on all cores.
    /// - Parameter residence: where the weights are kept.
    /// - Throws: `FormatError` naming tensor and byte offset.
    package convenience init(
        path: String, verify: Bool = true, residence: WeightResidence = .automatic
    ) throws(FormatError) {
        try self.init(GGUF(path: path), verify: verify, residence: residence)
    }

    /// The same for a file whose header has been read.
    package convenience init(_ gguf: GGUF, verify: Bool, residence: WeightResidence) throws(FormatError) {
        guard gguf.isNativeModel else {
            throw FormatError(.unsupported, path: gguf.path, "is not a native file; convert the model first")
        }
        let file = gguf.file
        file.adviseWillNeed()
        if residence == .copied {
            try self.init(GGUF(file.inHugePages()), verify: verify)
        } else if residence == .automatic, file.size <= freeMemory() / 4, let copy = try? file.inHugePages() {
            try self.init(GGUF(copy), verify: verify)
        } else {
            file.adviseHugePages()
            try self.init(gguf, verify: verify)
        }
    }

    /// Opens a native file that is in memory already.
    package convenience init(image: MappedFile, verify: Bool) throws(FormatError) {
        try self.init(GGUF(image), verify: verify)
    }

    private init(_ gguf: GGUF, verify: Bool) throws(FormatError) {
        let config = try ModelConfig(native: gguf)
        try NativeModelFile.checkVocabulary(gguf, config)
        guard gguf.alignment >= Matrix.alignment else {
            throw FormatError(
                .malformed, path: gguf.path, item: "general.alignment",
                "is \(gguf.alignment), not 64; convert the original model again")
        }
        guard config.nLayers <= gguf.tensors.count else {
            throw FormatError(
                .missing, path: gguf.path,
                "there are \(gguf.tensors.count) tensors, too few for \(config.nLayers) layers")
        }
        var tensors: [TensorID: StoredTensor] = [:]
        let specs = config.tensorSpecs
        for spec in specs { tensors[spec.id] = try NativeModelFile.stored(spec, in: gguf) }
        if config.tiedHead { tensors[TensorID(.lmHead)] = tensors[TensorID(.tokenEmbedding)] }
        if verify {
            var names: (fourBit: Set<String>, ternary: Set<String>) = ([], [])
            for spec in specs where spec.isFourBit { names.fourBit.insert(spec.tensors[0].name) }
            for spec in specs where spec.isTernary { names.ternary.insert(spec.tensors[0].name) }
            try NativeModelFile.verify(gguf, fourBit: names.fourBit, ternary: names.ternary)
        }
        self.config = config
        self.gguf = gguf
        self.tensors = tensors
    }

    /// What tells the model from others: xxHash64 of the file before its first tensor, where its configuration, its
    /// vocabulary and the checksums of all tensors are. O(header).
    package var identity: UInt64 {
        let end = gguf.tensors.map { $0.range.lowerBound }.min() ?? gguf.file.size
        return xxHash64(UnsafeRawBufferPointer(rebasing: gguf.file.bytes[..<end]))
    }

    /// The vocabulary, as plain data.
    package func tokenizerSpec() throws(FormatError) -> TokenizerSpec { try TokenizerSpec(gguf: gguf) }

    /// A tensor, or a bias. 64-byte aligned; valid as long as this object.
    /// - Throws: `FormatError` if this kind of model has none.
    package func tensor(_ id: TensorID) throws(FormatError) -> StoredTensor {
        guard let tensor = tensors[id] else { throw missing(id) }
        return tensor
    }

    /// Floats: a vector, a table, or a bias.
    package func floats(_ id: TensorID) throws(FormatError) -> UnsafeBufferPointer<Float> {
        guard case .floats(let values)? = tensors[id] else { throw missing(id) }
        return values
    }

    private func missing(_ id: TensorID) -> FormatError {
        FormatError(
            .missing, path: path, item: id.name, "this kind of model has no such tensor")
    }
}

/// A tensor in place.
package enum StoredTensor: @unchecked Sendable {
    case int8(Matrix, isNeuronMajor: Bool)
    case fourBit(FourBitMatrix)
    case ternary(TernaryMatrix)
    case floats(UnsafeBufferPointer<Float>)
}

// MARK: Checks

extension NativeModelFile {
    private static func checkVocabulary(_ gguf: GGUF, _ config: ModelConfig) throws(FormatError) {
        let key = "tokenizer.ggml.tokens"
        guard let tokens = gguf.entry(key)?.element else { throw gguf.missing(key) }
        guard tokens.count <= config.vocabularySize else {
            throw FormatError(
                .mismatch, path: gguf.path, item: key,
                "has \(tokens.count) tokens, but the model only \(config.vocabularySize)")
        }
    }

    /// A tensor of the file, checked.
    private static func stored(_ spec: TensorSpec, in gguf: GGUF) throws(FormatError) -> StoredTensor {
        var found: [GGUF.Tensor] = []
        for tensor in spec.tensors { found.append(try find(tensor.name, tensor.format, tensor.dimensions, in: gguf)) }
        if case .fourBit(let rows, let cols) = spec.storage {
            return .fourBit(FourBitMatrix(rows: rows, cols: cols, blocks: try blocks(found[0], in: gguf)))
        }
        let floats = try floats(found[found.count - 1], nonNegative: spec.isMatrix, in: gguf)
        guard spec.isMatrix else { return .floats(floats) }
        if case .ternary(let rows, let cols) = spec.storage {
            let weights = gguf.bytes(of: found[0]).baseAddress!
            return .ternary(TernaryMatrix(rows: rows, cols: cols, weights: weights, scales: floats.baseAddress!))
        }
        let matrix = Matrix(
            rows: found[0].dimensions[1], cols: spec.sourceShape[spec.isNeuronMajor ? 0 : 1],
            stride: found[0].dimensions[0], weights: gguf.bytes(of: found[0]).bindMemory(to: Int8.self).baseAddress!,
            scales: floats.baseAddress!)
        return .int8(matrix, isNeuronMajor: spec.isNeuronMajor)
    }

    private static func find(
        _ name: String, _ format: BlockFormat, _ dimensions: [Int], in gguf: GGUF
    ) throws(FormatError) -> GGUF.Tensor {
        guard let tensor = gguf.tensor(name) else {
            throw FormatError(
                .missing, path: gguf.path, item: name,
                "the tensor is missing; convert the original model again")
        }
        guard tensor.format == format, tensor.dimensions == dimensions else {
            throw FormatError(
                .mismatch, path: gguf.path, item: name, offset: tensor.range.lowerBound,
                "is \(tensor.typeName) \(tensor.dimensions), but the configuration demands "
                    + "\(format.name) \(dimensions); convert the original model again")
        }
        return tensor
    }

    /// The values of an F32 tensor, all finite. Alignment follows from that of
    /// the file, which is mapped at a page.
    private static func floats(
        _ tensor: GGUF.Tensor, nonNegative: Bool, in gguf: GGUF
    ) throws(FormatError) -> UnsafeBufferPointer<Float> {
        let values = gguf.bytes(of: tensor).bindMemory(to: Float.self)
        let bad = values.firstIndex { !$0.isFinite || (nonNegative && $0 < 0) }
        if let bad {
            throw FormatError(
                .notFinite, path: gguf.path, item: tensor.name,
                offset: tensor.range.lowerBound + 4 * bad,
                "value \(bad) is \(values[bad]); the file is damaged, convert the original again")
        }
        return values
    }

    /// The blocks of a matrix of 4-bit weights; every d and m is finite.
    private static func blocks(_ tensor: GGUF.Tensor, in gguf: GGUF) throws(FormatError) -> UnsafeRawPointer {
        let bytes = gguf.bytes(of: tensor)
        if let bad = firstBadScale(inBlocks: bytes) {
            throw FormatError(
                .notFinite, path: gguf.path, item: tensor.name,
                offset: tensor.range.lowerBound + bad * FourBitRows.recordBytes,
                "a scale is not finite; the file is damaged, convert the original again")
        }
        return bytes.baseAddress!
    }

    /// Compares the checksum of every tensor, on all cores, and checks that no
    /// int8 weight is −128, which kernels rely on, and no ternary one 2.
    private static func verify(_ gguf: GGUF, fourBit: Set<String>, ternary: Set<String>) throws(FormatError) {
        guard let entry = gguf.entry(checksumsKey) else { throw gguf.missing(checksumsKey) }
        let checksums = try entry.uint64s(in: gguf.file)
        let tensors = gguf.tensors
        guard checksums.count == tensors.count else {
            throw FormatError(
                .mismatch, path: gguf.path, item: checksumsKey,
                "has \(checksums.count) checksums for \(tensors.count) tensors")
        }
        let bad = withUnsafeTemporaryAllocation(of: Bool.self, capacity: tensors.count) { good in
            nonisolated(unsafe) let good = good
            concurrently(tensors.count) { index in
                let bytes = gguf.bytes(of: tensors[index]), name = tensors[index].name
                let areWeights =
                    if ternary.contains(name) { TernaryMatrix.firstInvalidByte(in: bytes) == nil } else {
                        tensors[index].format != .i8 || fourBit.contains(name) || !containsMinus128(bytes)
                    }
                good[index] = areWeights && xxHash64(bytes) == checksums[index]
            }
            return good.firstIndex(of: false)
        }
        guard let bad else { return }
        let tensor = tensors[bad], bytes = gguf.bytes(of: tensor)
        if ternary.contains(tensor.name), xxHash64(bytes) == checksums[bad],
            let place = TernaryMatrix.firstInvalidByte(in: bytes)
        {
            throw FormatError(
                .malformed, path: gguf.path, item: tensor.name, offset: tensor.range.lowerBound + place,
                "byte \(place) holds a 3, which stands for no ternary weight; convert the original model again")
        }
        throw FormatError(
            .checksum, path: gguf.path, item: tensor.name,
            offset: tensor.range.lowerBound,
            "its bytes are not those that were written; the file is damaged, get it again")
    }
}

/// True if a byte is −128 as a signed number. O(n), vectorizes.
private func containsMinus128(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var found: UInt8 = 0
    for byte in bytes { found |= byte == 0x80 ? 1 : 0 }
    return found != 0
}

extension GGUF {
    /// Whether the file is a native model, which runs without a conversion.
    package var isNativeModel: Bool { !isPowerInfer && entry(ModelConfig.nativeFormatKey) != nil }

    /// The native model at `path`; nil for anything else, also for what cannot be read.
    package static func nativeModel(at path: String) -> GGUF? {
        guard !isDirectory(path), let file = try? MappedFile(path: path), GGUF.matches(file),
            let gguf = try? GGUF(file),
            gguf.isNativeModel
        else { return nil }
        return gguf
    }
}
