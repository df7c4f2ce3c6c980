"""The cases: for each family one or more configurations, and the keys whose effect is measured."""
from dataclasses import dataclass, field
from typing import Callable

import bitnet


@dataclass
class Case:
    """One model.

    config: config.json, as published models write it.
    keys: paths and alternative values; each should change the logits visibly ("absent": the key removed).
    exceptions: keys whose effect is small, and why. refused: values that no reader should accept.
    scales: factors on random weights, by pattern of the name. one_plus: norms store their weight minus one.
    inputs_first: matrices are [inputs, outputs] (GPT-2). finish: changes the tensors before they are written.
    unread: tensors of the file that no model reads. context: the session's length, where results depend on it.
    salt: of the random numbers, chosen so that no expert, threshold or window is a close call.
    """
    name: str
    config: dict
    keys: list
    dtype: str = "bfloat16"
    gguf: bool = False
    exceptions: dict = field(default_factory=dict)
    refused: list = field(default_factory=list)
    scales: dict = field(default_factory=dict)
    one_plus: bool = False
    inputs_first: bool = False
    finish: Callable = lambda tensors: tensors
    unread: list = field(default_factory=list)
    context: int = 0
    salt: int = 0


def llama_like(model_type, architecture, **more):
    """A config.json; "absent" leaves a key out."""
    config = dict(dict(architectures=[architecture], model_type=model_type, vocab_size=320, hidden_size=32,
                     intermediate_size=72, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                     max_position_embeddings=128, rms_norm_eps=0.25, rope_theta=100.0, tie_word_embeddings=True,
                     hidden_act="silu", bos_token_id=319, eos_token_id=319, pad_token_id=None), **more)
    return {key: value for key, value in config.items() if value != "absent"}


NO_ACTIVATION = [("rms_norm_eps", 1e-5), ("rope_theta", 10000.0)]
LLAMA_KEYS = NO_ACTIVATION + [("hidden_act", "relu")]
RELU_KEYS = NO_ACTIVATION + [("hidden_act", "silu")]
UNTIED = [("tie_word_embeddings", True)]
CASES = []


def add(name, config, keys, **more):
    CASES.append(Case(name, config, keys, **more))


def transposed_down(tensors):
    return {name: t.t() if "down_proj.weight" in name else t for name, t in tensors.items()}


# Sparse models that transformers does not have

SPARSE = dict(auto_map={"AutoConfig": "sparse_models.SparseLlamaConfig",
                        "AutoModelForCausalLM": "sparse_models.SparseLlamaForCausalLM"})
add("llama-sparse-relu",
    llama_like("llama_sparse_relu", "SparseLlamaForCausalLM", num_key_value_heads=2, sparsity_gated_mlp=True,
               sparsity_new_intermediate_size=None, sparsity_use_hybrid_kernel=False, mlp_bias=False,
               attention_bias=False, **SPARSE),
    NO_ACTIVATION, exceptions={"hidden_act": "the model type decides: silu is written, relu computed"})
add("llama-sparse-relu-plain",
    llama_like("llama_sparse_relu", "SparseLlamaForCausalLM", intermediate_size=72, sparsity_gated_mlp=False,
               sparsity_new_intermediate_size=100, sparsity_use_hybrid_kernel=False, mlp_bias=True, attention_bias=True,
               **SPARSE),
    NO_ACTIVATION, dtype="float16",
    exceptions={"sparsity_gated_mlp": "decides which tensors there are",
                "sparsity_new_intermediate_size": "decides the tensors' shapes"})
add("llama-sparse-relu-hybrid",
    llama_like("llama_sparse_relu", "SparseLlamaForCausalLM", intermediate_size=40, sparsity_gated_mlp=True,
               sparsity_use_hybrid_kernel=True, **SPARSE),
    NO_ACTIVATION, finish=transposed_down,
    exceptions={"sparsity_use_hybrid_kernel": "the shape of the down projection, [inputs, outputs] here, decides"})
add("qwen2-sparse-relu",
    llama_like("qwen2_sparse_relu", "SparseQwen2ForCausalLM", intermediate_size=40, sparsity_gated_mlp=True, use_sliding_window=False,
               sliding_window=8, max_window_layers=0),
    NO_ACTIVATION, dtype="float16")
