"""Records what Transformers makes of fields of config.json: python make_fixtures.py (transformers 5, torch).

A case is a change to a base configuration. `meaning` numbers what the model computes with it: cases of the same number
have the same logits; -1 is an error. Tests hold that a case is refused, or means the same as others to TinySparse exactly
if it does to Transformers. `activations.json` has values of the activation functions, computed in double precision.
"""

import json
import pathlib
import tempfile

import torch
import transformers

transformers.logging.set_verbosity_error()

LLAMA = {
    "model_type": "llama", "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 96, "max_position_embeddings": 16, "hidden_act": "silu",
    "rms_norm_eps": 1e-05, "rope_theta": 500.0, "tie_word_embeddings": True,
}
OPT = {
    "model_type": "opt", "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "ffn_dim": 96, "max_position_embeddings": 16, "activation_function": "relu", "word_embed_proj_dim": 32,
}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8}
SHORT3 = {k: v for k, v in LLAMA3.items() if not k.startswith("original")}
LINEAR = {"rope_type": "linear", "factor": 2.0}
REMOVED = "(removed)"

# A string is JSON text to put before the closing brace; a dictionary replaces fields.
CASES = {
    "llama": (LLAMA, [
        {}, {"head_dim": None}, {"head_dim": 8}, {"num_key_value_heads": None}, {"num_key_value_heads": 4},
        {"rope_theta": REMOVED}, {"rope_theta": 10000.0}, {"rope_theta": REMOVED, "rope_parameters": {"rope_theta": 500.0}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
        {"rope_scaling": None}, {"rope_scaling": {}}, {"rope_scaling": {"rope_theta": 10000.0}},
        {"rope_scaling": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0}},
        {"rope_theta": 10000.0, "rope_scaling": LINEAR}, {"rope_scaling": LINEAR},
        {"rope_scaling": {"type": "linear", "factor": 2.0}}, {"rope_parameters": LINEAR},
        {"rope_scaling": LINEAR, "rope_parameters": LINEAR}, {"rope_scaling": LINEAR, "rope_parameters": LLAMA3},
        {"rope_scaling": LINEAR, "rope_parameters": {"rope_theta": 500.0}},
        {"rope_scaling": {"type": "default", "factor": 7.0}}, {"rope_scaling": LLAMA3}, {"rope_parameters": LLAMA3},
        {"rope_scaling": SHORT3}, {"rope_scaling": {**LLAMA3, "original_max_position_embeddings": 16}},
        {"rope_scaling": SHORT3, "original_max_position_embeddings": 8},
        {"rope_scaling": {**LLAMA3, "original_max_position_embeddings": 12}, "original_max_position_embeddings": 8},
        {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, {"rope_scaling": {"type": "yarn", "factor": 2.0}},
        {"partial_rotary_factor": 0.5}, {"rope_parameters": {"partial_rotary_factor": 0.5}},
        {"hidden_act": "swish"}, {"hidden_act": "relu"}, {"hidden_act": "gelu_new"}, {"hidden_act": "gelu_pytorch_tanh"},
        {"hidden_act": "gelu_fast"}, {"hidden_act": "gelu"}, {"hidden_act": "gelu_python"}, {"hidden_act": "gelu_accurate"}, {"hidden_act": "gelu_python_tanh"}, {"hidden_act": "quick_gelu"},
        {"hidden_act": "relu2"}, {"hidden_act": "gelu_10"}, {"hidden_act": "nonsense"},
        {"attention_bias": True}, {"attention_bias": False}, {"attention_bias": 0}, {"attention_bias": "false"},
        {"attention_bias": None}, {"mlp_bias": True}, {"mlp_bias": 1}, {"tie_word_embeddings": False},
        {"tie_word_embeddings": None}, {"tie_word_embeddings": "true"}, {"tie_word_embeddings": REMOVED},
        {"rms_norm_eps": 1e-6}, {"rms_norm_eps": REMOVED}, {"pretraining_tp": 2}, {"attention_dropout": 0.5},
        {"use_cache": False}, {"torch_dtype": "float32"}, {"unknown_field": 3}, {"initializer_range": 0.5},
        {"architectures": ["LlamaForCausalLM"]}, {"sliding_window": None}, {"use_sliding_window": False, "sliding_window": 4},
        {"rms_norm_eps": None}, {"rms_norm_eps": "1e-5"}, {"hidden_act": None}, {"max_position_embeddings": None},
        {"max_position_embeddings": REMOVED}, {"rope_theta": None}, {"vocab_size": None}, {"num_hidden_layers": True},
        {"rope_parameters": {"rope_theta": None}}, {"rope_scaling": {**LLAMA3, "original_max_position_embeddings": None}},
        {"vocab_size": 40.0}, {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        '"rope_theta": 10000.0', '"hidden_act": "relu"', '"unknown_field": NaN', '"unknown_field": -Infinity',
        '"unknown_field": 1e999', '"rms_norm_eps": NaN', '"rope_theta": Infinity',
        '"rope_scaling": {"rope_type": "linear", "factor": 3.0, "factor": 2.0}',
    ]),
    "opt": (OPT, [
        {}, {"word_embed_proj_dim": REMOVED}, {"word_embed_proj_dim": 16}, {"activation_function": "gelu"},
        {"activation_function": "gelu_new"}, {"activation_function": "silu"}, {"activation_function": REMOVED},
        {"enable_bias": False}, {"enable_bias": True}, {"enable_bias": 1}, {"enable_bias": None},
        {"do_layer_norm_before": False}, {"do_layer_norm_before": None}, {"do_layer_norm_before": 1},
        {"_remove_final_layer_norm": True}, {"layer_norm_elementwise_affine": False}, {"tie_word_embeddings": False},
        {"tie_word_embeddings": True}, {"tie_word_embeddings": None}, {"dropout": 0.9}, {"layerdrop": 0.9},
        {"rope_theta": 3.0}, {"activation_function": None}, '"activation_function": "gelu_new"',
    ]),
}


def text(base, change):
    if isinstance(change, str):
        return json.dumps(base)[:-1] + ", " + change + "}"
    merged = {**base, **change}
    return json.dumps({k: v for k, v in merged.items() if v != REMOVED})


def logits(config_text):
    """Of a model whose parameters are a function of their names and shapes."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "config.json").write_text(config_text)
        config = transformers.AutoConfig.from_pretrained(folder)
        config.attn_implementation = "eager"
        model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
        with torch.no_grad():
            for name, value in sorted(model.named_parameters()):
                seed = sum((i + 1) * b for i, b in enumerate(name.encode())) % (1 << 31)
                noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(seed))
                value.copy_(noise * 0.3 + (1 if "norm" in name and name.endswith("weight") else 0))
            result = model(torch.tensor([[1, 7, 3, 30, 22, 9, 11, 12, 39, 5]])).logits
    if not torch.isfinite(result).all():
        raise ValueError("not finite")
    return result


def main():
    record = {}
    for name, (base, changes) in CASES.items():
        seen, cases = [], []
        for change in changes:
            json_text = text(base, change)
            try:
                result = logits(json_text)
                same = [i for i, other in enumerate(seen) if torch.allclose(other, result, atol=1e-5, rtol=0)]
                meaning = same[0] if same else len(seen)
                if not same:
                    seen.append(result)
            except Exception as error:
                meaning = -1
                print(name, change, type(error).__name__, str(error).splitlines()[0][:100] if str(error) else "")
            cases.append({"config": json_text, "meaning": meaning})
        record[name] = cases
    lines = ",\n".join(f' "{name}": [\n' + ",\n".join("  " + json.dumps(c) for c in cases) + "]" for name, cases in record.items())
    pathlib.Path(__file__).with_name("meanings.json").write_text("{\n" + lines + "\n}\n")

    x = torch.linspace(-12, 12, 193, dtype=torch.float64)
    functions = {"x": x.tolist()}
    for name in ("silu", "relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_python", "gelu_fast", "gelu_accurate"):
        functions[name] = transformers.activations.ACT2FN[name](x).tolist()
    pathlib.Path(__file__).with_name("activations.json").write_text(json.dumps(functions) + "\n")


main()
