#!/usr/bin/env python3
"""Samples from an export, or measures it on a text, in plain NumPy: an
implementation of OPT independent of the training code.

    python sample.py build/export "Once upon a time"
    python sample.py build/export --evaluate heldout.txt
"""
import argparse
import json
import pathlib

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer


class OPT:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.w = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * self.w[name + ".weight"] + self.w[name + ".bias"]

    def new_cache(self):
        return [[None, None] for _ in range(self.config["num_hidden_layers"])]

    def logits(self, ids, cache=None, zeros=None):
        """Of each position of ids, which follow what is in the cache. Adds to
        zeros[layer, unit] how often a unit of the MLP was zero."""
        c, P = self.config, "model.decoder."
        H = c["num_attention_heads"]
        cache = cache or self.new_cache()
        past = 0 if cache[0][0] is None else cache[0][0].shape[1]
        n = len(ids)
        x = self.w[P + "embed_tokens.weight"][ids] + self.w[P + "embed_positions.weight"][past + 2:past + 2 + n]
        heads = lambda t: t.reshape(n, H, -1).transpose(1, 0, 2)
        hidden = np.arange(past + n)[None, :] > np.arange(past, past + n)[:, None]
        for i, kv in enumerate(cache):
            L = f"{P}layers.{i}."
            h = self.norm(x, L + "self_attn_layer_norm")
            q, k, v = (heads(self.linear(h, L + f"self_attn.{p}_proj")) for p in "qkv")
            if past:
                k, v = np.concatenate([kv[0], k], 1), np.concatenate([kv[1], v], 1)
            kv[:] = k, v
            s = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
            s = np.where(hidden, -np.inf, s)
            s = np.exp(s - s.max(-1, keepdims=True))
            o = (s / s.sum(-1, keepdims=True)) @ v
            x = x + self.linear(o.transpose(1, 0, 2).reshape(n, -1), L + "self_attn.out_proj")
            a = np.maximum(self.linear(self.norm(x, L + "final_layer_norm"), L + "fc1"), 0)
            if zeros is not None:
                zeros[i] += (a == 0).sum(0)
            x = x + self.linear(a, L + "fc2")
        return self.norm(x, P + "final_layer_norm") @ self.w[P + "embed_tokens.weight"].T

    def generate(self, prompt, n, top_p, temperature, rng):
        cache, ids = self.new_cache(), [0] + self.tokenizer.encode(prompt).ids
        step = ids
        for _ in range(n):
            z = self.logits(step, cache)[-1].astype(np.float64) / temperature
            p = np.exp(z - z.max())
            p /= p.sum()
            order = np.argsort(-p)
            keep = order[:int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1]
            step = [int(rng.choice(keep, p=p[keep] / p[keep].sum()))]
            ids += step
            if step == [0] or len(ids) >= self.config["max_position_embeddings"]:
                break
        return self.tokenizer.decode(ids, skip_special_tokens=False).removeprefix("<|endoftext|>")

    def evaluate(self, text):
        """Loss over windows of the full context; the first token of a window,
        after <|endoftext|>, counts too."""
        c = self.config
        ids, size, nats = self.tokenizer.encode(text).ids, c["max_position_embeddings"], 0.0
        zeros = np.zeros((c["num_hidden_layers"], c["ffn_dim"]))
        for t in range(0, len(ids), size):
            w = ids[t:t + size]
            z = self.logits([0] + w[:-1], zeros=zeros)
            z = z - z.max(-1, keepdims=True)
            nats += float((np.log(np.exp(z).sum(-1)) - z[np.arange(len(w)), w]).sum())
        n, size = len(ids), len(text.encode())
        print(f"{n} tokens, {size} bytes: {nats / n:.4f} nats/token (perplexity {np.exp(nats / n):.2f}), "
              f"{nats / size:.4f} nats/byte")
        for i, z in enumerate(zeros):
            print(f"layer {i}: {z.sum() / n / len(z):.2%} zeros; units never active: {(z == n).sum()}, "
                  f"active on over half of the tokens: {(z < n / 2).sum()}")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("model", type=pathlib.Path)
    a.add_argument("prompts", nargs="*", default=["Once upon a time"])
    a.add_argument("-n", type=int, default=80, help="tokens")
    a.add_argument("--top-p", type=float, default=0.9)
    a.add_argument("--temperature", type=float, default=0.8)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--evaluate", type=pathlib.Path)
    a = a.parse_args()
    m = OPT(a.model)
    if a.evaluate:
        m.evaluate(a.evaluate.read_text())
        return
    for p in a.prompts:
        print(m.generate(p, a.n, a.top_p, a.temperature, np.random.default_rng(a.seed)), end="\n---\n")


if __name__ == "__main__":
    main()
