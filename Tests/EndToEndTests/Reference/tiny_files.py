"""Random weights of a tiny model, and its file in the native format."""
import numpy as np

import four_bit
import functions as fn
import gguf_file as gg
import ternary

F = np.float32
PLAIN_NORMS = ["attn_norm", "ffn_norm", "output_norm"]

TEXT = """the quick brown fox jumps over the lazy dog and the small model reads the tokens in order.
it is the same result on every machine, and that is the point of it: one number is one number.
a neuron that is not active adds nothing to the output; the others are added in order."""


# Tokenizer: bytes named as GPT-2 names them, a few merges learned from TEXT, an end token.

def byte_names():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    names = {b: chr(b) for b in printable}
    names.update({b: chr(256 + i) for i, b in enumerate(rest)})
    return names


def tokenizer(size):
    names = byte_names()
    vocabulary, merges = list(names.values()), []
    words = [[names[b] for b in (" " + w).encode()] for w in TEXT.split()]
    while len(vocabulary) < size - 1:
        counts = {}
        for word in words:
            for pair in zip(word, word[1:]):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = max(sorted(counts), key=counts.get)
        merges.append(" ".join(best))
        vocabulary.append("".join(best))
        for word in words:
            i = 0
            while i + 1 < len(word):
                if (word[i], word[i + 1]) == best:
                    word[i:i + 2] = ["".join(best)]
                i += 1
    vocabulary += [f"<unused{i}>" for i in range(size - 1 - len(vocabulary))]
    vocabulary.append("<|endoftext|>")
    return vocabulary, merges


# Weights, under the native names and as floats; matrices [outputs, inputs].

def norm_widths(config):
    """The norms that a model can have, and how much each normalizes."""
    d, head_dim = config["embedding_length"], config["head_dimension"]
    dq, dkv = config["head_count"] * head_dim, config["kv_head_count"] * head_dim
    together = config.get("normalizes_all_heads", False)
    return {"attn_norm": d, "attn_q_norm": dq if together else head_dim, "attn_k_norm": dkv if together else head_dim,
            "attn_sub_norm": dq, "post_attention_norm": d, "ffn_norm": d,
            "ffn_sub_norm": config["feed_forward_length"], "post_ffw_norm": d, "output_norm": d}


