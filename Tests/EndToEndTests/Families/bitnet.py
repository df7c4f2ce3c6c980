"""BitNet checkpoints: master weights that are made ternary at run time, and packed ternary weights.

Activations stay float here; the published code rounds them to int8 per token.
"""
import json
import os
import re

import torch
from safetensors.torch import load_file, save_file

TERNARY = re.compile(r"(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)\.weight$")


def ternary(weight):
    """-1, 0 and 1 of the weight, and the one scale of the tensor: the mean magnitude."""
    scale = weight.float().abs().mean().clamp(min=1e-5)
    return (weight.float() / scale).round().clamp(-1, 1), scale


def packed(values):
    """Four rows of values in one of bytes: row r, r + rows / 4, r + rows / 2, ... in bits 0-1, 2-3, ..."""
    quarters = (values + 1).to(torch.uint8).chunk(4)
    return quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6


def unpacked(data):
    return torch.cat([(data >> shift & 3).float() - 1 for shift in (0, 2, 4, 6)])


def pack(tensors, inverse=False):
    """A checkpoint with packed weights and their scales, of one with master weights."""
    result = {}
    for name, t in tensors.items():
        if TERNARY.search(name):
            values, scale = ternary(t)
            result[name] = packed(values)
            result[name + "_scale"] = (1 / scale if inverse else scale).reshape(1).to(t.dtype)
        else:
            result[name] = t
    return result


def write_plain(folder, target):
    """The same model with float weights and no quantization_config."""
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    how = config.pop("quantization_config")
    inverse = how.get("linear_class", "bitlinear") == "bitlinear"
    tensors = {}
    stored = load_file(os.path.join(folder, "model.safetensors"))
    for name, t in stored.items():
        if t.dtype == torch.uint8:
            scale = stored[name + "_scale"].float()
            tensors[name] = unpacked(t) / scale if inverse else unpacked(t) * scale
        elif not name.endswith("_scale"):
            values, scale = ternary(t)
            tensors[name] = values * scale if TERNARY.search(name) else t.float()
    with open(os.path.join(target, "config.json"), "w") as file:
        json.dump(config, file)
    save_file(tensors, os.path.join(target, "model.safetensors"), metadata={"format": "pt"})
