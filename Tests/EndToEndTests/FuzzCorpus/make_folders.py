"""Writes the seeds of the driver `folder`: python make_folders.py"""

import json
import pathlib
import struct

V, D, H, F, C = 40, 8, 2, 16, 16
LLAMA = {"model_type": "llama", "vocab_size": V, "hidden_size": D, "num_hidden_layers": 1, "num_attention_heads": H,
         "num_key_value_heads": 1, "intermediate_size": F, "max_position_embeddings": C, "hidden_act": "gelu",
         "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "attention_bias": False, "sliding_window": None,
         "rope_parameters": {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
                             "high_freq_factor": 4.0, "original_max_position_embeddings": 8},
         "architectures": ["LlamaForCausalLM"], "unused": float("nan"), "eos_token_id": 2}
OPT = {"model_type": "opt", "vocab_size": V, "hidden_size": D, "num_hidden_layers": 1, "num_attention_heads": H,
       "ffn_dim": F, "max_position_embeddings": C, "activation_function": "relu", "do_layer_norm_before": True,
       "word_embed_proj_dim": D, "enable_bias": True, "bos_token_id": 1, "eos_token_id": 2}
TOKENIZER = {"added_tokens": [{"id": 2, "content": "t2", "special": True}],
             "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
             "model": {"type": "BPE", "vocab": {f"t{i}": i for i in range(V)}, "merges": []}}


def llama():
    layer = "model.layers.0."
    yield "model.embed_tokens.weight", (V, D)
    for name, rows, cols in (("self_attn.q_proj", D, D), ("self_attn.k_proj", D // H, D), ("self_attn.v_proj", D // H, D),
                             ("self_attn.o_proj", D, D), ("mlp.gate_proj", F, D), ("mlp.up_proj", F, D),
                             ("mlp.down_proj", D, F)):
        yield layer + name + ".weight", (rows, cols)
    for name in (layer + "input_layernorm", layer + "post_attention_layernorm", "model.norm"):
        yield name + ".weight", (D,)


def opt():
    outer, layer = "model.decoder.", "model.decoder.layers.0."
    yield outer + "embed_tokens.weight", (V, D)
    yield outer + "embed_positions.weight", (C + 2, D)
    linear = [(layer + "self_attn." + n, D, D) for n in ("q_proj", "k_proj", "v_proj", "out_proj")]
    for name, rows, cols in linear + [(layer + "fc1", F, D), (layer + "fc2", D, F)]:
        yield name + ".weight", (rows, cols)
        yield name + ".bias", (rows,)
    for name in (layer + "self_attn_layer_norm", layer + "final_layer_norm", outer + "final_layer_norm"):
        yield name + ".weight", (D,)
        yield name + ".bias", (D,)


def safetensors(tensors):
    header, size = {}, 0
    for name, shape in tensors:
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [size, size + 2 * count]}
        size += 2 * count
    text = json.dumps(header).encode()
    weights = b"".join(struct.pack("<e", (i * 37 % 101 - 50) / 64) for i in range(size // 2))
    return struct.pack("<Q", len(text)) + text + weights


for name, config, tensors in (("llama", LLAMA, llama()), ("opt", OPT, opt())):
    parts = [json.dumps(config).encode(), json.dumps(TOKENIZER).encode(), safetensors(tensors)]
    folder = pathlib.Path(__file__).with_name("folder")
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\0".join(parts))
