# SPDX-License-Identifier: Apache-2.0
"""Texts that a session writes."""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._closing import Closing
from ._errors import ClosedError
from ._library import Handle, Message, library

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._session import Session

_GOES_ON = -1


class StopReason(enum.Enum):
    """Why a text ended."""

    END_OF_TEXT = 0
    MAX_TOKENS = 1
    STOP_STRING = 2
    END_OF_CONTEXT = 3
    CANCELLED = 4


@dataclass(frozen=True)
class Completion:
    """A text that a session wrote."""

    text: str
    reason: StopReason

    def __str__(self) -> str:
        return self.text


class Stream(Closing, Iterator[str]):
    """A text as a session writes it: an iterator of pieces, each of whole characters.

    Every piece is computed when it is asked for. A text need not be read to its end: ``close``, leaving a ``with`` statement, or
    dropping the stream ends it. If its session reads or forgets anything else meanwhile, the next piece is an ``OptionError``.
    """

    def __init__(self, session: Session, handle: Handle) -> None:
        self._session = session
        self._handle: Handle | None = handle
        self._reason: StopReason | None = None

    @property
    def reason(self) -> StopReason | None:
        """Why the text has ended; None while it goes on."""
        return self._reason

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        while self._reason is None:
            piece = self._step()
            # A token may hold a part of a character only.
            if piece:
                return piece
        raise StopIteration

    def _step(self) -> str:
        with self._session.in_use():
            handle = self._handle
            if handle is None:
                raise ClosedError("the stream is closed")
            if self._session.takes_cancellation():
                self._end(StopReason.CANCELLED)
                return ""
            piece, size, reason, message = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_int(), Message()
            message.check(
                library.tinysparse_text_next(
                    handle.pointer, ctypes.byref(piece), ctypes.byref(size), ctypes.byref(reason), *message.arguments
                )
            )
            text = ctypes.string_at(piece, size.value).decode() if size.value else ""
            if reason.value != _GOES_ON:
                self._end(StopReason(reason.value))
            return text

    def _end(self, reason: StopReason) -> None:
        self._reason, self._handle = reason, None

    def close(self) -> None:
        """Ends the text. Closing twice is no error."""
        if self._reason is None:
            self._end(StopReason.CANCELLED)
