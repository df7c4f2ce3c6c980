"""The functions of docs/NUMERICS.md, to the bit, in numpy.

Every operation is one numpy operation on float32 arrays (or Python floats where the contract says
Double), so that nothing is fused, reordered or widened. Functions take and return float32 arrays
and work on the last axis; section numbers are those of docs/NUMERICS.md. Section 7 is rotary.py,
section 11 four_bit.py, section 12 ternary.py.
"""
import struct

import numpy as np

F = np.float32
GROUP = 64


def f32(x):
    """Checks that nothing widened on the way."""
    assert x.dtype == np.float32, x.dtype
    return x


# 1. Arithmetic

def lane_sum(v):
    """Lane sum over the last axis."""
    f32(v)
    n = v.shape[-1]
    steps = (n + 15) // 16
    padded = np.zeros(v.shape[:-1] + (steps * 16,), F)
    padded[..., :n] = v
    lanes = np.zeros(v.shape[:-1] + (16,), F)
    for i in range(steps):
        lanes = lanes + padded[..., 16 * i:16 * i + 16]
    for half in (8, 4, 2):
        lanes = lanes[..., :half] + lanes[..., half:2 * half]
    return f32(lanes[..., 0] + lanes[..., 1])


# 3. Quantized activations

def quantize(x):
    """x [n] -> q int8 [groups, 64], scale float32 [groups]; the last group padded with zeros."""
    f32(x)
    groups = (len(x) + GROUP - 1) // GROUP
    padded = np.zeros(groups * GROUP, F)
    padded[:len(x)] = x
    padded = padded.reshape(groups, GROUP)
    amax = np.abs(padded).max(axis=1) if groups else np.zeros(0, F)
    zero = amax < F(1e-30)
    safe = np.where(zero, F(1), amax)
    scale = np.where(zero, F(0), safe / F(127))
    inv = F(127) / safe
    q = np.where(zero[:, None], F(0), np.rint(padded * inv[:, None]))
    assert groups == 0 or np.abs(q).max() <= 127
    return q.astype(np.int8), f32(scale)


# 4. Matrix times vector