MINICPM = dict(scale_emb=4, dim_model_base=16, scale_depth=0.8)
MINICPM_KEYS = [("scale_emb", 1), ("dim_model_base", 32), ("scale_depth", 1.4142136)]
add("minicpm", llama_like("minicpm", "MiniCPMForCausalLM", **MINICPM),
    LLAMA_KEYS + MINICPM_KEYS, gguf=True, scales={"embed": 0.4})
add("minicpm-fatrelu",
    llama_like("minicpm", "MiniCPMForCausalLM", intermediate_size=40, hidden_act="fatrelu", hidden_act_param=1.5, **MINICPM),
    RELU_KEYS + MINICPM_KEYS + [("hidden_act_param", 0.0)], dtype="float16", scales={"embed": 0.4},
    refused=[("num_experts", 8, "MiniCPM-MoE has other tensors")])
add("sparsellama",
    llama_like("sparsellama", "SparseLlamaForCausalLM", num_key_value_heads=2, hidden_act="fatrelu",
               hidden_act_param=1.35),
    RELU_KEYS + [("hidden_act_param", 0.0)], dtype="float16")
add("bamboo",
    llama_like("bamboo", "BambooForCausalLM", intermediate_size=40, hidden_act="relu", sliding_window=8),
    RELU_KEYS + [("sliding_window", None)])

# Llama and its kin

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
    [("rope_scaling", None), ("rope_scaling.factor", 2.0)], dtype="float16", gguf=True)
add("llama-dynamic",
    llama_like("llama", "LlamaForCausalLM", intermediate_size=40, rope_scaling={"type": "dynamic", "factor": 4.0}, rope_theta=1000.0,
               max_position_embeddings=64),
    NO_ACTIVATION, exceptions={"rope_scaling": "no effect on sequences of up to max_position_embeddings tokens"},
    context=64)
LONG = [1.0, 1.3, 2.0, 3.0, 4.5, 6.0, 8.0, 8.0]
SHORT = [1.0, 1.1, 1.1, 1.3, 1.5, 1.7, 2.0, 2.0]
LONGROPE = [("rope_scaling", None), ("rope_scaling.short_factor", [1.0] * 8), ("rope_scaling.long_factor", [1.0] * 8)]
add("llama-longrope",
    llama_like("llama", "LlamaForCausalLM", intermediate_size=40, num_hidden_layers=2, rope_theta=1000.0, max_position_embeddings=128,
               rope_scaling=dict(rope_type="longrope", short_factor=SHORT, long_factor=LONG, factor=4.0,
                                 original_max_position_embeddings=32)),
    [("rope_scaling", None), ("rope_scaling.long_factor", SHORT), ("rope_scaling.factor", 64.0),
     ("rope_scaling.original_max_position_embeddings", 64)],
    exceptions={"rope_scaling.short_factor": "the long ones apply"}, context=128)
add("mistral", llama_like("mistral", "MistralForCausalLM", sliding_window=None, head_dim=16, tie_word_embeddings=False),
    LLAMA_KEYS + UNTIED + [("sliding_window", 8)], gguf=True)
add("mistral-window",
    llama_like("mistral", "MistralForCausalLM", intermediate_size=40, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
               sliding_window=8),
    LLAMA_KEYS + [("sliding_window", None), ("sliding_window", 9)], dtype="float16")
add("qwen2", llama_like("qwen2", "Qwen2ForCausalLM", use_sliding_window=False, sliding_window=8, max_window_layers=0),
    LLAMA_KEYS + [("use_sliding_window", True)], dtype="float16", gguf=True)
add("qwen2-window",
    llama_like("qwen2", "Qwen2ForCausalLM", use_sliding_window=True, sliding_window=8, max_window_layers=1,
               num_hidden_layers=3, intermediate_size=40),
    LLAMA_KEYS + [("use_sliding_window", False), ("sliding_window", 16), ("max_window_layers", 2)])
QK_NORMS = {r"(q|k)_norm": 1.5}
add("qwen3",
    llama_like("qwen3", "Qwen3ForCausalLM", head_dim=24, attention_bias=False, use_sliding_window=False,
               sliding_window=None, max_window_layers=2),
    LLAMA_KEYS, gguf=True, scales=QK_NORMS)
