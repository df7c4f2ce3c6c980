"""What the layers of reference.py consist of: matrices, and what chooses neurons, heads, experts and rows."""
import numpy as np

import four_bit
import functions as fn
import ternary

F = np.float32


class Matrix:
    """One row an output."""

    def __init__(self, tensors, name, inputs=None):
        """inputs: how many columns there are, if the rows are padded to more than whole groups."""
        self.weight = tensors[name + ".weight"]
        if inputs is not None:
            self.weight = self.weight[:, :-(-inputs // 64) * 64]
        self.scale = tensors[name + ".scale"]
        self.bias = tensors.get(name + ".bias")
        self.groups = fn.grouped(self.weight)

    def __call__(self, quantized, rows=None):
        """rows: only these outputs (each output is independent of the others)."""
        q, scale = quantized
        if rows is None:
            return fn.matvec(self.groups, self.scale, self.bias, q, scale)
        bias = None if self.bias is None else self.bias[rows]
        return fn.matvec(self.groups[:, rows], self.scale[rows], bias, q, scale)

    def row(self, index, columns):
        return self.weight[index, :columns].astype(F) * self.scale[index]


class Predictor:
    """Names the active ones (section 10)."""

    def __init__(self, tensors, name, threshold, group=1, relu=False):
        self.group, self.relu = group, relu
        self.a = Matrix(tensors, name + "_a")
        # Rank-major: row i leaves the i-th inner value.
        self.bias = tensors[name + "_b.bias"]
        self.b, self.scale = tensors[name + "_b.weight"][:, :len(self.bias)], tensors[name + "_b.scale"]
        self.threshold = F(threshold)

    def __call__(self, a):
        """a: the quantized input."""
        inner = self.a(a)
        if self.relu:
            inner = fn.relu(inner)
        scores = fn.matvec_neuron_major(self.b, self.scale, self.bias, np.arange(len(inner)), inner)
        return np.flatnonzero(np.repeat(scores >= self.threshold, self.group))


class GateRule:
    """Names the active ones by the activated gates (section 10)."""

    def __init__(self, tensors, name, threshold):
        self.reach, self.threshold = tensors[name], F(threshold)

    def __call__(self, gates):
        return np.flatnonzero(np.abs(gates) * self.reach >= self.threshold)


class Screen:
    """Computes the rows of the head that matter (section 10)."""

    def __init__(self, tensors, get):
        self.a, self.b = Matrix(tensors, "output_screen_a"), Matrix(tensors, "output_screen_b")
        self.rows = get("screen_rows")
        self.margins = F(get("screen_margin")), F(get("screen_wide_margin"))

    def __call__(self, x, head, k):
        """x: the quantized norm. k: how many logits have to be exact."""
        score = fn.f32(self.b(fn.quantize(self.a(x))))
        ordered = np.sort(score)[::-1]
        bar = ordered[0] - self.margins[0 if k == 1 else 1]
        if k < len(score):
            bar = min(bar, ordered[k - 1])
        active = np.flatnonzero(score >= bar)
        if k >= len(score) or len(active) > self.rows or len(active) == len(score):
            return head(x)
        exact = head(x, active)
        least = np.sort(exact)[::-1][k - 1]
        logits = np.where(score >= least, np.nextafter(least, F(-np.inf)), score)
        logits[active] = exact
        return logits


class Experts:
    """Names the active neurons of a layer, and what each is multiplied by (section 9)."""

    def __init__(self, tensors, name, d_ff, get):
        """name: the layer's, "blk.0" for instance. get: a value of the metadata below "tinysparse.experts."."""
        self.router = tensors[name + ".ffn_router.weight"]
        self.shared_gate = tensors.get(name + ".ffn_shared_gate.weight")
        self.width, self.shared = get("width"), np.arange(get("count") * get("width"), d_ff)
        self.how = get("active"), get("router"), get("normalizes")

    def __call__(self, r):
        """r: what the router sees, float32 [d_model]."""
        experts, p = fn.choose_experts(fn.float_dots(self.router, r), *self.how)
        neurons = (experts[:, None] * self.width + np.arange(self.width)).reshape(-1)
        of_shared = np.ones(len(self.shared), F)
        if self.shared_gate is not None:
            of_shared[:] = fn.sigmoid(fn.float_dots(self.shared_gate[None], r))
        return np.concatenate([neurons, self.shared]), np.concatenate([np.repeat(p, self.width), of_shared])


def read_matrix(meta, tensors, name, outputs, inputs=None):
    """name: "blk.0.attn_q" for instance. inputs: needed for ternary ones."""
    if four_bit.is_four_bit(meta, name):
        return four_bit.FourBitMatrix(tensors, name, outputs)
    if ternary.is_ternary(meta, name):
        return Matrix({**tensors, name + ".weight": ternary.unpack(tensors[name + ".weight"])}, name, inputs)
    return Matrix(tensors, name)
