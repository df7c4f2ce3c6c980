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
CHUNK = 512  # tokens at a time in the head


class Config:
    def __init__(self, vocab=4096, d=256, layers=8, heads=8, ffn=1536, positions=512, group=8, gate_rank=32):
        self.vocab, self.d, self.layers, self.heads = vocab, d, layers, heads
        self.ffn, self.positions = ffn, positions
        self.group, self.gate_rank = group, gate_rank  # neurons that share a gate; width of what makes the gates

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


def gate_shapes(c):
    """Gates, for training only. Of heads: linear in what is known a layer ahead, none for the first layer. Of groups
    of neurons: a product of low rank, as the runtime's predictors are."""
    s = {}
    for i in range(1, c.layers):
        s[f"head_gates.{i}.weight"] = (c.heads, c.d)
        s[f"head_gates.{i}.bias"] = (c.heads,)
    for i in range(c.layers):
        s[f"neuron_gates.{i}.reduce.weight"] = (c.gate_rank, c.d)
        s[f"neuron_gates.{i}.expand.weight"] = (c.ffn // c.group, c.gate_rank)
        s[f"neuron_gates.{i}.expand.bias"] = (c.ffn // c.group,)
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
    return dict(out, **init_gates(c, seed))


def init_gates(c, seed):
    """Nearly all open."""
    rng = np.random.default_rng((seed, 1))
    std = lambda name: 0.06 if "reduce" in name else 0.02
    return {name: (rng.normal(0, std(name), shape) if len(shape) == 2 else np.full(shape, 1)).astype(np.float32)
            for name, shape in gate_shapes(c).items()}


def layer_norm(x, w, b):
    mean = x.mean(-1, keepdims=True)
    xc = x - mean
    return xc * jax.lax.rsqrt((xc * xc).mean(-1, keepdims=True) + 1e-5) * w + b


def dot(spec, a, b, dtype=jnp.float32):
    return jnp.einsum(spec, a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(x, w, dtype):
    """x W^T. Written with its gradient because XLA's CPU code for the three products differs fourfold in
    speed with the order of the axes; these are the fast ones."""
    return dot("ni,oi->no", x, w, dtype)


product.defvjp(lambda x, w, dtype: (product(x, w, dtype), (x, w)),
               lambda dtype, r, dy: (dot("no,oi->ni", dy, r[1], dtype), dot("no,ni->io", dy, r[0]).T))


def blocks(T):
    return [(t, min(t + BLOCK, T)) for t in range(0, T, BLOCK)]


def scores(q, k, t, e, dtype):
    """Masked scores of queries t..<e on keys 0..<e: the upper triangle is mostly not computed."""
    future = jnp.arange(t, e)[:, None] < jnp.arange(e)[None]
    return jnp.where(future, -1e9, dot("bqd,bkd->bqk", q[:, t:e], k[:, :e], dtype))


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def attention(q, k, v, dtype):
    """Causal attention, [B*H, T, D] each, q scaled; in blocks of queries that stay in the cache."""
    return _attention_fwd(q, k, v, dtype)[0]


def _attention_fwd(q, k, v, dtype):
    out, lse = [], []
    for t, e in blocks(q.shape[1]):
        s = scores(q, k, t, e, dtype)
        top = s.max(-1, keepdims=True)
        s = jnp.exp(s - top)
        total = s.sum(-1, keepdims=True)
        out.append(dot("bqk,bkd->bqd", s, v[:, :e], dtype) / total)
        lse.append(top + jnp.log(total))
    out = jnp.concatenate(out, 1)
    return out, (q, k, v, out, jnp.concatenate(lse, 1))


def _attention_bwd(dtype, r, g):
    q, k, v, out, lse = r
    delta = (g * out).sum(-1, keepdims=True)
    all = blocks(q.shape[1])
    dq, dk, dv = [], [[] for _ in all], [[] for _ in all]
    for t, e in all:
        w = jnp.exp(scores(q, k, t, e, dtype) - lse[:, t:e])
        ds = w * (dot("bqd,bkd->bqk", g[:, t:e], v[:, :e], dtype) - delta[:, t:e])
        dq.append(dot("bqk,bkd->bqd", ds, k[:, :e], dtype))
        for parts, left, right in ((dk, ds, q), (dv, w, g)):
            d = dot("bqk,bqd->bdk", left, right[:, t:e])
            for part, (start, end) in zip(parts, blocks(e)):
                part.append(d[:, :, start:end])
    join = lambda parts: jnp.concatenate([sum(x) for x in parts], 2).mT
    return jnp.concatenate(dq, 1), join(dk), join(dv)


attention.defvjp(_attention_fwd, _attention_bwd)


def head_norms(o, w, H):
    """From the heads' outputs o [N, d] and the output matrix: |W_h o_h|, what each head adds to the residual stream,
    by the root of the mean square over the token's heads, [N, H]."""
    W = w.reshape(w.shape[0], H, -1)
    gram = jnp.einsum("ohd,ohe->hde", W, W)
    o = o.reshape(o.shape[0], H, -1)
    square = jnp.maximum((jnp.einsum("nhd,hde->nhe", o, gram) * o).sum(-1), 0) + 1e-9
    return jnp.sqrt(square / square.mean(-1, keepdims=True))


def gates(logits):
    """0 or 1; the gradient is that of the sigmoid."""
    soft = jax.nn.sigmoid(logits)
    return (soft > 0.5) + soft - jax.lax.stop_gradient(soft)


def head_gates(p, i, known):
    """Which heads of layer i to compute, [N, H], from the norm before the MLP of the layer before (`known`)."""
    return gates(known @ p[f"head_gates.{i}.weight"].T + p[f"head_gates.{i}.bias"])


def neuron_logits(p, i, h, dtype):
    """Logits of the gates of the groups of neurons of layer i, [N, groups], from the norm before its MLP."""
    q = f"neuron_gates.{i}."
    return product(product(h, p[q + "reduce.weight"], dtype), p[q + "expand.weight"], dtype) + p[q + "expand.bias"]


def forward(p, ids, c, dtype=jnp.float32, left_out=1.0):
    """Hidden states before the head, and measures, one a layer:
    l1             mean post-ReLU activation
    zeros          share of exact zeros
    heads          share of heads with open gates
    missed_heads   how much those with closed gates would have added
    groups         share of groups of neurons with open gates
    missed_groups  mean activation in closed groups, by the mean of all layers' activations
    recall         share of the activations above zero that is in open groups
    surprise       how badly gates foretell which groups fire: logistic loss, those that fire twice as heavy
    What is closed is left out, or with a `left_out` of 0 computed like the rest."""
    B, T = ids.shape
    H, D = c.heads, c.d // c.heads
    lin = lambda x, n: product(x, p[n + ".weight"], dtype) + p[n + ".bias"]
    x = p["embed_tokens.weight"][ids] + p["embed_positions.weight"][POSITION_OFFSET:POSITION_OFFSET + T]
    x = x.reshape(B * T, c.d)
    layers = []
    for i in range(c.layers):
        q = f"layers.{i}."
        open_ = head_gates(p, i, h) if i else jnp.ones((B * T, H))
        h = layer_norm(x, p[q + "self_attn_layer_norm.weight"], p[q + "self_attn_layer_norm.bias"])
        w = jnp.concatenate([p[q + f"self_attn.{n}.weight"] for n in ("q_proj", "k_proj", "v_proj")])
        b = jnp.concatenate([p[q + f"self_attn.{n}.bias"] for n in ("q_proj", "k_proj", "v_proj")])
        qkv = (product(h, w, dtype) + b).reshape(B, T, 3, H, D).transpose(2, 0, 3, 1, 4).reshape(3, B * H, T, D)
        o = attention(qkv[0] * D ** -0.5, qkv[1], qkv[2], dtype)
        o = o.reshape(B, H, T, D).transpose(0, 2, 1, 3).reshape(B * T, c.d)
        missed_heads = (head_norms(o, p[q + "self_attn.out_proj.weight"], H) * (1 - open_)).mean()
        o = (o.reshape(B * T, H, D) * (1 - left_out * (1 - open_))[:, :, None]).reshape(B * T, c.d)
        x = x + lin(o, q + "self_attn.out_proj")
        h = layer_norm(x, p[q + "final_layer_norm.weight"], p[q + "final_layer_norm.bias"])
        a = jax.nn.relu(lin(h, q + "fc1"))
        logits = neuron_logits(p, i, h, dtype)
        groups = gates(logits)
        by_group = a.reshape(B * T, -1, c.group)
        closed = (1 - groups)[:, :, None]
        fires = by_group > 0
        any_fires = fires.any(-1)
        layers.append({
            "l1": a.mean(), "zeros": 1 - fires.mean(dtype=jnp.float32),
            "heads": open_.mean(), "missed_heads": missed_heads, "groups": groups.mean(),
            "missed_groups": (by_group * closed).mean(),
            "recall": 1 - (fires * closed).sum() / (fires.sum(dtype=jnp.float32) + 1e-6),
            "surprise": jnp.where(any_fires, 2 * jax.nn.softplus(-logits), jax.nn.softplus(logits)).mean()})
        x = x + lin((by_group * (1 - left_out * closed)).reshape(B * T, -1), q + "fc2")
    x = layer_norm(x, p["final_layer_norm.weight"], p["final_layer_norm.bias"])
    measures = jax.tree.map(lambda *values: jnp.stack(values), *layers)
    # By the mean of all layers: by its own, one that does little would be pressed to do nothing.
    measures["missed_groups"] /= jax.lax.stop_gradient(measures["l1"].mean()) + 1e-6
    return x, measures


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def head_loss(x, table, labels, dtype):
    """Mean cross-entropy of softmax(x table^T), [N, d] and [V, d]; the gradient is made on the way, for CHUNK
    tokens at a time, so that the logits of a batch are never in memory."""
    return _head_fwd(x, table, labels, dtype)[0]


def _head_fwd(x, table, labels, dtype):
    N, loss, dx, dtable = len(x), 0.0, [], 0.0
    for i in range(0, N, CHUNK):
        rows, label = x[i:i + CHUNK], labels[i:i + CHUNK]
        z = dot("ni,oi->no", rows, table, dtype)
        lse = jax.nn.logsumexp(z, axis=-1)
        loss += (lse - jnp.take_along_axis(z, label[:, None], -1)[:, 0]).sum()
        hit = jax.lax.broadcasted_iota(jnp.int32, z.shape, 1) == label[:, None]
        d = (jnp.exp(z - lse[:, None]) - hit) / N
        dx.append(dot("no,oi->ni", d, table, dtype))
        dtable += dot("no,ni->io", d, rows)
    return loss / N, (jnp.concatenate(dx), dtable.T)


def _head_bwd(dtype, r, g):
    return g * r[0], g * r[1], None


head_loss.defvjp(_head_fwd, _head_bwd)


def loss(p, ids, labels, c, dtype=jnp.float32, left_out=1.0):
    x, measures = forward(p, ids, c, dtype, left_out)
    return head_loss(x, p["embed_tokens.weight"], labels.reshape(-1), dtype), measures
