"""Checks the fixtures: python check.py

1. The models of the folders give logits.f32.
2. restated.py gives what a class of transformers gives whose differing functions are replaced.
3. BitNet's ternary weights are those of transformers.
4. The int8 emulation rounds every matrix but routers and positions, and the keys and values of every layer.
5. The tensors of model.gguf are those of model.safetensors, as README.md says how they differ.
"""
import os
import re
import tempfile

import make_families as families  # first: it sets environment variables
import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers.utils import logging

import bitnet
import emulation
from restated import DEFAULTS


def folder_of(case):
    return os.path.join(families.HERE, case.name)


def largest_difference(a, b):
    return float((a - b).abs().max() / b.std())


def check_logits():
    worst = 0
    for case in families.CASES:
        stored = torch.tensor(np.fromfile(os.path.join(folder_of(case), "logits.f32"), "<f4").reshape(-1, 320))
        logits = families.load(folder_of(case)).logits(families.tokens_of(case))[list(families.KEPT)]
        worst = max(worst, largest_difference(logits, stored))
    print(f"{len(families.CASES)} cases give their logits: largest difference {worst:.1e} of their deviation")


# Restated models as classes of transformers

def renamed(case, tensors):
    """The case's tensors under the names, and in the number, of the class that stands in."""
    if case.finish.__name__ == "transposed_down":
        tensors = {name: t.contiguous() for name, t in case.finish(tensors).items()}
    if case.config.get("sparsity_gated_mlp") is False:
        ups = {name: t for name, t in tensors.items() if "up_proj" in name}
        return tensors | {name.replace("up_proj", "gate_proj"): t.clone() for name, t in ups.items()}
    experts = {".up.": ".w3.", ".gate.": ".w1.", ".down.": ".w2.", "primary_router": "gate"}
    if case.config["model_type"] == "smallthinker":
        for old, new in experts.items():
            tensors = {name.replace(old, new) if "block_sparse" in name else name: t for name, t in tensors.items()}
    return tensors


def as_transformers(case):
    """A configuration of transformers, and what to change in the model to make it the case's."""
    c = dict(case.config)
    kind = c["model_type"]
    c["model_type"] = dict(minicpm="granite", bamboo="mistral", qwen2_sparse_relu="qwen2",
                           smallthinker="mixtral").get(kind, "llama")
    hook, act = None, None
    if kind == "minicpm":
        c |= dict(embedding_multiplier=c["scale_emb"], attention_multiplier=16**-0.5,
                  residual_multiplier=c["scale_depth"] / c["num_hidden_layers"]**0.5,
                  logits_scaling=c["hidden_size"] / c["dim_model_base"])
    if kind.endswith("_sparse_relu") or kind == "smallthinker":
        c["hidden_act"] = "relu"
    if c["hidden_act"] == "fatrelu":
        c["hidden_act"], act = "relu", torch.nn.Threshold(c["hidden_act_param"], 0)
    if kind == "bamboo":
        hook = lambda module, inputs, output: output.relu()
    if c.get("sparsity_gated_mlp") is False:
        c["intermediate_size"] = c["sparsity_new_intermediate_size"]
        hook = lambda module, inputs, output: torch.ones_like(output)  # gate_proj has the tensors of up_proj
    if kind == "smallthinker":
        c |= dict(intermediate_size=c["moe_ffn_hidden_size"], num_local_experts=c["moe_num_primary_experts"],
                  num_experts_per_tok=c["moe_num_active_primary_experts"], sliding_window=None)

    def change(model):
        for n, layer in enumerate(model.model.layers):
            if kind == "smallthinker":
                route_early(layer, n, case.config)
            if hook:
                layer.mlp.up_proj.register_forward_hook(hook)
            if act:
                layer.mlp.act_fn = act
    return c, change


def route_early(layer, n, config):
    """Makes a layer of Mixtral one of SmallThinker: router, rope and window by layer."""
    seen = {}

    def before(module, args, kwargs):
        seen["input"] = args[0]
        count = args[0].shape[1]
        if not config["rope_layout"][n]:
            cos, sin = kwargs["position_embeddings"]
            kwargs["position_embeddings"] = torch.ones_like(cos), torch.zeros_like(sin)
        if config["sliding_window_layout"][n]:
            far = torch.ones(count, count).tril(-config["sliding_window_size"]).bool()
            kwargs["attention_mask"] = kwargs["attention_mask"].masked_fill(far, torch.finfo(torch.float32).min)
        return args, kwargs

    def route(hidden):
        logits = F.linear(seen["input"].flatten(0, 1), layer.mlp.gate.weight)
        scores = logits.softmax(-1) if config["moe_primary_router_apply_softmax"] else logits.sigmoid()
        best, chosen = scores.topk(config["moe_num_active_primary_experts"], -1)
        return logits, best / best.sum(-1, keepdim=True), chosen

    layer.register_forward_pre_hook(before, with_kwargs=True)
    layer.mlp.gate.forward = route


