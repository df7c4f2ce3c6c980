"""Makes tiny random models, in the native format or as a Hugging Face folder, and their goldens.

    python make_tiny.py                       fixtures/ again: models, tokens, masks, golden outputs
    python make_tiny.py --native NAME FILE    one native model
    python make_tiny.py --hf NAME FOLDER [--dtype F32|F16|BF16]
                                              config.json, model.safetensors, tokenizer.json
    python make_tiny.py --goldens MODEL PREFIX
                                              goldens of any native model, as for the fixtures
    python make_tiny.py --big FILE            8 layers, d 256, vocabulary 4096: to time things
"""
import argparse
import json
import os
import struct

import numpy as np

import four_bit
import functions as fn
import gguf_file as gg
from reference import Reference, read_mask

F = np.float32
HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "fixtures")

LLAMA = dict(architecture="llama", norm_epsilon=1e-5, norm_kind="rms", activation="silu",
             gated=True, positions="rope", rope_base=10000.0, rope_scaling=1.0, factors=[],
             tied_head=True, has_biases=False, vocabulary_size=320)
OPT = dict(architecture="opt", norm_epsilon=1e-5, norm_kind="layer", activation="relu",
           gated=False, positions="learned", tied_head=True, has_biases=True,
           vocabulary_size=320)


def shape(base, d_model, layers, heads, kv_heads, head_dim, d_ff, context, **more):
    return dict(base, embedding_length=d_model, layer_count=layers, head_count=heads,
                kv_head_count=kv_heads, head_dimension=head_dim, feed_forward_length=d_ff,
                context_length=context, **{"rope_dimensions": head_dim, **more})


MODELS = {
    "llama": shape(LLAMA, 96, 2, 6, 2, 16, 160, 128),
    "llama-relu": shape(LLAMA, 72, 2, 3, 1, 24, 120, 128, activation="relu", tied_head=False,
                        rope_base=500000.0),
    "opt": shape(OPT, 64, 2, 4, 4, 16, 192, 64),
    # Small ones for the rarer branches.
    "llama-factors": shape(LLAMA, 64, 1, 4, 2, 32, 72, 64, rope_scaling=4.0, norm_epsilon=1e-6,
                           rope_dimensions=24, vocabulary_size=300,
                           factors=[1 + i * i / 16 for i in range(12)]),
    "opt-gelu": shape(OPT, 48, 1, 3, 3, 16, 100, 64, activation="gelu", tied_head=False,
                      vocabulary_size=300),
    # Biases: of some matrices, and of all with a gate among them.
    "llama-qkv-biases": shape(LLAMA, 64, 1, 4, 2, 16, 72, 64, vocabulary_size=300, has_biases=True,
                              biases=["attn_q", "attn_k", "attn_v"]),
    "llama-biases": shape(LLAMA, 64, 1, 4, 2, 16, 100, 64, vocabulary_size=300, has_biases=True),
    # Predictors: of odd ranks and more than a group, of some layers only, that name none or all.
    "opt-predictors": shape(OPT, 64, 4, 4, 4, 16, 192, 64, predictors=dict(
        neuron_ranks=[8, 0, 70, 5], neuron_thresholds=[0.2, 0.0, -0.1, 1e9],
        head_ranks=[0, 4, 3, 5], head_thresholds=[0.0, 0.1, 1e9, -1e9], lookahead=False)),
    "llama-predictors": shape(LLAMA, 96, 3, 6, 2, 16, 160, 64, predictors=dict(
        neuron_ranks=[24, 16, 65], neuron_thresholds=[-1e9, 0.4, 0.0],
        head_ranks=[0, 6, 16], head_thresholds=[0.0, 0.0, 0.3], lookahead=True)),
    # Neurons chosen by their gates: some, none or all; a layer with a predictor, one dense.
    "llama-gates": shape(LLAMA, 64, 5, 4, 2, 16, 136, 64, vocabulary_size=300, predictors=dict(
        neuron_ranks=[0, 0, 12, 0, 0], neuron_thresholds=[0.25, 1e9, 0.1, 0.0, 0.0],
        head_ranks=[0, 4, 0, 0, 0], head_thresholds=[0.0, 0.1, 0.0, 0.0, 0.0], lookahead=False,
        gates=[1, 1, 0, 0, 1])),
    # Neighbouring neurons that share a score: some groups, none or all of them, and a layer without a predictor.
    "opt-groups": shape(OPT, 64, 4, 4, 4, 16, 216, 64, predictors=dict(
        neuron_ranks=[8, 70, 0, 5], neuron_thresholds=[0.3, 1e9, 0.0, -1e9],
        head_ranks=[0, 4, 0, 0], head_thresholds=[0.0, 0.1, 0.0, 0.0], lookahead=False, neuron_group=12)),
    # A screen of the head: more than a group wide; rows that are no multiple of a block; some tokens fall back.
    "llama-screen": shape(LLAMA, 96, 2, 6, 2, 16, 100, 64, vocabulary_size=333,
                          screen=dict(rank=70, rows=30, margin=10.0, wide_margin=12.5)),
    # 4-bit weights: all of them; and where a model that skips neurons has them, with biases.
    "llama-w4": shape(LLAMA, 96, 2, 6, 2, 16, 160, 128, four_bit=four_bit.NAMES[:-1]),
    "opt-w4": shape(OPT, 72, 2, 3, 3, 24, 130, 64, tied_head=False, vocabulary_size=300,
                    four_bit=["attn_q", "attn_k", "attn_v", "attn_output", "output"]),
    # The exact form of GELU.
    "opt-gelu-erf": shape(OPT, 48, 1, 3, 3, 16, 100, 64, activation="gelu_erf", tied_head=False,
                          vocabulary_size=300),
}
BIG = shape(LLAMA, 256, 8, 8, 4, 32, 704, 512, vocabulary_size=4096)

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

