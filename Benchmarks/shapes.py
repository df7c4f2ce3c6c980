#!/usr/bin/env python3
"""Models of well-known shapes with random weights, to measure speed with.

    pip install numpy xxhash
    python Benchmarks/shapes.py opt-125m model.gguf [--keep 0.15 --profile profile.json --group 8]
    python Benchmarks/shapes.py sparselm-1b model.gguf --fires 0.05 [--weights w4]
    python Benchmarks/shapes.py bitnet-8-layers model.gguf --weights ternary     # or w4
    python Benchmarks/shapes.py sparselm-1b model.Q8_0.gguf --llama-cpp Q8_0     # needs the gguf package
    tinysparse train-predictors model.gguf TEXT -o screened.gguf --rank 0 --head-rank 0     # adds a screen of the head

With --keep, a model gets predictors whose choices are replayed statistics: neuron i of a layer (or group of neurons,
with --group) is named as often as one of the profiled model is active (`tinysparse profile MODEL TEXT --json`, its
curves of use stretched to the layer's width and scaled to the share asked for), on tokens that the input decides. The predictors are real ones in
size and cost. Successive tokens share no more neurons than their curves of use make them: caches help less than
with real text.

With --fires, that share of the neurons of a ReLU model has an activation that is not zero: the first value of the
residual stream is the same for every token, and gates have a weight for it that moves them down.

With --llama-cpp TYPE, a file of a llama of the same sizes for llama.cpp: matrices of that type, of random blocks.
"""
import argparse
import json
import pathlib
import statistics
import sys

import numpy as np
import xxhash

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Tests/EndToEndTests/Reference"))
import functions
import gguf_file
import ternary
import tiny_files
from tiny_models import LLAMA, OPT, shape

functions.xxhash64 = lambda data: xxhash.xxh64_intdigest(data)  # the reference's own takes a second a megabyte

RELU = dict(LLAMA, activation="relu")
BITNET = dict(LLAMA, activation="relu2", norms=["attn_norm", "attn_sub_norm", "ffn_norm", "ffn_sub_norm", "output_norm"])
SHAPES = {
    # Of models whose activations are sparse: SakanaAI's SparseLM, MiniCPM-S (whose threshold changes no speed).
    "sparselm-0.5b": shape(RELU, 2048, 8, 32, 32, 64, 5632, 2048, vocabulary_size=49152),
    "sparselm-1b": shape(RELU, 2048, 18, 32, 32, 64, 5632, 2048, vocabulary_size=49152),
    "minicpm-s-1b": shape(RELU, 1536, 52, 24, 8, 64, 3840, 4096, vocabulary_size=73440),
    # Of models with ternary weights: BitNet b1.58 2B4T, and a part of one that is as large as sparselm-0.5b.
    "bitnet-2b": shape(BITNET, 2560, 30, 20, 5, 128, 6912, 4096, vocabulary_size=128256),
    "bitnet-8-layers": shape(BITNET, 2048, 8, 32, 32, 64, 5632, 2048, vocabulary_size=49152),
    # Dense ones.
    "qwen3-0.6b": shape(LLAMA, 1024, 28, 16, 8, 128, 3072, 4096, vocabulary_size=151936),
    "gemma-3-270m": shape(dict(LLAMA, activation="gelu"), 640, 18, 4, 1, 256, 2048, 4096, vocabulary_size=262144),
    "opt-125m": shape(OPT, 768, 12, 12, 12, 64, 3072, 2048, vocabulary_size=50272),
    # Four layers of OPT-1.3b and next to no vocabulary: time is in attention and MLP, which `bench --stages` tells apart.
    "opt-1.3b-layers": shape(OPT, 2048, 4, 32, 32, 64, 8192, 2048, vocabulary_size=512),
    "llama-135m": shape(LLAMA, 576, 30, 9, 3, 64, 1536, 8192, vocabulary_size=49152),
    "llama-1.1b": shape(LLAMA, 2048, 22, 32, 4, 64, 5632, 8192, vocabulary_size=32000),
}