add("qwen3-biases",
    llama_like("qwen3", "Qwen3ForCausalLM", intermediate_size=40, head_dim=32, num_attention_heads=3, num_key_value_heads=1,
               attention_bias=True, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    LLAMA_KEYS + [("attention_bias", False), ("use_sliding_window", False), ("max_window_layers", 0)],
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

# Gemma

def gemma_like(model_type, architecture, **more):
    config = llama_like(model_type, architecture, **dict(dict(
        hidden_activation="gelu_pytorch_tanh", head_dim=16, query_pre_attn_scalar=16, rms_norm_eps=0.5,
        attention_bias=False, sliding_window=8), **more))
    del config["hidden_act"]
    return config


GEMMA_KEYS = [("rms_norm_eps", 1e-6), ("rope_theta", 10000.0), ("hidden_activation", "relu")]
GEMMA = dict(one_plus=True, scales={"embed": 0.3, r"\.norm\.": 2.0, r"layers\.5\.post_att": 3.0, "post_feedforward": 2.0})
add("gemma2",
    gemma_like("gemma2", "Gemma2ForCausalLM", num_hidden_layers=3, rope_theta=10000.0, intermediate_size=64, attn_logit_softcapping=1.5,
               final_logit_softcapping=4.0),
    [("rope_theta", 100.0)] + GEMMA_KEYS[::2] + [("attn_logit_softcapping", None), ("final_logit_softcapping", None), ("sliding_window", 16)],
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
     ("sliding_window", 16), ("sliding_window_pattern", 3), ("rope_scaling", None), ("rope_scaling.factor", 1.0)],
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
     ("rope_parameters.sliding_attention.rope_theta", 1000.0)],
    **GEMMA)

# Phi-3: fused matrices

add("phi3",
    llama_like("phi3", "Phi3ForCausalLM", num_attention_heads=2, num_key_value_heads=2, sliding_window=None,
               original_max_position_embeddings=128, rope_scaling=None, tie_word_embeddings=False),
    LLAMA_KEYS + UNTIED + [("sliding_window", 8)])
add("phi3-window",
    llama_like("phi3", "Phi3ForCausalLM", intermediate_size=40, sliding_window=8, original_max_position_embeddings=128, rope_scaling=None,
               partial_rotary_factor=0.5),
    LLAMA_KEYS + [("sliding_window", None), ("partial_rotary_factor", 1.0)], dtype="float16")
PHI4 = dict(num_attention_heads=2, num_key_value_heads=1, head_dim=16, sliding_window=None, partial_rotary_factor=0.75,
            rope_theta=1000.0, max_position_embeddings=512, tie_word_embeddings=True,
            rope_scaling=dict(type="longrope", short_factor=SHORT[:6], long_factor=LONG[:6]))
add("phi3-longrope", llama_like("phi3", "Phi3ForCausalLM", original_max_position_embeddings=32, **PHI4),
    [("rope_scaling.long_factor", SHORT[:6]), ("original_max_position_embeddings", 64),
     ("max_position_embeddings", 32)],
    gguf=True, context=512, exceptions={"rope_scaling.short_factor": "the long ones apply"})
add("phi3-longrope-short", llama_like("phi3", "Phi3ForCausalLM", intermediate_size=40, original_max_position_embeddings=64, **PHI4),
    [("rope_scaling.short_factor", LONG[:6]), ("original_max_position_embeddings", 32),
     ("max_position_embeddings", 64)],
    dtype="float16", context=64, exceptions={"rope_scaling.long_factor": "the short ones apply"})

# Layer norms, parallel branches, fused and partial things

def layer_norm_like(model_type, architecture, **more):
    return llama_like(model_type, architecture, **dict(dict(rms_norm_eps="absent", layer_norm_eps=0.25), **more))


LAYER_KEYS = [("layer_norm_eps", 1e-5), ("rope_theta", 10000.0)]
add("stablelm",
    layer_norm_like("stablelm", "StableLmForCausalLM", use_qkv_bias=True, partial_rotary_factor=0.5,
                    use_parallel_residual=False, qk_layernorm=False, tie_word_embeddings=False, rope_theta=10000.0),
    [("layer_norm_eps", 1e-5), ("rope_theta", 100.0), ("hidden_act", "relu"), ("use_qkv_bias", False),
     ("partial_rotary_factor", "absent")] + UNTIED,
    gguf=True)
