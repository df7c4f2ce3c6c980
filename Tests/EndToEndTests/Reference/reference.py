"""An independent forward pass that follows docs/NUMERICS.md to the bit.

    python reference.py MODEL --tokens 1,2,3 [--out logits.f32] [--layers] [--mask FILE] [--cache int8] [--predicted] [--screened K] [--context N]
    python reference.py --selftest [MODEL ...]
"""
import argparse
import sys

import numpy as np

import four_bit
import functions as fn
import gguf_file
import ternary
from parts import Experts, GateRule, Predictor, Screen, read_matrix
from rotary import Rotation

F = np.float32


def read_checked(path, check):
    """-> metadata and tensors of a native file. check: compare the checksums."""
    meta, tensors = gguf_file.read(path)
    if meta["tinysparse.format"] not in (1, 2):
        raise ValueError(f"{path}: unknown format")
    if check:
        sums = meta["tinysparse.checksums"]
        if len(sums) != len(tensors):
            raise ValueError(f"{path}: {len(sums)} checksums, {len(tensors)} tensors")
        for (name, array), wanted in zip(tensors.items(), sums):
            if fn.xxhash64(array.tobytes()) != wanted:
                raise ValueError(f"{path}: {name} does not match its checksum")
    for name in [name for name in tensors if name.endswith("attn_output_t.weight")]:
        # Stored transposed, where heads are predicted.
        rows = tensors[name][:, :meta["tinysparse.embedding_length"]].T
        plain = name.replace("_t.weight", "")
        tensors[plain + ".weight"] = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 64)))
        tensors[plain + ".scale"] = tensors[plain + "_t.scale"]
    return meta, tensors


