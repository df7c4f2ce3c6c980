"""A tiny model as a Hugging Face folder, of the same weights as its native file."""
import json
import os
import struct

import numpy as np

from tiny_files import is_extended, tokenizer, weights

F = np.float32

HF_LLAMA = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
HF_LLAMA_LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj"}
HF_OPT = {"token_embd": "model.decoder.embed_tokens",
          "position_embd": "model.decoder.embed_positions",
          "output_norm": "model.decoder.final_layer_norm", "output": "lm_head"}
HF_OPT_LAYER = {
    "attn_norm": "self_attn_layer_norm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.out_proj", "ffn_norm": "final_layer_norm", "ffn_up": "fc1",
    "ffn_down": "fc2"}


def hf_config(config):
    if is_extended(config):
        raise SystemExit("this model has no Hugging Face form")
    common = dict(vocab_size=config["vocabulary_size"], hidden_size=config["embedding_length"],
                  num_hidden_layers=config["layer_count"], num_attention_heads=config["head_count"],
                  max_position_embeddings=config["context_length"],
                  tie_word_embeddings=config["tied_head"], torch_dtype="float32",
                  bos_token_id=config["vocabulary_size"] - 1,
                  eos_token_id=config["vocabulary_size"] - 1)
    if config["architecture"] == "llama":
        if config["factors"] or config["rope_dimensions"] != config["head_dimension"] or "biases" in config:
            raise SystemExit("this model has no Hugging Face form")
        scaling = config["rope_scaling"]
        return dict(common, architectures=["LlamaForCausalLM"], model_type="llama",
                    hidden_act=config["activation"], intermediate_size=config["feed_forward_length"],
                    num_key_value_heads=config["kv_head_count"], head_dim=config["head_dimension"],
                    rms_norm_eps=config["norm_epsilon"], rope_theta=config["rope_base"],
                    rope_scaling=None if scaling == 1 else {"type": "linear", "factor": scaling},
                    attention_bias=config["has_biases"], mlp_bias=config["has_biases"])
    activation = {"gelu": "gelu_new", "gelu_erf": "gelu"}.get(config["activation"], config["activation"])
    return dict(common, architectures=["OPTForCausalLM"], model_type="opt",
                activation_function=activation, ffn_dim=config["feed_forward_length"],
                do_layer_norm_before=True, word_embed_proj_dim=config["embedding_length"],
                enable_bias=True, layer_norm_elementwise_affine=True)


def write_safetensors(path, tensors, dtype):
    """tensors: float32 arrays. BF16 is rounded to nearest even."""
    def encode(a):
        if dtype == "F32":
            return a.astype("<f4").tobytes()
        if dtype == "F16":
            return a.astype("<f2").tobytes()
        bits = a.astype("<f4").view("<u4").astype(np.uint64)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()

    header, body = {}, b""
    for name, array in tensors.items():
        raw = encode(array)
        header[name] = dict(dtype=dtype, shape=list(array.shape),
                            data_offsets=[len(body), len(body) + len(raw)])
        body += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def write_hf(folder, name, config, seed, dtype):
    settings = hf_config(config)
    llama = config["architecture"] == "llama"
    outer, inner = (HF_LLAMA, HF_LLAMA_LAYER) if llama else (HF_OPT, HF_OPT_LAYER)
    prefix = "model.layers" if llama else "model.decoder.layers"
    tensors = {}
    for key, array in weights(config, seed).items():
        stem, kind = key.rsplit(".", 1)
        if stem.startswith("blk."):
            _, n, part = stem.split(".")
            tensors[f"{prefix}.{n}.{inner[part]}.{kind}"] = array
        else:
            if stem == "position_embd":  # the first position is row 2 there
                array = np.concatenate([np.zeros((2, array.shape[1]), F), array])
            tensors[f"{outer[stem]}.{kind}"] = array
    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, "model.safetensors"), tensors, dtype)
    settings["torch_dtype"] = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[dtype]
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(settings, file, indent=1)
    vocabulary, merges = tokenizer(config["vocabulary_size"])
    end = len(vocabulary) - 1
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}
    added = {"id": end, "content": vocabulary[end], "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "vocab": {v: i for i, v in enumerate(vocabulary)}, "merges": merges}
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added],
                   "normalizer": None, "pre_tokenizer": level, "post_processor": None,
                   "decoder": level, "model": model}, file, ensure_ascii=False, indent=0)
