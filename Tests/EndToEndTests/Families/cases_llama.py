"""Llama, its rotary embeddings, and its near kin."""
from case import LLAMA_KEYS, NO_ACTIVATION, QK_NORMS, UNTIED, add, llama_like


ROPE = dict(rope_theta=1000.0, max_position_embeddings=128)
add("llama-biases",
    llama_like("llama", "LlamaForCausalLM", attention_bias=True, mlp_bias=True, head_dim=24, intermediate_size=40),
    LLAMA_KEYS + [("attention_bias", False), ("mlp_bias", False)], gguf=True)
add("llama-linear",
    llama_like("llama", "LlamaForCausalLM", rope_scaling={"type": "linear", "factor": 4.0}, **ROPE),
    NO_ACTIVATION + [("rope_scaling", None), ("rope_scaling.factor", 2.0)], dtype="float16")
add("llama-llama3",
    llama_like("llama", "LlamaForCausalLM", intermediate_size=40, num_hidden_layers=2, head_dim=32, rope_scaling=dict(
        rope_type="llama3", factor=16.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=32), **ROPE),
    NO_ACTIVATION + [("rope_scaling", None), ("rope_scaling.factor", 2.0), ("rope_scaling.low_freq_factor", 0.25),
                     ("rope_scaling.high_freq_factor", 16.0), ("rope_scaling.original_max_position_embeddings", 128)],
    gguf=True)
add("llama-yarn",
    llama_like("llama", "LlamaForCausalLM", intermediate_size=40, head_dim=32, rope_parameters=dict(
        rope_type="yarn", factor=8.0, original_max_position_embeddings=128, beta_fast=4.0, beta_slow=0.5,
        attention_factor=1.5, rope_theta=1000.0), max_position_embeddings=1024, rope_theta="absent"),
    [("rms_norm_eps", 1e-5), ("rope_parameters", None), ("rope_parameters.factor", 1.0),
     ("rope_parameters.rope_theta", 50.0), ("rope_parameters.original_max_position_embeddings", 32),
     ("rope_parameters.beta_fast", 64.0), ("rope_parameters.beta_slow", 3.0),
     ("rope_parameters.attention_factor", "absent")])
add("llama-yarn-default",
    llama_like("llama", "LlamaForCausalLM", rope_theta=1000.0, rope_scaling=dict(
        type="yarn", factor=8.0, original_max_position_embeddings=32), max_position_embeddings=256),
    [("rope_scaling", None), ("rope_scaling.factor", 2.0), ("rms_norm_eps", 1e-05), ("rope_theta", 10000.0)],
    dtype="float16", gguf=True)
add("llama-dynamic",
    llama_like("llama", "LlamaForCausalLM", intermediate_size=40, rope_scaling={"type": "dynamic", "factor": 4.0},
               rope_theta=1000.0,
               max_position_embeddings=64),
    NO_ACTIVATION, exceptions={"rope_scaling": "no effect on sequences of up to max_position_embeddings tokens"},
    context=64)
LONG = [1.0, 1.3, 2.0, 3.0, 4.5, 6.0, 8.0, 8.0]
SHORT = [1.0, 1.1, 1.1, 1.3, 1.5, 1.7, 2.0, 2.0]
LONGROPE = [("rope_scaling", None), ("rope_scaling.short_factor", [1.0] * 8), ("rope_scaling.long_factor", [1.0] * 8)]
add("llama-longrope",
    llama_like("llama", "LlamaForCausalLM", intermediate_size=40, num_hidden_layers=2, rope_theta=1000.0,
               max_position_embeddings=128,
               rope_scaling=dict(rope_type="longrope", short_factor=SHORT, long_factor=LONG, factor=4.0,
                                 original_max_position_embeddings=32)),
    [("rope_scaling", None), ("rope_scaling.long_factor", SHORT), ("rope_scaling.factor", 64.0),
     ("rope_scaling.original_max_position_embeddings", 64), ("rms_norm_eps", 1e-05), ("rope_theta", 10000.0)],
    exceptions={"rope_scaling.short_factor": "the long ones apply"}, context=128)
add("mistral", llama_like("mistral", "MistralForCausalLM", sliding_window=None, head_dim=16, tie_word_embeddings=False),
    LLAMA_KEYS + UNTIED + [("sliding_window", 8)], gguf=True)
