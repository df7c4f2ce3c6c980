"""An independent forward pass that follows docs/NUMERICS.md to the bit.

    python reference.py MODEL --tokens 1,2,3 [--out logits.f32] [--layers] [--mask FILE] [--cache int8] [--predicted] [--screened K]
    python reference.py --selftest [MODEL ...]
"""
import argparse
import sys

import numpy as np

import four_bit
import functions as fn
import gguf_file

F = np.float32


class Matrix:
    """One row an output."""

    def __init__(self, tensors, name):
        self.weight = tensors[name + ".weight"]
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

    def __init__(self, tensors, name, threshold, group=1):
        self.group = group
        self.a = Matrix(tensors, name + "_a")
        # Rank-major: row i leaves the i-th inner value.
        self.bias = tensors[name + "_b.bias"]
        self.b, self.scale = tensors[name + "_b.weight"][:, :len(self.bias)], tensors[name + "_b.scale"]
        self.threshold = F(threshold)

    def __call__(self, norm):
        inner = self.a(norm)
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


class Reference:
    """A model. `logits(tokens)` starts a new context; `step(token)` goes on with the present one."""

    def __init__(self, path, check=True, cache="half"):
        """cache: "half" or "int8" (section 8)."""
        self.cache = cache
        meta, tensors = gguf_file.read(path)
        if meta["tinysparse.format"] != 1:
            raise ValueError(f"{path}: unknown format")
        if check:
            sums = meta["tinysparse.checksums"]
            if len(sums) != len(tensors):
                raise ValueError(f"{path}: {len(sums)} checksums, {len(tensors)} tensors")
            for (name, array), wanted in zip(tensors.items(), sums):
                if fn.xxhash64(array.tobytes()) != wanted:
                    raise ValueError(f"{path}: {name} does not match its checksum")
        self.meta, self.tensors = meta, tensors
        for name in [name for name in tensors if name.endswith("attn_output_t.weight")]:
            # Stored transposed, where heads are predicted.
            rows = tensors[name][:, :meta["tinysparse.embedding_length"]].T
            plain = name.replace("_t.weight", "")
            tensors[plain + ".weight"] = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 64)))
            tensors[plain + ".scale"] = tensors[plain + "_t.scale"]
        get = lambda key: meta["tinysparse." + key]
        self.vocabulary = get("vocabulary_size")
        self.d_model = get("embedding_length")
        self.n_layers = get("layer_count")
        self.n_heads = get("head_count")
        self.n_kv_heads = get("kv_head_count")
        self.head_dim = get("head_dimension")
        self.d_ff = get("feed_forward_length")
        self.context = get("context_length")
        self.eps = F(get("norm_epsilon"))
        self.layer_norm = {"rms": False, "layer": True}[get("norm_kind")]
        self.activation = fn.ACTIVATIONS[get("activation")]
        self.gated = get("gated")
        self.learned = {"rope": False, "learned": True}[get("positions")]
        if not self.learned:
            factors = meta.get("tinysparse.rope.factors") or None
            self.frequencies = fn.rope_frequencies(
                get("rope.base"), get("rope.dimensions"), factors)
            self.scaling = get("rope.scaling")
        self.embedding = self.matrix("token_embd", self.vocabulary)
        self.head = self.embedding if get("tied_head") else self.matrix("output", self.vocabulary)
        self.layers = []
        for n in range(self.n_layers):
            sizes = {"attn_q": self.n_heads * self.head_dim, "attn_k": self.n_kv_heads * self.head_dim,
                     "attn_v": self.n_kv_heads * self.head_dim, "attn_output": self.d_model,
                     "ffn_up": self.d_ff}
            if self.gated:
                sizes["ffn_gate"] = self.d_ff
            if four_bit.is_four_bit(meta, "ffn_down"):
                sizes["ffn_down"] = self.d_model
            self.layers.append({k: self.matrix(f"blk.{n}.{k}", size) for k, size in sizes.items()})
        self.predictors, self.gate_rules, self.lookahead, self.screen = {}, {}, False, None
        if "tinysparse.predictors.screen_rank" in meta:
            self.screen = Screen(tensors, lambda key: meta["tinysparse.predictors." + key])
        if "tinysparse.predictors.neuron_ranks" in meta:
            get = lambda key: meta["tinysparse.predictors." + key]
            self.lookahead = get("lookahead")
            neuron_group = meta.get("tinysparse.predictors.neuron_group", 1)
            for kind, name, group in (("neuron", "ffn", neuron_group), ("head", "attn", 1)):
                for n, (rank, threshold) in enumerate(
                        zip(get(kind + "_ranks"), get(kind + "_thresholds"))):
                    if rank:
                        self.predictors[kind, n] = Predictor(
                            tensors, f"blk.{n}.{name}_predictor", threshold, group)
            for n, marked in enumerate(meta.get("tinysparse.predictors.gates", [])):
                if marked:
                    self.gate_rules[n] = GateRule(
                        tensors, f"blk.{n}.ffn_gate_reach", get("neuron_thresholds")[n])
        self.reset()

    def predict(self, kind, n, norm):
        """The active ones of a layer, or None for all of them."""
        predictor = self.predictors.get((kind, n))
        return predictor(norm) if predictor else None

    def matrix(self, name, outputs):
        if four_bit.is_four_bit(self.meta, name):
            return four_bit.FourBitMatrix(self.tensors, name, outputs)
        return Matrix(self.tensors, name)

    def reset(self):
        shape = (self.context, self.n_kv_heads, self.head_dim)
        self.position = 0
        kind = {"half": np.float16, "int8": np.int8}[self.cache]
        self.keys = [np.zeros(shape, kind) for _ in range(self.n_layers)]
        self.values = [np.zeros(shape, kind) for _ in range(self.n_layers)]
        self.key_scales = np.zeros((self.n_layers,) + shape[:2], F)
        self.value_scales = np.zeros((self.n_layers,) + shape[:2], F)

    def norm(self, x, name):
        w = self.tensors[name + ".weight"]
        if self.layer_norm:
            return fn.layer_norm(x, w, self.tensors[name + ".bias"], self.eps)
        return fn.rms_norm(x, w, self.eps)

    def attend(self, n, x, a, heads):
        """a: the quantized norm of x."""
        layer, t = self.layers[n], self.position
        q = layer["attn_q"](a).reshape(self.n_heads, self.head_dim)
        k = layer["attn_k"](a).reshape(self.n_kv_heads, self.head_dim)
        v = layer["attn_v"](a).reshape(self.n_kv_heads, self.head_dim)
        if not self.learned:
            c, s = fn.rope_row(t, self.frequencies, self.scaling)
            q, k = fn.rope(q, c, s), fn.rope(k, c, s)
        if self.cache == "int8":
            self.keys[n][t], self.key_scales[n, t] = fn.to_bytes(k)
            self.values[n][t], self.value_scales[n, t] = fn.to_bytes(v)
            out = fn.attention_bytes(
                q, self.keys[n][:t + 1], self.key_scales[n, :t + 1],
                self.values[n][:t + 1], self.value_scales[n, :t + 1])
        else:
            self.keys[n][t] = fn.to_half(k)
            self.values[n][t] = fn.to_half(v)
            out = fn.attention(q, self.keys[n][:t + 1], self.values[n][:t + 1])
        if heads is not None:
            kept = np.zeros_like(out)
            kept[heads] = out[heads]
            out = kept
        return x + layer["attn_output"](fn.quantize(out.reshape(-1)))

    def feed_forward(self, n, x, a, active, rule=None):
        """a: the quantized norm of x. rule: what names the active ones from the gates."""
        layer = self.layers[n]
        if rule:
            active = rule(self.activation(layer["ffn_gate"](a)))
        h = layer["ffn_up"](a, active)
        if self.gated:
            h = fn.f32(self.activation(layer["ffn_gate"](a, active)) * h)
        else:
            h = self.activation(h)
        if active is None:
            active = np.arange(self.d_ff)
        if "ffn_down" in layer:
            whole = np.zeros(self.d_ff, F)
            whole[active] = h
            return x + layer["ffn_down"](fn.quantize(whole))
        down = f"blk.{n}.ffn_down"
        y = fn.matvec_neuron_major(
            self.tensors[down + ".weight"][:, :self.d_model], self.tensors[down + ".scale"],
            self.tensors.get(down + ".bias"), active, h)
        return x + y

    def step(self, token, neurons=None, heads=None, predicted=False, screened=0):
        """-> logits [vocabulary], hidden states after each layer [layers, d_model].

        neurons, heads: for each layer the active ones, ascending, or None for all of them.
        predicted: they are what the model's predictors say.
        screened: how many logits have to be exact; 0 stands for all."""
        if not 0 <= token < self.vocabulary or self.position >= self.context:
            raise ValueError(f"token {token} at position {self.position}")
        x = self.embedding.row(token, self.d_model)
        if self.learned:
            x = x + self.tensors["position_embd.weight"][self.position]
        hidden = []
        before = None
        for n in range(self.n_layers):
            some = None if heads is None else heads[n]
            if predicted and n > 0:
                some = self.predict("head", n, before)
            a = fn.quantize(self.norm(x, f"blk.{n}.attn_norm"))
            x = self.attend(n, x, a, some)
            before = fn.quantize(self.norm(x, f"blk.{n}.ffn_norm"))
            some = None if neurons is None else neurons[n]
            if predicted:
                some = self.predict("neuron", n, a if self.lookahead else before)
            x = self.feed_forward(n, x, before, some, self.gate_rules.get(n) if predicted else None)
            hidden.append(fn.f32(x))
        a = fn.quantize(self.norm(x, "output_norm"))
        logits = self.screen(a, self.head, screened) if screened else self.head(a)
        self.position += 1
        return fn.f32(logits), np.stack(hidden)

    def run(self, tokens, neurons=None, heads=None, predicted=False, screened=0):
        """-> logits [T, vocabulary], hidden [T, layers, d_model], from an empty context.

        neurons and heads as in `step`, or functions of the position that return such lists."""
        self.reset()
        rows = []
        for t, token in enumerate(tokens):
            rows.append(self.step(
                int(token), neurons(t) if callable(neurons) else neurons,
                heads(t) if callable(heads) else heads, predicted, screened))
        return np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows])

    def logits(self, tokens, neurons=None, heads=None):
        return self.run(tokens, neurons, heads)[0]