class Weights:
    """Draws the tensors of a model one by one. The order of the draws is what makes the fixtures what they are."""

    def __init__(self, config, seed):
        self.config, self.random, self.tensors = config, np.random.default_rng(seed), {}
        self.widths = norm_widths(config)
        self.norms = config.get("norms", PLAIN_NORMS)

    def matrix(self, name, rows, columns, gain=1.0, bias=None):
        config, random = self.config, self.random
        if bias is None:
            bias = config["has_biases"] and name.split(".")[-1] in config.get("biases", [name.split(".")[-1]])
        # Rows of unlike sizes, so that a scale that belongs to another output shows.
        sizes = random.uniform(0.5, 1.5, (rows, 1))
        self.tensors[name + ".weight"] = random.standard_normal((rows, columns)) * sizes * gain / columns**0.5
        if bias:
            self.tensors[name + ".bias"] = random.standard_normal(rows) * 0.2

    def norm(self, name):
        """Nothing if the model has no such norm."""
        role = name.split(".")[-1]
        if role in self.norms:
            self.tensors[name + ".weight"] = self.random.uniform(0.5, 1.5, self.widths[role])
            if self.config["norm_kind"] == "layer":
                self.tensors[name + ".bias"] = self.random.standard_normal(self.widths[role]) * 0.2

    def embeddings(self):
        config, d = self.config, self.config["embedding_length"]
        width = config.get("embedding_width", d)
        self.matrix("token_embd", config["vocabulary_size"], width, width**0.5, bias=False)
        if config["positions"] == "learned":
            self.tensors["position_embd.weight"] = self.random.standard_normal((config["context_length"], d)) * 0.5
        if width != d:
            self.matrix("token_embd_in", d, width, bias=False)
            self.matrix("output_in", width, d, bias=False)

    def layer(self, stem):
        """stem: "blk.0." for instance."""
        config, d, d_ff = self.config, self.config["embedding_length"], self.config["feed_forward_length"]
        dq, dkv = self.widths["attn_sub_norm"], config["kv_head_count"] * config["head_dimension"]
        self.norm(stem + "attn_norm")
        self.matrix(stem + "attn_q", dq, d, 1.2)
        self.matrix(stem + "attn_k", dkv, d, 1.2)
        self.matrix(stem + "attn_v", dkv, d)
        for name in ("attn_q_norm", "attn_k_norm", "attn_sub_norm"):
            self.norm(stem + name)
        self.matrix(stem + "attn_output", d, dq, 2.0)
        self.norm(stem + "post_attention_norm")
        self.norm(stem + "ffn_norm")
        if "experts" in config:
            self.experts(stem)
        if config["gated"]:
            self.matrix(stem + "ffn_gate", d_ff, d)
        self.matrix(stem + "ffn_up", d_ff, d)
        self.norm(stem + "ffn_sub_norm")
        self.matrix(stem + "ffn_down", d, d_ff, 1.5)
        self.norm(stem + "post_ffw_norm")

    def experts(self, stem):
        experts, d = self.config["experts"], self.config["embedding_length"]
        self.matrix(stem + "ffn_router", experts["count"], d, 1.5, bias=False)
        if experts.get("shared_gate"):
            self.tensors[stem + "ffn_shared_gate.weight"] = self.random.standard_normal(d) / d**0.5

    def predictors(self, n):
        config, d, d_ff = self.config, self.config["embedding_length"], self.config["feed_forward_length"]
        predictors = config["predictors"]
        groups = d_ff // predictors.get("neuron_group", 1)
        for kind, part, outputs in (("neuron", "ffn", groups), ("head", "attn", config["head_count"])):
            rank = predictors[kind + "_ranks"][n]
            if rank:
                self.matrix(f"blk.{n}.{part}_predictor_a", rank, d, bias=False)
                self.matrix(f"blk.{n}.{part}_predictor_b", outputs, rank, bias=True)
        if predictors.get("gates", [0] * (n + 1))[n]:
            self.tensors[f"blk.{n}.ffn_gate_reach"] = self.random.uniform(0.5, 1.5, d_ff)

    def screen(self):
        """The first columns of the head: exact, but for what the others add."""
        config, rank = self.config, self.config["screen"]["rank"]
        gains = self.random.uniform(0.5, 2, rank) * self.random.choice([-1, 1], rank)
        self.tensors["output_screen_a.weight"] = np.eye(rank, config["embedding_length"]) * gains[:, None]
        head = self.tensors["token_embd.weight" if config["tied_head"] else "output.weight"]
        self.tensors["output_screen_b.weight"] = head[:, :rank] / gains


def weights(config, seed):
    """-> {name: float32 array}."""
    w = Weights(config, seed)
    w.embeddings()
    for n in range(config["layer_count"]):
        w.layer(f"blk.{n}.")
    w.norm("output_norm")
    if not config["tied_head"]:
        w.matrix("output", config["vocabulary_size"], config.get("embedding_width", config["embedding_length"]), 2.0,
                 bias="output" in config.get("biases", []))
    for n in range(config["layer_count"] if config.get("predictors") else 0):
        w.predictors(n)
    if "screen" in config:
        w.screen()
    return {name: array.astype(F) for name, array in w.tensors.items()}


# Native files

