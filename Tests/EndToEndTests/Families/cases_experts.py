"""Mixtures of experts."""
from case import LLAMA_KEYS, NO_ACTIVATION, QK_NORMS, UNTIED, add, llama_like


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
    mixture_like("olmoe", "OlmoeForCausalLM", num_experts=4, tie_word_embeddings=False, intermediate_size=24,
                 clip_qkv=None,
                 norm_topk_prob=False, num_key_value_heads=2, attention_bias=False, rms_norm_eps=1e-5),
    [("rope_theta", 10000.0), ("hidden_act", "relu"), ("num_experts_per_tok", 1), ("norm_topk_prob", True),
     ("clip_qkv", 0.5)] + UNTIED, gguf=True,
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
    dtype="float16", scales=EVEN | {r"experts\.": 1.4},
    exceptions={"decoder_sparse_step": "decides which tensors there are",
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
                  ("attention_bias", False), ("sliding_window", 16)],
    dtype="float16", scales=EVEN | {r"experts\.": 1.4},
    exceptions={"mlp_only_layers": "decides which tensors there are"})


def smallthinker_like(**more):
    return llama_like("smallthinker", "SmallThinkerForCausalLM", **dict(dict(
        hidden_act="absent", intermediate_size="absent", head_dim=16, moe_num_primary_experts=4,
        moe_num_active_primary_experts=2, moe_ffn_hidden_size=24, moe_primary_router_apply_softmax=False,
        rope_layout=[1, 1], sliding_window_layout=[0, 0], sliding_window_size=8, norm_topk_prob=True,
        auto_map={"AutoConfig": "configuration_smallthinker.SmallThinkerConfig",
                  "AutoModelForCausalLM": "modeling_smallthinker.SmallThinkerForCausalLM"}), **more))


THINKER_KEYS = NO_ACTIVATION + [("moe_num_active_primary_experts", 1)]
add("smallthinker", smallthinker_like(), THINKER_KEYS + [("moe_primary_router_apply_softmax", True), ("rope_layout",
    [1, 0]), ("sliding_window_layout", [0, 1])], gguf=True,
    scales=EVEN)
add("smallthinker-layers",
    smallthinker_like(num_hidden_layers=3, rope_layout=[0, 1, 1], sliding_window_layout=[0, 1, 1],
                      moe_primary_router_apply_softmax=True, moe_ffn_hidden_size=24),
    THINKER_KEYS + [("moe_primary_router_apply_softmax", False), ("rope_layout", [1, 1, 1]),
                             ("sliding_window_layout", [0, 0, 0]), ("sliding_window_size", 16)],
    dtype="float16", scales=EVEN,
    refused=[("moe_enable_secondary_experts", True, "other tensors"), ("use_qk_norm", True, "other tensors")])