add("stablelm-parallel",
    layer_norm_like("stablelm", "StableLmForCausalLM", use_qkv_bias=False, partial_rotary_factor=0.25,
                    use_parallel_residual=True, qk_layernorm=True, intermediate_size=40),
    LAYER_KEYS + [("hidden_act", "relu"), ("partial_rotary_factor", 1.0), ("qk_layernorm", False)],
    dtype="float16", scales={"(q|k)_layernorm": 1.5},
    exceptions={"use_parallel_residual": "decides which tensors there are"})


def gpt2_like(**more):
    return dict(dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", vocab_size=320, n_embd=32, n_layer=2, n_head=2,
                     n_inner=None, n_positions=64, n_ctx=64, activation_function="gelu_new", layer_norm_epsilon=0.25,
                     resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1, bos_token_id=319, eos_token_id=319), **more)


GPT2_KEYS = [("layer_norm_epsilon", 1e-5), ("activation_function", "relu")]
add("gpt2", gpt2_like(), GPT2_KEYS + [("scale_attn_weights", False)], gguf=True, inputs_first=True, dtype="float16")


def published_names(tensors):
    """As in the published file: without the prefix, with the masks that old versions saved."""
    import torch
    tensors = {name.removeprefix("transformer."): t for name, t in tensors.items()}
    mask = torch.tril(torch.ones(16, 16)).reshape(1, 1, 16, 16)
    return tensors | {f"h.{n}.attn.bias": mask.clone() for n in range(2)}


add("gpt2-published",
    gpt2_like(n_inner=40, activation_function="relu", scale_attn_by_inverse_layer_idx=True),
    [("layer_norm_epsilon", 1e-5), ("activation_function", "gelu_new"), ("scale_attn_by_inverse_layer_idx", False)],
    finish=published_names, inputs_first=True, scales={r"h\.1\..*c_attn": 1.5})


def neox_like(**more):
    config = layer_norm_like("gpt_neox", "GPTNeoXForCausalLM", hidden_act="gelu", rotary_pct=0.5, rotary_emb_base=10000,
                             rope_theta="absent", use_parallel_residual=True, attention_bias=True,
                             tie_word_embeddings=False, num_key_value_heads="absent", intermediate_size=128)
    return dict(config, **more)


NEOX_KEYS = [("layer_norm_eps", 1e-5), ("hidden_act", "relu"), ("rotary_pct", 1.0), ("use_parallel_residual", False)]
add("gpt-neox", neox_like(), NEOX_KEYS + UNTIED + [("rotary_emb_base", 100)], gguf=True)
add("gpt-neox-sequential",
    neox_like(use_parallel_residual=False, rotary_pct=0.25, rotary_emb_base=100, hidden_act="gelu_new",
              intermediate_size=40, attention_bias=False),
    NEOX_KEYS[:3] + [("use_parallel_residual", True)], dtype="float16", scales={"query_key": 1.3})


def phi_like(**more):
    return layer_norm_like("phi", "PhiForCausalLM", **dict(dict(
        hidden_act="gelu_new", partial_rotary_factor=0.5, qk_layernorm=False, tie_word_embeddings=False,
        num_key_value_heads=2, intermediate_size=128, rope_theta=10000.0), **more))


add("phi", phi_like(num_key_value_heads=None),
    [("layer_norm_eps", 1e-5), ("hidden_act", "relu"), ("partial_rotary_factor", 1.0), ("rope_theta", 100.0)], gguf=True)
add("phi-norms",
    phi_like(num_attention_heads=3, num_key_value_heads=1, hidden_size=48, intermediate_size=40, qk_layernorm=True,
             partial_rotary_factor=0.75, hidden_act="gelu", rope_theta=100.0),
    LAYER_KEYS + [("hidden_act", "relu"), ("partial_rotary_factor", "absent"), ("qk_layernorm", False)],
    dtype="float16")


def falcon_like(**more):
    return dict(dict(architectures=["FalconForCausalLM"], model_type="falcon", vocab_size=320, hidden_size=32,
                     num_hidden_layers=2, num_attention_heads=2, alibi=False, bias=False, multi_query=True,
                     new_decoder_architecture=False, parallel_attn=True, layer_norm_epsilon=0.25, hidden_dropout=0.0,
                     attention_dropout=0.0, bos_token_id=319, eos_token_id=319), **more)