def check_restated():
    for case in (case for case in families.CASES if case.config["model_type"] in DEFAULTS):
        config, change = as_transformers(case)
        with tempfile.TemporaryDirectory() as scratch:
            tensors = renamed(case, load_file(os.path.join(folder_of(case), "model.safetensors")))
            families.save_file(tensors, os.path.join(scratch, "model.safetensors"), metadata={"format": "pt"})
            families.write_json(os.path.join(scratch, "config.json"), config)
            loaded = families.Loaded(scratch)
        assert not loaded.missing and not loaded.unread, (case.name, loaded.missing, loaded.unread)
        tokens = families.tokens_of(case)
        restated, unchanged = families.load(folder_of(case)).logits(tokens), loaded.logits(tokens)
        change(loaded.model)
        difference = largest_difference(restated, loaded.logits(tokens))
        print(f"{case.name} as {config['model_type']}: largest difference {difference:.1e}, "
              f"{largest_difference(restated, unchanged):.1e} before the changes")
        assert difference < 1e-4, case.name


def check_bitnet():
    """bitnet.py beside transformers' functions, and both meanings of a scale beside its layers."""
    from transformers.integrations import bitnet as theirs
    weight = torch.randn(24, 40, generator=torch.Generator().manual_seed(1))
    values, scale = bitnet.ternary(weight)
    assert torch.allclose(values * scale, theirs.WeightQuant.apply(weight), rtol=1e-6)
    assert torch.equal(bitnet.packed(values), theirs.pack_weights(values.clone()))
    assert torch.equal(bitnet.unpacked(bitnet.packed(values)), values)
    inputs = torch.randint(-127, 128, (3, 40)).float()
    inputs[:, 0] = 127  # so that int8 holds them exactly
    auto = theirs.AutoBitLinear(40, 24, bias=False)
    auto.weight.data, auto.weight_scale = values.clone(), scale.reshape(1)
    plain = theirs.BitLinear(40, 24, False, dtype=torch.float32)
    plain.weight, plain.weight_scale = bitnet.packed(values), (1 / scale).reshape(1)
    for layer in (auto, plain):
        assert torch.allclose(layer(inputs), inputs @ (values * scale).t(), rtol=1e-4, atol=1e-3)
    print("BitNet's weights are transformers'")


# The int8 emulation

EXACT = re.compile(r"router|gate\.weight$|wpe|embed_positions")


def check_emulation():
    """A class that multiplies in a way of its own would stay float, and its error look smaller than it is."""
    rounded, half = emulation.rounded, emulation.half
    seen, caches = set(), []
    emulation.rounded = lambda x, levels=127: seen.add(x.untyped_storage().data_ptr()) or rounded(x, levels)
    emulation.half = families.half = lambda x: caches.append(1) or half(x)
    for case in families.CASES:
        seen.clear()
        caches.clear()
        loaded = families.load(folder_of(case))
        loaded.int8_logits(families.tokens_of(case), loaded.routers())
        is_restated = isinstance(loaded, families.LoadedRestated)
        tensors = loaded.model.tensors if is_restated else dict(loaded.model.named_parameters())
        exact = [name for name, t in tensors.items() if t.ndim > 1 and t.untyped_storage().data_ptr() not in seen]
        unexpected = [name for name in exact if not EXACT.search(name)]
        layers = case.config.get("num_hidden_layers") or case.config["n_layer"]
        assert not unexpected and len(caches) == 2 * layers, (case.name, unexpected, len(caches))
    emulation.rounded, emulation.half, families.half = rounded, half, half
    print("the int8 emulation rounds what it should")


# GGUF