def weights(config, seed):
    random = np.random.default_rng(seed)
    d, d_ff = config["embedding_length"], config["feed_forward_length"]
    dq = config["head_count"] * config["head_dimension"]
    dkv = config["kv_head_count"] * config["head_dimension"]
    w = {}

    def matrix(name, rows, columns, gain=1.0, bias=None):
        if bias is None:
            bias = config["has_biases"] and name.split(".")[-1] in config.get("biases", [name.split(".")[-1]])
        # Rows of unlike sizes, so that a scale that belongs to another output shows.
        sizes = random.uniform(0.5, 1.5, (rows, 1))
        w[name + ".weight"] = random.standard_normal((rows, columns)) * sizes * gain / columns**0.5
        if bias:
            w[name + ".bias"] = random.standard_normal(rows) * 0.2

    def norm(name):
        w[name + ".weight"] = random.uniform(0.5, 1.5, d)
        if config["norm_kind"] == "layer":
            w[name + ".bias"] = random.standard_normal(d) * 0.2

    matrix("token_embd", config["vocabulary_size"], d, d**0.5, bias=False)
    if config["positions"] == "learned":
        w["position_embd.weight"] = random.standard_normal((config["context_length"], d)) * 0.5
    for n in range(config["layer_count"]):
        norm(f"blk.{n}.attn_norm")
        matrix(f"blk.{n}.attn_q", dq, d, 1.2)
        matrix(f"blk.{n}.attn_k", dkv, d, 1.2)
        matrix(f"blk.{n}.attn_v", dkv, d)
        matrix(f"blk.{n}.attn_output", d, dq, 2.0)
        norm(f"blk.{n}.ffn_norm")
        if config["gated"]:
            matrix(f"blk.{n}.ffn_gate", d_ff, d)
        matrix(f"blk.{n}.ffn_up", d_ff, d)
        matrix(f"blk.{n}.ffn_down", d, d_ff, 1.5)
    norm("output_norm")
    if not config["tied_head"]:
        matrix("output", config["vocabulary_size"], d, 2.0, bias=False)
    predictors = config.get("predictors")
    for n in range(config["layer_count"] if predictors else 0):
        groups = d_ff // predictors.get("neuron_group", 1)
        for kind, part, outputs in (("neuron", "ffn", groups), ("head", "attn", config["head_count"])):
            rank = predictors[kind + "_ranks"][n]
            if rank:
                matrix(f"blk.{n}.{part}_predictor_a", rank, d, bias=False)
                matrix(f"blk.{n}.{part}_predictor_b", outputs, rank, bias=True)
        if predictors.get("gates", [0] * (n + 1))[n]:
            w[f"blk.{n}.ffn_gate_reach"] = random.uniform(0.5, 1.5, d_ff)
    if "screen" in config:
        # The first columns of the head: exact, but for what the others add.
        rank = config["screen"]["rank"]
        gains = random.uniform(0.5, 2, rank) * random.choice([-1, 1], rank)
        w["output_screen_a.weight"] = np.eye(rank, d) * gains[:, None]
        head = w["token_embd.weight" if config["tied_head"] else "output.weight"]
        w["output_screen_b.weight"] = head[:, :rank] / gains
    return {name: array.astype(F) for name, array in w.items()}