class Reference:
    """A model. `logits(tokens)` starts a new context; `step(token)` goes on with the present one."""

    def __init__(self, path, check=True, cache="half", context=None):
        """cache: "half" or "int8" (section 8). context: how many tokens the session can hold, if not as many as
        the model can look back on."""
        self.cache = cache
        self.meta, self.tensors = read_checked(path, check)
        get = lambda key: self.meta["tinysparse." + key]
        self.vocabulary = get("vocabulary_size")
        self.d_model = get("embedding_length")
        self.n_layers = get("layer_count")
        self.n_heads = get("head_count")
        self.n_kv_heads = get("kv_head_count")
        self.head_dim = get("head_dimension")
        self.d_ff = get("feed_forward_length")
        self.context = get("context_length") if context is None else context
        self.eps = F(get("norm_epsilon"))
        self.layer_norm = {"rms": False, "layer": True}[get("norm_kind")]
        self.gated = get("gated")
        self.learned = {"rope": False, "learned": True}[get("positions")]
        self.read_extensions()
        self.embedding = self.matrix("token_embd", self.vocabulary)
        self.head = self.embedding if get("tied_head") else self.matrix("output", self.vocabulary)
        if self.width != self.d_model:
            self.embedding_in = self.matrix("token_embd_in", self.d_model)
            self.embedding_out = self.matrix("output_in", self.width)
        self.layers = [self.read_layer(n) for n in range(self.n_layers)]
        self.experts = None
        if "tinysparse.experts.count" in self.meta:
            self.experts = [Experts(self.tensors, f"blk.{n}", self.d_ff, lambda key: get("experts." + key))
                            for n in range(self.n_layers)]
            self.looks_ahead = get("experts.looks_ahead")
        self.read_predictors()
        self.reset()

    def read_extensions(self):
        """What only files of format 2 say, and what it is in others."""
        get = lambda key, otherwise: self.meta.get("tinysparse." + key, otherwise)
        self.activation = fn.activation(get("activation", None), get("activation_threshold", 0.0))
        self.activates_up = get("activates_up", False)
        self.norms = set(get("norms", ["attn_norm", "ffn_norm", "output_norm"]))
        self.normalizes_all_heads = get("normalizes_all_heads", False)
        self.residual = get("residual", "sequential")
        if self.residual not in ("sequential", "parallel", "normalized"):
            raise ValueError(f"unknown residual {self.residual}")
        self.attention_cap, self.logit_cap = get("attention_soft_cap", 0.0), get("logit_soft_cap", 0.0)
        self.width = get("embedding_width", self.d_model)
        self.windows = get("windows", [0] * self.n_layers)
        self.rotations = [None] * self.n_layers
        if not self.learned:
            kinds = [None, Rotation(self.meta, "tinysparse.rope.", self.context), None]
            if "tinysparse.rope.local.base" in self.meta:
                kinds[2] = Rotation(self.meta, "tinysparse.rope.local.", self.context)
            self.rotations = [kinds[i] for i in get("rope.layers", [1] * self.n_layers)]

    def read_layer(self, n):
        """The matrices of a layer; a down projection only if it is stored row-major."""
        dq, dkv = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        sizes = {"attn_q": dq, "attn_k": dkv, "attn_v": dkv, "attn_output": self.d_model, "ffn_up": self.d_ff}
        if self.gated:
            sizes["ffn_gate"] = self.d_ff
        if four_bit.is_four_bit(self.meta, "ffn_down") or ternary.is_ternary(self.meta, "ffn_down"):
            sizes["ffn_down"] = self.d_model
        inputs = {"attn_output": dq, "ffn_down": self.d_ff}
        return {k: self.matrix(f"blk.{n}.{k}", size, inputs.get(k, self.d_model)) for k, size in sizes.items()}

    def read_predictors(self):
        meta, tensors = self.meta, self.tensors
        get = lambda key: meta["tinysparse.predictors." + key]
        self.predictors, self.gate_rules, self.inputs, self.screen = {}, {}, {}, None
        if "tinysparse.predictors.screen_rank" in meta:
            self.screen = Screen(tensors, get)
        if "tinysparse.predictors.neuron_ranks" not in meta:
            return
        usual = "attn_norm" if get("lookahead") else "ffn_norm"
        self.inputs = {"neuron": meta.get("tinysparse.predictors.neuron_input", usual),
                       "head": meta.get("tinysparse.predictors.head_input", "ffn_norm")}
        neuron_group = meta.get("tinysparse.predictors.neuron_group", 1)
        relu = meta.get("tinysparse.predictors.neuron_relu", False)
        for kind, name, group, relu in (("neuron", "ffn", neuron_group, relu), ("head", "attn", 1, False)):
            for n, (rank, threshold) in enumerate(zip(get(kind + "_ranks"), get(kind + "_thresholds"))):
                if rank:
                    self.predictors[kind, n] = Predictor(tensors, f"blk.{n}.{name}_predictor", threshold, group, relu)
        for n, marked in enumerate(meta.get("tinysparse.predictors.gates", [])):
            if marked:
                self.gate_rules[n] = GateRule(tensors, f"blk.{n}.ffn_gate_reach", get("neuron_thresholds")[n])

    def predict(self, kind, n, inputs):
        """The active ones of a layer, or None for all of them. inputs: what a predictor can read, by name."""
        predictor = self.predictors.get((kind, n))
        return predictor(inputs[self.inputs[kind]]) if predictor else None

    def matrix(self, name, outputs, inputs=None):
        return read_matrix(self.meta, self.tensors, name, outputs, inputs)

    def reset(self):
        shape = (self.context, self.n_kv_heads, self.head_dim)
        self.position = 0
        kind = {"half": np.float16, "int8": np.int8}[self.cache]
        self.keys = [np.zeros(shape, kind) for _ in range(self.n_layers)]
        self.values = [np.zeros(shape, kind) for _ in range(self.n_layers)]
        self.key_scales = np.zeros((self.n_layers,) + shape[:2], F)
        self.value_scales = np.zeros((self.n_layers,) + shape[:2], F)

    def norm(self, x, name):
        """x itself if the model has no such norm."""
        if name.split(".")[-1] not in self.norms:
            return x
        w = self.tensors[name + ".weight"]
        if self.layer_norm:
            return fn.layer_norm(x, w, self.tensors[name + ".bias"], self.eps)
        return fn.rms_norm(x, w, self.eps)

    def norm_heads(self, x, name):
        """x [heads, head_dim]."""
        if self.normalizes_all_heads:
            return self.norm(x.reshape(-1), name).reshape(x.shape)
        return np.stack([self.norm(head, name) for head in x])

    def add(self, x, y, post_norm):
        """The residual stream x and what attention or the MLP yields."""
        if self.residual == "normalized":
            return self.norm(x + y, post_norm)
        return x + self.norm(y, post_norm)

    def attend(self, n, a, heads):
        """What attention yields. a: its quantized input."""
        layer, t = self.layers[n], self.position
        q = layer["attn_q"](a).reshape(self.n_heads, self.head_dim)
        k = layer["attn_k"](a).reshape(self.n_kv_heads, self.head_dim)
        v = layer["attn_v"](a).reshape(self.n_kv_heads, self.head_dim)
        q, k = self.norm_heads(q, f"blk.{n}.attn_q_norm"), self.norm_heads(k, f"blk.{n}.attn_k_norm")
        if self.rotations[n]:
            q, k = self.rotations[n](q, t), self.rotations[n](k, t)
        first = max(0, t - self.windows[n] + 1) if self.windows[n] else 0
        if self.cache == "int8":
            self.keys[n][t], self.key_scales[n, t] = fn.to_bytes(k)
            self.values[n][t], self.value_scales[n, t] = fn.to_bytes(v)
            out = fn.attention_bytes(
                q, self.keys[n][:t + 1], self.key_scales[n, :t + 1],
                self.values[n][:t + 1], self.value_scales[n, :t + 1], first, self.attention_cap)
        else:
            self.keys[n][t] = fn.to_half(k)
            self.values[n][t] = fn.to_half(v)
            out = fn.attention(q, self.keys[n][:t + 1], self.values[n][:t + 1], first, self.attention_cap)
        inactive = [] if heads is None else np.setdiff1d(np.arange(self.n_heads), heads)
        out[inactive] = 0
        out = self.norm(out.reshape(-1), f"blk.{n}.attn_sub_norm").reshape(out.shape)
        out[inactive] = 0
        return layer["attn_output"](fn.quantize(out.reshape(-1)))

    def feed_forward(self, n, a, active, rule=None, gains=None):
        """What the MLP yields. a: its quantized input. rule: what names the active ones from the gates.
        gains: of experts, one for each active neuron."""
        layer = self.layers[n]
        if rule:
            active = rule(self.activation(layer["ffn_gate"](a)))
        h = layer["ffn_up"](a, active)
        if self.activates_up or not self.gated:
            h = self.activation(h)
        if self.gated:
            h = fn.f32(self.activation(layer["ffn_gate"](a, active)) * h)
        if gains is not None:
            h = fn.f32(h * gains)
        if active is None:
            active = np.arange(self.d_ff)
        whole = np.zeros(self.d_ff, F)
        whole[active] = h
        h = self.norm(whole, f"blk.{n}.ffn_sub_norm")[active]
        if "ffn_down" in layer:
            whole[active] = h
            return layer["ffn_down"](fn.quantize(whole))
        down = f"blk.{n}.ffn_down"
        return fn.matvec_neuron_major(
            self.tensors[down + ".weight"][:, :self.d_model], self.tensors[down + ".scale"],
            self.tensors.get(down + ".bias"), active, h)

    def step(self, token, neurons=None, heads=None, predicted=False, screened=0):
        """-> logits [vocabulary], hidden states after each layer [layers, d_model].

        neurons, heads: for each layer the active ones, ascending, or None for all of them.
        predicted: they are what the model's predictors say.
        screened: how many logits have to be exact; 0 stands for all."""
        if not 0 <= token < self.vocabulary or self.position >= self.context:
            raise ValueError(f"token {token} at position {self.position}")
        if self.experts and neurons is not None:
            raise ValueError("the router names the active neurons")
        x = self.embedding.row(token, self.width)
        if self.width != self.d_model:
            x = self.embedding_in(fn.quantize(x))
        if self.learned:
            x = x + self.tensors["position_embd.weight"][self.position]
        hidden = []
        before = None
        for n in range(self.n_layers):
            some = None if heads is None else heads[n]
            if predicted and n > 0:
                some = self.predict("head", n, before)
            x, before = self.layer(n, x, some, None if neurons is None else neurons[n], predicted)
            hidden.append(fn.f32(x))
        self.position += 1
        return self.head_logits(x, screened), np.stack(hidden)

    def layer(self, n, x, heads, neurons, predicted):
        """-> x after the layer, what predictors can read of it."""
        entry, gains = x, None
        r = self.norm(x, f"blk.{n}.attn_norm")
        a = fn.quantize(r)
        x = self.add(x, self.attend(n, a, heads), f"blk.{n}.post_attention_norm")
        if self.residual != "parallel":
            r = self.norm(x, f"blk.{n}.ffn_norm")
        elif "ffn_norm" in self.norms:
            r = self.norm(entry, f"blk.{n}.ffn_norm")
        before = fn.quantize(r)
        inputs = {"attn_norm": a, "ffn_norm": before, "attn_residual": fn.quantize(entry),
                  "ffn_residual": fn.quantize(entry if self.residual == "parallel" else x)}
        if predicted:
            neurons = self.predict("neuron", n, inputs)
        if self.experts:
            neurons, gains = self.experts[n](entry if self.looks_ahead else r)
        y = self.feed_forward(n, before, neurons, self.gate_rules.get(n) if predicted else None, gains)
        return self.add(x, y, f"blk.{n}.post_ffw_norm"), inputs

    def head_logits(self, x, screened):
        """x: after the last layer."""
        x = self.norm(x, "output_norm")
        if self.width != self.d_model:
            x = self.embedding_out(fn.quantize(x))
        a = fn.quantize(x)
        logits = fn.f32(self.screen(a, self.head, screened) if screened else self.head(a))
        return fn.softcap(logits, self.logit_cap) if self.logit_cap else logits

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
    parser.add_argument("--context", type=int, metavar="N", help="how many tokens the session can hold")
    parser.add_argument("--selftest", action="store_true")
    args = parser.parse_args()
    if args.selftest:
        import selftest
        return selftest.main(args.models)
    if len(args.models) != 1 or not args.tokens:
        parser.error("one MODEL and --tokens are needed")
    model = Reference(args.models[0], cache=args.cache, context=args.context)
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