ALIBI = [("alibi", True, "positions by attention biases are another model")]
FALCON_KEYS = [("layer_norm_epsilon", 1e-5)]
add("falcon", falcon_like(),
    FALCON_KEYS + [("rope_theta", 100.0)], gguf=True, refused=ALIBI,
    exceptions={"multi_query": "decides the tensors' shapes", "parallel_attn": "decides which tensors there are"})
add("falcon-new",
    falcon_like(new_decoder_architecture=True, num_attention_heads=4, num_kv_heads=2, hidden_size=64, num_hidden_layers=2,
                ffn_hidden_size=40, activation="relu", bias=True, rope_theta=100.0),
    FALCON_KEYS + [("rope_theta", 10000.0), ("activation", "gelu"), ("bias", False)],
    dtype="float16", refused=ALIBI)
add("falcon-new-gguf",
    falcon_like(new_decoder_architecture=True, num_attention_heads=2, num_kv_heads=1), FALCON_KEYS, gguf=True)
add("falcon-new-one-norm",
    falcon_like(new_decoder_architecture=True, num_ln_in_parallel_attn=1, num_kv_heads=2, ffn_hidden_size=40,
                tie_word_embeddings=False),
    FALCON_KEYS + UNTIED)
add("falcon-sequential",
    falcon_like(parallel_attn=False, multi_query=False, bias=True, ffn_hidden_size=40),
    FALCON_KEYS + [("bias", False)], dtype="float16")


def nemotron_like(**more):
    return llama_like("nemotron", "NemotronForCausalLM", **dict(dict(
        rms_norm_eps="absent", norm_eps=0.25, hidden_act="relu2", partial_rotary_factor=0.5, attention_bias=False,
        mlp_bias=False, intermediate_size=100), **more))


NEMOTRON_KEYS = [("norm_eps", 1e-5), ("rope_theta", 10000.0), ("hidden_act", "relu"), ("partial_rotary_factor", 1.0)]
add("nemotron", nemotron_like(tie_word_embeddings=False), NEMOTRON_KEYS + UNTIED, gguf=True, one_plus=True)
add("nemotron-biases",
    nemotron_like(intermediate_size=40, attention_bias=True, mlp_bias=True, head_dim=24, partial_rotary_factor=0.25, hidden_act="relu"),
    NEMOTRON_KEYS[:2] + [("hidden_act", "relu2"), ("partial_rotary_factor", "absent"), ("attention_bias", False),
                         ("mlp_bias", False)],
    dtype="float16", one_plus=True)


def persimmon_like(**more):
    return layer_norm_like("persimmon", "PersimmonForCausalLM", **dict(dict(
        hidden_act="relu2", partial_rotary_factor=0.5, qk_layernorm=True, num_key_value_heads="absent",
        intermediate_size=100), **more))


PERSIMMON_KEYS = LAYER_KEYS + [("hidden_act", "relu"), ("partial_rotary_factor", 1.0)]
add("persimmon", persimmon_like(tie_word_embeddings=False), PERSIMMON_KEYS + UNTIED + [("qk_layernorm", False)])
add("persimmon-plain", persimmon_like(intermediate_size=40, qk_layernorm=False, partial_rotary_factor=0.25), PERSIMMON_KEYS, dtype="float16")


def opt_like(**more):
    return dict(dict(architectures=["OPTForCausalLM"], model_type="opt", vocab_size=320, hidden_size=48, ffn_dim=100,
                     num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=64, activation_function="relu",
                     do_layer_norm_before=True, word_embed_proj_dim=48, bos_token_id=2, eos_token_id=2,
                     pad_token_id=1, tie_word_embeddings=True), **more)


add("opt", opt_like(hidden_size=32, word_embed_proj_dim=32, num_attention_heads=2), [("activation_function", "gelu")], dtype="float16",
    exceptions={"do_layer_norm_before": "decides which tensors there are"})
add("opt-350m", opt_like(do_layer_norm_before=False, word_embed_proj_dim=32, ffn_dim=72),
    [("activation_function", "gelu")], dtype="float16",
    exceptions={"word_embed_proj_dim": "decides the tensors' shapes",
                "do_layer_norm_before": "true needs a final norm"})
