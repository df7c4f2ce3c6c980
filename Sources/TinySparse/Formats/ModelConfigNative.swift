// SPDX-License-Identifier: Apache-2.0

import TinySupport

extension ModelConfig {
    /// Versions of the native file format that this code reads.
    private static let nativeFormats = 1...2
    /// The version that a model is written in: 2 has what version 1 cannot say, so that programs that know only that
    /// refuse the file.
    private var nativeFormat: UInt32 {
        var plain = ModelConfig(
            architecture: architecture, name: name, vocabularySize: vocabularySize, dModel: dModel, nLayers: nLayers,
            nHeads: nHeads, nKVHeads: nKVHeads, headDim: headDim, dFF: dFF, contextLength: contextLength,
            normEpsilon: normEpsilon, normKind: normKind, activation: activation, gated: gated, positions: positions,
            tiedHead: tiedHead, biases: biases)
        (plain.predictors, plain.fourBit) = (predictors, fourBit)
        return self == plain && !(rope?.isExtended ?? false) && !predictors.isExtended ? 1 : 2
    }

    /// The main rotation, if there is one.
    private var rope: RotaryEmbedding? { if case .rope(let rope) = positions { rope } else { nil } }

    /// The key that says that a GGUF file is a native file, and of which version.
    package static let nativeFormatKey = "tinysparse.format"

    /// Writes every field as metadata, so that nothing has to be guessed on reading.
    package func write(to writer: inout GGUFWriter) {
        writer.add("general.architecture", architecture)
        writer.add("general.name", name)
        writer.add(Self.nativeFormatKey, nativeFormat)
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
        case .rope(let rope):
            writer.add("tinysparse.positions", "rope")
            rope.write(to: &writer, "tinysparse.rope.")
        case .learned:
            writer.add("tinysparse.positions", "learned")
        }
        if nativeFormat > 1 { writeExtensions(to: &writer) }
        predictors.write(to: &writer)
        fourBit.write(to: &writer)
        ternary.write(to: &writer)
    }

    /// The fields of version 2.
    private func writeExtensions(to writer: inout GGUFWriter) {
        writer.add("tinysparse.activation_threshold", activationThreshold)
        writer.add("tinysparse.activates_up", activatesUp)
        writer.add(Self.normsKey, of: TensorRole.allCases.filter { norms.contains($0) })
        writer.add("tinysparse.normalizes_all_heads", normalizesAllHeads)
        writer.add("tinysparse.residual", residual.rawValue)
        writer.add("tinysparse.attention_soft_cap", attentionSoftCap)
        writer.add("tinysparse.logit_soft_cap", logitSoftCap)
        writer.add("tinysparse.embedding_width", UInt32(embeddingWidth))
        if !windows.isEmpty { writer.add("tinysparse.windows", windows.map(Int32.init)) }
        if !layerRopes.isEmpty { writer.add(Self.layerRopesKey, layerRopes.map { Int32($0.rawValue) }) }
        localRope?.write(to: &writer, "tinysparse.rope.local.")
        experts?.write(to: &writer)
    }

    private mutating func readExtensions(_ gguf: GGUF) throws(FormatError) {
        activationThreshold = Float(try gguf.double("tinysparse.activation_threshold"))
        activatesUp = try gguf.bool("tinysparse.activates_up")
        guard let entry = gguf.entry(Self.normsKey) else { throw gguf.missing(Self.normsKey) }
        norms = Set(try TensorRole.list(entry, in: gguf, of: TensorRole.allCases.filter { $0.isNorm }))
        normalizesAllHeads = try gguf.bool("tinysparse.normalizes_all_heads")
        residual = try Self.choice("tinysparse.residual", in: gguf)
        attentionSoftCap = Float(try gguf.double("tinysparse.attention_soft_cap"))
        logitSoftCap = Float(try gguf.double("tinysparse.logit_soft_cap"))
        embeddingWidth = try gguf.integer("tinysparse.embedding_width")
        windows = try gguf.entry("tinysparse.windows")?.int32s(in: gguf.file).map(Int.init) ?? []
        let ropes = try gguf.entry(Self.layerRopesKey)?.int32s(in: gguf.file) ?? []
        layerRopes = ropes.compactMap { LayerRope(rawValue: Int($0)) }
        guard layerRopes.count == ropes.count else {
            throw FormatError(.unsupported, path: gguf.path, item: Self.layerRopesKey, "has numbers that are not known")
        }
        if gguf.entry("tinysparse.rope.local.base") != nil {
            localRope = try RotaryEmbedding(gguf, "tinysparse.rope.local.")
        }
        experts = try Experts(gguf)
    }

    private static let normsKey = "tinysparse.norms"
    private static let layerRopesKey = "tinysparse.rope.layers"

    /// The value of a key that names one of a few.
    private static func choice<T: RawRepresentable>(_ key: String, in gguf: GGUF) throws(FormatError) -> T
    where T.RawValue == String {
        let name = try gguf.string(key)
        guard let value = T(rawValue: name) else {
            throw FormatError(
                .unsupported, path: gguf.path, item: key,
                "\"\(printable(name))\" is not supported; convert the original model again")
        }
        return value
    }

    /// Which matrices have biases, if not all of a layer.
    private static let biasRolesKey = "tinysparse.bias_roles"

    private func biasRoles(_ gguf: GGUF) throws(FormatError) -> Set<TensorRole> {
        guard let entry = gguf.entry(Self.biasRolesKey) else { return layerMatrices }
        let all = layerMatrices.union(tiedHead ? [] : [.lmHead])
        return Set(try TensorRole.list(entry, in: gguf, of: TensorRole.allCases.filter { all.contains($0) }))
    }

    /// Reads the configuration of a native file.
    /// - Throws: `FormatError` naming the key.
    package init(native gguf: GGUF) throws(FormatError) {
        let version = try gguf.integer(Self.nativeFormatKey)
        guard Self.nativeFormats.contains(version) else {
            throw FormatError(
                .unsupported, path: gguf.path, item: Self.nativeFormatKey,
                "native format \(version) is not supported, only \(Self.nativeFormats.lowerBound) to "
                    + "\(Self.nativeFormats.upperBound); convert the original model again")
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
        normKind = try Self.choice("tinysparse.norm_kind", in: gguf)
        activation = try Self.choice("tinysparse.activation", in: gguf)
        gated = try gguf.bool("tinysparse.gated")
        tiedHead = try gguf.bool("tinysparse.tied_head")
        biases = []
        let positionsName = try gguf.string("tinysparse.positions")
        switch positionsName {
        case "rope":
            positions = .rope(try RotaryEmbedding(gguf, "tinysparse.rope."))
        case "learned":
            positions = .learned
        default:
            throw FormatError(
                .unsupported, path: gguf.path, item: "tinysparse.positions",
                "\"\(printable(positionsName))\" is not supported; rope and learned are")
        }
        embeddingWidth = dModel
        if version > 1 { try readExtensions(gguf) }
        if try gguf.bool("tinysparse.has_biases") { biases = try biasRoles(gguf) }
        predictors = try PredictorConfig(gguf, layers: nLayers, dFF: dFF, gated: gated)
        fourBit = try PackedRoles(.fourBit, gguf)
        ternary = try PackedRoles(.ternary, gguf)
        try validate(path: gguf.path)
    }
}
