"""4-bit weights: section 11 of docs/NUMERICS.md, in numpy."""
import numpy as np

import functions as fn

F = np.float32
HALF = 32
NAMES = ["token_embd", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate", "ffn_down", "output"]


def is_four_bit(meta, name):
    """name: of a matrix, "blk.0.attn_q" for instance."""
    return name.split(".")[-1] in meta.get("tinysparse.four_bit", [])


def round_matrix(w):
    """Some d, m (float16 [rows, half groups]) and q (uint8 [rows, half groups, 32]) for w [rows, columns].
    Rows are padded to whole groups."""
    rows, columns = w.shape
    halves = -(-columns // 64) * 2
    padded = np.zeros((rows, halves * HALF), F)
    padded[:, :columns] = w
    groups = padded.reshape(rows, halves, HALF)
    m = groups.min(axis=2).astype(np.float16)
    d = ((groups.max(axis=2) - m.astype(F)) / F(15)).astype(np.float16)
    safe = np.where(d > 0, d, np.float16(1)).astype(F)
    q = np.clip(np.rint((groups - m.astype(F)[:, :, None]) / safe[:, :, None]), 0, 15).astype(np.uint8)
    q[d == 0] = 0
    beyond = np.arange(halves) * HALF >= columns
    d[:, beyond], m[:, beyond], q[:, beyond] = 0, 0, 0
    return d, m, q


def pack(d, m, q):
    """-> int8 [blocks, 320 * half groups], the bytes of a file."""
    rows, halves = d.shape
    blocks = -(-rows // 16)
    out = np.zeros((blocks, halves, 320), np.uint8)
    for row in range(rows):
        block, r = divmod(row, 16)
        for h in range(halves):
            record = out[block, h]
            record[2 * r:2 * r + 2] = np.frombuffer(d[row, h].astype("<f2").tobytes(), np.uint8)
            record[32 + 2 * r:34 + 2 * r] = np.frombuffer(m[row, h].astype("<f2").tobytes(), np.uint8)
            for k in range(4):
                for i in range(4):
                    low, high = q[row, h, 8 * k + i], q[row, h, 8 * k + 4 + i]
                    record[64 + 64 * k + 4 * r + i] = low | high << 4
    return out.reshape(blocks, -1).view(np.int8)


def unpack(data, rows):
    """The opposite of `pack`."""
    blocks = data.shape[0]
    records = data.view(np.uint8).reshape(blocks, -1, 320)
    halves = records.shape[1]

    def scales(at):
        raw = np.ascontiguousarray(records[:, :, at:at + 32]).view("<f2")  # [blocks, halves, 16]
        return raw.transpose(0, 2, 1).reshape(blocks * 16, halves)[:rows]

    nibbles = records[:, :, 64:].reshape(blocks, halves, 4, 16, 4)  # k, r, i
    both = np.stack([nibbles & 15, nibbles >> 4], axis=4)           # k, r, low or high, i
    q = both.transpose(0, 3, 1, 2, 4, 5).reshape(blocks * 16, halves, HALF)[:rows]
    return scales(0), scales(32), q


def matvec(d, m, q, bias, x, scale):
    """x int8 [groups, 64] and scale float32 [groups], as `fn.quantize` gives them."""
    wide = np.int64 if x.dtype == np.int8 else np.float64  # the self-test leaves activations unrounded
    x = x.astype(wide).reshape(-1, HALF)
    products = np.einsum("rhi,hi->rh", q.astype(wide), x)
    sums = x.sum(axis=1)
    t = (products.astype(F) * d.astype(F)) + (sums.astype(F) * m.astype(F))
    acc = np.zeros(len(d), F)
    for g in range(len(scale)):
        acc = acc + (t[:, 2 * g] + t[:, 2 * g + 1]) * scale[g]
    if bias is not None:
        acc = acc + fn.f32(bias)
    return fn.f32(acc)


class FourBitMatrix:
    """One row an output."""

    def __init__(self, tensors, name, outputs):
        self.d, self.m, self.q = unpack(tensors[name + ".weight"], outputs)
        assert np.isfinite(self.d).all() and np.isfinite(self.m).all(), name
        self.bias = tensors.get(name + ".bias")

    def __call__(self, quantized, rows=None):
        """rows: only these outputs."""
        rows = slice(None) if rows is None else rows
        bias = None if self.bias is None else self.bias[rows]
        return matvec(self.d[rows], self.m[rows], self.q[rows], bias, *quantized)

    def row(self, index, columns):
        w = (self.q[index].astype(F) * self.d[index].astype(F)[:, None]) + self.m[index].astype(F)[:, None]
        return fn.f32(w.reshape(-1)[:columns])
