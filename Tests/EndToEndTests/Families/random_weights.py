"""Random weights, by the name and shape of a tensor: large enough that every part of a model shows in the logits.

Rows have unlike sizes, so that a scale, a head or a bias that belongs to another output shows.
"""
import re

import numpy as np

# The first pattern found in the name decides: (pattern, standard deviation of an output for inputs of deviation 1).
GAINS = [
    (r"\bgate\.weight$|router", 3.0),
    (r"lm_head|embed_out", 2.0),
    (r"q_proj|k_proj|qkv_proj|query_key_value|c_attn", 1.1),
    (r"down|dense_4h_to_h|mlp\.c_proj|fc2|\.w2\b", 2.0),
    (r"o_proj|out_proj|dense\.|attn\.c_proj", 1.6),
    (r"", 1.2)]

NORM = re.compile(r"norm|\bln_|layernorm")
EMBEDDING = re.compile(r"embed_tokens|\bwte\b|embed_in\b|word_embeddings")
POSITIONS = re.compile(r"\bwpe\b|embed_positions")


def draw(name, shape, random, case):
    """A float32 array. `case.one_plus`: norms whose weight is stored minus one. `case.scales`: factors by pattern."""
    factor = 1.0
    for pattern, value in case.scales.items():
        if re.search(pattern, name):
            factor *= value
    if NORM.search(name):
        if name.endswith("bias"):
            return (random.standard_normal(shape) * 0.2 * factor).astype(np.float32)
        return (random.uniform(0.5, 1.5, shape) * factor - (1 if case.one_plus else 0)).astype(np.float32)
    if name.endswith("bias"):
        return (random.standard_normal(shape) * 0.3 * factor).astype(np.float32)
    if POSITIONS.search(name):
        return (random.standard_normal(shape) * 0.5 * factor).astype(np.float32)
    if EMBEDDING.search(name):
        sizes = random.uniform(0.5, 1.5, (shape[0], 1))
        return (random.standard_normal(shape) * sizes * 0.7 * factor).astype(np.float32)
    gain = next(value for pattern, value in GAINS if re.search(pattern, name)) * factor
    if case.inputs_first and re.search(r"c_attn|c_proj|c_fc", name):
        sizes, inputs = random.uniform(0.5, 1.5, (1, shape[1])), shape[0]
    else:
        sizes, inputs = random.uniform(0.5, 1.5, (*shape[:-1], 1)), shape[-1]
    return (random.standard_normal(shape) * sizes * gain / inputs**0.5).astype(np.float32)
