# SPDX-License-Identifier: Apache-2.0
"""Options, as the library takes them: a JSON object. What one means, and its limits, is said in docs/EMBEDDING.md and
tinysparse.h; an unknown or invalid one is an ``OptionError``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, Union

#: A message of a conversation: ``{"role": "user", "content": "Hi"}``, and what else the model's template reads.
Message = Mapping[str, Any]
#: A text, or a conversation that the model's chat template turns into one.
Prompt = Union[str, bytes, Sequence[Message]]


class SessionOptions(TypedDict, total=False):
    """How a session computes. No result depends on threads, kernels or block size."""

    threads: int
    context: int
    kernels: str
    block_size: int
    sparsity: Literal["off", "predicted"]
    lm_head_screen: bool
    cache: Literal["half", "int8"]
    memory_limit: int
    speculate: Literal["off", "lookup", "self"]


class GenerationOptions(TypedDict, total=False):
    """How tokens are chosen, and what the text has to be. The same seed (0 by default) gives the same text everywhere."""

    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    seed: int
    stop: str | list[str]
    ignore_eos: bool
    context_shift: bool
    # One of these: docs/CONSTRAINTS.md.
    json_schema: str | bool | Mapping[str, Any]
    regex: str
    grammar: str
    response_format: Mapping[str, Any]
    # With a conversation: docs/TEMPLATES.md.
    tools: Sequence[Mapping[str, Any]]
    documents: Sequence[Mapping[str, Any]]
    add_generation_prompt: bool
    template_args: Mapping[str, Any]
    chat_template: str


def to_json(options: Mapping[str, object]) -> bytes:
    """Options as the library reads them.

    Raises:
        TypeError, ValueError: a value that JSON does not have.
    """
    return json.dumps(options, allow_nan=False, default=_plain).encode()


def _plain(value: object) -> object:
    """Any mapping as an object, and any sequence as an array."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    raise TypeError(f"an option cannot be of type {type(value).__name__}")
