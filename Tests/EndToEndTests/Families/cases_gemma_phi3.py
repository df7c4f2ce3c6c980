"""Gemma 2 and 3, Phi-3."""
from case import LLAMA_KEYS, UNTIED, add, llama_like
from cases_llama import LONG, SHORT


# Gemma

def gemma_like(model_type, architecture, **more):
    config = llama_like(model_type, architecture, **dict(dict(
        hidden_activation="gelu_pytorch_tanh", head_dim=16, query_pre_attn_scalar=16, rms_norm_eps=0.5,
        attention_bias=False, sliding_window=8), **more))
    del config["hidden_act"]
    return config


GEMMA_KEYS = [("rms_norm_eps", 1e-6), ("rope_theta", 10000.0), ("hidden_activation", "relu")]
GEMMA = dict(one_plus=True, scales={"embed": 0.3, r"\.norm\.": 2.0, r"layers\.5\.post_att": 3.0,
                                    "post_feedforward": 2.0})
add("gemma2",
    gemma_like("gemma2", "Gemma2ForCausalLM", num_hidden_layers=3, rope_theta=10000.0, intermediate_size=64,
               attn_logit_softcapping=1.5,
               final_logit_softcapping=4.0),
    [("rope_theta", 100.0), ("query_pre_attn_scalar", 4)] + GEMMA_KEYS[::2] + [("attn_logit_softcapping", None),
        ("final_logit_softcapping", None), ("sliding_window", 16)],
    gguf=True, **GEMMA)
add("gemma2-scalar",
    gemma_like("gemma2", "Gemma2ForCausalLM", intermediate_size=40, query_pre_attn_scalar=4, attn_logit_softcapping=2.0,
               final_logit_softcapping=3.0, attention_bias=True, head_dim=24,
               layer_types=["full_attention", "sliding_attention"]),
    GEMMA_KEYS + [("attn_logit_softcapping", None), ("final_logit_softcapping", None), ("sliding_window", 4096),
                  ("query_pre_attn_scalar", 24), ("layer_types", ["sliding_attention", "full_attention"]),
                  ("attention_bias", False)],
    dtype="bfloat16", **GEMMA)
add("gemma3",
    gemma_like("gemma3_text", "Gemma3ForCausalLM", num_hidden_layers=6, intermediate_size=64,
               rope_local_base_freq=30.0, rope_theta=20.0, sliding_window_pattern=6,
               rope_scaling={"rope_type": "linear", "factor": 4.0}, attn_logit_softcapping=None,
               final_logit_softcapping=None),
    [("rms_norm_eps", 1e-6), ("rope_theta", 10000.0), ("hidden_activation", "relu"), ("rope_local_base_freq", 1000.0),
     ("sliding_window", 16), ("sliding_window_pattern", 3), ("rope_scaling", None), ("rope_scaling.factor", 1.0),
     ("query_pre_attn_scalar", 4), ("final_logit_softcapping", 3.0)],
    gguf=True, refused=[("use_bidirectional_attention", True, "an encoder")], **GEMMA)
add("gemma3-layers",
    gemma_like("gemma3_text", "Gemma3ForCausalLM", num_hidden_layers=3, intermediate_size=40,
               query_pre_attn_scalar=4, final_logit_softcapping=3.0, head_dim=24, rope_theta="absent",
               layer_types=["sliding_attention", "full_attention", "sliding_attention"],
               rope_parameters=dict(full_attention=dict(rope_type="linear", factor=4.0, rope_theta=1000.0),
                                    sliding_attention=dict(rope_type="default", rope_theta=30.0))),
    [("rms_norm_eps", 1e-6), ("query_pre_attn_scalar", 24), ("final_logit_softcapping", None), ("sliding_window", 16),
     ("layer_types", ["full_attention", "sliding_attention", "sliding_attention"]),
     ("rope_parameters.full_attention.factor", 1.0), ("rope_parameters.full_attention.rope_theta", 10.0),
     ("rope_parameters.sliding_attention.rope_theta", 1000.0), ("hidden_activation", "relu")],
    **GEMMA)

# Phi-3: fused matrices

add("phi3",
    llama_like("phi3", "Phi3ForCausalLM", num_attention_heads=2, num_key_value_heads=2, sliding_window=None,
               original_max_position_embeddings=128, rope_scaling=None, tie_word_embeddings=False),
    LLAMA_KEYS + UNTIED + [("sliding_window", 8)])
add("phi3-window",
    llama_like("phi3", "Phi3ForCausalLM", intermediate_size=40, sliding_window=8,
               original_max_position_embeddings=128, rope_scaling=None,
               partial_rotary_factor=0.5),
    LLAMA_KEYS + [("sliding_window", None), ("partial_rotary_factor", 1.0)], dtype="float16")
PHI4 = dict(num_attention_heads=2, num_key_value_heads=1, head_dim=16, sliding_window=None, partial_rotary_factor=0.75,
            rope_theta=1000.0, max_position_embeddings=512, tie_word_embeddings=True,
            rope_scaling=dict(type="longrope", short_factor=SHORT[:6], long_factor=LONG[:6]))
add("phi3-longrope", llama_like("phi3", "Phi3ForCausalLM", original_max_position_embeddings=32, **PHI4),
    [("rope_scaling.long_factor", SHORT[:6]), ("original_max_position_embeddings", 64),
     ("max_position_embeddings", 32), ("rms_norm_eps", 1e-05), ("rope_theta", 10000.0), ("hidden_act", "relu"),
     ("sliding_window", 8)],
    gguf=True, context=512, exceptions={"rope_scaling.short_factor": "the long ones apply"})
add("phi3-longrope-short", llama_like("phi3", "Phi3ForCausalLM", intermediate_size=40,
                                      original_max_position_embeddings=64, **PHI4),
    [("rope_scaling.short_factor", LONG[:6]), ("original_max_position_embeddings", 32),
     ("max_position_embeddings", 64), ("rms_norm_eps", 1e-05), ("rope_theta", 10000.0), ("hidden_act", "relu"),
     ("sliding_window", 8)],
    dtype="float16", context=64, exceptions={"rope_scaling.long_factor": "the short ones apply"})