def native_tensors(w, four_bits=(), ternaries=()):
    tensors = {}
    for name, array in w.items():
        # Where heads are predicted, the int8 output matrix lies transposed.
        if name.endswith("attn_output.weight") and "attn_output" not in (*four_bits, *ternaries) \
                and name.replace("attn_output", "attn_predictor_a") in w:
            name = name.replace("attn_output", "attn_output_t")
        stem = name.removesuffix(".weight")
        if array.ndim == 1 or stem.endswith(("position_embd", "ffn_router")):
            tensors[name] = array
            continue
        if stem.split(".")[-1] in four_bits:
            tensors[name] = four_bit.pack(*four_bit.round_matrix(array))
            continue
        if stem.split(".")[-1] in ternaries:
            q, scale = ternary.round_matrix(array)
            tensors[name], tensors[stem + ".scale"] = ternary.pack(q), scale
            continue
        scale = np.abs(array).max(axis=1) / F(127)
        q = np.rint(array / scale[:, None]).astype(np.int8)
        if stem.endswith(("ffn_down", "predictor_b", "attn_output_t")):
            q = np.ascontiguousarray(q.T)
        padded = np.zeros((len(q), -(-q.shape[1] // 64) * 64), np.int8)
        padded[:, :q.shape[1]] = q
        tensors[name] = padded
        tensors[stem + ".scale"] = scale
    return tensors


def is_extended(config):
    """Whether a file has to be of format 2."""
    return any(key in config for key in (
        "activation_threshold", "activates_up", "norms", "residual", "attention_soft_cap", "logit_soft_cap", "windows",
        "rope_layers", "local_rope", "long_factors", "magnitude", "embedding_width", "experts", "ternary")) \
        or "neuron_input" in config.get("predictors", {})


def rope_metadata(prefix, rope):
    """rope: a model, or its local rotation."""
    meta = [(prefix + "base", gg.F64, rope["rope_base"]), (prefix + "scaling", gg.F64, rope["rope_scaling"]),
            (prefix + "dimensions", gg.U32, rope["rope_dimensions"])]
    if rope["factors"]:
        meta += [(prefix + "factors", (gg.ARRAY, gg.F32), rope["factors"])]
    if "long_factors" in rope:
        meta += [(prefix + "long_factors", (gg.ARRAY, gg.F32), rope["long_factors"]),
                 (prefix + "original_context", gg.U32, rope["original_context"])]
    if "magnitude" in rope:
        meta += [(prefix + "magnitude", gg.F64, rope["magnitude"])]
    return meta


def extension_metadata(config):
    """What only files of format 2 say."""
    meta = [("tinysparse." + key, kind, config.get(key, otherwise)) for key, kind, otherwise in (
        ("activation_threshold", gg.F32, 0.0), ("activates_up", gg.BOOL, False),
        ("norms", (gg.ARRAY, gg.STRING), PLAIN_NORMS), ("normalizes_all_heads", gg.BOOL, False),
        ("residual", gg.STRING, "sequential"), ("attention_soft_cap", gg.F32, 0.0), ("logit_soft_cap", gg.F32, 0.0),
        ("embedding_width", gg.U32, config["embedding_length"]))]
    if "windows" in config:
        meta += [("tinysparse.windows", (gg.ARRAY, gg.I32), config["windows"])]
    if "rope_layers" in config:
        meta += [("tinysparse.rope.layers", (gg.ARRAY, gg.I32), config["rope_layers"])]
    if "local_rope" in config:
        meta += rope_metadata("tinysparse.rope.local.", config["local_rope"])
    if "experts" in config:
        meta += [("tinysparse.experts." + key, kind, config["experts"][key]) for key, kind in (
            ("count", gg.U32), ("active", gg.U32), ("width", gg.U32), ("router", gg.STRING),
            ("normalizes", gg.BOOL), ("looks_ahead", gg.BOOL))]
        meta.append(("tinysparse.experts.gates_shared", gg.BOOL, config["experts"].get("shared_gate", False)))
    return meta


def predictor_metadata(config):
    meta = []
    if config.get("predictors"):
        p = config["predictors"]
        for kind, type in (("neuron", gg.I32), ("neuron", gg.F32), ("head", gg.I32), ("head", gg.F32)):
            what = kind + ("_ranks" if type == gg.I32 else "_thresholds")
            meta.append(("tinysparse.predictors." + what, (gg.ARRAY, type), p[what]))
        meta.append(("tinysparse.predictors.lookahead", gg.BOOL, p["lookahead"]))
        for key, kind in (("neuron_input", gg.STRING), ("head_input", gg.STRING), ("neuron_relu", gg.BOOL)):
            if key in p:
                meta.append(("tinysparse.predictors." + key, kind, p[key]))
        if "neuron_group" in p:
            meta.append(("tinysparse.predictors.neuron_group", gg.U32, p["neuron_group"]))
        if "gates" in p:
            meta.append(("tinysparse.predictors.gates", (gg.ARRAY, gg.I32), p["gates"]))
    if "screen" in config:
        s = config["screen"]
        meta += [("tinysparse.predictors.screen_" + key, gg.U32, s[key]) for key in ("rank", "rows")]
        meta += [("tinysparse.predictors.screen_" + key, gg.F32, s[key]) for key in ("margin", "wide_margin")]
    return meta


def native_metadata(config, name, tensors):
    vocabulary, merges = tokenizer(config["vocabulary_size"])
    meta = [("general.architecture", gg.STRING, config["architecture"]),
            ("general.name", gg.STRING, "tiny " + name),
            ("general.alignment", gg.U32, 64),
            ("tinysparse.format", gg.U32, 2 if is_extended(config) else 1)]
    keys = ["vocabulary_size", "embedding_length", "layer_count", "head_count", "kv_head_count",
            "head_dimension", "feed_forward_length", "context_length"]
    meta += [("tinysparse." + key, gg.U32, config[key]) for key in keys]
    meta += [("tinysparse.norm_epsilon", gg.F32, config["norm_epsilon"])]
    meta += [("tinysparse." + key, gg.STRING, config[key])
             for key in ("norm_kind", "activation", "positions")]
    meta += [("tinysparse." + key, gg.BOOL, config[key])
             for key in ("gated", "tied_head", "has_biases")]
    if config["positions"] == "rope":
        meta += rope_metadata("tinysparse.rope.", config)
    if is_extended(config):
        meta += extension_metadata(config)
    meta += predictor_metadata(config)
    if "biases" in config:
        meta += [("tinysparse.bias_roles", (gg.ARRAY, gg.STRING), config["biases"])]
    if "four_bit" in config:
        meta += [("tinysparse.four_bit", (gg.ARRAY, gg.STRING), config["four_bit"])]
    if "ternary" in config:
        meta += [("tinysparse.ternary", (gg.ARRAY, gg.STRING), config["ternary"])]
    end = len(vocabulary) - 1
    kinds = [3 if i == end else 5 if v.startswith("<unused") else 1
             for i, v in enumerate(vocabulary)]
    meta += [("tokenizer.ggml.model", gg.STRING, "gpt2"),
             ("tokenizer.ggml.pre", gg.STRING, "gpt-2"),
             ("tokenizer.ggml.tokens", (gg.ARRAY, gg.STRING), vocabulary),
             ("tokenizer.ggml.token_type", (gg.ARRAY, gg.I32), kinds),
             ("tokenizer.ggml.merges", (gg.ARRAY, gg.STRING), merges),
             ("tokenizer.ggml.bos_token_id", gg.U32, end),
             ("tokenizer.ggml.eos_token_id", gg.U32, end),
             ("tokenizer.ggml.add_bos_token", gg.BOOL, False)]
    meta += [("tinysparse.checksums", (gg.ARRAY, gg.U64),
              [fn.xxhash64(a.tobytes()) for a in tensors.values()])]
    return meta


def write_native(path, name, config, seed):
    tensors = native_tensors(weights(config, seed), config.get("four_bit", ()), config.get("ternary", ()))
    gg.write(path, native_metadata(config, name, tensors), tensors)
