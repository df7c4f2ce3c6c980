// SPDX-License-Identifier: Apache-2.0

import TinySupport

extension ConfigFields {
    /// Refuses what would have the model compute something else than its tensors and the fields that were read say.
    /// - Parameter context: the context length of the model.
    /// - Throws: `FormatError` naming the field.
    func requireUnderstood(of architecture: KnownArchitecture, context: Int) throws(FormatError) {
        try requireClass(architecture)
        try requirePlainWeights()
        try requireNeutral()
        try requireFullAttention(context)
    }

    /// The model has to be of its architecture's own class, with or without its head.
    private func requireClass(_ architecture: KnownArchitecture) throws(FormatError) {
        let name = architecture.huggingFaceClass
        if !architecture.hasPublishedCode, let value = value("auto_map"), !isEmpty(value) {
            throw unsupported("auto_map", "the model is defined by code of its own, which cannot be run here")
        }
        guard let value = value("architectures") else { return }
        guard let classes = value.array else { throw malformed("architectures", "a list of names") }
        let endings = ["ForCausalLM", "Model", "LMHeadModel"]
        for item in classes where !endings.contains(where: { item.string == name + $0 }) {
            throw unsupported(
                "architectures", "\(printable(item.string ?? "a value")) is not supported, only \(name)ForCausalLM")
        }
    }

    /// Weights have to be numbers, not codes of a quantization method.
    private func requirePlainWeights() throws(FormatError) {
        for key in ["quantization_config", "compression_config"] {
            guard !hasRead(key), let value = value(key) else { continue }
            let method = value["quant_method"]?.string ?? "an unnamed method"
            throw unsupported(
                key,
                "weights quantized with \(printable(method)) are not supported; get the original model, or a GGUF file")
        }
    }

    /// Fields with which related architectures, or another version of Transformers, compute something else, and the
    /// values with which they do not: numbers, where false and what is empty count as 0 and true as 1.
    ///
    /// Only these are refused, and not every field that is unknown: configurations carry whatever a training program
    /// stored, and a complete list would refuse many models that are fine.
    private static let computing: [(key: String, neutral: [Double])] = [
        // Factors, limits and offsets (Granite, Cohere, MiniCPM, Gemma, DBRX, Llama 4).
        ("embedding_multiplier", [1]), ("residual_multiplier", [1]), ("attention_multiplier", []),
        ("logits_scaling", [1]), ("logit_scale", [1]), ("scale_emb", [1]), ("scale_depth", []),
        ("dim_model_base", []), ("query_pre_attn_scalar", []), ("attn_scale", []), ("attn_temperature_tuning", [0]),
        ("final_logit_softcapping", [0]), ("attn_logit_softcapping", [0]), ("clip_qkv", []),
        // Activations.
        ("hidden_act_param", []), ("hidden_activation", []),
        // Positions.
        ("no_rope_layers", [0]), ("no_rope_layer_interval", [0]), ("rope_interleaved", [0]), ("rotary_pct", [1]),
        ("rotary_dim", []), ("alibi", [0]), ("use_alibi", [0]),
        // Attention.
        ("use_qk_norm", [0]), ("qk_norm", [0]), ("qk_layernorm", [0]), ("attention_chunk_size", [0]),
        ("is_causal", [1]), ("use_bidirectional_attention", [0]), ("num_kv_shared_layers", [0]),
        ("add_cross_attention", [0]), ("is_encoder_decoder", [0]), ("pruned_heads", [0]),
        // Layers.
        ("use_parallel_residual", [0]), ("parallel_attn", [0]), ("num_experts", [0]), ("num_local_experts", [0]),
        ("n_routed_experts", [0]), ("per_layer_config", [0]), ("block_configs", [0]),
        ("num_nextn_predict_layers", [0]),
        // Biases under other names than those that are read.
        ("bias", [0]), ("use_bias", [0]), ("qkv_bias", [0]), ("lm_head_bias", [0]),
    ]

    private func requireNeutral() throws(FormatError) {
        for (key, neutral) in Self.computing {
            guard !hasRead(key), let value = value(key) else { continue }
            guard let number = isEmpty(value) ? 0 : value.bool.map({ $0 ? 1 : 0 }) ?? value.double,
                neutral.contains(number)
            else { throw unsupported(key, "a model with this setting is not supported") }
        }
    }

    /// Every token has to see all before it.
    private func requireFullAttention(_ context: Int) throws(FormatError) {
        if !hasRead("layer_types"), let types = value("layer_types") {
            guard let types = types.array else { throw malformed("layer_types", "a list of names") }
            for type in types where type.string != "full_attention" {
                throw unsupported(
                    "layer_types", "\"\(printable(type.string ?? ""))\" is not supported, only full_attention")
            }
        }
        guard !hasRead("sliding_window"), let window = try optionalInteger("sliding_window"), window < context,
            try bool("use_sliding_window", default: true)
        else { return }
        throw unsupported(
            "sliding_window",
            "attention to the last \(window) tokens only is not supported; to use the model with texts as short as that, "
                + "set max_position_embeddings to \(window)")
    }

    private func isEmpty(_ value: JSON) -> Bool {
        value.array?.isEmpty ?? value.object?.isEmpty ?? value.string?.isEmpty ?? false
    }
}
