"""Ternary weights: section 12 of docs/NUMERICS.md, in numpy."""
import numpy as np

F = np.float32
RUN = 256
NAMES = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate", "ffn_down"]


def is_ternary(meta, name):
    """name: of a matrix, "blk.0.attn_q" for instance."""
    return name.split(".")[-1] in meta.get("tinysparse.ternary", [])


def round_matrix(w):
    """-> int8 [rows, columns] of -1, 0 and 1, and float32 [rows], for w [rows, columns]."""
    scale = np.abs(w).mean(axis=1).astype(F)
    return np.clip(np.rint(w / scale[:, None]), -1, 1).astype(np.int8), scale


def pack(q):
    """-> int8 [rows, 64 * runs], the bytes of a file."""
    rows, columns = q.shape
    codes = np.ones((rows, -(-columns // RUN) * RUN), np.uint8)
    codes[:, :columns] = q + 1
    quarters = codes.reshape(rows, -1, 4, 64)
    packed = sum(quarters[:, :, k] << 2 * k for k in range(4))
    return packed.astype(np.uint8).reshape(rows, -1).view(np.int8)


def unpack(data):
    """The opposite of `pack`, with the columns beyond the end."""
    runs = data.view(np.uint8).reshape(len(data), -1, 1, 64)
    codes = runs >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    assert codes.max() < 3
    return codes.reshape(len(data), -1).astype(np.int8) - 1
