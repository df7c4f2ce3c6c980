"""Families with layer norms: parallel branches, fused matrices, partial rotary embeddings."""
import torch

from case import UNTIED, add, llama_like


def layer_norm_like(model_type, architecture, **more):
    return llama_like(model_type, architecture, **dict(dict(rms_norm_eps="absent", layer_norm_eps=0.25), **more))


LAYER_KEYS = [("layer_norm_eps", 1e-5), ("rope_theta", 10000.0)]
add("stablelm",
    layer_norm_like("stablelm", "StableLmForCausalLM", use_qkv_bias=True, partial_rotary_factor=0.5,
                    use_parallel_residual=False, qk_layernorm=False, tie_word_embeddings=False, rope_theta=10000.0),
    [("layer_norm_eps", 1e-5), ("rope_theta", 100.0), ("hidden_act", "relu"), ("use_qkv_bias", False),
     ("partial_rotary_factor", "absent")] + UNTIED,
    gguf=True)
add("stablelm-parallel",
    layer_norm_like("stablelm", "StableLmForCausalLM", use_qkv_bias=False, partial_rotary_factor=0.25,
                    use_parallel_residual=True, qk_layernorm=True, intermediate_size=40),
    LAYER_KEYS + [("hidden_act", "relu"), ("partial_rotary_factor", 1.0), ("qk_layernorm", False)],
    dtype="float16", scales={"(q|k)_layernorm": 1.5},
    exceptions={"use_parallel_residual": "decides which tensors there are"})


def gpt2_like(**more):
    return dict(dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", vocab_size=320, n_embd=32, n_layer=2,
                     n_head=2,
                     n_inner=None, n_positions=64, n_ctx=64, activation_function="gelu_new", layer_norm_epsilon=0.25,
                     resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1, bos_token_id=319, eos_token_id=319), **more)


GPT2_KEYS = [("layer_norm_epsilon", 1e-5), ("activation_function", "relu")]
add("gpt2", gpt2_like(), GPT2_KEYS + [("scale_attn_weights", False)], gguf=True, inputs_first=True, dtype="float16")


def published_names(tensors):
    """As in the published file: without the prefix, with the masks that old versions saved."""
    tensors = {name.removeprefix("transformer."): t for name, t in tensors.items()}
    mask = torch.tril(torch.ones(16, 16)).reshape(1, 1, 16, 16)
    return tensors | {f"h.{n}.attn.bias": mask.clone() for n in range(2)}


add("gpt2-published",
    gpt2_like(n_inner=40, activation_function="relu", scale_attn_by_inverse_layer_idx=True),
    [("layer_norm_epsilon", 1e-5), ("activation_function", "gelu_new"), ("scale_attn_by_inverse_layer_idx", False)],
    finish=published_names, inputs_first=True, scales={r"h\.1\..*c_attn": 1.5})


def neox_like(**more):
    config = layer_norm_like("gpt_neox", "GPTNeoXForCausalLM", hidden_act="gelu", rotary_pct=0.5, rotary_emb_base=10000,
                             rope_theta="absent", use_parallel_residual=True, attention_bias=True,
                             tie_word_embeddings=False, num_key_value_heads="absent", intermediate_size=128)
    return dict(config, **more)


NEOX_KEYS = [("layer_norm_eps", 1e-5), ("hidden_act", "relu"), ("rotary_pct", 1.0), ("use_parallel_residual", False)]
add("gpt-neox", neox_like(), NEOX_KEYS + UNTIED + [("rotary_emb_base", 100), ("attention_bias", False)], gguf=True)
add("gpt-neox-sequential",
    neox_like(use_parallel_residual=False, rotary_pct=0.25, rotary_emb_base=100, hidden_act="gelu_new",
              intermediate_size=40, attention_bias=False),
    NEOX_KEYS[:3] + [("use_parallel_residual", True), ("rotary_emb_base", 10000)], dtype="float16",
    scales={"query_key": 1.3})


def phi_like(**more):
    return layer_norm_like("phi", "PhiForCausalLM", **dict(dict(
        hidden_act="gelu_new", partial_rotary_factor=0.5, qk_layernorm=False, tie_word_embeddings=False,
        num_key_value_heads=2, intermediate_size=128, rope_theta=10000.0), **more))


add("phi", phi_like(num_key_value_heads=None),
    [("layer_norm_eps", 1e-5), ("hidden_act", "relu"), ("partial_rotary_factor", 1.0), ("rope_theta", 100.0)],
    gguf=True)
add("phi-norms",
    phi_like(num_attention_heads=3, num_key_value_heads=1, hidden_size=48, intermediate_size=40, qk_layernorm=True,
             partial_rotary_factor=0.75, hidden_act="gelu", rope_theta=100.0),
    LAYER_KEYS + [("hidden_act", "relu"), ("partial_rotary_factor", "absent"), ("qk_layernorm", False)],
    dtype="float16")


