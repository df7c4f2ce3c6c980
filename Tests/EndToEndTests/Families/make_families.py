"""Makes the fixtures of the model families: tiny random models and what they compute.

    python make_families.py [CASE ...]              config.json, model.safetensors, expected.json, logits.f32
    python make_families.py --gguf LLAMA_CPP        model.gguf of the cases that have one, with llama.cpp's converter
    python make_families.py --table                 the table of README.md

Models are those of transformers, or restated.py's. README.md describes the files.
"""
import argparse
import copy
import json
import os
import re
import tempfile
import zlib

os.environ["TORCHDYNAMO_DISABLE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

import bitnet
from emulation import HalfPrecisionCache, half, int8
from families import CASES
from random_weights import draw
from restated import DEFAULTS, Restated

HERE = os.path.dirname(os.path.abspath(__file__))
VOCABULARY, COUNT, STEP = 320, 48, 8
HEAD = re.compile(r"lm_head\.weight|embed_out\.weight")
KEPT = range(STEP - 1, COUNT, STEP)
# Other roundings as fine as int8: how far the error depends on chance, where thresholds and experts switch.
OTHER_LEVELS = range(119, 127)
PROOF, SURE = 5, 2  # An effect of so many times rms_int8 and rms_int8_max proves that a key was read.


def write_json(path, value):
    """Indented, but for lists of numbers and strings."""
    text = json.dumps(value, indent=1)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s*\n\s*", " ", found[0]).strip(), text)
    with open(path, "w") as file:
        file.write(text + "\n")


def generator(case, purpose):
    return np.random.default_rng(zlib.crc32(f"{purpose} {case.salt} {case.name}".encode()))


def tokens_of(case):
    random = generator(case, "tokens")
    tokens = random.integers(0, VOCABULARY - 1, COUNT)
    tokens[30:33] = tokens[3]
    return torch.tensor(tokens)


# Models: of a folder, or of a folder with another configuration. Float32, from the rounded weights of the file.

class Loaded:
    """A model of transformers."""

    def __init__(self, folder):
        self.model, info = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager",
            output_loading_info=True)
        self.model.eval()
        self.missing = sorted(info["missing_keys"]) + sorted(map(str, info["mismatched_keys"]))
        self.unread = sorted(info["unexpected_keys"])

    def routers(self):
        return [p for name, p in self.model.named_parameters() if name.endswith("gate.weight")]

    def logits(self, tokens, cache=None):
        with torch.no_grad():
            return self.model(tokens[None], cache=cache, use_cache=cache is not None).logits[0]

    def int8_logits(self, tokens, exact, levels=127):
        with int8(exact, VOCABULARY, levels):
            return self.logits(tokens, HalfPrecisionCache())


class LoadedRestated:
    """A model of restated.py."""

    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as file:
            config = json.load(file)
        tensors = {name: t.float() for name, t in load_file(os.path.join(folder, "model.safetensors")).items()}
        self.model = Restated(config, tensors)
        self.missing = sorted(set(self.model.shapes()) - set(tensors))
        self.unread = sorted(set(tensors) - set(self.model.shapes()))

    def routers(self):
        return [t for name, t in self.model.tensors.items() if "router" in name]

    def logits(self, tokens):
        return self.model.logits(tokens)

    def int8_logits(self, tokens, exact, levels=127):
        with int8(exact, VOCABULARY, levels):
            return self.model.logits(tokens, half)


def load(folder):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    if config["model_type"] in DEFAULTS:
        return LoadedRestated(folder)
    if "quantization_config" not in config:
        return Loaded(folder)
    with tempfile.TemporaryDirectory() as plain:
        bitnet.write_plain(folder, plain)
        return Loaded(plain)


def changed(config, key, value):
    """config with the value at a path like "rope_scaling.factor" replaced, or removed if it is "absent"."""
    config = copy.deepcopy(config)
    *outer, last = key.split(".")
    place = config
    for part in outer:
        place = place[part]
    if value == "absent":
        del place[last]
    else:
        place[last] = value
    return config


# Weights

def make_tensors(case, folder):
    """Draws the tensors of the model that config.json describes, under the names of a checkpoint."""
    random = generator(case, "weights")
    dtype = getattr(torch, case.dtype)
    if case.config["model_type"] in DEFAULTS:
        shapes = Restated(case.config, {}).shapes()
        tensors = {name: torch.tensor(draw(name, shape, random, case)).to(dtype) for name, shape in shapes.items()}
    else:
        config = AutoConfig.from_pretrained(folder)
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        model = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(torch.tensor(draw(name, tuple(p.shape), random, case)))
        with tempfile.TemporaryDirectory() as scratch:
            model.to(dtype).save_pretrained(scratch)
            tensors = load_file(os.path.join(scratch, "model.safetensors"))
    return {name: t.contiguous() for name, t in case.finish(tensors).items()}


# What is expected

def centred(logits):
    kept = logits[list(KEPT)].double()
    return kept - kept.mean(-1, keepdim=True)


def rms(a, b):
    return float((centred(a) - centred(b)).pow(2).mean().sqrt())


