# SPDX-License-Identifier: Apache-2.0
"""Long work that Ctrl-C can end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from ._library import Condition, library

_T = TypeVar("_T")


def interruptible(session: int, work: Callable[[], _T], cancelled: threading.Event, end: Callable[[], None]) -> _T:
    """Does work of a session in a thread of its own, and waits for it.

    The library asks between two blocks of tokens whether to go on. If Python ran the handlers of signals in that callback, what
    they raise would be lost in the library: so they interrupt the waiting instead, which ends the work and passes it on.

    Args:
        end: called when the library has left the session, whatever has happened to the caller by then.
    """
    outcome: list[_T | BaseException] = []
    condition = Condition(lambda _: 0 if cancelled.is_set() else 1)
    done = threading.Event()

    def run() -> None:
        try:
            library.tinysparse_session_while(session, condition, None)
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)
        finally:
            library.tinysparse_session_while(session, Condition(), None)
            end()
            done.set()

    try:
        threading.Thread(target=run, name="tinysparse").start()
    except RuntimeError:  # There are no more threads.
        end()
        raise
    interruption: BaseException | None = None
    while not done.is_set():
        try:
            done.wait()
        except BaseException as error:
            interruption = error
            cancelled.set()
    cancelled.clear()
    if interruption is not None:
        raise interruption
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    return result