def falcon_like(**more):
    return dict(dict(architectures=["FalconForCausalLM"], model_type="falcon", vocab_size=320, hidden_size=32,
                     num_hidden_layers=2, num_attention_heads=2, alibi=False, bias=False, multi_query=True,
                     new_decoder_architecture=False, parallel_attn=True, layer_norm_epsilon=0.25, hidden_dropout=0.0,
                     attention_dropout=0.0, bos_token_id=319, eos_token_id=319), **more)


ALIBI = [("alibi", True, "positions by attention biases are another model")]
FALCON_KEYS = [("layer_norm_epsilon", 1e-5)]
add("falcon", falcon_like(),
    FALCON_KEYS + [("rope_theta", 100.0)], gguf=True, refused=ALIBI,
    exceptions={"multi_query": "decides the tensors' shapes", "parallel_attn": "decides which tensors there are"})
add("falcon-new",
    falcon_like(new_decoder_architecture=True, num_attention_heads=4, num_kv_heads=2, hidden_size=64,
                num_hidden_layers=2,
                ffn_hidden_size=40, activation="relu", bias=True, rope_theta=100.0),
    FALCON_KEYS + [("rope_theta", 10000.0), ("activation", "gelu"), ("bias", False)],
    dtype="float16", refused=ALIBI)
add("falcon-new-gguf",
    falcon_like(new_decoder_architecture=True, num_attention_heads=2, num_kv_heads=1), FALCON_KEYS, gguf=True)
add("falcon-new-one-norm",
    falcon_like(new_decoder_architecture=True, num_ln_in_parallel_attn=1, num_kv_heads=2, ffn_hidden_size=40,
                tie_word_embeddings=False),
    FALCON_KEYS + UNTIED)
add("falcon-sequential",
    falcon_like(parallel_attn=False, multi_query=False, bias=True, ffn_hidden_size=40),
    FALCON_KEYS + [("bias", False)], dtype="float16")


def nemotron_like(**more):
    return llama_like("nemotron", "NemotronForCausalLM", **dict(dict(
        rms_norm_eps="absent", norm_eps=0.25, hidden_act="relu2", partial_rotary_factor=0.5, attention_bias=False,
        mlp_bias=False, intermediate_size=100), **more))


NEMOTRON_KEYS = [("norm_eps", 1e-5), ("rope_theta", 10000.0), ("hidden_act", "relu"), ("partial_rotary_factor", 1.0)]
add("nemotron", nemotron_like(tie_word_embeddings=False), NEMOTRON_KEYS + UNTIED, gguf=True, one_plus=True)
add("nemotron-biases",
    nemotron_like(intermediate_size=40, attention_bias=True, mlp_bias=True, head_dim=24, partial_rotary_factor=0.25,
                  hidden_act="relu"),
    NEMOTRON_KEYS[:2] + [("hidden_act", "relu2"), ("partial_rotary_factor", "absent"), ("attention_bias", False),
                         ("mlp_bias", False)],
    dtype="float16", one_plus=True)


def persimmon_like(**more):
    return layer_norm_like("persimmon", "PersimmonForCausalLM", **dict(dict(
        hidden_act="relu2", partial_rotary_factor=0.5, qk_layernorm=True, num_key_value_heads="absent",
        intermediate_size=100), **more))


PERSIMMON_KEYS = LAYER_KEYS + [("hidden_act", "relu"), ("partial_rotary_factor", 1.0)]
add("persimmon", persimmon_like(tie_word_embeddings=False), PERSIMMON_KEYS + UNTIED + [("qk_layernorm", False)])
add("persimmon-plain", persimmon_like(intermediate_size=40, qk_layernorm=False, partial_rotary_factor=0.25),
    PERSIMMON_KEYS, dtype="float16")


def opt_like(**more):
    return dict(dict(architectures=["OPTForCausalLM"], model_type="opt", vocab_size=320, hidden_size=48, ffn_dim=100,
                     num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=64, activation_function="relu",
                     do_layer_norm_before=True, word_embed_proj_dim=48, bos_token_id=2, eos_token_id=2,
                     pad_token_id=1, tie_word_embeddings=True), **more)


add("opt", opt_like(hidden_size=32, word_embed_proj_dim=32, num_attention_heads=2), [("activation_function", "gelu")],
    dtype="float16",
    exceptions={"do_layer_norm_before": "decides which tensors there are"})
add("opt-350m", opt_like(do_layer_norm_before=False, word_embed_proj_dim=32, ffn_dim=72),
    [("activation_function", "gelu")], dtype="float16",
    exceptions={"word_embed_proj_dim": "decides the tensors' shapes",
                "do_layer_norm_before": "true needs a final norm"})
add("opt-plain",
    opt_like(enable_bias=False, layer_norm_elementwise_affine=False, _remove_final_layer_norm=True,
             activation_function="gelu", hidden_size=32, word_embed_proj_dim=32, num_attention_heads=2, ffn_dim=40),
    [("activation_function", "relu")],
    exceptions={"enable_bias": "decides which tensors there are",
                "layer_norm_elementwise_affine": "decides which tensors there are",
                "_remove_final_layer_norm": "false needs a final norm"})
