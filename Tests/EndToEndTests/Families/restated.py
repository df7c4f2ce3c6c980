"""Models that transformers does not have, restated from their published code.

    llama_sparse_relu, qwen2_sparse_relu   SakanaAI/sparser-faster-llms, custom_models/sparse_models.py
    minicpm                                openbmb/MiniCPM-S-1B-sft, modeling_minicpm.py
    sparsellama                            SparseLLM/prosparse-llama-2-7b, modeling_sparsellama.py
    bamboo                                 PowerInfer/Bamboo-base-v0_1, modeling_bamboo.py
    smallthinker                           PowerInfer/SmallThinker-4BA0.6B-Instruct, modeling_smallthinker.py

All are Llama-like: norms before attention and MLP, rotary embeddings over whole heads in halves.
"""
import torch
from torch.nn import functional as F

DEFAULTS = {
    "llama_sparse_relu": dict(rms_norm_eps=1e-6, rope_theta=1e4, attention_bias=False, mlp_bias=False,
                              sparsity_gated_mlp=True, sparsity_new_intermediate_size=None,
                              sparsity_use_hybrid_kernel=False, tie_word_embeddings=False),
    "qwen2_sparse_relu": dict(rms_norm_eps=1e-6, rope_theta=1e4, attention_bias=True, mlp_bias=False,
                              sparsity_gated_mlp=True, sparsity_new_intermediate_size=None,
                              sparsity_use_hybrid_kernel=False, tie_word_embeddings=False),
    "minicpm": dict(rms_norm_eps=1e-6, rope_theta=1e4, attention_bias=False, hidden_act="silu", scale_emb=1,
                    dim_model_base=1, scale_depth=1, tie_word_embeddings=True),
    "sparsellama": dict(rms_norm_eps=1e-6, rope_theta=1e4, attention_bias=False, mlp_bias=False, hidden_act="silu",
                        hidden_act_param=0.0, tie_word_embeddings=False),
    "bamboo": dict(rms_norm_eps=1e-6, rope_theta=1e4, hidden_act="silu", sliding_window=4096,
                   tie_word_embeddings=False),
    "smallthinker": dict(rms_norm_eps=1e-6, rope_theta=1e6, head_dim=128, rope_layout=[1] * 32,
                         sliding_window_layout=[0] * 32, sliding_window_size=4096,
                         moe_primary_router_apply_softmax=False, moe_num_primary_experts=32,
                         moe_num_active_primary_experts=4, moe_ffn_hidden_size=768, tie_word_embeddings=True)}


