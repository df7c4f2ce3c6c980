# SPDX-License-Identifier: Apache-2.0
"""The functions of tinysparse.h, and what Python needs to call them safely."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_float, c_int, c_int32, c_size_t, c_void_p
from pathlib import Path
from typing import Any

from ._errors import LibraryError, error

#: ``tinysparse_condition``: whether work is to go on.
Condition = ctypes.CFUNCTYPE(c_int, c_void_p)

_MESSAGE = (c_char_p, c_size_t)
_INTS, _SIZE, _STATUS = POINTER(c_int32), POINTER(c_size_t), POINTER(c_int)

_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "model_open": (c_void_p, (c_char_p, _STATUS, *_MESSAGE)),
    "model_from_memory": (c_void_p, (c_void_p, c_size_t, _STATUS, *_MESSAGE)),
    "model_close": (None, (c_void_p,)),
    "vocabulary_size": (c_int32, (c_void_p,)),
    "context_length": (c_int32, (c_void_p,)),
    "tokenize": (c_size_t, (c_void_p, c_char_p, c_size_t, c_int, _INTS, c_size_t)),
    "detokenize": (c_size_t, (c_void_p, _INTS, c_size_t, c_char_p, c_size_t)),
    "is_end": (c_int, (c_void_p, c_int32)),
    "session_open": (c_void_p, (c_void_p, c_char_p, _STATUS, *_MESSAGE)),
    "session_close": (None, (c_void_p,)),
    "session_while": (None, (c_void_p, Condition, c_void_p)),
    "read": (c_int, (c_void_p, _INTS, c_size_t, *_MESSAGE)),
    "logits": (POINTER(c_float), (c_void_p,)),
    "position": (c_size_t, (c_void_p,)),
    "rewind": (None, (c_void_p, c_size_t)),
    "save": (c_int, (c_void_p, c_char_p, *_MESSAGE)),
    "restore": (c_int, (c_void_p, c_char_p, _INTS, c_size_t, *_MESSAGE)),
    "text_open": (c_void_p, (c_void_p, c_char_p, c_size_t, c_char_p, _STATUS, *_MESSAGE)),
    "text_close": (None, (c_void_p,)),
    "text_next": (c_int, (c_void_p, POINTER(c_void_p), _SIZE, _STATUS, *_MESSAGE)),
}


def _load() -> ctypes.CDLL:
    path = os.environ.get("TINYSPARSE_LIBRARY") or str(Path(__file__).with_name("libtinysparse.so"))
    try:
        library = ctypes.CDLL(path)
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, "tinysparse_" + name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as failure:
        raise LibraryError(f"{path}: {failure}; install a wheel, or set TINYSPARSE_LIBRARY to the library") from failure
    return library


library = _load()


class Message:
    """A buffer for what the library says."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(4096)
        #: The last two arguments of a function.
        self.arguments = (self._buffer, len(self._buffer))

    @property
    def text(self) -> str:
        return self._buffer.value.decode("utf-8", "replace")

    def check(self, status: int) -> None:
        """Raises the error of a status that is not 0."""
        if status:
            raise error(status, self.text)


class Handle:
    """A handle of the library. It is closed when nothing refers to it any more, so that no call and no view of memory can
    outlive what it uses."""

    def __init__(self, pointer: int, close: Callable[[int], None], keeps: object = None) -> None:
        self.pointer = pointer
        #: What the library uses while the handle is open.
        self.keeps = keeps
        self._close = close
        self._process, self._getpid = os.getpid(), os.getpid

    @property
    def is_of_this_process(self) -> bool:
        return self._process == self._getpid()

    def __del__(self) -> None:
        # A forked process has none of the threads that closing would wait for.
        if self.is_of_this_process:
            self._close(self.pointer)


def opened(open: Callable[..., int | None], close: Callable[[int], None], *arguments: object, keeps: object = None) -> Handle:
    """The handle that a function opens.

    Raises:
        TinySparseError: it could not.
    """
    status, message = c_int(), Message()
    pointer = open(*arguments, ctypes.byref(status), *message.arguments)
    if not pointer:
        raise error(status.value, message.text)
    return Handle(pointer, close, keeps)


def c_string(text: bytes, what: str) -> bytes:
    """Bytes for a function that reads up to a zero."""
    if b"\0" in text:
        raise ValueError(f"{what} contains a null byte")
    return text