def read_mask(path, n_layers):
    """A text file with lines `neurons LAYER a,b,c` and `heads LAYER a,b,c`; `-` is none of them.
    Layers without a line are dense."""
    mask = {"neurons": [None] * n_layers, "heads": [None] * n_layers}
    with open(path) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                kind, layer, items = line.split()
                items = [] if items == "-" else [int(i) for i in items.split(",")]
                assert items == sorted(set(items))
                mask[kind][int(layer)] = np.array(items, np.int64)
    return mask["neurons"], mask["heads"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--tokens", help="numbers with commas between them")
    parser.add_argument("--out", help="write the logits here, little-endian float32 [T, vocabulary]")
    parser.add_argument("--layers", action="store_true", help="hash the hidden states too")
    parser.add_argument("--mask", help="active neurons and heads, see README.md")
    parser.add_argument("--cache", choices=["half", "int8"], default="half")
    parser.add_argument("--predicted", action="store_true", help="as the model's predictors say")
    parser.add_argument("--screened", type=int, default=0, metavar="K", help="only the K largest logits exact")
    parser.add_argument("--selftest", action="store_true")
    args = parser.parse_args()
    if args.selftest:
        import selftest
        return selftest.main(args.models)
    if len(args.models) != 1 or not args.tokens:
        parser.error("one MODEL and --tokens are needed")
    model = Reference(args.models[0], cache=args.cache)
    neurons, heads = read_mask(args.mask, model.n_layers) if args.mask else (None, None)
    logits, hidden = model.run(
        [int(t) for t in args.tokens.split(",")], neurons, heads, args.predicted, args.screened)
    for t in range(len(logits)):
        print(t, fn.hash_floats(logits[t]), *(
            [fn.hash_floats(h) for h in hidden[t]] if args.layers else []))
    if args.out:
        logits.astype("<f4").tofile(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
