"""Is the reference a correct transformer? Compares it with a plain float64 computation, written
another way (plain.py). First with the rounding of activations, keys and values taken out of the reference: what
is left must agree as floats do, so that a wrong head, pair or neuron cannot hide in the noise of
quantization. Then the reference as it is. Also checks functions.py against the mathematics."""
import glob
import math
import os

import numpy as np

import functions as fn
import rotary
from plain import Plain, exact_gelu, sigmoid
from reference import Reference, read_mask

F = np.float32


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
    assert np.array_equal(fn.relu2(x), np.maximum(x, F(0))**2)
    assert np.array_equal(fn.fatrelu(x, 0.5), x * (x > F(0.5)))
    for cap in (0.5, 30.0, 50.0):
        assert np.allclose(fn.softcap(x, cap), cap * np.tanh(x64 / cap), rtol=1e-6, atol=cap * 2e-7)
    check_choices(random)
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


def check_choices(random):
    """Windows and experts."""
    s = random.standard_normal((3, 40)).astype(F)
    for first in (0, 1, 17, 39):
        e, z = fn.softmax_parts(s, first)
        seen = np.exp(s[:, first:].astype(np.float64))
        assert not e[:, :first].any()
        assert np.allclose(e[:, first:] / z[:, None], seen / seen.sum(axis=1, keepdims=True), rtol=1e-5)
    scores = np.array([2, 1, 2, 0, 1], F)
    for count, wanted in ((1, [0]), (2, [0, 2]), (3, [0, 1, 2]), (5, [0, 1, 2, 3, 4])):
        for router in ("softmax", "sigmoid"):
            active, p = fn.choose_experts(scores, count, router, False)
            true = np.exp(scores) / np.exp(scores).sum() if router == "softmax" else sigmoid(scores)
            assert list(active) == wanted and np.allclose(p, true[wanted], rtol=1e-6)
            assert np.isclose(fn.choose_experts(scores, count, router, True)[1].sum(), 1, rtol=1e-6)


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


def cases(path, model):
    """Names and masks."""
    yield "dense", (None, None)
    for case in ("sparse", "edge"):
        file = f"{path.removesuffix('.gguf')}.{case}.mask.txt"
        if os.path.exists(file):
            yield case, read_mask(file, model.n_layers)


def check(name, model, case, mask, limit):
    """Whether the reference agrees; prints how well. limit: for the relative error of the reference as it is."""
    tokens = np.random.default_rng(3).integers(0, model.vocabulary, min(model.context, 72))
    true = Plain(model.meta, model.tensors, model.context).logits(tokens, *mask)
    exact, _ = difference(unrounded(model, tokens, *mask), true)
    ours = model.logits(tokens, *mask)
    error, worst = difference(ours, true)
    same = np.mean(ours.argmax(axis=1) == true.argmax(axis=1))
    good = exact < 1e-5 and error < limit
    print("%s %s: unrounded %.1e; as it is %.2f %% (worst position %.2f %%), same best "
          "token %.0f %%, logits of size %.1f%s" % (
              name, case, exact, 100 * error, 100 * worst, 100 * same, true.std(), "" if good else "  FAILED"))
    return good


def main(paths):
    check_functions()
    here = os.path.dirname(os.path.abspath(__file__))
    good = True
    for path in paths or sorted(glob.glob(os.path.join(here, "fixtures", "*.gguf"))):
        model, name = Reference(path), os.path.basename(path)
        # The noise of 8-bit activations adds up over layers.
        limit = 0.03 if model.n_layers <= 2 else 0.1
        for case, mask in cases(path, model):
            good &= check(name, model, case, mask, limit)
        original = model.meta.get("tinysparse.rope.original_context")
        if original:
            good &= check(name, Reference(path, context=original), "short", (None, None), limit)
    return 0 if good else 1
