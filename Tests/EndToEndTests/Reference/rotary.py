"""Rotary positions: section 7 of docs/NUMERICS.md. Python's floats are its Doubles."""
import math

import numpy as np

import functions as fn

F = np.float32


def double_ln(x):
    m, e = math.frexp(x)
    if m < 0.70710678118654752:
        m, e = 2 * m, e - 1
    t = (m - 1) / (m + 1)
    z = t * t
    p = 0.0
    for k in range(13, -1, -1):
        p = p * z + 1 / (2 * k + 1)
    return e * 0.6931471805599453 + (2 * t) * p


def double_exp(x):
    n = float(np.rint(x * 1.4426950408889634))
    r = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
    p = 1.0
    for k in range(13, 0, -1):
        p = 1 + (p * r) / k
    return math.ldexp(p, int(n))


def double_sin_cos(angle):
    n = float(np.rint(angle * 0.6366197723675814))
    r = ((angle - n * 1.5707963267341256) - n * 6.077100506303966e-11) - n * 2.0222662487959506e-21
    z = r * r
    s = 1.0
    for k in range(8, 0, -1):
        s = 1 - (s * z) / ((2 * k) * (2 * k + 1))
    s = r * s
    c = 1.0
    for k in range(8, 0, -1):
        c = 1 - (c * z) / ((2 * k - 1) * (2 * k))
    return [(s, c), (c, -s), (-s, -c), (-c, s)][int(n) % 4]


def rope_frequencies(base, dims, factors=None):
    """One Double a pair."""
    log = double_ln(base)
    f = [double_exp(-((2 * i) / dims) * log) for i in range(dims // 2)]
    if factors is not None:
        f = [a / float(b) for a, b in zip(f, factors)]
    return f


def rope_row(position, frequencies, scaling, magnitude=1.0):
    """cos and sin, float32 [pairs], of a position. magnitude: a Double; times 1 changes nothing."""
    rows = [double_sin_cos((position * f) / scaling) for f in frequencies]
    return np.array([c * magnitude for _, c in rows], F), np.array([s * magnitude for s, _ in rows], F)


def rope(x, c, s):
    """x float32 [heads, head_dim]; the first 2 * len(c) dimensions turn, the rest stay."""
    pairs = len(c)
    a, b = x[:, :pairs], x[:, pairs:2 * pairs]
    y = x.copy()
    y[:, :pairs] = a * c - b * s
    y[:, pairs:2 * pairs] = a * s + b * c
    return fn.f32(y)


class Rotation:
    """What turns the queries and keys of a layer, as the metadata of a model describe it."""

    def __init__(self, meta, prefix, context):
        """prefix: of the keys, "tinysparse.rope." for instance. context: what the session can hold."""
        long_factors = meta.get(prefix + "long_factors")
        factors = meta.get(prefix + "factors")
        if long_factors and context > meta[prefix + "original_context"]:
            factors = long_factors
        self.frequencies = rope_frequencies(meta[prefix + "base"], meta[prefix + "dimensions"], factors or None)
        self.scaling = meta[prefix + "scaling"]
        self.magnitude = meta.get(prefix + "magnitude", 1.0)

    def __call__(self, x, position):
        """x float32 [heads, head_dim]."""
        return rope(x, *rope_row(position, self.frequencies, self.scaling, self.magnitude))
