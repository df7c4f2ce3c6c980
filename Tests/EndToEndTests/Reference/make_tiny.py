"""Makes tiny random models, in the native format or as a Hugging Face folder, and their goldens.

    python make_tiny.py                       fixtures/ again: models, tokens, masks, golden outputs
    python make_tiny.py --native NAME FILE    one native model
    python make_tiny.py --hf NAME FOLDER [--dtype F32|F16|BF16]
                                              config.json, model.safetensors, tokenizer.json
    python make_tiny.py --goldens MODEL PREFIX
                                              goldens of any native model, as for the fixtures
    python make_tiny.py --big FILE            8 layers, d 256, vocabulary 4096: to time things
"""
import argparse
import os

import numpy as np

import functions as fn
from reference import Reference, read_mask
from tiny_files import write_native
from tiny_huggingface import write_hf
from tiny_models import BIG, MODELS

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "fixtures")


# Goldens

def random_mask(model, random):
    """About 40 % of the neurons and 60 % of the heads, at least one each."""
    neurons, heads = [], []
    for _ in range(model.n_layers):
        neurons.append(np.flatnonzero(random.random(model.d_ff) < 0.4))
        some = random.random(model.n_heads) < 0.6
        some[random.integers(model.n_heads)] = True
        heads.append(np.flatnonzero(some))
    return neurons, heads


def edge_mask(model, random):
    """No neuron and no head, then one neuron more than a group and every head, and so on; if there
    is one layer only, exactly a group and the last head."""
    neurons, heads = [], []
    for n in range(model.n_layers):
        size = [0, 65, 64, 1][n % 4] if model.n_layers > 1 else 64
        neurons.append(np.sort(random.choice(model.d_ff, min(size, model.d_ff), replace=False)))
        first = [model.n_heads, 0][n % 2] if model.n_layers > 1 else model.n_heads - 1
        heads.append(np.arange(first, model.n_heads))
    return neurons, heads


def write_mask(path, neurons, heads):
    with open(path, "w") as file:
        for kind, lists in (("neurons", neurons), ("heads", heads)):
            for n, items in enumerate(lists):
                print(kind, n, ",".join(map(str, items)) or "-", file=file)


def write_hashes(path, logits, hidden):
    with open(path, "w") as file:
        for t in range(len(logits)):
            print(t, fn.hash_floats(logits[t]), *(fn.hash_floats(h) for h in hidden[t]), file=file)


def write_cases(model, tokens, prefix, cases):
    """PREFIX.CASE.{hashes.txt,logits.f32}"""
    for case in cases:
        mask = (None, None)
        if case != "dense":
            mask = read_mask(f"{prefix}.{case}.mask.txt", model.n_layers)
        logits, hidden = model.run(tokens, *mask)
        write_hashes(f"{prefix}.{case}.hashes.txt", logits, hidden)
        kept = [0, 1, len(tokens) - 1] if case == "dense" else [len(tokens) - 1]
        logits[kept].astype("<f4").tofile(f"{prefix}.{case}.logits.f32")


def write_goldens(path, prefix, seed=7):
    """PREFIX.tokens.txt, PREFIX.dense.{hashes.txt,logits.f32}, PREFIX.int8.hashes.txt,
    PREFIX.{sparse,edge}.{mask.txt,hashes.txt,logits.f32} unless the model has experts,
    PREFIX.predicted.hashes.txt if it has predictors, PREFIX.screened{1,5}.hashes.txt if it has a screen,
    PREFIX.short.hashes.txt, of a session as long as the original context, if it has long factors"""
    model = Reference(path)
    random = np.random.default_rng(seed)
    tokens = random.integers(0, model.vocabulary, min(model.context, 72))
    tokens[10:16] = tokens[3]
    with open(prefix + ".tokens.txt", "w") as file:
        print(",".join(map(str, tokens)), file=file)
    cases = ["dense"]
    if not model.experts:
        write_mask(prefix + ".sparse.mask.txt", *random_mask(model, random))
        write_mask(prefix + ".edge.mask.txt", *edge_mask(model, random))
        cases += ["sparse", "edge"]
    write_cases(model, tokens, prefix, cases)
    write_hashes(prefix + ".int8.hashes.txt", *Reference(path, cache="int8").run(tokens))
    if model.predictors or model.gate_rules:
        write_hashes(prefix + ".predicted.hashes.txt", *model.run(tokens, predicted=True))
    for k in (1, 5) if model.screen else ():
        write_hashes(f"{prefix}.screened{k}.hashes.txt", *model.run(tokens, screened=k))
    original = model.meta.get("tinysparse.rope.original_context")
    if original:
        write_hashes(prefix + ".short.hashes.txt", *Reference(path, context=original).run(tokens[:original]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--native", nargs=2, metavar=("NAME", "FILE"))
    parser.add_argument("--hf", nargs=2, metavar=("NAME", "FOLDER"))
    parser.add_argument("--goldens", nargs=2, metavar=("MODEL", "PREFIX"))
    parser.add_argument("--big", metavar="FILE")
    parser.add_argument("--dtype", choices=["F32", "F16", "BF16"], default="F32")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.native:
        write_native(args.native[1], args.native[0], MODELS[args.native[0]], args.seed)
    elif args.hf:
        write_hf(args.hf[1], args.hf[0], MODELS[args.hf[0]], args.seed, args.dtype)
    elif args.goldens:
        write_goldens(*args.goldens)
    elif args.big:
        write_native(args.big, "big", BIG, args.seed)
    else:
        os.makedirs(FIXTURES, exist_ok=True)
        for name, config in MODELS.items():
            path = os.path.join(FIXTURES, f"tiny-{name}.gguf")
            write_native(path, name, config, args.seed)
            write_goldens(path, os.path.join(FIXTURES, f"tiny-{name}"))


if __name__ == "__main__":
    main()
