"""Sparse models that transformers does not have, and BitNet."""
import bitnet
from case import LLAMA_KEYS, NO_ACTIVATION, RELU_KEYS, add, llama_like


def transposed_down(tensors):
    return {name: t.t() if "down_proj.weight" in name else t for name, t in tensors.items()}


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
    NO_ACTIVATION + [("attention_bias", False), ("mlp_bias", False)], dtype="float16",
    exceptions={"sparsity_gated_mlp": "decides which tensors there are",
                "sparsity_new_intermediate_size": "decides the tensors' shapes"})
add("llama-sparse-relu-hybrid",
    llama_like("llama_sparse_relu", "SparseLlamaForCausalLM", intermediate_size=40, sparsity_gated_mlp=True,
               sparsity_use_hybrid_kernel=True, **SPARSE),
    NO_ACTIVATION, finish=transposed_down,
    exceptions={"sparsity_use_hybrid_kernel": "the shape of the down projection, [inputs, outputs] here, decides"})
add("qwen2-sparse-relu",
    llama_like("qwen2_sparse_relu", "SparseQwen2ForCausalLM", intermediate_size=40, sparsity_gated_mlp=True,
               use_sliding_window=False,
               sliding_window=8, max_window_layers=0),
    NO_ACTIVATION, dtype="float16")
MINICPM = dict(scale_emb=4, dim_model_base=24, scale_depth=0.8)
MINICPM_KEYS = [("scale_emb", 1), ("dim_model_base", 32), ("scale_depth", 1.4142136)]
add("minicpm", llama_like("minicpm", "MiniCPMForCausalLM", **MINICPM),
    LLAMA_KEYS + MINICPM_KEYS, gguf=True, scales={"embed": 0.4})
add("minicpm-fatrelu",
    llama_like("minicpm", "MiniCPMForCausalLM", intermediate_size=40, hidden_act="fatrelu", hidden_act_param=1.5,
               **MINICPM),
    RELU_KEYS + MINICPM_KEYS + [("hidden_act_param", 0.0)], dtype="float16", scales={"embed": 0.4},
    refused=[("num_experts", 8, "MiniCPM-MoE has other tensors")])
add("sparsellama",
    llama_like("sparsellama", "SparseLlamaForCausalLM", num_key_value_heads=2, hidden_act="fatrelu",
               hidden_act_param=1.35),
    RELU_KEYS + [("hidden_act_param", 0.0)], dtype="float16")
add("bamboo",
    llama_like("bamboo", "BambooForCausalLM", intermediate_size=40, hidden_act="relu", sliding_window=8),
    RELU_KEYS + [("sliding_window", None)])


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
