"""A plain float64 forward pass for selftest.py: whole sequence at once, dequantized weights, no quantized
activations, no half precision, experts one by one. Written another way than reference.py, of which it uses only the
file's metadata and tensors."""
import math

import numpy as np

import four_bit
import ternary


def exact_gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Plain:
    """`logits(tokens)` of a native file."""

    def __init__(self, meta, tensors, context):
        """context: how many tokens the session can hold."""
        self.file_meta, self.tensors, self.context = meta, tensors, context
        self.meta = {k.removeprefix("tinysparse."): v for k, v in meta.items()}
        self.t64 = {k: np.asarray(v, np.float64) for k, v in tensors.items()}
        meta = self.meta
        self.d, self.hd, self.d_ff = meta["embedding_length"], meta["head_dimension"], meta["feed_forward_length"]
        self.heads, self.kv_heads = meta["head_count"], meta["kv_head_count"]
        self.width = meta.get("embedding_width", self.d)
        self.act = {
            "relu": lambda x: np.maximum(x, 0), "silu": lambda x: x * sigmoid(x),
            "relu2": lambda x: np.maximum(x, 0)**2,
            "fatrelu": lambda x: x * (x > meta["activation_threshold"]),
            "gelu": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
            "gelu_erf": exact_gelu}[meta["activation"]]

    def weight(self, name, columns):
        """[outputs, inputs]"""
        if four_bit.is_four_bit(self.file_meta, name):
            outputs = {"token_embd": self.meta["vocabulary_size"], "output": self.meta["vocabulary_size"],
                       "attn_q": self.heads * self.hd, "attn_k": self.kv_heads * self.hd,
                       "attn_v": self.kv_heads * self.hd, "attn_output": self.d, "ffn_down": self.d}
            rows = outputs.get(name.split(".")[-1], self.d_ff)
            scale, offset, q = (a.astype(np.float64) for a in four_bit.unpack(self.tensors[name + ".weight"], rows))
            return (q * scale[:, :, None] + offset[:, :, None]).reshape(rows, -1)[:, :columns]
        if ternary.is_ternary(self.file_meta, name):
            rows = ternary.unpack(self.tensors[name + ".weight"]).astype(np.float64)
            return rows[:, :columns] * self.t64[name + ".scale"][:, None]
        if name.endswith("ffn_down"):  # neuron-major
            return (self.t64[name + ".weight"][:, :self.d] * self.t64[name + ".scale"]).T
        return self.t64[name + ".weight"][:, :columns] * self.t64[name + ".scale"][:, None]

    def linear(self, name, x):
        return x @ self.weight(name, x.shape[1]).T + self.t64.get(name + ".bias", 0.0)

    def norm(self, name, x):
        """Over the last axis; x itself if the file has no such tensor."""
        if name + ".weight" not in self.t64:
            return x
        if self.meta["norm_kind"] == "layer":
            x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.meta["norm_epsilon"])
        return x * self.t64[name + ".weight"] + self.t64.get(name + ".bias", 0.0)

    def turn(self, n, x):
        """[T, heads, hd], as multiplication of complex numbers."""
        if self.meta["positions"] != "rope":
            return x
        kind = self.meta["rope.layers"][n] if "rope.layers" in self.meta else 1
        if kind == 0:
            return x
        get = lambda key, *otherwise: self.meta.get(("rope.", "rope.local.")[kind - 1] + key, *otherwise)
        r = get("dimensions")
        factors = get("factors", [1.0])
        if "rope.long_factors" in self.meta and kind == 1 and self.context > get("original_context"):
            factors = get("long_factors")
        inverse = get("base") ** (-np.arange(0, r, 2) / r) / np.array(factors)
        angle = np.arange(len(x))[:, None] / get("scaling") * inverse
        z = (x[..., :r // 2] + 1j * x[..., r // 2:r]) * (get("magnitude", 1.0) * np.exp(1j * angle))[:, None]
        return np.concatenate([z.real, z.imag, x[..., r:]], axis=-1)

    def split_heads(self, name, x, count):
        """The norm of all heads, or of each, if there is one."""
        if self.meta.get("normalizes_all_heads"):
            return self.norm(name, x).reshape(-1, count, self.hd)
        return self.norm(name, x.reshape(-1, count, self.hd))

    def attention(self, n, a, active):
        b, T, group = f"blk.{n}.", len(a), self.heads // self.kv_heads
        q = self.turn(n, self.split_heads(b + "attn_q_norm", self.linear(b + "attn_q", a), self.heads))
        k = self.turn(n, self.split_heads(b + "attn_k_norm", self.linear(b + "attn_k", a), self.kv_heads))
        v = self.linear(b + "attn_v", a).reshape(T, self.kv_heads, self.hd)
        s = np.einsum("qhd,khd->hqk", q, np.repeat(k, group, axis=1)) / math.sqrt(self.hd)
        cap = self.meta.get("attention_soft_cap")
        if cap:
            s = cap * np.tanh(s / cap)
        age = np.arange(T)[:, None] - np.arange(T)
        window = self.meta["windows"][n] if "windows" in self.meta else 0
        s[:, (age < 0) | (age >= (window or T))] = -np.inf
        p = np.exp(s - s.max(axis=-1, keepdims=True))
        p = p / p.sum(axis=-1, keepdims=True)
        o = np.einsum("hqk,khd->qhd", p, np.repeat(v, group, axis=1))
        kept = np.isin(np.arange(self.heads), np.arange(self.heads) if active is None else active)
        o = self.norm(b + "attn_sub_norm", (o * kept[:, None]).reshape(T, -1)).reshape(o.shape) * kept[:, None]
        return self.linear(b + "attn_output", o.reshape(T, -1))

    def gains(self, n, r):
        """What each neuron is multiplied by, [T, d_ff]; 0 if it is not active."""
        get = lambda key: self.meta["experts." + key]
        count, f = get("count"), get("width")
        gains = np.zeros((len(r), self.d_ff))
        for t, scores in enumerate(r @ self.t64[f"blk.{n}.ffn_router.weight"].T):
            best = sorted(range(count), key=lambda e: (-scores[e], e))[:get("active")]
            p = np.exp(scores) / np.exp(scores).sum() if get("router") == "softmax" else sigmoid(scores)
            total = sum(p[e] for e in best) if get("normalizes") else 1
            for e in best:
                gains[t, e * f:(e + 1) * f] = p[e] / total
        gate = self.t64.get(f"blk.{n}.ffn_shared_gate.weight")
        gains[:, count * f:] = 1 if gate is None else sigmoid(r @ gate)[:, None]
        return gains

    def feed_forward(self, n, a, active, gains):
        b = f"blk.{n}."
        h = self.linear(b + "ffn_up", a)
        if self.meta["gated"]:
            gate = self.act(self.linear(b + "ffn_gate", a))
            h = gate * (self.act(h) if self.meta.get("activates_up") else h)
        else:
            h = self.act(h)
        kept = np.isin(np.arange(self.d_ff), np.arange(self.d_ff) if active is None else active)
        h = self.norm(b + "ffn_sub_norm", h * gains * kept) * kept
        return self.linear(b + "ffn_down", h)

    def logits(self, tokens, neurons=None, heads=None):
        """-> [T, vocabulary]"""
        x = self.weight("token_embd", self.width)[tokens]
        if self.width != self.d:
            x = self.linear("token_embd_in", x)
        if self.meta["positions"] == "learned":
            x = x + self.t64["position_embd.weight"][:len(x)]
        for n in range(self.meta["layer_count"]):
            x = self.layer(n, x, neurons and neurons[n], heads and heads[n])
        x = self.norm("output_norm", x)
        if self.width != self.d:
            x = self.linear("output_in", x)
        x = self.linear("token_embd" if self.meta["tied_head"] else "output", x)
        cap = self.meta.get("logit_soft_cap")
        return cap * np.tanh(x / cap) if cap else x

    def layer(self, n, x, neurons, heads):
        b, kind = f"blk.{n}.", self.meta.get("residual", "sequential")

        def gains(r):
            if "experts.count" not in self.meta:
                return 1
            return self.gains(n, x if self.meta["experts.looks_ahead"] else r)

        a = self.norm(b + "attn_norm", x)
        y = self.attention(n, a, heads)
        if kind == "parallel":
            r = self.norm(b + "ffn_norm", x) if b + "ffn_norm.weight" in self.t64 else a
            z = self.feed_forward(n, r, neurons, gains(r))
            return x + self.norm(b + "post_attention_norm", y) + self.norm(b + "post_ffw_norm", z)
        if kind == "normalized":
            half = self.norm(b + "post_attention_norm", x + y)
            r = self.norm(b + "ffn_norm", half)
            return self.norm(b + "post_ffw_norm", half + self.feed_forward(n, r, neurons, gains(r)))
        half = x + self.norm(b + "post_attention_norm", y)
        r = self.norm(b + "ffn_norm", half)
        return half + self.norm(b + "post_ffw_norm", self.feed_forward(n, r, neurons, gains(r)))