PERMUTED = {"llama", "granite", "smollm3", "minicpm"}
ONE_MORE = {"gemma2", "gemma3", "nemotron"}
NAMES = [  # suffixes of names of a layer: GGUF, then Hugging Face's, of which the first that exists counts
    ("attn_norm", "input_layernorm|ln_1|ln_mlp"), ("attn_norm_2", "ln_attn"),
    ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"),
    ("attn_qkv", "self_attn.qkv_proj|attn.c_attn|attention.query_key_value|self_attention.query_key_value"),
    ("attn_output", "self_attn.o_proj|attn.c_proj|attention.dense|self_attention.dense|self_attn.dense"),
    ("attn_q_norm", "self_attn.q_norm"), ("attn_k_norm", "self_attn.k_norm"),
    ("post_attention_norm", "post_attention_layernorm"), ("post_ffw_norm", "post_feedforward_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm|post_attention_layernorm|ln_2"),
    ("ffn_gate", "mlp.gate_proj"), ("ffn_up", "mlp.gate_up_proj|mlp.up_proj|mlp.c_fc|mlp.dense_h_to_4h|mlp.fc1"),
    ("ffn_down", "mlp.down_proj|mlp.c_proj|mlp.dense_4h_to_h|mlp.fc2"),
    ("ffn_gate_inp", "mlp.gate|block_sparse_moe.gate|block_sparse_moe.primary_router"),
    ("ffn_gate_exps", "mlp.experts.*.gate_proj|block_sparse_moe.experts.*.w1|block_sparse_moe.experts.*.gate"),
    ("ffn_up_exps", "mlp.experts.*.up_proj|block_sparse_moe.experts.*.w3|block_sparse_moe.experts.*.up"),
    ("ffn_down_exps", "mlp.experts.*.down_proj|block_sparse_moe.experts.*.w2|block_sparse_moe.experts.*.down"),
    ("ffn_gate_inp_shexp", "mlp.shared_expert_gate"), ("ffn_gate_shexp", "mlp.shared_expert.gate_proj"),
    ("ffn_up_shexp", "mlp.shared_expert.up_proj"), ("ffn_down_shexp", "mlp.shared_expert.down_proj")]
OUTER = [("token_embd", "embed_tokens|wte|embed_in|word_embeddings"), ("position_embd", "wpe"),
         ("output_norm", "model.norm|ln_f|final_layer_norm|final_layernorm"), ("output", "lm_head|embed_out")]


def source_of(name, tensors):
    """The tensor of the checkpoint that a tensor of the GGUF file comes from; experts are stacked."""
    stem, kind = name.rsplit(".", 1)
    layer = re.match(r"blk\.(\d+)\.(.+)", stem)
    choices = dict(NAMES)[layer[2]] if layer else dict(OUTER)[stem]
    for choice in choices.split("|"):
        where = rf"\.{layer[1]}\." if layer else r"(^|\.)"
        pattern = where + re.escape(choice).replace(r"\*", r"(\d+)") + rf"\.{kind}$"
        found = [(found, t) for key, t in tensors.items() if (found := re.search(pattern, key))]
        if found and "*" in choice:
            return torch.stack([t for _, t in sorted(found, key=lambda pair: int(pair[0][1]))])
        if found:
            return found[0][1]
    raise SystemExit(f"{name} comes from nowhere")


def as_gguf(arch, name, t, case):
    """The rows in the order of the GGUF file."""
    c = case.config
    heads = c.get("num_attention_heads", c.get("n_head"))
    size = c.get("head_dim") or c.get("hidden_size", c.get("n_embd")) // heads
    if arch in PERMUTED and re.search(r"attn_[qk]\.", name):  # pairs (i, i + size / 2) become (2i, 2i + 1)
        return t.unflatten(0, (-1, 2, size // 2)).transpose(1, 2).flatten(0, 2)
    if arch == "gptneox" and "attn_qkv" in name:  # head by head q, k, v becomes all q, all k, all v
        return t.unflatten(0, (heads, 3, size)).transpose(0, 1).flatten(0, 2)
    if arch == "falcon" and "attn_qkv" in name:  # the same for groups of heads
        kv = c.get("num_kv_heads", 1)
        q, k, v = t.unflatten(0, (kv, heads // kv + 2, size)).split([heads // kv, 1, 1], 1)
        return torch.cat([part.flatten(0, 2) for part in (q, k, v)])
    if arch == "gpt2" and re.search(r"(attn_qkv|attn_output|ffn_up|ffn_down)\.weight", name):
        return t.t()
    return t + 1 if arch in ONE_MORE and name.endswith("norm.weight") else t


def check_gguf():
    import gguf
    count = 0
    for case in (case for case in families.CASES if case.gguf):
        reader = gguf.GGUFReader(os.path.join(folder_of(case), "model.gguf"))
        arch = reader.fields["general.architecture"].contents()
        tensors = {name: t.float() for name, t in load_file(os.path.join(folder_of(case), "model.safetensors")).items()}
        for stored in reader.tensors:
            if stored.name.startswith("rope_f"):
                continue
            expected = as_gguf(arch, stored.name, source_of(stored.name, tensors), case)
            values = torch.tensor(np.array(stored.data).astype(np.float32))
            if stored.tensor_type.name == "F16":
                expected = expected.half().float()
            assert torch.equal(values.reshape(expected.shape), expected), (case.name, stored.name)
            count += 1
    print(f"{count} tensors of GGUF files are those of the checkpoints")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.disable_progress_bar()
    check_logits()
    check_restated()
    check_bitnet()
    check_emulation()
    check_gguf()
