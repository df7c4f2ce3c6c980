# SPDX-License-Identifier: Apache-2.0
"""Small language models on the CPU.

    import tinysparse

    with tinysparse.Model("model.gguf") as model, model.session(threads=2) as session:
        for piece in session.stream("Once upon a time", max_tokens=64, seed=7):
            print(piece, end="", flush=True)

Threads: any number of them may use a model at once. A session belongs to one thread at a time (a second one gets an error);
sessions of one model run beside each other, because Python's lock is released while the library works. Processes: a session
does not survive ``os.fork``; a model does.
"""

from ._errors import (
    BrokenModelError,
    ClosedError,
    ContextFullError,
    FileError,
    LibraryError,
    NoMemoryError,
    OptionError,
    TinySparseError,
)
from ._model import Model
from ._options import GenerationOptions, Message, Prompt, SessionOptions
from ._session import Session
from ._stream import Completion, StopReason, Stream

__all__ = [
    "BrokenModelError",
    "ClosedError",
    "Completion",
    "ContextFullError",
    "FileError",
    "GenerationOptions",
    "LibraryError",
    "Message",
    "Model",
    "NoMemoryError",
    "OptionError",
    "Prompt",
    "Session",
    "SessionOptions",
    "StopReason",
    "Stream",
    "TinySparseError",
]