def four_bit_rows(rows, columns, largest, random):
    """4-bit weights of even distribution up to `largest`, as docs/NUMERICS.md, 11 has them in a file.

    rows: a multiple of 16. columns: a multiple of 64."""
    records = random.integers(0, 256, (rows // 16, columns // 32, 320), np.uint8)
    step = np.float16(largest / 7.5)
    records[:, :, :32] = np.frombuffer(np.repeat(step, 16).tobytes(), np.uint8)
    records[:, :, 32:64] = np.frombuffer(np.repeat(np.float16(-7.5 * float(step)), 16).tobytes(), np.uint8)
    return records.reshape(rows // 16, -1).view(np.int8)


def ternary_rows(rows, columns, random):
    """Weights -1, 0 and 1, as docs/NUMERICS.md, 12 has them in a file."""
    return ternary.pack(random.integers(-1, 2, (rows, columns), np.int8))


def lower_first_column(rows):
    """Makes the first column of 4-bit weights as low as can be."""
    rows.view(np.uint8)[:, 64:128:4] &= 0xF0


def clear_first_row(rows):
    """Makes the first row of 4-bit weights zero."""
    rows.view(np.uint8)[0].reshape(-1, 320)[:, [0, 1, 32, 33]] = 0


def tensors(config, random, fires=None):
    """int8 weights of even distribution, scaled so that outputs are as large as inputs, and 4-bit and ternary ones.

    fires: the share of activations that are not zero; None for half of them."""
    t = {}
    d, d_ff = config["embedding_length"], config["feed_forward_length"]
    dq, dkv = (config[k] * config["head_dimension"] for k in ("head_count", "kv_head_count"))

    def vector(name, count, value):
        t[name] = np.full(count, value, np.float32)

    def matrix(name, outputs, inputs, transposed=False, bias=config["has_biases"], gain=1.0):
        role = name.split(".")[-1]
        if role in config.get("ternary", ()):
            t[name + ".weight"] = ternary_rows(outputs, inputs, random)
            vector(name + ".scale", outputs, gain / (2 / 3 * inputs)**0.5)
            return
        transposed = transposed and role not in config.get("four_bit", ())
        rows, columns = (inputs, outputs) if transposed else (outputs, inputs)
        if role in config.get("four_bit", ()):
            t[name + ".weight"] = four_bit_rows(rows, columns, gain * 127 / (73 * inputs**0.5), random)
            return
        padded = np.zeros((rows, -(-columns // 64) * 64), np.int8)
        padded[:, :columns] = random.integers(-127, 128, (rows, columns), np.int8)
        t[name + ".weight"] = padded
        vector(name + ".scale", outputs, gain / (73 * inputs**0.5))
        if bias:
            vector(name + ".bias", outputs, 0)

    widths = tiny_files.norm_widths(config)

    def norm(name):
        role = name.split(".")[-1]
        if role in config.get("norms", tiny_files.PLAIN_NORMS):
            vector(name + ".weight", widths[role], 1)
            if config["norm_kind"] == "layer":
                vector(name + ".bias", widths[role], 0)

    def predictor(name, outputs, rank, uses):
        matrix(name + "_a", rank, d, bias=False)
        matrix(name + "_b", outputs, rank, transposed=True, bias=False)
        quantile = statistics.NormalDist().inv_cdf
        t[name + "_b.bias"] = np.array([quantile(min(max(u, 1e-6), 1 - 1e-6)) for u in uses], np.float32)

    # The vocabulary's rows share most of their directions, as trained ones do: what a screen lives on.
    vocabulary = config["vocabulary_size"]
    shared = random.standard_normal((48, d), np.float32) / np.arange(1, 49, dtype=np.float32)[:, None] ** 0.5
    rows = random.standard_normal((vocabulary, 48), np.float32) @ shared / 2
    rows += 1.6 * random.standard_normal((vocabulary, d), np.float32)
    rows *= 3 / np.sqrt((rows * rows).sum(1).mean())  # logits of about 3
    t["token_embd.scale"] = np.abs(rows).max(1) / 127
    t["token_embd.weight"] = np.zeros((vocabulary, -(-d // 64) * 64), np.int8)
    t["token_embd.weight"][:, :d] = np.rint(rows / t["token_embd.scale"][:, None])
    if config["positions"] == "learned":
        t["position_embd.weight"] = random.standard_normal((config["context_length"], d), np.float32)
    gain = 1.0
    if fires:
        # After a norm, the first value is c and the others have a deviation of e; gates see -127/73 c / sqrt(d) + e N(0, 1).
        e = 1 / np.sqrt(1 + (statistics.NormalDist().inv_cdf(1 - fires) * 73 / 127) ** 2)
        others = np.sqrt((rows[:, 1:] ** 2).mean())
        rows[:, 0] = others * np.sqrt(d) * np.sqrt(1 - e * e) / e
        t["token_embd.scale"] = np.abs(rows).max(1) / 127
        t["token_embd.weight"][:, :d] = np.rint(rows / t["token_embd.scale"][:, None])
        gain = 0.05 * others  # of what layers add, so that the first value stays what it is
    for n in range(config["layer_count"]):
        b = f"blk.{n}."
        norm(b + "attn_norm")
        p = config.get("predictors")
        for name, outputs, inputs in (("q", dq, d), ("k", dkv, d), ("v", dkv, d)):
            matrix(b + "attn_" + name, outputs, inputs)
        norm(b + "attn_sub_norm")
        by_head = p and p["head_ranks"][n] > 0  # then the matrix lies transposed, but not its bias
        matrix(b + "attn_output" + ("_t" if by_head else ""), d, dq, transposed=by_head, gain=gain)
        if by_head and config["has_biases"]:
            t[b + "attn_output.bias"] = t.pop(b + "attn_output_t.bias")
        norm(b + "ffn_norm")
        matrix(b + "ffn_up", d_ff, d)
        if config["gated"]:
            matrix(b + "ffn_gate", d_ff, d)
        norm(b + "ffn_sub_norm")
        matrix(b + "ffn_down", d, d_ff, transposed=True, gain=gain)
        if fires:
            gates = t[b + ("ffn_gate" if config["gated"] else "ffn_up") + ".weight"]
            if config["gated"] and "ffn_gate" in config.get("four_bit", ()):
                lower_first_column(gates)
            else:
                gates[:, 0] = -127
            for name in ("attn_output" + ("_t" if by_head else ""), "ffn_down"):
                if b + name + ".scale" in t:
                    t[b + name + ".scale"][0] = 0
                else:
                    clear_first_row(t[b + name + ".weight"])
        if p:
            predictor(b + "ffn_predictor", d_ff // p["neuron_group"], p["neuron_ranks"][n], p["neuron_uses"][n])
            if p["head_ranks"][n]:
                predictor(b + "attn_predictor", config["head_count"], p["head_ranks"][n], p["head_uses"][n])
    norm("output_norm")
    return t


def curves(profile, layers, width, keep):
    """Shares of the tokens that want each neuron or group: the profile's, by layer and in order of use, spread over
    `layers` layers of `width`, and raised or lowered together (in their odds) until the mean is `keep`."""
    real = [np.sort(np.array(layer["uses"]) / profile["tokens"]) for layer in profile["layers"]]
    wanted = []
    for n in range(layers):
        uses = real[n * len(real) // layers]
        wanted.append(np.interp(np.linspace(0, 1, width), np.linspace(0, 1, len(uses)), uses))
    odds = np.clip(np.stack(wanted), 1e-5, 1 - 1e-5)
    odds /= 1 - odds
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        shares = odds * np.exp(middle) / (1 + odds * np.exp(middle))
        low, high = (middle, high) if shares.mean() < keep else (low, middle)
    order = np.random.default_rng(1)
    return [order.permutation(row) for row in shares]


def llama_cpp(path, config, kind, random):
    """A llama of these sizes for llama.cpp. Its activation is SiLU, which costs what others do."""
    import gguf
    kind = getattr(gguf.GGMLQuantizationType, kind)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    writer = gguf.GGUFWriter(path, "llama")
    d, d_ff, vocabulary = (config[k] for k in ("embedding_length", "feed_forward_length", "vocabulary_size"))
    head, heads, kv_heads = (config[k] for k in ("head_dimension", "head_count", "kv_head_count"))
    writer.add_context_length(config["context_length"])
    writer.add_embedding_length(d)
    writer.add_block_count(config["layer_count"])
    writer.add_feed_forward_length(d_ff)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    tokens, merges = tiny_files.tokenizer(vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_merges(merges)
    writer.add_token_types([1] * vocabulary)
    writer.add_eos_token_id(vocabulary - 1)

    def matrix(name, rows, columns):
        raw = random.integers(0, 256, (rows, columns // block, size), np.uint8)
        raw[:, :, :2] = np.frombuffer(np.float16(1e-3).tobytes(), np.uint8)  # the scale comes first
        writer.add_tensor(name + ".weight", raw.reshape(rows, -1), raw_dtype=kind)

    def norm(name):
        writer.add_tensor(name + ".weight", np.ones(d, np.float32))

    matrix("token_embd", vocabulary, d)
    norm("output_norm")
    for n in range(config["layer_count"]):
        b = f"blk.{n}."
        for name, rows, columns in (
                ("attn_q", heads * head, d), ("attn_k", kv_heads * head, d), ("attn_v", kv_heads * head, d),
                ("attn_output", d, heads * head), ("ffn_gate", d_ff, d), ("ffn_up", d_ff, d), ("ffn_down", d, d_ff)):
            matrix(b + name, rows, columns)
        norm(b + "attn_norm")
        norm(b + "ffn_norm")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--keep", type=float, help="share of the neurons that predictors name")
    parser.add_argument("--keep-heads", type=float, default=1.0, help="share of the heads")
    parser.add_argument("--profile", type=pathlib.Path, help="real curves of use; without it all are used alike")
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--group", type=int, default=1, help="neighbouring neurons that share a score")
    parser.add_argument("--fires", type=float, help="share of the activations of a ReLU model that are not zero")
    parser.add_argument("--weights", choices=["int8", "w4", "ternary"], default="int8",
                        help="as `tinysparse convert` has them")
    parser.add_argument("--llama-cpp", metavar="TYPE", choices=["Q8_0", "Q4_0"], help="a file for llama.cpp")
    a = parser.parse_args()
    config = dict(SHAPES[a.shape])
    if a.llama_cpp:
        return llama_cpp(a.output, config, a.llama_cpp, np.random.default_rng(1))
    layers = config["layer_count"]
    needs_all = config["activation"] != "relu" or "ffn_sub_norm" in config.get("norms", [])
    if a.weights == "ternary":
        if "ffn_sub_norm" not in config.get("norms", []):
            parser.error("--weights ternary is for models with ternary weights")
        config["ternary"] = ternary.NAMES
    elif a.weights == "w4":
        config["four_bit"] = ["attn_q", "attn_k", "attn_v", "attn_output"]
        if needs_all:
            config["four_bit"] += ["ffn_up", *["ffn_gate"] * config["gated"], "ffn_down"]
        elif config["gated"] and a.keep is None:
            config["four_bit"].append("ffn_gate")
    if a.keep is not None:
        profile = json.loads(a.profile.read_text()) if a.profile else {"tokens": 2, "layers": [{"uses": [1, 1]}]}
        heads = [1 if a.keep_heads < 1 and n else 0 for n in range(layers)]
        config["predictors"] = dict(
            neuron_ranks=[a.rank] * layers, neuron_thresholds=[0.0] * layers,
            neuron_uses=curves(profile, layers, config["feed_forward_length"] // a.group, a.keep),
            head_ranks=[16 * h for h in heads], head_thresholds=[0.0] * layers,
            head_uses=[[a.keep_heads] * config["head_count"]] * layers, lookahead=False, neuron_group=a.group)
    t = tensors(config, np.random.default_rng(1), a.fires)
    gguf_file.write(a.output, tiny_files.native_metadata(config, a.shape, t), t)


if __name__ == "__main__":
    main()
