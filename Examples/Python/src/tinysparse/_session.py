# SPDX-License-Identifier: Apache-2.0
"""Sessions."""

from __future__ import annotations

import ctypes
import operator
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, Union

from ._closing import Closing
from ._errors import STOPPED, ClosedError, OptionError, TinySparseError
from ._interruptible import interruptible
from ._library import Handle, Message, c_string, library, opened
from ._options import to_json
from ._stream import Completion, StopReason, Stream
from ._values import to_bytes, token_array, token_pointer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import GenerationOptions, Prompt

_T = TypeVar("_T")


class Session(Closing):
    """One text, and what the model has read of it. Made by ``Model.session``.

    A session belongs to one thread at a time: a second one gets a ``ClosedError``. Only ``cancel`` may be called from anywhere.
    """

    def __init__(self, model: Handle, options: Mapping[str, object]) -> None:
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._has_logits = False
        self._handle: Handle | None = opened(
            library.tinysparse_session_open, library.tinysparse_session_close, model.pointer, to_json(options), keeps=model
        )

    # Text

    def stream(self, prompt: Prompt, **options: Unpack[GenerationOptions]) -> Stream:
        """Reads a prompt after what was read so far, and writes a text after it, piece by piece.

        A prompt is a text, or a list of messages that the model's chat template makes one of; of messages, what the session has
        read is kept as far as it is the same. An empty text goes on where the session is. Ctrl-C and ``cancel`` end the reading of
        a prompt between two blocks.

        Raises:
            OptionError: an option is unknown or invalid, a constraint is not understood, or the model has no chat template.
            ContextFullError: the prompt is longer than the context; nothing was read.
        """
        text, members = (to_bytes(prompt), options) if isinstance(prompt, (str, bytes)) else (b"", _chat(prompt, options))
        request = to_json(members)

        def begin(session: Handle) -> Stream:
            handle = opened(
                library.tinysparse_text_open, library.tinysparse_text_close, session.pointer, text, len(text), request,
                keeps=session,
            )
            return Stream(self, handle)

        return self._reading(begin)

    def generate(self, prompt: Prompt, **options: Unpack[GenerationOptions]) -> Completion:
        """Like ``stream``, for the whole text."""
        with self.stream(prompt, **options) as stream:
            text = "".join(stream)
        return Completion(text, stream.reason or StopReason.CANCELLED)

    def cancel(self) -> None:
        """Ends what another thread does with the session, after the token or the block of a prompt it is at. If nothing goes
        on, the next text or reading is ended."""
        self._cancelled.set()

    # Tokens

    def read(self, tokens: Iterable[int]) -> None:
        """Reads tokens after those read so far. ``logits`` then belongs to the last of them.

        Raises:
            OptionError: a token is none of the vocabulary.
            ContextFullError: they are more than the context holds; nothing was read.
            TinySparseError: ``cancel`` ended it; some blocks were read.
        """
        ids = token_array(tokens)
        message = Message()

        def begin(session: Handle) -> int:
            return int(library.tinysparse_read(session.pointer, token_pointer(ids), len(ids), *message.arguments))

        status = self._reading(begin)
        if status == STOPPED:
            raise TinySparseError("the reading was cancelled; some blocks were read")
        message.check(status)
        self._has_logits = self._has_logits or len(ids) > 0

    @property
    def logits(self) -> memoryview[float]:
        """One number (float32) for every token of the vocabulary: what the model expects after the last token read.

        A read-only view of the session's memory, without a copy: ``numpy.asarray(session.logits)``. The session changes its
        numbers when it reads on (copy them to keep them); its memory lasts as long as there are views.

        Raises:
            OptionError: the last thing done was not ``read``.
        """
        with self.in_use() as handle:
            if not self._has_logits:
                raise OptionError("there are no logits: read tokens first (a text, rewind and restore leave none)")
            count: int = library.tinysparse_vocabulary_size(handle.keeps.pointer)  # type: ignore[attr-defined]
            address = ctypes.cast(library.tinysparse_logits(handle.pointer), ctypes.c_void_p).value
            assert address is not None
            numbers: Any = type("Logits", (ctypes.c_float * count,), {})
            memory = numbers.from_address(address)
            memory.keeps = handle
            return memoryview(memory).cast("B").cast("f").toreadonly()

    @property
    def position(self) -> int:
        """How many tokens were read."""
        with self.in_use() as handle:
            return int(library.tinysparse_position(handle.pointer))

    def rewind(self, count: int = 0) -> None:
        """Forgets all but the first ``count`` tokens.

        Raises:
            ValueError: ``count`` is negative, or more than were read.
        """
        with self.in_use() as handle:
            count, position = operator.index(count), int(library.tinysparse_position(handle.pointer))
            if not 0 <= count <= position:
                raise ValueError(f"cannot rewind to {count}: {position} tokens were read")
            self._has_logits = False
            library.tinysparse_rewind(handle.pointer, count)

    # Files

    def save(self, path: Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]) -> None:
        """Writes what the session has read to a file, so that it need not be read again.

        Raises:
            FileError: it cannot be written; an existing file is as it was.
        """
        file, message = c_string(os.fsencode(path), "the path"), Message()
        with self.in_use() as handle:
            message.check(library.tinysparse_save(handle.pointer, file, *message.arguments))

    def restore(
        self, path: Union[str, bytes, os.PathLike[str], os.PathLike[bytes]], tokens: Iterable[int] | None = None
    ) -> int:
        """Forgets everything and takes over what a file has read: with ``tokens``, those with which both begin, but never the last
        of ``tokens``. Returns how many those are; the rest is to be read.

        Raises:
            FileError: the file is damaged or of another model; the session may have forgotten what it had read.
        """
        file, message = c_string(os.fsencode(path), "the path"), Message()
        ids = None if tokens is None else token_array(tokens)
        with self.in_use() as handle:
            self._has_logits = False
            pointer = None if ids is None else token_pointer(ids)
            count = 0 if ids is None else len(ids)
            message.check(library.tinysparse_restore(handle.pointer, file, pointer, count, *message.arguments))
            return int(library.tinysparse_position(handle.pointer))

    # Life

    def close(self) -> None:
        """Gives the memory back, as soon as no stream and no view of logits needs it. Closing twice is no error.

        Raises:
            ClosedError: another thread is using the session.
        """
        if self._handle is not None:
            with self.in_use():
                self._handle = None

    @contextmanager
    def in_use(self) -> Iterator[Handle]:
        """For this package: the handle, for one thread at a time."""
        handle = self._begin_use()
        try:
            yield handle
        finally:
            self._lock.release()

    def _begin_use(self) -> Handle:
        if not self._lock.acquire(blocking=False):
            raise ClosedError("another thread is using the session")
        handle = self._handle
        if handle is not None and handle.is_of_this_process:
            return handle
        self._lock.release()
        raise ClosedError("the session is closed" if handle is None else "the session belongs to the process that was forked")

    def takes_cancellation(self) -> bool:
        """For this package: whether ``cancel`` was called since the last time."""
        cancelled = self._cancelled.is_set()
        self._cancelled.clear()
        return cancelled

    def _reading(self, work: Callable[[Handle], _T]) -> _T:
        """Work that may take long."""
        handle = self._begin_use()
        self._has_logits = False
        return interruptible(handle.pointer, lambda: work(handle), self._cancelled, self._lock.release)


def _chat(messages: object, options: Mapping[str, object]) -> dict[str, object]:
    if not isinstance(messages, (list, tuple)) or not all(isinstance(message, Mapping) for message in messages):
        raise TypeError("a prompt is needed: str, bytes, or a list of messages, which are mappings")
    return {**options, "messages": messages}