add("opt-plain",
    opt_like(enable_bias=False, layer_norm_elementwise_affine=False, _remove_final_layer_norm=True,
             activation_function="gelu", hidden_size=32, word_embed_proj_dim=32, num_attention_heads=2, ffn_dim=40),
    [("activation_function", "relu")],
    exceptions={"enable_bias": "decides which tensors there are",
                "layer_norm_elementwise_affine": "decides which tensors there are",
                "_remove_final_layer_norm": "false needs a final norm"})

# BitNet

def bitnet_like(**more):
    return llama_like("bitnet", "BitNetForCausalLM", **dict(dict(hidden_act="relu2", attention_bias=False,
                                                                 intermediate_size=80), **more))


BITNET_KEYS = NO_ACTIVATION + [("hidden_act", "silu")]
add("bitnet-plain", bitnet_like(intermediate_size=40, ), BITNET_KEYS, scales={"sub_norm": 1.5})
add("bitnet-online",
    bitnet_like(quantization_config=dict(quant_method="bitnet", linear_class="autobitlinear",
                                         quantization_mode="online", modules_to_not_convert=None)),
    BITNET_KEYS + [("quantization_config", "absent")], scales={"sub_norm": 1.5})
add("bitnet-packed",
    bitnet_like(quantization_config=dict(quant_method="bitnet", linear_class="autobitlinear",
                                         quantization_mode="offline", modules_to_not_convert=None)),
    BITNET_KEYS + [("quantization_config.linear_class", "bitlinear")], finish=bitnet.pack, scales={"sub_norm": 1.5})
add("bitnet-packed-inverse",
    bitnet_like(quantization_config=dict(quant_method="bitnet", modules_to_not_convert=["lm_head"]),
                tie_word_embeddings=False),
    BITNET_KEYS + [("quantization_config.linear_class", "autobitlinear")],
    finish=lambda tensors: bitnet.pack(tensors, inverse=True), scales={"sub_norm": 1.5})

# Mixtures of experts

EVEN = {r"\bgate\.weight$|router": 0.35}  # so that experts that are not chosen count where they should

def mixture_like(model_type, architecture, **more):
    return llama_like(model_type, architecture, **dict(dict(num_experts_per_tok=2, output_router_logits=False), **more))


add("mixtral",
    mixture_like("mixtral", "MixtralForCausalLM", num_local_experts=4, intermediate_size=24, sliding_window=None),
    LLAMA_KEYS + [("num_experts_per_tok", 1), ("sliding_window", 8)], gguf=True, scales=EVEN)
add("mixtral-window",
    mixture_like("mixtral", "MixtralForCausalLM", num_local_experts=4, num_experts_per_tok=3, intermediate_size=24,
                 sliding_window=8, head_dim=24),
    LLAMA_KEYS + [("num_experts_per_tok", 2), ("sliding_window", None)], dtype="float16",
    scales=EVEN)
add("olmoe",
    mixture_like("olmoe", "OlmoeForCausalLM", num_experts=4, tie_word_embeddings=False, intermediate_size=24, clip_qkv=None,
                 norm_topk_prob=False, num_key_value_heads=2, attention_bias=False, rms_norm_eps=1e-5),
    [("rope_theta", 10000.0), ("hidden_act", "relu"), ("num_experts_per_tok", 1), ("norm_topk_prob", True)] + UNTIED, gguf=True,
    scales=EVEN)
add("olmoe-clip",
    mixture_like("olmoe", "OlmoeForCausalLM", num_experts=4, num_experts_per_tok=3, intermediate_size=24, clip_qkv=0.8,
                 norm_topk_prob=True),
    LLAMA_KEYS + [("num_experts_per_tok", 2), ("norm_topk_prob", False), ("clip_qkv", None)], dtype="float16",
    scales=EVEN)
add("qwen2-moe",
    mixture_like("qwen2_moe", "Qwen2MoeForCausalLM", num_experts=4, tie_word_embeddings=False, moe_intermediate_size=24,
                 shared_expert_intermediate_size=40, intermediate_size=64, norm_topk_prob=False, decoder_sparse_step=1,
                 mlp_only_layers=[], use_sliding_window=False, sliding_window=8, max_window_layers=2),
    LLAMA_KEYS + [("num_experts_per_tok", 1), ("norm_topk_prob", True)] + UNTIED, gguf=True,
    scales=EVEN)
