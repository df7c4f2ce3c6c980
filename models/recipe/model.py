"""The OPT architecture (pre-LayerNorm, ReLU, tied head) in plain JAX.

Parameters are a flat dict under Hugging Face's names without the prefix
"model.decoder."; a weight of a linear layer is stored as OPT stores it,
[out, in], and applied as x @ W.T.
"""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

POSITION_OFFSET = 2  # OPT's learned positions start at row 2
BLOCK = 64  # queries at a time


class Config:
    def __init__(self, vocab=4096, d=256, layers=8, heads=8, ffn=1024, positions=512):
        self.vocab, self.d, self.layers, self.heads = vocab, d, layers, heads
        self.ffn, self.positions = ffn, positions

    def as_dict(self):
        return dict(vars(self))


def shapes(c):
    s = {"embed_tokens.weight": (c.vocab, c.d),
         "embed_positions.weight": (c.positions + POSITION_OFFSET, c.d)}
    for i in range(c.layers):
        p = f"layers.{i}."
        for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
            s[p + f"self_attn.{n}.weight"] = (c.d, c.d)
            s[p + f"self_attn.{n}.bias"] = (c.d,)
        for n in ("self_attn_layer_norm", "final_layer_norm"):
            s[p + n + ".weight"] = (c.d,)
            s[p + n + ".bias"] = (c.d,)
        s[p + "fc1.weight"] = (c.ffn, c.d)
        s[p + "fc1.bias"] = (c.ffn,)
        s[p + "fc2.weight"] = (c.d, c.ffn)
        s[p + "fc2.bias"] = (c.d,)
    s["final_layer_norm.weight"] = (c.d,)
    s["final_layer_norm.bias"] = (c.d,)
    return s


def init(c, seed):
    rng = np.random.default_rng(seed)
    out = {}
    for name, shape in shapes(c).items():
        if len(shape) == 2:
            std = 0.02
            if "out_proj" in name or "fc2" in name:  # writes to the residual stream
                std /= (2 * c.layers) ** 0.5
            out[name] = rng.normal(0, std, shape).astype(np.float32)
        else:
            out[name] = (np.ones if name.endswith("norm.weight") else np.zeros)(shape, np.float32)
    return out


def layer_norm(x, w, b):
    mean = x.mean(-1, keepdims=True)
    xc = x - mean
    return xc * jax.lax.rsqrt((xc * xc).mean(-1, keepdims=True) + 1e-5) * w + b


def forward(p, ids, c, dtype=jnp.float32):
    """Hidden states before the head, and each layer's mean post-ReLU
    activation and share of exact zeros."""
    B, T = ids.shape
    H, D = c.heads, c.d // c.heads
    lin = lambda x, n: (jnp.einsum("ni,oi->no", x.astype(dtype), p[n + ".weight"].astype(dtype),
                                   preferred_element_type=jnp.float32) + p[n + ".bias"])
    x = p["embed_tokens.weight"][ids] + p["embed_positions.weight"][POSITION_OFFSET:POSITION_OFFSET + T]
    x = x.reshape(B * T, c.d)
    mask = jnp.where(jnp.tril(jnp.ones((T, T), bool)), 0.0, -1e9)
    l1, zeros = [], []
    for i in range(c.layers):
        q = f"layers.{i}."
        h = layer_norm(x, p[q + "self_attn_layer_norm.weight"], p[q + "self_attn_layer_norm.bias"])
        w = jnp.concatenate([p[q + f"self_attn.{n}.weight"] for n in ("q_proj", "k_proj", "v_proj")])
        b = jnp.concatenate([p[q + f"self_attn.{n}.bias"] for n in ("q_proj", "k_proj", "v_proj")])
        qkv = jnp.einsum("ni,oi->no", h.astype(dtype), w.astype(dtype), preferred_element_type=jnp.float32) + b
        qh, kh, vh = [t[:, 0] for t in jnp.split(
            qkv.reshape(B, T, 3, H, D).transpose(0, 3, 2, 1, 4).reshape(B * H, 3, T, D), 3, axis=1)]
        # In blocks of queries, so that the upper triangle is mostly not computed.
        o = []
        for t in range(0, T, BLOCK):
            e = min(t + BLOCK, T)
            s = jnp.einsum("bqd,bkd->bqk", qh[:, t:e] * D ** -0.5, kh[:, :e]) + mask[t:e, :e]
            s = jnp.exp(s - s.max(-1, keepdims=True))
            o.append(jnp.einsum("bqk,bkd->bqd", s, vh[:, :e]) / s.sum(-1, keepdims=True))
        o = jnp.concatenate(o, 1)
        o = o.reshape(B, H, T, D).transpose(0, 2, 1, 3).reshape(B * T, c.d)
        x = x + lin(o, q + "self_attn.out_proj")
        h = layer_norm(x, p[q + "final_layer_norm.weight"], p[q + "final_layer_norm.bias"])
        a = jax.nn.relu(lin(h, q + "fc1"))
        l1.append(a.mean())
        zeros.append((a == 0).mean(dtype=jnp.float32))
        x = x + lin(a, q + "fc2")
    x = layer_norm(x, p["final_layer_norm.weight"], p["final_layer_norm.bias"])
    return x, jnp.stack(l1), jnp.stack(zeros)


@jax.custom_vjp
def cross_entropy(logits, labels):
    return _ce_fwd(logits, labels)[0]


def _ce_fwd(logits, labels):
    lse = jax.nn.logsumexp(logits, axis=-1)
    hit = jnp.take_along_axis(logits, labels[:, None], -1)[:, 0]
    return (lse - hit).mean(), (logits, labels, lse)


def _ce_bwd(res, g):
    logits, labels, lse = res
    cols = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 1)
    d = jnp.exp(logits - lse[:, None]) - (cols == labels[:, None])
    return d * (g / logits.shape[0]), None


cross_entropy.defvjp(_ce_fwd, _ce_bwd)


def loss(p, ids, labels, c, dtype=jnp.float32):
    x, l1, zeros = forward(p, ids, c, dtype)
    logits = jnp.einsum("ni,oi->no", x.astype(dtype), p["embed_tokens.weight"].astype(dtype),
                        preferred_element_type=jnp.float32)
    return cross_entropy(logits, labels.reshape(-1)), l1, zeros
