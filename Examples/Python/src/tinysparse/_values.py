# SPDX-License-Identifier: Apache-2.0
"""Python's values as the library reads them."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterable


def to_bytes(text: str | bytes) -> bytes:
    """A text in UTF-8.

    Raises:
        UnicodeEncodeError: it has a surrogate without its other half.
    """
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    raise TypeError(f"a text is needed (str or bytes), not {type(text).__name__}")


def token_array(tokens: Iterable[int]) -> array[int]:
    """Token ids as the library reads them.

    Raises:
        TypeError, OverflowError: one is no whole number of 32 bits.
    """
    if isinstance(tokens, (str, bytes)):
        raise TypeError(f"token ids are needed, not {type(tokens).__name__}")
    return array("i", tokens)


def token_pointer(ids: array[int]) -> ctypes.Array[ctypes.c_int32]:
    """The memory of token ids, which lasts as long as the result."""
    return (ctypes.c_int32 * len(ids)).from_buffer(ids)
