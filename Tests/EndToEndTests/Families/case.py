"""What a case is, and what the configurations of many families share."""
from dataclasses import dataclass, field
from typing import Callable

@dataclass
class Case:
    """One model.

    config: config.json, as published models write it.
    keys: paths and alternative values; each should change the logits visibly ("absent": the key removed).
    exceptions: keys whose effect is small, and why. refused: values that no reader should accept.
    scales: factors on random weights, by pattern of the name. one_plus: norms store their weight minus one.
    inputs_first: matrices are [inputs, outputs] (GPT-2). finish: changes the tensors before they are written.
    unread: tensors of the file that no model reads. context: the session's length, where results depend on it.
    salt: of the random numbers, chosen so that no expert, threshold or window is a close call.
    """
    name: str
    config: dict
    keys: list
    dtype: str = "bfloat16"
    gguf: bool = False
    exceptions: dict = field(default_factory=dict)
    refused: list = field(default_factory=list)
    scales: dict = field(default_factory=dict)
    one_plus: bool = False
    inputs_first: bool = False
    finish: Callable = lambda tensors: tensors
    unread: list = field(default_factory=list)
    context: int = 0
    salt: int = 0


def llama_like(model_type, architecture, **more):
    """A config.json; "absent" leaves a key out."""
    config = dict(dict(architectures=[architecture], model_type=model_type, vocab_size=320, hidden_size=32,
                     intermediate_size=72, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                     max_position_embeddings=128, rms_norm_eps=0.25, rope_theta=100.0, tie_word_embeddings=True,
                     hidden_act="silu", bos_token_id=319, eos_token_id=319, pad_token_id=None), **more)
    return {key: value for key, value in config.items() if value != "absent"}


NO_ACTIVATION = [("rms_norm_eps", 1e-5), ("rope_theta", 10000.0)]
LLAMA_KEYS = NO_ACTIVATION + [("hidden_act", "relu")]
RELU_KEYS = NO_ACTIVATION + [("hidden_act", "silu")]
UNTIED = [("tie_word_embeddings", True)]
CASES = []


def add(name, config, keys, **more):
    CASES.append(Case(name, config, keys, **more))
QK_NORMS = {r"(q|k)_norm": 1.5}
