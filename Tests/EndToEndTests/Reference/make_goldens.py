"""Writes fixtures/functions/*.bin: inputs and outputs of every function of docs/NUMERICS.md.

A file is a sequence of fields; a field is a UInt32 number of bytes, the bytes, and zeros up to a
multiple of 4; everything little-endian. README.md lists the fields of each file.
"""
import os
import struct

import numpy as np

import four_bit
import functions as fn
import rotary

F = np.float32
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "functions")
MAX = np.finfo(F).max


def write(name, fields):
    with open(os.path.join(FOLDER, name + ".bin"), "wb") as file:
        for field in fields:
            array = np.ascontiguousarray(field)
            assert array.dtype in (np.float32, np.float64, np.int32, np.int8, np.uint16, np.uint64,
                                   np.uint8), array.dtype
            raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
            file.write(struct.pack("<I", len(raw)) + raw + bytes(-len(raw) % 4))


def ints(*values):
    return np.array(values, np.int32)


def neighbours(values, steps=2):
    """The values, their negatives and the floats next to them."""
    out = []
    for v in np.asarray(values, F):
        out.append(v)
        up = down = v
        for _ in range(steps):
            up, down = np.nextafter(up, F(np.inf)), np.nextafter(down, F(-np.inf))
            out += [up, down]
    out = np.array(out, F)
    return np.concatenate([out, -out])


def hard_floats(random):
    with np.errstate(over="ignore"):
        special = neighbours([0, 1e-45, 1.1754944e-38, 1e-30, 1e-10, 0.5, 1, 2, 10, 16, 20, 86.5,
                              87, 88, 88.5, 89, 103, 104, 1e3, 1e6, 1e13, 1e19, 3e38, 65504])
    halves = neighbours((np.arange(-126, 127, 6) + 0.5) * np.log(2), 1)
    # Random finite bit patterns.
    bits = random.integers(0, 2**32, 150, dtype=np.uint64).astype(np.uint32).view(F)
    bits = bits[np.isfinite(bits)]
    x = np.concatenate([
        special, halves, bits, [MAX, -MAX], random.standard_normal(200),
        random.standard_normal(150) * 5, random.uniform(-88, 89, 200)]).astype(F)
    x = x[np.isfinite(x)]
    return x if len(x) % 16 else x[:-1]


# What follows draws numbers of its own, so that those of `main` stay as they are.

def write_parameterized(x):
    """Activations and caps that have a parameter, and relu2."""
    with np.errstate(over="ignore"):
        squares = x[np.isfinite(fn.relu2(x))]
    write("relu2", [squares, fn.relu2(squares)])
    fields = []
    for threshold in (0, 0.01, 0.3, 5):
        v = np.concatenate([neighbours([threshold]), x[::3]])
        fields += [np.array([threshold], F), v, fn.fatrelu(v, threshold)]
    write("fatrelu", fields)
    fields, own = [], np.random.default_rng(12)
    for cap in (0.1, 3, 30, 50, 1e6):
        # From where a cap does nothing to where it is all there is, and far beyond.
        v = np.concatenate([x[::4], own.uniform(-8, 8, 99).astype(F) * F(cap), F([-MAX, MAX])])
        fields += [np.array([cap], F), v, fn.softcap(v, cap)]
    write("softcap", fields)


def write_choices():
    """Windows of attention, scores of experts."""
    own, fields = np.random.default_rng(13), []
    for count, first, size in ((1, 0, 1), (16, 15, 1), (50, 0, 3), (50, 1, 3), (50, 16, 3), (50, 21, 3), (130, 113, 40),
                               (130, 129, 1), (33, 32, 1), (70, 63, 90)):
        s = own.standard_normal((1, count)).astype(F) * F(size)
        s[0, :first] += F(50)  # the largest ones are not seen
        e, z = fn.softmax_parts(s, first)
        fields += [s[0], ints(first), e[0], z]
    write("softmax_window", fields)
    fields = []
    for rows, d in ((1, 1), (2, 15), (6, 64), (5, 72), (8, 100), (20, 130)):
        matrix, x = own.standard_normal((rows, d)).astype(F), own.standard_normal(d).astype(F)
        fields += [ints(rows, d), matrix, x, fn.float_dots(matrix, x)]
    write("float_dots", fields)


