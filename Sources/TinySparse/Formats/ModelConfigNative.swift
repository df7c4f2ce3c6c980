// SPDX-License-Identifier: Apache-2.0

import TinySupport

extension ModelConfig {
    /// Version of the native file format this code reads and writes.
    static let nativeFormat: UInt32 = 1

    /// The key that says that a GGUF file is a native file, and of which version.
    package static let nativeFormatKey = "tinysparse.format"

    /// Writes every field as metadata, so that nothing has to be guessed on reading.
    package func write(to writer: inout GGUFWriter) {
        writer.add("general.architecture", architecture)
        writer.add("general.name", name)
        writer.add(Self.nativeFormatKey, Self.nativeFormat)
        writer.add("tinysparse.vocabulary_size", UInt32(vocabularySize))
        writer.add("tinysparse.embedding_length", UInt32(dModel))
        writer.add("tinysparse.layer_count", UInt32(nLayers))
        writer.add("tinysparse.head_count", UInt32(nHeads))
        writer.add("tinysparse.kv_head_count", UInt32(nKVHeads))
        writer.add("tinysparse.head_dimension", UInt32(headDim))
        writer.add("tinysparse.feed_forward_length", UInt32(dFF))
        writer.add("tinysparse.context_length", UInt32(contextLength))
        writer.add("tinysparse.norm_epsilon", normEpsilon)
        writer.add("tinysparse.norm_kind", normKind.rawValue)
        writer.add("tinysparse.activation", activation.rawValue)
        writer.add("tinysparse.gated", gated)
        writer.add("tinysparse.tied_head", tiedHead)
        // Programs that do not know the list of roles expect every bias then, and refuse the file.
        writer.add("tinysparse.has_biases", !biases.isEmpty)
        if !biases.isEmpty, biases != layerMatrices {
            writer.add(Self.biasRolesKey, of: TensorRole.allCases.filter { biases.contains($0) })
        }
        switch positions {
        case .rope(let base, let scaling, let dims):
            writer.add("tinysparse.positions", "rope")
            writer.add("tinysparse.rope.base", base)
            writer.add("tinysparse.rope.scaling", scaling)
            writer.add("tinysparse.rope.dimensions", UInt32(dims))
            if !ropeFactors.isEmpty { writer.add("tinysparse.rope.factors", ropeFactors) }
        case .learned:
            writer.add("tinysparse.positions", "learned")
        }
        predictors.write(to: &writer)
        fourBit.write(to: &writer)
    }

    /// Which matrices have biases, if not all of a layer.
    private static let biasRolesKey = "tinysparse.bias_roles"

    private func biasRoles(_ gguf: GGUF) throws(FormatError) -> Set<TensorRole> {
        guard let entry = gguf.entry(Self.biasRolesKey) else { return layerMatrices }
        let all = layerMatrices
        return Set(try TensorRole.list(entry, in: gguf, of: TensorRole.allCases.filter { all.contains($0) }))
    }

    /// Reads the configuration of a native file.
    /// - Throws: `FormatError` naming the key.
    package init(native gguf: GGUF) throws(FormatError) {
        let version = try gguf.integer(Self.nativeFormatKey)
        guard version == Int(Self.nativeFormat) else {
            throw FormatError(
                .unsupported, path: gguf.path, item: Self.nativeFormatKey,
                "native format \(version) is not supported, only \(Self.nativeFormat); "
                    + "convert the original model again")
        }
        func choice<T: RawRepresentable>(_ key: String) throws(FormatError) -> T where T.RawValue == String {
            let name = try gguf.string(key)
            guard let value = T(rawValue: name) else {
                throw FormatError(
                    .unsupported, path: gguf.path, item: key,
                    "\"\(printable(name))\" is not supported; convert the original model again")
            }
            return value
        }
        architecture = try gguf.string("general.architecture")
        name = try gguf.string("general.name")
        vocabularySize = try gguf.integer("tinysparse.vocabulary_size")
        dModel = try gguf.integer("tinysparse.embedding_length")
        nLayers = try gguf.integer("tinysparse.layer_count")
        nHeads = try gguf.integer("tinysparse.head_count")
        nKVHeads = try gguf.integer("tinysparse.kv_head_count")
        headDim = try gguf.integer("tinysparse.head_dimension")
        dFF = try gguf.integer("tinysparse.feed_forward_length")
        contextLength = try gguf.integer("tinysparse.context_length")
        normEpsilon = Float(try gguf.double("tinysparse.norm_epsilon"))
        normKind = try choice("tinysparse.norm_kind")
        activation = try choice("tinysparse.activation")
        gated = try gguf.bool("tinysparse.gated")
        tiedHead = try gguf.bool("tinysparse.tied_head")
        biases = []
        let positionsName = try gguf.string("tinysparse.positions")
        switch positionsName {
        case "rope":
            positions = .rope(
                base: try gguf.double("tinysparse.rope.base"),
                scaling: try gguf.double("tinysparse.rope.scaling"),
                dims: try gguf.integer("tinysparse.rope.dimensions"))
        case "learned":
            positions = .learned
        default:
            throw FormatError(
                .unsupported, path: gguf.path, item: "tinysparse.positions",
                "\"\(printable(positionsName))\" is not supported; rope and learned are")
        }
        ropeFactors = try gguf.entry("tinysparse.rope.factors")?.floats(in: gguf.file) ?? []
        if try gguf.bool("tinysparse.has_biases") { biases = try biasRoles(gguf) }
        try validate(path: gguf.path)
        predictors = try PredictorConfig(gguf, layers: nLayers, dFF: dFF, gated: gated)
        fourBit = try FourBitRoles(gguf)
    }
}