def effects(case, folder, tokens, reference):
    """How the logits change with each key that changes what is computed."""
    results = []
    for key, alternative in case.keys:
        with tempfile.TemporaryDirectory() as scratch:
            tensors = load_file(os.path.join(folder, "model.safetensors"))
            if key == "tie_word_embeddings" and alternative:
                # transformers ties only what the file does not have.
                tensors = {name: t for name, t in tensors.items() if not HEAD.search(name)}
            save_file(tensors, os.path.join(scratch, "model.safetensors"), metadata={"format": "pt"})
            write_json(os.path.join(scratch, "config.json"), changed(case.config, key, alternative))
            model = load(scratch)
            if model.missing:
                raise SystemExit(f"{case.name}: {key} = {alternative} needs other tensors: {model.missing}")
            results.append((key, alternative, rms(model.logits(tokens), reference)))
    return results


def value_at(config, key):
    for part in key.split("."):
        config = config.get(part, "absent") if isinstance(config, dict) else "absent"
    return config


def make(case):
    folder = os.path.join(HERE, case.name)
    os.makedirs(folder, exist_ok=True)
    config = dict(case.config, torch_dtype=case.dtype)
    write_json(os.path.join(folder, "config.json"), config)
    save_file(make_tensors(case, folder), os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    model = load(folder)
    if model.missing or model.unread != case.unread:
        raise SystemExit(f"{case.name}: missing {model.missing}, unread {model.unread}")
    tokens = tokens_of(case)
    logits = model.logits(tokens)
    quantized = model.int8_logits(tokens, model.routers())
    noise = rms(quantized, logits)
    most = max(noise, *(rms(model.int8_logits(tokens, model.routers(), levels), logits) for levels in OTHER_LEVELS))
    keys = effects(case, folder, tokens, logits)
    expected = dict(
        family=case.config["model_type"], tokens=tokens.tolist(), kept_positions=list(KEPT),
        greedy=logits.argmax(-1).tolist(), logits_std=round(float(logits.std(-1).mean()), 4),
        rms_int8=round(noise, 5), rms_int8_max=round(most, 5),
        top1_int8=round(float((quantized.argmax(-1) == logits.argmax(-1)).float().mean()), 4),
        keys=[dict(key=key, value=value_at(case.config, key), alternative=alternative, effect=round(effect, 5),
                   proof=effect > max(PROOF * noise, SURE * most)) for key, alternative, effect in keys],
        exceptions=case.exceptions,
        refused=[dict(key=key, value=value, reason=why) for key, value, why in case.refused])
    if model.routers():
        expected["rms_int8_router"] = round(rms(model.int8_logits(tokens, []), logits), 5)
    if case.context:
        expected["context"] = case.context
    write_json(os.path.join(folder, "expected.json"), expected)
    logits[list(KEPT)].numpy().astype("<f4").tofile(os.path.join(folder, "logits.f32"))
    report(case, expected)


def report(case, expected):
    weak = [f"{k['key']} {k['effect'] / expected['rms_int8']:.1f}" for k in expected["keys"] if not k["proof"]]
    unsaid = [w for w in weak if w.split()[0] not in case.exceptions]
    noise = f"{expected['rms_int8']:.4f} {expected['rms_int8_max']:.4f}"
    print(f"{case.name:28} std {expected['logits_std']:6.2f}  int8 {noise}  top1 {expected['top1_int8']:.2f}  "
          f"keys {len(expected['keys'])}  {f'WEAK {unsaid}' if unsaid else ''}", flush=True)


def table():
    print("| case | family | d / layers / heads / kv | dtype | std | rms_int8 | top1 | keys | safetensors | gguf |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        folder = os.path.join(HERE, case.name)
        with open(os.path.join(folder, "expected.json")) as file:
            expected = json.load(file)
        sizes = [os.path.getsize(path) // 1024 if os.path.exists(path) else None
                 for path in (os.path.join(folder, "model." + end) for end in ("safetensors", "gguf"))]
        c = case.config
        shape = [c.get("hidden_size", c.get("n_embd")), c.get("num_hidden_layers", c.get("n_layer")),
                 c.get("num_attention_heads", c.get("n_head")), c.get("num_key_value_heads", c.get("num_kv_heads", ""))]
        print(f"| `{case.name}` | {expected['family']} | {' / '.join(map(str, shape))} | {case.dtype} | "
              f"{expected['logits_std']:.2f} | {expected['rms_int8']:.4f} | {expected['top1_int8']:.2f} | "
              f"{len(expected['keys'])} | {sizes[0]} KB | {f'{sizes[1]} KB' if sizes[1] else ''} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--gguf", metavar="LLAMA_CPP")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    unknown = set(args.cases) - {case.name for case in CASES}
    if unknown:
        raise SystemExit(f"no such case: {', '.join(sorted(unknown))}")
    cases = [case for case in CASES if not args.cases or case.name in args.cases]
    if args.table:
        table()
    elif args.gguf:
        import to_gguf
        to_gguf.convert_all([os.path.join(HERE, case.name) for case in cases if case.gguf], args.gguf)
    else:
        for case in cases:
            make(case)


if __name__ == "__main__":
    main()