# Native files

def native_tensors(w, four_bits=()):
    tensors = {}
    for name, array in w.items():
        # Where heads are predicted, the int8 output matrix lies transposed.
        if name.endswith("attn_output.weight") and "attn_output" not in four_bits \
                and name.replace("attn_output", "attn_predictor_a") in w:
            name = name.replace("attn_output", "attn_output_t")
        stem = name.removesuffix(".weight")
        if array.ndim == 1 or stem == "position_embd":
            tensors[name] = array
            continue
        if stem.split(".")[-1] in four_bits:
            tensors[name] = four_bit.pack(*four_bit.round_matrix(array))
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


def native_metadata(config, name, tensors):
    vocabulary, merges = tokenizer(config["vocabulary_size"])
    meta = [("general.architecture", gg.STRING, config["architecture"]),
            ("general.name", gg.STRING, "tiny " + name),
            ("general.alignment", gg.U32, 64),
            ("tinysparse.format", gg.U32, 1)]
    keys = ["vocabulary_size", "embedding_length", "layer_count", "head_count", "kv_head_count",
            "head_dimension", "feed_forward_length", "context_length"]
    meta += [("tinysparse." + key, gg.U32, config[key]) for key in keys]
    meta += [("tinysparse.norm_epsilon", gg.F32, config["norm_epsilon"])]
    meta += [("tinysparse." + key, gg.STRING, config[key])
             for key in ("norm_kind", "activation", "positions")]
    meta += [("tinysparse." + key, gg.BOOL, config[key])
             for key in ("gated", "tied_head", "has_biases")]
    if config["positions"] == "rope":
        meta += [("tinysparse.rope.base", gg.F64, config["rope_base"]),
                 ("tinysparse.rope.scaling", gg.F64, config["rope_scaling"]),
                 ("tinysparse.rope.dimensions", gg.U32, config["rope_dimensions"])]
        if config["factors"]:
            meta += [("tinysparse.rope.factors", (gg.ARRAY, gg.F32), config["factors"])]
    if config.get("predictors"):
        p = config["predictors"]
        for kind, type in (("neuron", gg.I32), ("neuron", gg.F32), ("head", gg.I32), ("head", gg.F32)):
            what = kind + ("_ranks" if type == gg.I32 else "_thresholds")
            meta.append(("tinysparse.predictors." + what, (gg.ARRAY, type), p[what]))
        meta.append(("tinysparse.predictors.lookahead", gg.BOOL, p["lookahead"]))
        if "neuron_group" in p:
            meta.append(("tinysparse.predictors.neuron_group", gg.U32, p["neuron_group"]))
        if "gates" in p:
            meta.append(("tinysparse.predictors.gates", (gg.ARRAY, gg.I32), p["gates"]))
    if "screen" in config:
        s = config["screen"]
        meta += [("tinysparse.predictors.screen_" + key, gg.U32, s[key]) for key in ("rank", "rows")]
        meta += [("tinysparse.predictors.screen_" + key, gg.F32, s[key]) for key in ("margin", "wide_margin")]
    if "biases" in config:
        meta += [("tinysparse.bias_roles", (gg.ARRAY, gg.STRING), config["biases"])]
    if "four_bit" in config:
        meta += [("tinysparse.four_bit", (gg.ARRAY, gg.STRING), config["four_bit"])]
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
    tensors = native_tensors(weights(config, seed), config.get("four_bit", ()))
    gg.write(path, native_metadata(config, name, tensors), tensors)


# Hugging Face folders, of the same weights

HF_LLAMA = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
HF_LLAMA_LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj"}
HF_OPT = {"token_embd": "model.decoder.embed_tokens",
          "position_embd": "model.decoder.embed_positions",
          "output_norm": "model.decoder.final_layer_norm", "output": "lm_head"}
