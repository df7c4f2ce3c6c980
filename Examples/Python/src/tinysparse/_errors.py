# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, with the library's words."""

from __future__ import annotations


class TinySparseError(Exception):
    """Any error of the library."""


class FileError(TinySparseError):
    """A file is not there, is damaged, or is none that can be used here."""


class OptionError(TinySparseError, ValueError):
    """An option or an argument is invalid."""


class ContextFullError(TinySparseError):
    """More tokens than the session holds; nothing was read."""


class NoMemoryError(TinySparseError, MemoryError):
    """There is not enough memory."""


class BrokenModelError(TinySparseError):
    """The logits are not finite; nothing was read."""


class ClosedError(TinySparseError, ValueError):
    """The model, session or stream was closed, or cannot be used by this thread or process."""


class LibraryError(TinySparseError, ImportError):
    """The shared library is missing or cannot be loaded."""


#: ``tinysparse_status`` of tinysparse.h.
STOPPED = 7
_BY_STATUS: dict[int, type[TinySparseError]] = {
    1: FileError,
    2: OptionError,
    3: ContextFullError,
    4: NoMemoryError,
    5: BrokenModelError,
}


def error(status: int, message: str) -> TinySparseError:
    """The exception for a status that is not 0."""
    return _BY_STATUS.get(status, TinySparseError)(message or f"failed with status {status}")