def magnified_tables():
    """Rows of rope_table with a magnitude."""
    own, fields = np.random.default_rng(14), []
    for base, scaling, magnitude, dims, factors in ((1e4, 1.0, 1.25, 64, 0), (1e6, 8.0, 0.707, 16, 1),
                                                    (1e4, 1.0, 1.1902380714238083, 96, 1)):
        f = own.uniform(1, 32, dims // 2).astype(F) if factors else np.zeros(0, F)
        frequencies = rotary.rope_frequencies(base, dims, f if factors else None)
        for position in (0, 1, 77, 4095, 131071):
            c, s = rotary.rope_row(position, frequencies, scaling, magnitude)
            fields += [np.array([base, scaling, magnitude]), ints(dims, position), f, c, s]
    return fields


def main():
    os.makedirs(FOLDER, exist_ok=True)
    random = np.random.default_rng(11)

    def normal(*shape):
        return random.standard_normal(shape).astype(F)

    # Element by element.
    x = hard_floats(random)
    for name in ("exp", "sigmoid", "silu", "relu", "gelu", "gelu_erf"):
        y = getattr(fn, name)(x)
        assert np.isfinite(y).all()
        write(name, [x, y])
    write_parameterized(x)
    with np.errstate(over="ignore"):
        edges = neighbours([0, 2.0**-24, 2.0**-25, 3 * 2.0**-25, 2.0**-14, 6.0975552e-5, 1, 1 + 2.0**-11,
                            1 + 3 * 2.0**-11, 2049, 2051, 65472, 65488, 65503, 65504, 65519, 65520, 1e9])
    h = np.concatenate([edges, x[::5], normal(101)])
    write("half", [h, fn.to_half(h).view(np.uint16), fn.to_half(h).astype(F)])

    # Doubles.
    xs = [1.0, 2.0, 0.5, 0.75, 0.70710678118654752, 0.7071067811865476, 1e4, 5e5, 1e6, 1e15, 3.0,
          *random.uniform(1, 1e6, 20)]
    write("double_ln", [np.array(xs), np.array([rotary.double_ln(v) for v in xs])])
    xs = [-0.0, 0.0, -1.0, -0.34657359027997264, *(-random.uniform(0, 35, 40)), 1.0, 3.5]
    write("double_exp", [np.array(xs), np.array([rotary.double_exp(v) for v in xs])])
    xs = [0.0, 1e-300, 1e-9, 0.7853981633974483, 1.5707963267948966, 3.141592653589793, 1.0, 2.0,
          3.0, 4.0, 5.0, 6.0, 4095.0, 131071.0, 1048575.0, 16777215.0, *random.uniform(0, 1e5, 40)]
    pairs = [rotary.double_sin_cos(v) for v in xs]
    write("double_sin_cos", [np.array(xs), np.array([p[0] for p in pairs]),
                             np.array([p[1] for p in pairs])])

    # Sums.
    fields = []
    for n in (0, 1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 100, 129, 257):
        v = normal(n) * F(10.0) ** random.integers(-4, 5, n).astype(F)
        fields += [v, np.array([fn.lane_sum(v)], F)]
    v = np.full(20, -0.0, F)
    fields += [v, np.array([fn.lane_sum(v)], F)]
    write("lane_sum", fields)

    fields = []
    for s in (normal(1, 1), normal(1, 16), normal(1, 50) * F(3), normal(1, 130) * F(40),
              np.array([[5, 5, -90, 5]], F), np.zeros((1, 33), F)):
        e, z = fn.softmax_parts(s)
        fields += [s[0], e[0], z]
    write("softmax", fields)

    write_choices()

    # Quantization.
    ties = np.arange(-63, 64) + 0.5
    tied = np.zeros(192, F)
    tied[0], tied[1:64] = 127, ties[:63]
    tied[64], tied[65:128] = -127, ties[63:126]
    tied[128], tied[129:192] = 254, (ties[:63] + 20) * 2
    tiny = normal(64 * 6) * F(0.1)
    tiny[:64] *= F(0)
    tiny[64:128] = -0.0
    for g, top in ((2, F(1e-30)), (3, np.nextafter(F(1e-30), F(0))), (4, F(1e-45)), (5, F(2e-30))):
        tiny[64 * g:64 * (g + 1)] *= top
        tiny[64 * g + 5] = top
    big = normal(128) * F(1e37)
    big[3], big[64] = MAX, -MAX
    fields = []
    for v in (tied, tiny, big, np.array([3], F), np.array([-0.0], F), normal(15), normal(63),
              normal(65), normal(100) * F(1e-20), normal(200), np.full(70, 1 / 3, F)):
        q, scale = fn.quantize(v)
        fields += [v, q.reshape(-1), scale]
    write("quantize", fields)

    # Matrices.
    def matrix(rows, columns, padded):
        w = np.zeros((rows, padded), np.int8)
        w[:, :columns] = random.integers(-127, 128, (rows, columns))
        return w

    fields = []
    for rows, n, bias in ((1, 64, False), (3, 40, True), (17, 130, False), (33, 320, True),
                          (5, 1500, False), (64, 64, True), (2, 192, False)):
        w = matrix(rows, n, -(-n // 64) * 64)
        v = normal(n)
        if rows == 2:  # the largest sums
            w[0], w[1] = 127, -127
            v = np.full(n, 0.7, F)
        if rows == 33:
            v[64:128] = 0
        scale = random.uniform(1e-3, 2e-2, rows).astype(F)
        b = normal(rows) if bias else None
        y = fn.matvec(fn.grouped(w), scale, b, *fn.quantize(v))
        fields += [ints(rows, w.shape[1], n), w, scale, normal(0) if b is None else b, v, y]
    write("matvec", fields)

    fields = []
    for neurons, outputs, bias, counts in ((130, 50, True, (130, 65, 64, 1, 0)),
                                           (70, 130, False, (70, 33)), (1, 5, False, (1,))):
        w = matrix(neurons, outputs, -(-outputs // 64) * 64)
        scale = random.uniform(1e-3, 2e-2, outputs).astype(F)
        b = normal(outputs) if bias else None
        for count in counts:
            active = np.sort(random.choice(neurons, count, replace=False)).astype(np.int32)
            v = np.where(random.random(count) < 0.3, F(0), normal(count)).astype(F)
            y = fn.matvec_neuron_major(w[:, :outputs], scale, b, active, v)
            fields += [ints(neurons, outputs, w.shape[1]), w, scale, normal(0) if b is None else b,
                       active, v, y]
    write("matvec_neuron_major", fields)

    # Numbers of its own, so that those of the other files stay as they are.
    own, fields = np.random.default_rng(11), []
    for rows, n, bias, extreme in ((16, 64, False, 0), (1, 32, True, 0), (40, 96, True, 0), (70, 130, False, 0),
                                   (33, 577, True, 0), (17, 64, False, 1), (18, 200, True, 1)):
        d, m, q = four_bit.round_matrix(own.standard_normal((rows, n)).astype(F))
        if extreme:  # the largest sums, odd scales
            q[:, :n // 32] = own.choice(np.array([0, 15], np.uint8), q[:, :n // 32].shape)
            d = (d * own.choice(np.array([1, -1, 1e-4, 1e3]), d.shape)).astype(np.float16)
            m = (m * own.choice(np.array([1, -1, 1e-5, 1e3]), m.shape)).astype(np.float16)
        x = own.choice(np.array([-1, 1]), n).astype(F) if extreme else own.standard_normal(n).astype(F)
        b = own.standard_normal(rows).astype(F) if bias else None
        matrix4 = four_bit.FourBitMatrix({"w.weight": four_bit.pack(d, m, q)}, "w", rows)
        matrix4.bias = b
        fields += [ints(rows, n), four_bit.pack(d, m, q), b if bias else np.zeros(0, F), x, matrix4(fn.quantize(x)),
                   np.concatenate([matrix4.row(r, n) for r in range(rows)])]
    write("four_bit", fields)

    # Norms.
    rms, layer = [], []
    for n, size, eps in ((1, 1, 1e-5), (16, 1, 1e-5), (72, 3, 1e-6), (100, 1e-4, 1e-5),
                         (130, 1e4, 1e-5), (33, 0, 1e-5), (257, 1e-22, 1e-6)):
        v, w, b = normal(n) * F(size), normal(n), normal(n)
        e = np.array([eps], F)
        rms += [v, w, e, fn.rms_norm(v, w, e[0])]
        v = v + F(size)
        layer += [v, w, b, e, fn.layer_norm(v, w, b, e[0])]
    write("rms_norm", rms)
    write("layer_norm", layer)

    # Positions.
    tables, turns = [], []
    for base, scaling, dims, factors in (
            (1e4, 1.0, 64, 0), (5e5, 1.0, 128, 0), (1e6, 4.0, 24, 0), (1e4, 0.5, 2, 0),
            (1.0, 1.0, 6, 0), (5e5, 8.0, 32, 1)):
        f = random.uniform(1, 32, dims // 2).astype(F) if factors else None
        frequencies = rotary.rope_frequencies(base, dims, f)
        for position in (0, 1, 2, 100, 4095, 131071, 16777215):
            c, s = rotary.rope_row(position, frequencies, scaling)
            tables += [np.array([base, scaling]), ints(dims, position), normal(0) if f is None else f, c, s]
        for head_dim in (dims, dims + 8):
            v = normal(1, head_dim)
            c, s = rotary.rope_row(77, frequencies, scaling)
            turns += [v[0], c, s, rotary.rope(v, c, s)[0]]
    write("rope_table", tables + magnified_tables())
    write("rope", turns)

    # Attention.
    fields = []
    for heads, kv, d, positions, size in ((1, 1, 16, 1, 1), (4, 2, 16, 5, 1), (3, 1, 24, 37, 1),
                                          (2, 2, 64, 70, 3), (2, 1, 40, 17, 60), (6, 2, 8, 33, 0)):
        q = normal(heads, d) * F(size)
        k, v = (fn.to_half(normal(positions, kv, d)) for _ in range(2))
        fields += [ints(heads, kv, d, positions), q, k.view(np.uint16), v.view(np.uint16),
                   fn.attention(q, k, v)]
    write("attention", fields)

    # A generator of its own, so that the files made after this one stay as they are.
    fields, own = [], np.random.default_rng(8)
    for heads, kv, d, positions, size in ((1, 1, 16, 1, 1), (4, 2, 16, 5, 1), (3, 1, 24, 37, 1),
                                          (2, 2, 64, 70, 3), (2, 1, 40, 17, 60), (6, 2, 8, 33, 0),
                                          (2, 1, 128, 20, 1)):
        q = own.standard_normal((heads, d)).astype(F) * F(size)
        k, v = (own.standard_normal((positions, kv, d)).astype(F) for _ in range(2))
        k[-1, 0], v[0] = 0, v[0] * F(1e-32)  # scale 0
        (kb, ks), (vb, vs) = fn.to_bytes(k), fn.to_bytes(v)
        fields += [ints(heads, kv, d, positions), q, k, v, kb, ks, vb, vs,
                   fn.attention_bytes(q, kb, ks, vb, vs)]
    write("attention_int8", fields)

    fields = []
    for n in (0, 1, 3, 4, 7, 8, 12, 31, 32, 33, 63, 64, 100, 1000):
        data = random.integers(0, 256, n).astype(np.uint8)
        fields += [data, np.array([fn.xxhash64(data.tobytes())], np.uint64)]
    write("xxhash64", fields)


if __name__ == "__main__":
    main()
