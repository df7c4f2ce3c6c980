"""Is the reference a correct transformer? Compares it with a plain float64 computation, written
another way: whole sequence at once, dequantised weights, no quantised activations, no half
precision. First with the rounding of activations, keys and values taken out of the reference: what
is left must agree as floats do, so that a wrong head, pair or neuron cannot hide in the noise of
quantization. Then the reference as it is. Also checks functions.py against the mathematics."""
import glob
import math
import os

import numpy as np

import four_bit
import functions as fn
import rotary
from reference import Reference, read_mask

F = np.float32


def plain(model, tokens, neurons=None, heads=None):
    """-> logits [T, vocabulary], in float64."""
    meta = {k.removeprefix("tinysparse."): v for k, v in model.meta.items()}
    t64 = {k: np.asarray(v, np.float64) for k, v in model.tensors.items()}
    d, hd = meta["embedding_length"], meta["head_dimension"]
    H, KV, T = meta["head_count"], meta["kv_head_count"], len(tokens)

    outputs = {"token_embd": meta["vocabulary_size"], "output": meta["vocabulary_size"], "attn_q": H * hd,
               "attn_k": KV * hd, "attn_v": KV * hd, "attn_output": d, "ffn_down": d}

    def weight(name, columns):
        if four_bit.is_four_bit(model.meta, name):
            rows = outputs.get(name.split(".")[-1], meta["feed_forward_length"])
            scale, offset, q = (a.astype(np.float64) for a in four_bit.unpack(model.tensors[name + ".weight"], rows))
            return (q * scale[:, :, None] + offset[:, :, None]).reshape(rows, -1)[:, :columns]
        return t64[name + ".weight"][:, :columns] * t64[name + ".scale"][:, None]

    def linear(name, x):
        return x @ weight(name, x.shape[1]).T + t64.get(name + ".bias", 0.0)

    def norm(name, x):
        if meta["norm_kind"] == "layer":
            x = x - x.mean(axis=1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + meta["norm_epsilon"])
        return x * t64[name + ".weight"] + t64.get(name + ".bias", 0.0)

    def turn(x):  # [T, heads, hd], as multiplication of complex numbers
        if meta["positions"] != "rope":
            return x
        r = meta["rope.dimensions"]
        inverse = meta["rope.base"] ** (-np.arange(0, r, 2) / r)
        inverse = inverse / np.array(meta.get("rope.factors", [1.0]))
        angle = np.arange(T)[:, None] / meta["rope.scaling"] * inverse
        z = (x[..., :r // 2] + 1j * x[..., r // 2:r]) * np.exp(1j * angle)[:, None]
        return np.concatenate([z.real, z.imag, x[..., r:]], axis=-1)

    act = {"relu": lambda x: np.maximum(x, 0), "silu": lambda x: x / (1 + np.exp(-x)),
           "gelu": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
           "gelu_erf": exact_gelu
           }[meta["activation"]]
    x = weight("token_embd", d)[tokens]
    if meta["positions"] == "learned":
        x = x + t64["position_embd.weight"][:T]
    causal = np.triu(np.full((T, T), -np.inf), 1)
    for n in range(meta["layer_count"]):
        b = f"blk.{n}."
        a = norm(b + "attn_norm", x)
        q = turn(linear(b + "attn_q", a).reshape(T, H, hd))
        k = np.repeat(turn(linear(b + "attn_k", a).reshape(T, KV, hd)), H // KV, axis=1)
        v = np.repeat(linear(b + "attn_v", a).reshape(T, KV, hd), H // KV, axis=1)
        s = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(hd) + causal
        p = np.exp(s - s.max(axis=-1, keepdims=True))
        p = p / p.sum(axis=-1, keepdims=True)
        o = np.einsum("hqk,khd->qhd", p, v)
        if heads is not None and heads[n] is not None:
            o[:, np.setdiff1d(np.arange(H), heads[n])] = 0
        x = x + linear(b + "attn_output", o.reshape(T, -1))
        a = norm(b + "ffn_norm", x)
        up = linear(b + "ffn_up", a)
        h = act(linear(b + "ffn_gate", a)) * up if meta["gated"] else act(up)
        if neurons is not None and neurons[n] is not None:
            h[:, np.setdiff1d(np.arange(h.shape[1]), neurons[n])] = 0
        if four_bit.is_four_bit(model.meta, "ffn_down"):
            down = weight(b + "ffn_down", h.shape[1]).T
        else:
            down = t64[b + "ffn_down.weight"][:, :d] * t64[b + "ffn_down.scale"]
        x = x + h @ down + t64.get(b + "ffn_down.bias", 0.0)
    return linear("token_embd" if meta["tied_head"] else "output", norm("output_norm", x))


def exact_gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def check_functions():
    random = np.random.default_rng(0)
    assert fn.xxhash64(b"") == 0xEF46DB3751D8E999
    assert fn.xxhash64(b"abc") == 0x44BC2CF5AD770999
    x = np.concatenate([random.uniform(-87, 88, 100000), random.standard_normal(100000)]).astype(F)
    true = np.exp(x.astype(np.float64))
    worst = np.max(np.abs(fn.exp(x) - true) / true)
    assert worst < 2e-7, worst
    x = x[np.abs(x) < 40]
    x64 = x.astype(np.float64)
    assert np.allclose(fn.sigmoid(x), 1 / (1 + np.exp(-x64)), rtol=1e-6, atol=0)
    assert np.allclose(fn.silu(x), x64 / (1 + np.exp(-x64)), rtol=1e-6, atol=0)
    tanh = 0.5 * x64 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x64 + 0.044715 * x64**3)))
    assert np.allclose(fn.gelu(x), tanh, rtol=1e-5, atol=1e-6)
    assert np.allclose(fn.gelu_erf(x), exact_gelu(x64), rtol=3e-7, atol=3e-7)
    for n in (0, 1, 15, 16, 17, 64, 100, 1000):
        v = random.standard_normal(n).astype(F)
        lanes = [F(0)] * 16
        for i, value in enumerate(v):
            lanes[i % 16] = lanes[i % 16] + value
        for half in (8, 4, 2, 1):
            lanes = [lanes[i] + lanes[i + half] for i in range(half)]
        assert lanes[0] == fn.lane_sum(v)
    # The float32 matrix products are the integer sums.
    w = random.integers(-127, 128, (50, 192)).astype(np.int8)
    w[0], w[1] = 127, -127
    q = random.integers(-127, 128, (3, 64)).astype(np.int8)
    q[1] = 127
    sums = np.matmul(fn.grouped(w), q.astype(F)[:, :, None])[:, :, 0]
    exact = np.einsum("rgi,gi->gr", w.reshape(50, 3, 64).astype(np.int64), q.astype(np.int64))
    assert np.array_equal(sums, exact)
    # Neuron-major and one row an output are the same matrix.
    h = random.standard_normal(192).astype(F)
    scale = random.uniform(1, 2, 50).astype(F)
    a = fn.matvec(fn.grouped(w), scale, None, *fn.quantize(h))
    b = fn.matvec_neuron_major(np.ascontiguousarray(w.T), scale, None, np.arange(192), h)
    assert np.array_equal(a, b)
    for base, dims in ((10000.0, 64), (500000.0, 128), (1e6, 24)):
        assert math.isclose(rotary.double_ln(base), math.log(base), rel_tol=1e-15)
        frequencies = rotary.rope_frequencies(base, dims)
        for position in (0, 1, 77, 4095, 131071):
            c, s = rotary.rope_row(position, frequencies, 1.0)
            angle = position * base ** (-np.arange(0, dims, 2) / dims)
            assert np.abs(c - np.cos(angle)).max() < 1e-7 and np.abs(s - np.sin(angle)).max() < 1e-7
    print("functions: fine; exp within %.1e" % worst)


def unrounded(model, tokens, *mask):
    """The reference without its quantization of activations, keys and values."""
    def no_quantize(x):
        padded = np.zeros(-(-len(x) // 64) * 64, F)
        padded[:len(x)] = x
        return padded.reshape(-1, 64), np.ones(len(padded) // 64, F)

    kept = fn.quantize, fn.to_half
    fn.quantize, fn.to_half = no_quantize, lambda x: x
    try:
        model.reset()
        model.keys = [k.astype(F) for k in model.keys]
        model.values = [v.astype(F) for v in model.values]
        lists = [None if m is None else list(m) for m in mask]
        return np.stack([model.step(int(t), *lists)[0] for t in tokens])
    finally:
        fn.quantize, fn.to_half = kept


def difference(a, b):
    """Relative error over all positions, and of the worst of them."""
    d = a.astype(np.float64) - b
    return (np.linalg.norm(d) / np.linalg.norm(b),
            np.max(np.linalg.norm(d, axis=1) / np.linalg.norm(b, axis=1)))


def main(paths):
    check_functions()
    here = os.path.dirname(os.path.abspath(__file__))
    failed = False
    for path in paths or sorted(glob.glob(os.path.join(here, "fixtures", "*.gguf"))):
        model = Reference(path)
        count = min(model.context, 72)
        tokens = np.random.default_rng(3).integers(0, model.vocabulary, count)
        masks = [("dense", (None, None))]
        for case in ("sparse", "edge"):
            file = f"{path.removesuffix('.gguf')}.{case}.mask.txt"
            if os.path.exists(file):
                masks.append((case, read_mask(file, model.n_layers)))
        # The noise of 8-bit activations adds up over layers.
        limit = 0.03 if model.n_layers <= 2 else 0.1
        for case, mask in masks:
            true = plain(model, tokens, *mask)
            exact, _ = difference(unrounded(model, tokens, *mask), true)
            ours = model.logits(tokens, *mask)
            error, worst = difference(ours, true)
            same = np.mean(ours.argmax(axis=1) == true.argmax(axis=1))
            bad = not (exact < 1e-5 and error < limit)
            failed |= bad
            print("%s %s: unrounded %.1e; as it is %.2f %% (worst position %.2f %%), same best "
                  "token %.0f %%, logits of size %.1f%s" % (
                      os.path.basename(path), case, exact, 100 * error, 100 * worst, 100 * same,
                      true.std(), "  FAILED" if bad else ""))
    return 1 if failed else 0