HF_OPT_LAYER = {
    "attn_norm": "self_attn_layer_norm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.out_proj", "ffn_norm": "final_layer_norm", "ffn_up": "fc1",
    "ffn_down": "fc2"}


def hf_config(config):
    common = dict(vocab_size=config["vocabulary_size"], hidden_size=config["embedding_length"],
                  num_hidden_layers=config["layer_count"], num_attention_heads=config["head_count"],
                  max_position_embeddings=config["context_length"],
                  tie_word_embeddings=config["tied_head"], torch_dtype="float32",
                  bos_token_id=config["vocabulary_size"] - 1,
                  eos_token_id=config["vocabulary_size"] - 1)
    if config["architecture"] == "llama":
        if config["factors"] or config["rope_dimensions"] != config["head_dimension"] or "biases" in config:
            raise SystemExit("this model has no Hugging Face form")
        scaling = config["rope_scaling"]
        return dict(common, architectures=["LlamaForCausalLM"], model_type="llama",
                    hidden_act=config["activation"], intermediate_size=config["feed_forward_length"],
                    num_key_value_heads=config["kv_head_count"], head_dim=config["head_dimension"],
                    rms_norm_eps=config["norm_epsilon"], rope_theta=config["rope_base"],
                    rope_scaling=None if scaling == 1 else {"type": "linear", "factor": scaling},
                    attention_bias=config["has_biases"], mlp_bias=config["has_biases"])
    activation = {"gelu": "gelu_new", "gelu_erf": "gelu"}.get(config["activation"], config["activation"])
    return dict(common, architectures=["OPTForCausalLM"], model_type="opt",
                activation_function=activation, ffn_dim=config["feed_forward_length"],
                do_layer_norm_before=True, word_embed_proj_dim=config["embedding_length"],
                enable_bias=True, layer_norm_elementwise_affine=True)


def write_safetensors(path, tensors, dtype):
    """tensors: float32 arrays. BF16 is rounded to nearest even."""
    def encode(a):
        if dtype == "F32":
            return a.astype("<f4").tobytes()
        if dtype == "F16":
            return a.astype("<f2").tobytes()
        bits = a.astype("<f4").view("<u4").astype(np.uint64)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()

    header, body = {}, b""
    for name, array in tensors.items():
        raw = encode(array)
        header[name] = dict(dtype=dtype, shape=list(array.shape),
                            data_offsets=[len(body), len(body) + len(raw)])
        body += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def write_hf(folder, name, config, seed, dtype):
    settings = hf_config(config)
    llama = config["architecture"] == "llama"
    outer, inner = (HF_LLAMA, HF_LLAMA_LAYER) if llama else (HF_OPT, HF_OPT_LAYER)
    prefix = "model.layers" if llama else "model.decoder.layers"
    tensors = {}
    for key, array in weights(config, seed).items():
        stem, kind = key.rsplit(".", 1)
        if stem.startswith("blk."):
            _, n, part = stem.split(".")
            tensors[f"{prefix}.{n}.{inner[part]}.{kind}"] = array
        else:
            if stem == "position_embd":  # the first position is row 2 there
                array = np.concatenate([np.zeros((2, array.shape[1]), F), array])
            tensors[f"{outer[stem]}.{kind}"] = array
    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, "model.safetensors"), tensors, dtype)
    settings["torch_dtype"] = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[dtype]
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(settings, file, indent=1)
    vocabulary, merges = tokenizer(config["vocabulary_size"])
    end = len(vocabulary) - 1
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}
    added = {"id": end, "content": vocabulary[end], "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "vocab": {v: i for i, v in enumerate(vocabulary)}, "merges": merges}
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added],
                   "normalizer": None, "pre_tokenizer": level, "post_processor": None,
                   "decoder": level, "model": model}, file, ensure_ascii=False, indent=0)


# Goldens

def random_mask(model, random):
    """About 40 % of the neurons and 60 % of the heads, at least one each."""
    neurons, heads = [], []
    for _ in range(model.n_layers):
        neurons.append(np.flatnonzero(random.random(model.d_ff) < 0.4))
        some = random.random(model.n_heads) < 0.6
        some[random.integers(model.n_heads)] = True
        heads.append(np.flatnonzero(some))
    return neurons, heads


