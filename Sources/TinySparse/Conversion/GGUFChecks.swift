// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

extension GGUFFields {
    /// Refuses settings that may change what the model computes: those below the architecture's key that are neither
    /// known nor neutral. Converters write few, so that the list can be complete.
    /// - Throws: `FormatError` naming the key.
    /// - Parameter context: the context length of the model.
    func requireUnderstood(context: Int) throws(FormatError) {
        let type = try gguf.optionalString("general.type") ?? "model"
        guard type == "model" else {
            throw FormatError(
                .unsupported, path: gguf.path, item: "general.type",
                "\"\(printable(type))\" is not supported, only model")
        }
        for entry in gguf.entries where entry.key.hasPrefix(key("")) {
            let name = String(entry.key.dropFirst(key("").count))
            if hasRead(name) || Self.known.contains(name) { continue }
            guard let neutral = Self.neutral[name] else {
                throw unsupported(name, "the setting is not known, and may change what the model computes")
            }
            let value = entry.type == .bool ? try entry.bool(in: gguf.file) ? 1 : 0 : try entry.double(in: gguf.file)
            guard neutral.contains(value) else { throw unsupported(name, "\(value) is not supported") }
        }
        if hasRead("attention.sliding_window") { return }
        let window = try optionalInteger("attention.sliding_window") ?? 0
        guard window == 0 || window >= context else {
            throw unsupported(
                "attention.sliding_window", "attention to the last \(window) tokens only is not supported")
        }
    }

    /// Settings that describe the file, such as the length of the context before it was extended, or that are checked here.
    private static let known: Set<String> = [
        "vocab_size", "attention.sliding_window", "rope.scaling.original_context_length", "rope.scaling.finetuned",
        "tensor_data_layout",
        // Of the other kind of norm: a converter writes both for some.
        "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon",
    ]

    /// Settings of llama.cpp that change something unless they have one of these values, where false is 0 and true is 1.
    private static let neutral: [String: [Double]] = [
        "logit_scale": [0, 1], "embedding_scale": [0, 1], "residual_scale": [0, 1], "attention.scale": [0],
        "attention.clamp_kqv": [0], "attention.max_alibi_bias": [0], "attention.causal": [1],
        "attn_logit_softcapping": [0], "final_logit_softcapping": [0], "rope.scaling.attn_factor": [1],
        "rope.scaling.alpha": [0], "use_parallel_residual": [0], "swin_norm": [0], "pooling_type": [0],
        "leading_dense_block_count": [0], "expert_count": [0], "expert_used_count": [0],
        "expert_weights_scale": [0, 1], "nextn_predict_layers": [0],
    ]
}