class Restated:
    """config: config.json as a dictionary. tensors: of the checkpoint, float32, by name."""

    def __init__(self, config, tensors):
        self.config = {**DEFAULTS[config["model_type"]], **config}
        self.layers = self.config["num_hidden_layers"]
        self.heads = self.config["num_attention_heads"]
        self.kv_heads = self.config.get("num_key_value_heads") or self.heads
        self.head_dim = self.config.get("head_dim") or self.config["hidden_size"] // self.heads
        self.is_minicpm = self.config["model_type"] == "minicpm"
        self.tensors = {name: tensors[name] for name in self.shapes() if name in tensors}

    def shapes(self):
        """The tensors of a checkpoint: name to shape, matrices [outputs, inputs]."""
        c, d = self.config, self.config["hidden_size"]
        wide, narrow = self.heads * self.head_dim, self.kv_heads * self.head_dim
        shapes = {"model.embed_tokens.weight": (c["vocab_size"], d)}
        for n in range(self.layers):
            layer = f"model.layers.{n}."
            for part, rows, columns in (("q", wide, d), ("k", narrow, d), ("v", narrow, d), ("o", d, wide)):
                shapes[f"{layer}self_attn.{part}_proj.weight"] = (rows, columns)
                if c.get("attention_bias") and not (part == "o" and c["model_type"] == "qwen2_sparse_relu"):
                    shapes[f"{layer}self_attn.{part}_proj.bias"] = (rows,)
            shapes[layer + "input_layernorm.weight"] = shapes[layer + "post_attention_layernorm.weight"] = (d,)
            shapes |= {layer + name: shape for name, shape in self.mlp_shapes(d).items()}
        shapes["model.norm.weight"] = (d,)
        if not c["tie_word_embeddings"]:
            shapes["lm_head.weight"] = (c["vocab_size"], d)
        return shapes

    def mlp_shapes(self, d):
        c = self.config
        if c["model_type"] == "smallthinker":
            ff, count = c["moe_ffn_hidden_size"], c["moe_num_primary_experts"]
            shapes = {"block_sparse_moe.primary_router.weight": (count, d)}
            for e in range(count):
                expert = f"block_sparse_moe.experts.{e}."
                shapes |= {expert + "up.weight": (ff, d), expert + "gate.weight": (ff, d),
                           expert + "down.weight": (d, ff)}
            return shapes
        ff = c.get("sparsity_new_intermediate_size") or c["intermediate_size"]
        parts = {"gate": (ff, d), "up": (ff, d), "down": (d, ff)}
        if not c.get("sparsity_gated_mlp", True):
            del parts["gate"]
        shapes = {f"mlp.{part}_proj.weight": shape for part, shape in parts.items()}
        if c.get("mlp_bias"):
            shapes |= {f"mlp.{part}_proj.bias": shape[:1] for part, shape in parts.items()}
        return shapes

    def linear(self, name, x):
        return F.linear(x, self.tensors[name + ".weight"], self.tensors.get(name + ".bias"))

    def norm(self, name, x):
        mean = x.pow(2).mean(-1, keepdim=True)
        return x * torch.rsqrt(mean + self.config["rms_norm_eps"]) * self.tensors[name + ".weight"]

    def turned(self, x):
        """Rotary embedding of [heads, tokens, head_dim]."""
        exponents = torch.arange(0, self.head_dim, 2).float() / self.head_dim
        angles = torch.outer(torch.arange(x.shape[1]).float(), 1 / self.config["rope_theta"]**exponents)
        cos, sin = angles.cos(), angles.sin()
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def mask(self, n, count):
        """What layer n's queries see: all before, or the last ones of a window."""
        window = self.config.get("sliding_window") if self.config["model_type"] == "bamboo" else None
        if self.config["model_type"] == "smallthinker" and self.config["sliding_window_layout"][n]:
            window = self.config["sliding_window_size"]
        distance = torch.arange(count)[:, None] - torch.arange(count)
        return (distance >= 0) & (distance < (window or count))

    def attention(self, n, x, cast):
        name, count = f"model.layers.{n}.self_attn.", len(x)
        projections = (self.linear(f"{name}{part}_proj", x) for part in "qkv")
        q, k, v = (t.view(count, -1, self.head_dim).transpose(0, 1) for t in projections)
        if self.config["model_type"] != "smallthinker" or self.config["rope_layout"][n]:
            q, k = self.turned(q), self.turned(k)
        k, v = (cast(t).repeat_interleave(self.heads // self.kv_heads, 0) for t in (k, v))
        scores = q @ k.transpose(1, 2) * self.head_dim**-0.5
        weights = scores.masked_fill(~self.mask(n, count), -torch.inf).softmax(-1)
        return self.linear(name + "o_proj", (weights @ v).transpose(0, 1).reshape(count, -1))

    def activation(self, x):
        name = self.config["hidden_act"]
        if self.config["model_type"].endswith("_sparse_relu") or name == "relu":
            return x.relu()
        if name == "fatrelu":
            return F.threshold(x, self.config["hidden_act_param"], 0)
        return {"silu": F.silu, "gelu": F.gelu}[name](x)

    def mlp(self, n, x):
        c, name = self.config, f"model.layers.{n}.mlp."
        up = self.linear(name + "up_proj", x)
        if not c.get("sparsity_gated_mlp", True):
            hidden = self.activation(up)
        else:
            gate = self.activation(self.linear(name + "gate_proj", x))
            hidden = gate * (self.activation(up) if c["model_type"] == "bamboo" else up)
        down = name + "down_proj"
        # Saved from the training of a hybrid kernel: [inputs, outputs].
        if self.tensors[down + ".weight"].shape[1] != hidden.shape[-1]:
            return F.linear(hidden, self.tensors[down + ".weight"].t(), self.tensors.get(down + ".bias"))
        return self.linear(down, hidden)

    def experts(self, n, router_input, x):
        c, name = self.config, f"model.layers.{n}.block_sparse_moe."
        logits, chosen = torch.topk(self.linear(name + "primary_router", router_input),
                                    c["moe_num_active_primary_experts"], dim=-1)
        if c["moe_primary_router_apply_softmax"]:
            weights = logits.softmax(-1)
        else:
            weights = logits.sigmoid() / logits.sigmoid().sum(-1, keepdim=True)
        total = torch.zeros_like(x)
        for e in range(c["moe_num_primary_experts"]):
            part = f"{name}experts.{e}."
            output = self.linear(part + "down", self.linear(part + "gate", x).relu() * self.linear(part + "up", x))
            total += output * (weights * (chosen == e)).sum(-1, keepdim=True)
        return total

    def logits(self, tokens, cast=lambda x: x):
        """[tokens, vocabulary]. cast: what happens to keys and values on their way to the cache."""
        c, table = self.config, self.tensors["model.embed_tokens.weight"]
        x = F.embedding(tokens, table) * (c["scale_emb"] if self.is_minicpm else 1)
        branch = c["scale_depth"] / self.layers**0.5 if self.is_minicpm else 1
        for n in range(self.layers):
            layer, start = f"model.layers.{n}.", x
            x = x + self.attention(n, self.norm(layer + "input_layernorm", x), cast) * branch
            y = self.norm(layer + "post_attention_layernorm", x)
            x = x + (self.experts(n, start, y) if c["model_type"] == "smallthinker" else self.mlp(n, y)) * branch
        x = self.norm("model.norm", x)
        if self.is_minicpm:
            x = x / (c["hidden_size"] / c["dim_model_base"])
        return F.linear(x, table if c["tie_word_embeddings"] else self.tensors["lm_head.weight"])