def edge_mask(model, random):
    """No neuron and no head, then one neuron more than a group and every head, and so on; if there
    is one layer only, exactly a group and the last head."""
    neurons, heads = [], []
    for n in range(model.n_layers):
        size = [0, 65, 64, 1][n % 4] if model.n_layers > 1 else 64
        neurons.append(np.sort(random.choice(model.d_ff, min(size, model.d_ff), replace=False)))
        first = [model.n_heads, 0][n % 2] if model.n_layers > 1 else model.n_heads - 1
        heads.append(np.arange(first, model.n_heads))
    return neurons, heads


def write_mask(path, neurons, heads):
    with open(path, "w") as file:
        for kind, lists in (("neurons", neurons), ("heads", heads)):
            for n, items in enumerate(lists):
                print(kind, n, ",".join(map(str, items)) or "-", file=file)


def write_goldens(path, prefix, seed=7):
    """PREFIX.tokens.txt, PREFIX.{sparse,edge}.mask.txt, PREFIX.{dense,sparse,edge}.{hashes.txt,logits.f32},
    PREFIX.predicted.hashes.txt if the model has predictors, PREFIX.screened{1,5}.hashes.txt if it has a screen"""
    model = Reference(path)
    random = np.random.default_rng(seed)
    count = min(model.context, 72)
    tokens = random.integers(0, model.vocabulary, count)
    tokens[10:16] = tokens[3]
    with open(prefix + ".tokens.txt", "w") as file:
        print(",".join(map(str, tokens)), file=file)
    write_mask(prefix + ".sparse.mask.txt", *random_mask(model, random))
    write_mask(prefix + ".edge.mask.txt", *edge_mask(model, random))
    for case in ("dense", "sparse", "edge"):
        mask = (None, None)
        if case != "dense":
            mask = read_mask(f"{prefix}.{case}.mask.txt", model.n_layers)
        logits, hidden = model.run(tokens, *mask)
        with open(f"{prefix}.{case}.hashes.txt", "w") as file:
            for t in range(count):
                print(t, fn.hash_floats(logits[t]), *(fn.hash_floats(h) for h in hidden[t]),
                      file=file)
        if case == "dense":
            logits8, hidden8 = Reference(path, cache="int8").run(tokens)
            with open(prefix + ".int8.hashes.txt", "w") as file:
                for t in range(count):
                    print(t, fn.hash_floats(logits8[t]), *(fn.hash_floats(h) for h in hidden8[t]),
                          file=file)
        kept = [0, 1, count - 1] if case == "dense" else [count - 1]
        logits[kept].astype("<f4").tofile(f"{prefix}.{case}.logits.f32")
    if model.predictors:
        logits, hidden = model.run(tokens, predicted=True)
        with open(prefix + ".predicted.hashes.txt", "w") as file:
            for t in range(count):
                print(t, fn.hash_floats(logits[t]), *(fn.hash_floats(h) for h in hidden[t]),
                      file=file)
    for k in (1, 5) if model.screen else ():
        logits, hidden = model.run(tokens, screened=k)
        with open(f"{prefix}.screened{k}.hashes.txt", "w") as file:
            for t in range(count):
                print(t, fn.hash_floats(logits[t]), *(fn.hash_floats(h) for h in hidden[t]),
                      file=file)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--native", nargs=2, metavar=("NAME", "FILE"))
    parser.add_argument("--hf", nargs=2, metavar=("NAME", "FOLDER"))
    parser.add_argument("--goldens", nargs=2, metavar=("MODEL", "PREFIX"))
    parser.add_argument("--big", metavar="FILE")
    parser.add_argument("--dtype", choices=["F32", "F16", "BF16"], default="F32")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.native:
        write_native(args.native[1], args.native[0], MODELS[args.native[0]], args.seed)
    elif args.hf:
        write_hf(args.hf[1], args.hf[0], MODELS[args.hf[0]], args.seed, args.dtype)
    elif args.goldens:
        write_goldens(*args.goldens)
    elif args.big:
        write_native(args.big, "big", BIG, args.seed)
    else:
        os.makedirs(FIXTURES, exist_ok=True)
        for name, config in MODELS.items():
            path = os.path.join(FIXTURES, f"tiny-{name}.gguf")
            write_native(path, name, config, args.seed)
            write_goldens(path, os.path.join(FIXTURES, f"tiny-{name}"))


if __name__ == "__main__":
    main()
