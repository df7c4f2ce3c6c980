#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a folder for `tinysparse convert --predictors` of predictors that PowerInfer or Deja Vu trained.

    pip install torch safetensors
    python import_predictors.py powerinfer FOLDER OUT    model_N.pt with fc1.weight and fc2.weight; config.json
    python import_predictors.py dejavu FOLDER OUT        c4_layer*.pt and c4_att_layer*.pt with 0.weight and 1.weight

OUT gets predictors.safetensors and predictors.json. --threshold is that of neurons, --head-threshold that of heads; without
them it is PowerInfer's sparse_threshold, or 0. Deja Vu computes a fixed number of neurons, which `--sparsity SHARE` of
`tinysparse run` does, whatever the threshold; a score of 0 is the probability one half that its predictors were trained for.
"""
import argparse
import json
import os
import re
import sys

import safetensors.torch
import torch


def fail(message):
    sys.exit("import_predictors.py: " + message)


def files(folder, pattern):
    """-> {layer: path} of the files whose names match; the layer is the pattern's group."""
    found = {}
    for name in sorted(os.listdir(folder)):
        match = re.fullmatch(pattern, name)
        if match:
            layer, path = int(match[1]), os.path.join(folder, name)
            if layer in found:
                fail(f"{found[layer]} and {path} are both of layer {layer}; remove one of them")
            found[layer] = path
    return found


def matrices(path, names):
    """-> the two matrices of a file, as far as possible as they are."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or set(state) != set(names):
        what = ", ".join(map(str, state)) if isinstance(state, dict) else type(state).__name__
        fail(f"{path}: has {what}, not {' and '.join(names)}")
    a, b = (state[name] for name in names)
    if a.ndim != 2 or b.ndim != 2 or b.shape[1] != a.shape[0]:
        fail(f"{path}: the shapes {tuple(a.shape)} and {tuple(b.shape)} do not fit together")
    kept = (torch.float16, torch.bfloat16, torch.float32)
    return [(m if m.dtype in kept else m.float()).contiguous() for m in (a, b)]


def add(tensors, kind, found, names):
    for layer, path in found.items():
        a, b = matrices(path, names)
        tensors[f"layers.{layer}.{kind}.a.weight"] = a
        tensors[f"layers.{layer}.{kind}.b.weight"] = b


def powerinfer(args, tensors):
    """A ReLU between; the input is the residual stream before the MLP's norm (of Falcon, the layer's input, which in
    parallel layers is the same)."""
    found = files(args.folder, r"model_(\d+)\.pt")
    if not found:
        fail(f"{args.folder}: there is no model_0.pt")
    add(tensors, "neurons", found, ("fc1.weight", "fc2.weight"))
    threshold, path = args.threshold, os.path.join(args.folder, "config.json")
    if threshold is None and os.path.exists(path):
        with open(path) as file:
            threshold = json.load(file).get("sparse_threshold")
    return {"neurons": {"input": "ffn_residual", "relu": True, "threshold": threshold or 0}}


def dejavu(args, tensors):
    """No activation between; the input of neurons is the block's input before its norm, that of heads the same of the
    block before."""
    names, config = ("0.weight", "1.weight"), {}
    for kind, pattern, threshold in (("neurons", r"c4_(?!att)(?:.*_)?layer(\d+)(?:\D.*)?\.pt", args.threshold),
                                     ("heads", r"c4_att_(?:.*_)?layer(\d+)(?:\D.*)?\.pt", args.head_threshold)):
        found = files(args.folder, pattern)
        if found:
            add(tensors, kind, found, names)
            config[kind] = {"input": "attn_residual", "relu": False, "threshold": threshold or 0}
    if not config:
        fail(f"{args.folder}: there is no c4_layer*.pt and no c4_att_layer*.pt")
    return config


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", choices=["powerinfer", "dejavu"])
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--head-threshold", type=float)
    args = parser.parse_args()
    tensors = {}
    config = {"powerinfer": powerinfer, "dejavu": dejavu}[args.source](args, tensors)
    os.makedirs(args.out, exist_ok=True)
    safetensors.torch.save_file(tensors, os.path.join(args.out, "predictors.safetensors"))
    with open(os.path.join(args.out, "predictors.json"), "w") as file:
        json.dump(config, file, indent=1)
    print(f"{len(tensors) // 2} predictors in {args.out}")


if __name__ == "__main__":
    main()