def grouped(weights):
    """int8 [rows, columns] (columns a multiple of 64) -> float32 [groups, rows, 64]."""
    rows, columns = weights.shape
    assert columns % GROUP == 0
    return np.ascontiguousarray(
        weights.reshape(rows, columns // GROUP, GROUP).transpose(1, 0, 2).astype(F))


def accumulate(sums, scale, weight_scale, bias):
    """The float part of section 4. sums [groups, outputs]: exact integers as floats."""
    acc = np.zeros(weight_scale.shape, F)
    for g in range(len(scale)):
        acc = acc + f32(sums[g]) * scale[g]
    y = acc * f32(weight_scale)
    if bias is not None:
        y = y + f32(bias)
    return f32(y)


def matvec(weights, weight_scale, bias, q, scale):
    """weights as `grouped` gives them. The integer sums are products of small integers whose
    partial sums stay below 2^24 in any order, so a float32 matrix product gives them exactly."""
    sums = np.matmul(weights, q.astype(F)[:, :, None])[:, :, 0]
    return accumulate(sums, scale, weight_scale, bias)


def matvec_neuron_major(weights, weight_scale, bias, active, h):
    """weights int8 [neurons, outputs]; h float32 [len(active)], the values of the active ones."""
    q, scale = quantize(h)
    sums = np.zeros((len(scale), weights.shape[1]), F)
    for g in range(len(scale)):
        rows = active[g * GROUP:(g + 1) * GROUP]
        sums[g] = q[g, :len(rows)].astype(F) @ weights[rows].astype(F)
    return accumulate(sums, scale, weight_scale, bias)


# 5. Functions

def exp(x):
    f32(x)
    x = np.where(x > F(-87), x, F(-87))
    x = np.where(x < F(88), x, F(88))
    n = np.rint(x * F(1.44269504088896341))
    r = (x - n * F(0.693359375)) - n * F(-2.12194440e-4)
    p = F(1.9875691500e-4)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * r + F(c)
    power = ((n.astype(np.int32) + np.int32(127)) << np.int32(23)).astype(np.int32).view(F)
    return f32((((p * (r * r)) + r) + F(1)) * power)


def sigmoid(x):
    return f32(F(1) / (F(1) + exp(-x)))


def silu(x):
    return f32(x / (F(1) + exp(-x)))


def relu(x):
    return f32(np.where(x > F(0), x, F(0)))


def gelu(x):
    with np.errstate(over="ignore"):
        u = F(1.5957691216057308) * (x + F(0.044715) * ((x * x) * x))
    return f32(x / (F(1) + exp(-u)))


def gelu_erf(x):
    z = np.abs(x) * F(0.70710678118654752)
    t = F(1) / (F(1) + z * F(0.3275911))
    p = F(1.061405429)
    for c in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        p = p * t + F(c)
    with np.errstate(over="ignore"):
        q = ((p * t) * exp(-(z * z))) * F(0.5)
    return f32(relu(x) - np.abs(x) * q)


def relu2(x):
    r = relu(x)
    return f32(r * r)


def fatrelu(x, threshold):
    return f32(np.where(x > F(threshold), x, F(0)))


def softcap(x, cap):
    """cap: above zero."""
    with np.errstate(over="ignore"):
        u = x / F(cap)
        return f32(F(cap) * (F(1) - F(2) / (exp(u + u) + F(1))))


def activation(name, threshold=0):
    """The function that a model's metadata name. threshold: that of fatrelu."""
    if name == "fatrelu":
        return lambda x: fatrelu(x, threshold)
    return {"silu": silu, "relu": relu, "relu2": relu2, "gelu": gelu, "gelu_erf": gelu_erf}[name]


# 6. Norms

def rms_norm(x, w, eps):
    ss = lane_sum(x * x)
    r = F(1) / np.sqrt(ss / F(len(x)) + F(eps))
    return f32((x * r) * w)


def layer_norm(x, w, b, eps):
    n = F(len(x))
    mean = lane_sum(x) / n
    d = x - mean
    var = lane_sum(d * d) / n
    r = F(1) / np.sqrt(var + F(eps))
    return f32(((d * r) * w) + b)


# 8. Attention

def to_half(x):
    """float32 -> float16, saturated."""
    f32(x)
    x = np.where(x > F(-65504), x, F(-65504))
    x = np.where(x < F(65504), x, F(65504))
    return x.astype(np.float16)


def softmax_parts(s, first=0):
    """s [heads, positions] -> e [heads, positions], Z [heads]. first: the first position that is seen."""
    e = np.zeros_like(s)
    e[:, first:] = exp(s[:, first:] - s[:, first:].max(axis=1, keepdims=True))
    return e, lane_sum(e)


def attention_weights(s, first, cap):
    """s [positions, heads] -> e [heads, positions], Z [heads]. cap: of the scores; 0 for none."""
    return softmax_parts(np.ascontiguousarray((softcap(s, cap) if cap else s).T), first)


def attention(q, k, v, first=0, cap=0):
    """One query. q float32 [heads, d]; k, v float16 [positions, kv_heads, d] -> [heads, d].

    first: the first position that is seen. cap: of the scores; 0 for none."""
    heads, d = q.shape
    owner = np.arange(heads) // (heads // k.shape[1])
    k = k.astype(F)[:, owner]
    v = v.astype(F)[:, owner]
    s = lane_sum(q * k) * (F(1) / np.sqrt(F(d)))
    e, z = attention_weights(s, first, cap)
    acc = np.zeros((heads, d), F)
    for t in range(len(v)):
        acc = acc + e[:, t, None] * v[t]
    return f32(acc / z[:, None])


def to_bytes(x):
    """float32 [..., d], one head a row -> int8 [..., d], scale float32 [...]."""
    f32(x)
    amax = np.abs(x).max(axis=-1)
    zero = amax < F(1e-30)
    safe = np.where(zero, F(1), amax)
    inv = F(127) / safe
    q = np.where(zero[..., None], F(0), np.rint(x * inv[..., None]))
    assert np.abs(q).max() <= 127
    return q.astype(np.int8), f32(np.where(zero, F(0), safe / F(127)))


def attention_bytes(q, k, ks, v, vs, first=0, cap=0):
    """As `attention`; k, v int8 [positions, kv_heads, d], ks, vs float32 [positions, kv_heads]."""
    heads, d = q.shape
    owner = np.arange(heads) // (heads // k.shape[1])
    k, ks = k.astype(F)[:, owner], ks[:, owner]
    v, vs = v.astype(F)[:, owner], vs[:, owner]
    s = (lane_sum(q * k) * ks) * (F(1) / np.sqrt(F(d)))
    e, z = attention_weights(s, first, cap)
    acc = np.zeros((heads, d), F)
    for t in range(len(v)):
        acc = acc + (e[:, t] * vs[t])[:, None] * v[t]
    return f32(acc / z[:, None])


# 9. Experts

def float_dots(rows, x):
    """rows [n, d], x [d] -> [n], one lane sum each."""
    return lane_sum(x * f32(rows))


def choose_experts(scores, count, router, normalizes):
    """scores [E] -> the active experts, ascending, and their p."""
    active = np.sort(np.argsort(-scores, kind="stable")[:count])  # stable: of equals the first
    if router == "softmax":
        e, z = softmax_parts(scores[None])
        p = (e[0] / z)[active]
    else:
        p = sigmoid(scores)[active]
    if normalizes:
        total = F(0)
        for one in p:
            total = total + one
        p = p / total
    return active, f32(p)


# Hash of files and of logits: xxHash64, seed 0

_MASK = (1 << 64) - 1
_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
    0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def _rotate(x, n):
    return ((x << n) | (x >> (64 - n))) & _MASK


def _round(acc, word):
    return (_rotate((acc + word * _P2) & _MASK, 31) * _P1) & _MASK


def xxhash64(data):
    data = bytes(data)
    n, at = len(data), 0
    if n >= 32:
        a, b, c, d = (_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK
        for w, x, y, z in struct.iter_unpack("<4Q", data[:n // 32 * 32]):
            a, b, c, d = _round(a, w), _round(b, x), _round(c, y), _round(d, z)
        h = (_rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)) & _MASK
        for lane in (a, b, c, d):
            h = ((h ^ _round(0, lane)) * _P1 + _P4) & _MASK
        at = n // 32 * 32
    else:
        h = _P5
    h = (h + n) & _MASK
    while at + 8 <= n:
        h ^= _round(0, int.from_bytes(data[at:at + 8], "little"))
        h = (_rotate(h, 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= n:
        h ^= (int.from_bytes(data[at:at + 4], "little") * _P1) & _MASK
        h = (_rotate(h, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        h ^= (byte * _P5) & _MASK
        h = (_rotate(h, 11) * _P1) & _MASK
    h ^= h >> 33
    h = (h * _P2) & _MASK
    h ^= h >> 29
    h = (h * _P3) & _MASK
    return h ^ (h >> 32)


def hash_floats(x):
    """xxHash64 of the little-endian bits, 16 hexadecimal digits."""
    return "%016x" % xxhash64(np.ascontiguousarray(f32(x)).astype("<f4").tobytes())
