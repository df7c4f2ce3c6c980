# SPDX-License-Identifier: Apache-2.0
"""Models."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Union

from ._closing import Closing
from ._errors import ClosedError
from ._library import Handle, c_string, library, opened
from ._session import Session
from ._values import to_bytes, token_array, token_pointer

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._options import SessionOptions


class Model(Closing):
    """A model: a native file, a ``.gguf`` file or a Hugging Face folder. The last two are converted in memory, which takes
    longer. (On ARM, native files only.)

    Any number of threads may use it. Sessions keep what they need of it when it is closed.

    Raises:
        FileError: the file cannot be used; the message says why.
        ValueError: the path contains a null byte.
    """

    def __init__(self, path: Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]) -> None:
        file = c_string(os.fsencode(path), "the path")
        self._handle: Handle | None = opened(library.tinysparse_model_open, library.tinysparse_model_close, file)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """A model in memory.

        Raises:
            FileError: the bytes are no model.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"bytes are needed, not {type(data).__name__}")
        model = cls.__new__(cls)
        model._handle = opened(
            library.tinysparse_model_from_memory, library.tinysparse_model_close, data, len(data), keeps=data
        )
        return model

    def session(self, **options: Unpack[SessionOptions]) -> Session:
        """Begins a text.

        Raises:
            OptionError: an option is unknown or invalid.
            NoMemoryError: there is not enough memory for the context.
        """
        return Session(self._opened(), options)

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are: ids are below it."""
        return int(library.tinysparse_vocabulary_size(self._opened().pointer))

    @property
    def context_length(self) -> int:
        """The most tokens that the model was made for."""
        return int(library.tinysparse_context_length(self._opened().pointer))

    def tokenize(self, text: str | bytes, add_special: bool = True) -> list[int]:
        """The tokens of a text, after the beginning-of-text token if ``add_special`` and the model has one. Bytes that are
        not UTF-8 are repaired."""
        handle, data = self._opened(), to_bytes(text)
        # A token has a byte at least; a text of none may have the beginning-of-text token.
        tokens = (ctypes.c_int32 * (len(data) + 8))()
        while True:
            count: int = library.tinysparse_tokenize(
                handle.pointer, data, len(data), int(add_special), tokens, len(tokens)
            )
            if count <= len(tokens):
                return tokens[:count]
            tokens = (ctypes.c_int32 * count)()

    def detokenize_bytes(self, tokens: Iterable[int]) -> bytes:
        """The bytes of tokens; unknown tokens have none."""
        handle, ids = self._opened(), token_array(tokens)
        pointer = token_pointer(ids)
        size: int = library.tinysparse_detokenize(handle.pointer, pointer, len(ids), None, 0)
        text = ctypes.create_string_buffer(size)
        library.tinysparse_detokenize(handle.pointer, pointer, len(ids), text, size)
        return text.raw

    def detokenize(self, tokens: Iterable[int]) -> str:
        """The text of tokens, with a replacement character for what is not UTF-8, such as a part of a character."""
        return self.detokenize_bytes(tokens).decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        """Whether a token ends a text."""
        (token,) = token_array([token])
        return bool(library.tinysparse_is_end(self._opened().pointer, token))

    def close(self) -> None:
        """Gives the memory back, as soon as no session needs it. Closing twice is no error."""
        self._handle = None

    def _opened(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise ClosedError("the model is closed")
        return handle