add("mistral-window",
    llama_like("mistral", "MistralForCausalLM", intermediate_size=40, num_attention_heads=4, num_key_value_heads=2,
               head_dim=16,
               sliding_window=8),
    LLAMA_KEYS + [("sliding_window", None), ("sliding_window", 9)], dtype="float16")
add("qwen2", llama_like("qwen2", "Qwen2ForCausalLM", use_sliding_window=False, sliding_window=8, max_window_layers=0),
    LLAMA_KEYS + [("use_sliding_window", True)], dtype="float16", gguf=True)
add("qwen2-window",
    llama_like("qwen2", "Qwen2ForCausalLM", use_sliding_window=True, sliding_window=8, max_window_layers=1,
               num_hidden_layers=3, intermediate_size=40),
    LLAMA_KEYS + [("use_sliding_window", False), ("sliding_window", 16), ("max_window_layers", 2)])
add("qwen3",
    llama_like("qwen3", "Qwen3ForCausalLM", head_dim=24, attention_bias=False, use_sliding_window=False,
               sliding_window=None, max_window_layers=2),
    LLAMA_KEYS, gguf=True, scales=QK_NORMS)
add("qwen3-biases",
    llama_like("qwen3", "Qwen3ForCausalLM", intermediate_size=40, head_dim=32, num_attention_heads=3,
               num_key_value_heads=1,
               attention_bias=True, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    LLAMA_KEYS + [("attention_bias", False), ("use_sliding_window", False), ("max_window_layers", 0),
                  ("sliding_window", 16)],
    dtype="float16", scales=QK_NORMS)
add("smollm3",
    llama_like("smollm3", "SmolLM3ForCausalLM", num_hidden_layers=4, intermediate_size=64, no_rope_layer_interval=4,
               no_rope_layers=[1, 1, 1, 0], rope_theta=20.0, use_sliding_window=False, sliding_window=None),
    LLAMA_KEYS + [("no_rope_layers", [1, 1, 1, 1])], gguf=True)
add("smollm3-layers",
    llama_like("smollm3", "SmolLM3ForCausalLM", num_hidden_layers=3, intermediate_size=40, no_rope_layers=[1, 0, 1],
               use_sliding_window=True, sliding_window=8, attention_bias=True, mlp_bias=True,
               layer_types=["full_attention", "sliding_attention", "sliding_attention"]),
    LLAMA_KEYS + [("no_rope_layers", [1, 1, 1]), ("no_rope_layers", [0, 0, 0]),
                           ("sliding_window", 16), ("layer_types", ["full_attention"] * 3), ("attention_bias", False),
                           ("mlp_bias", False)],
    dtype="float16", exceptions={"use_sliding_window": "layer_types decides where it is given"})
GRANITE = [("embedding_multiplier", 1.0), ("residual_multiplier", 1.0), ("attention_multiplier", 0.25),
           ("logits_scaling", 1.0)]
add("granite",
    llama_like("granite", "GraniteForCausalLM", embedding_multiplier=3.0, residual_multiplier=0.6,
               attention_multiplier=0.5, logits_scaling=2.0, attention_bias=False, mlp_bias=False),
    LLAMA_KEYS + GRANITE, gguf=True, scales={"embed": 0.5})
add("granite-biases",
    llama_like("granite", "GraniteForCausalLM", intermediate_size=40, embedding_multiplier=2.0, residual_multiplier=0.5,
               attention_multiplier=0.4, logits_scaling=0.5, attention_bias=True, mlp_bias=True),
    LLAMA_KEYS + GRANITE + [("attention_bias", False), ("mlp_bias", False)], dtype="float16",
    scales={"embed": 0.5})
add("olmo2", llama_like("olmo2", "Olmo2ForCausalLM", tie_word_embeddings=False, attention_bias=False,
                        num_key_value_heads=2),
    LLAMA_KEYS + UNTIED, gguf=True)
add("olmo2-grouped", llama_like("olmo2", "Olmo2ForCausalLM", intermediate_size=40, attention_bias=True),
    LLAMA_KEYS + [("attention_bias", False)], dtype="float16", scales=QK_NORMS)