add("qwen2-moe-layers",
    mixture_like("qwen2_moe", "Qwen2MoeForCausalLM", num_experts=4, moe_intermediate_size=16, num_hidden_layers=4,
                 shared_expert_intermediate_size=24, intermediate_size=40, norm_topk_prob=True, decoder_sparse_step=2,
                 mlp_only_layers=[3], use_sliding_window=True, sliding_window=8, max_window_layers=3),
    LLAMA_KEYS + [("num_experts_per_tok", 1), ("norm_topk_prob", False), ("use_sliding_window", False),
                  ("sliding_window", 16), ("max_window_layers", 1)],
    dtype="float16", scales=EVEN | {r"experts\.": 1.4}, exceptions={"decoder_sparse_step": "decides which tensors there are",
                                 "mlp_only_layers": "decides which tensors there are"})
add("qwen3-moe",
    mixture_like("qwen3_moe", "Qwen3MoeForCausalLM", num_experts=4, moe_intermediate_size=24, intermediate_size=64,
                 norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[], head_dim=24, attention_bias=False,
                 use_sliding_window=False, sliding_window=None),
    LLAMA_KEYS + [("num_experts_per_tok", 1), ("norm_topk_prob", False)], gguf=True, scales=QK_NORMS | EVEN)
add("qwen3-moe-layers",
    mixture_like("qwen3_moe", "Qwen3MoeForCausalLM", num_experts=4, moe_intermediate_size=24, intermediate_size=40,
                 norm_topk_prob=False, decoder_sparse_step=1, mlp_only_layers=[0], head_dim=16, attention_bias=True,
                 use_sliding_window=True, sliding_window=8),
    LLAMA_KEYS + [("num_experts_per_tok", 1), ("norm_topk_prob", True), ("use_sliding_window", False),
                  ("attention_bias", False)],
    dtype="float16", scales=EVEN | {r"experts\.": 1.4}, exceptions={"mlp_only_layers": "decides which tensors there are"})


def smallthinker_like(**more):
    return llama_like("smallthinker", "SmallThinkerForCausalLM", **dict(dict(
        hidden_act="absent", intermediate_size="absent", head_dim=16, moe_num_primary_experts=4,
        moe_num_active_primary_experts=2, moe_ffn_hidden_size=24, moe_primary_router_apply_softmax=False,
        rope_layout=[1, 1], sliding_window_layout=[0, 0], sliding_window_size=8, norm_topk_prob=True,
        auto_map={"AutoConfig": "configuration_smallthinker.SmallThinkerConfig",
                  "AutoModelForCausalLM": "modeling_smallthinker.SmallThinkerForCausalLM"}), **more))


THINKER_KEYS = NO_ACTIVATION + [("moe_num_active_primary_experts", 1)]
add("smallthinker", smallthinker_like(), THINKER_KEYS + [("moe_primary_router_apply_softmax", True)], gguf=True,
    scales=EVEN)
add("smallthinker-layers",
    smallthinker_like(num_hidden_layers=3, rope_layout=[0, 1, 1], sliding_window_layout=[0, 1, 1],
                      moe_primary_router_apply_softmax=True, moe_ffn_hidden_size=24),
    THINKER_KEYS + [("moe_primary_router_apply_softmax", False), ("rope_layout", [1, 1, 1]),
                             ("sliding_window_layout", [0, 0, 0]), ("sliding_window_size", 16)],
    dtype="float16", scales=EVEN,
    refused=[("moe_enable_secondary_experts", True, "other tensors"), ("use_qk_norm", True, "other tensors")])

# Found by trying a few: errors of the int8 emulation that do not depend on chance.
SALTS = {
    "minicpm-fatrelu": 7, "sparsellama": 16, "llama-linear": 1, "llama-yarn": 6, "smollm3": 1, "gemma2": 2,
    "gemma2-scalar": 1, "gemma3": 5, "gemma3-layers": 1, "phi3": 1, "phi3-window": 1, "phi3-longrope": 1, "gpt2": 2,
    "gpt-neox-sequential": 2, "persimmon": 1, "opt": 3, "opt-350m": 1, "olmoe": 1, "qwen2-moe": 2,
    "qwen2-moe-layers": 9, "qwen3-moe": 6, "smallthinker-layers": 5, "olmoe-clip": 11, "qwen3-moe-layers": 1,
    "smallthinker": 1}
for case in CASES:
    case.salt = SALTS.get(case.name, 0)
