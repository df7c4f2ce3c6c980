// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// Gemma 3, text: Gemma 2 with norms of queries and keys instead of soft caps, and five layers of six that see the last
/// tokens only and have a rotation of their own.
/// Source: Transformers, `modeling_gemma3.py`; llama.cpp, `LLM_ARCH_GEMMA3`.
enum Gemma3: Architecture {
    static let name = "gemma3_text"
    static let ggufNames = ["gemma3"]
    static let huggingFaceClass = "Gemma3"

    private static let interval = 6
    private static let localBase = 10_000.0

    static func config(_ fields: GGUFFields) throws(FormatError) -> ModelConfig {
        var config = try fields.decoder(activation: .gelu)
        let interval = try fields.optionalInteger("attention.sliding_window_pattern") ?? interval
        guard interval > 0 else { throw fields.unsupported("attention.sliding_window_pattern", "is \(interval)") }
        let isLocal = { ($0 + 1) % interval != 0 }
        config.logitSoftCap = Float(try fields.optionalDouble("final_logit_softcapping") ?? 0)
        let base = try fields.optionalDouble("rope.freq_base_swa") ?? localBase
        if let window = try fields.optionalInteger("attention.sliding_window"), window > 0 {
            config.windows = try fields.windows(config, slides: isLocal)
            complete(&config, local: RotaryEmbedding(base: base, dims: config.headDim), isLocal: isLocal)
        } else {
            complete(&config, local: nil, isLocal: isLocal)
        }
        return config
    }

    static func scales(_ fields: GGUFFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        let width = config.nLayers == 62 ? Double(config.dModel) / Double(config.nHeads) : Double(config.headDim)
        return Gemma2.scales(config, scoreWidth: width)
    }

    static func config(_ fields: ConfigFields) throws(FormatError) -> ModelConfig {
        var decoder = Gemma2.decoder
        decoder.context.standard = 131_072
        decoder.rope = nil
        var config = try fields.decoder(name, decoder)
        config.biases = try fields.biases("attention_bias", nil)
        config.attentionSoftCap = try Gemma2.softCap(fields, "attn_logit_softcapping", standard: nil)
        config.logitSoftCap = try Gemma2.softCap(fields, "final_logit_softcapping", standard: nil)
        var interval = try fields.optionalInteger("sliding_window_pattern")
        if interval == nil { interval = try fields.optionalInteger("_sliding_window_pattern") }
        let every = interval ?? Self.interval
        guard every > 0 else { throw fields.unsupported("sliding_window_pattern", "is \(every)") }
        config.windows = try fields.windows(
            layers: config.nLayers, standard: 4096, context: .max
        ) { ($0 + 1) % every != 0 }
        let windows = config.windows
        let (main, local) = try rotations(fields, headDim: config.headDim)
        config.positions = .rope(main)
        complete(&config, local: local) { !windows.isEmpty && windows[$0] > 0 }
        return config
    }

    /// The rotations of layers that see all tokens, and of the others: by layer type, or, in older files, one of them under
    /// keys of its own.
    private static func rotations(
        _ fields: ConfigFields, headDim: Int
    ) throws(FormatError) -> (main: RotaryEmbedding, local: RotaryEmbedding) {
        let standard = ConfigFields.Decoder.Rotation(base: 1_000_000)
        let local = ConfigFields.Decoder.Rotation(base: localBase)
        if let all = try fields.object("rope_parameters"), let full = try all.object("full_attention"),
            let sliding = try all.object("sliding_attention")
        {
            return (
                try fields.rotation(full, headDim: headDim, standard),
                try fields.rotation(sliding, headDim: headDim, local)
            )
        }
        let base = try fields.double("rope_local_base_freq", default: localBase)
        return (try fields.rotation(headDim: headDim, standard), RotaryEmbedding(base: base, dims: headDim))
    }

    private static func complete(_ config: inout ModelConfig, local: RotaryEmbedding?, isLocal: (Int) -> Bool) {
        config.norms.formUnion([.queryNorm, .keyNorm, .attentionPostNorm, .mlpPostNorm])
        guard let local else { return }
        config.localRope = local
        config.layerRopes = ModelConfig.layers(config.nLayers).map { isLocal($0) ? .local : .main }
    }

    static func scales(_ fields: ConfigFields, _ config: ModelConfig) throws(FormatError) -> FoldedScales {
        try Gemma2.scales(fields, config)
    }

    static func huggingFaceTensors(_ config: ModelConfig) -> TensorMap { Gemma2.tensors }
}
