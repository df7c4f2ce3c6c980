"""The error that int8 arithmetic makes: a float model whose linear layers see rounded weights and inputs.

Weights: int8, one scale per output, largest magnitude / 127; inputs: the same in groups of 64. The token embedding and
the head are int8 per row, keys and values half precision. Norms, softmax, routers and the residual stream stay float32.
"""
import contextlib

import torch
from transformers import DynamicCache
from transformers.models.falcon.modeling_falcon import FalconLinear
from transformers.pytorch_utils import Conv1D

GROUP = 64


def rounded(x, levels=127):
    """x with its last dimension rounded to -levels ... levels times one scale."""
    scale = x.abs().amax(-1, keepdim=True) / levels
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return torch.round(x / scale) * scale


def rounded_in_groups(x, levels):
    return torch.cat([rounded(part, levels) for part in x.split(GROUP, -1)], -1)


class HalfPrecisionCache(DynamicCache):
    def update(self, keys, values, *args, **more):
        return super().update(half(keys), half(values), *args, **more)


def half(x):
    return x.half().float()


@contextlib.contextmanager
def int8(exact=(), vocabulary=None, levels=127):
    """Inside, torch's linear layers and token embeddings are int8, but for the weights in `exact`."""
    exact = {id(weight) for weight in exact}
    linear, embedding = torch.nn.functional.linear, torch.nn.functional.embedding
    conv, falcon = Conv1D.forward, FalconLinear.forward

    def int8_linear(x, weight, bias=None):
        if id(weight) in exact:
            return linear(x, weight, bias)
        return linear(rounded_in_groups(x, levels), rounded(weight, levels), bias)

    def int8_embedding(tokens, weight, *args, **more):
        is_tokens = len(weight) == vocabulary
        return embedding(tokens, rounded(weight, levels) if is_tokens else weight, *args, **more)

    torch.nn.functional.linear, torch.nn.functional.embedding = int8_linear, int8_embedding
    # These multiply without torch's function.
    Conv1D.forward = lambda self, x: int8_linear(x, self.weight.t(), self.bias)
    FalconLinear.forward = lambda self, x: int8_linear(x, self.weight, self.bias)
    try:
        yield
    finally:
        torch.nn.functional.linear, torch.nn.functional.embedding = linear, embedding
        Conv1D.forward, FalconLinear.forward = conv, falcon
