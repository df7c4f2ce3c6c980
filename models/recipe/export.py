#!/usr/bin/env python3
"""Writes a checkpoint in Hugging Face's OPT layout:
config.json, model.safetensors (F32), tokenizer.json.

    python export.py --build build --out build/export
"""
import argparse
import json
import pathlib
import pickle
import shutil

import numpy as np
from safetensors.numpy import save_file

import model


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    a.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/export"))
    a = a.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    s = pickle.loads((a.build / "checkpoint.pkl").read_bytes())
    c = model.Config(**s["config"])
    params = {k: v for k, v in s["params"].items() if k not in model.gate_shapes(c)}
    tensors = {"model.decoder." + k: np.ascontiguousarray(v, np.float32) for k, v in params.items()}
    assert {k: v.shape for k, v in params.items()} == model.shapes(c)
    assert all(np.isfinite(v).all() for v in tensors.values())
    save_file(tensors, a.out / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["OPTForCausalLM"], "model_type": "opt", "activation_function": "relu",
        "hidden_size": c.d, "word_embed_proj_dim": c.d, "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads, "ffn_dim": c.ffn, "max_position_embeddings": c.positions,
        "vocab_size": c.vocab, "do_layer_norm_before": True, "_remove_final_layer_norm": False,
        "enable_bias": True, "layer_norm_elementwise_affine": True, "tie_word_embeddings": True,
        "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, "dropout": 0.0,
        "attention_dropout": 0.0, "layerdrop": 0.0, "init_std": 0.02, "use_cache": True,
        "torch_dtype": "float32"}
    (a.out / "model.safetensors").chmod(0o644)
    (a.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    shutil.copy(a.build / "tokenizer.json", a.out / "tokenizer.json")
    print(f"step {s['step']}, {s['tokens']} tokens seen ->", a.out)


if __name__ == "__main__":
    main()
