# SPDX-License-Identifier: Apache-2.0
"""Work that ends early, and threads."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tinysparse import ClosedError, Model, Session, StopReason, TinySparseError

LONG = [3] * 500


@pytest.fixture(scope="module")
def long(model: Model) -> Any:
    with model.session(context=512, threads=1, block_size=4, kernels="scalar") as session:
        yield session


def after(seconds: float, what: Any) -> threading.Thread:
    def run() -> None:
        time.sleep(seconds)
        what()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_closing_a_stream_ends_the_text(session: Session) -> None:
    stream = session.stream("Once upon a time", max_tokens=100)
    next(stream)
    position = session.position
    stream.close()
    assert (list(stream), stream.reason, session.position) == ([], StopReason.CANCELLED, position)
    for piece in session.stream("and then", max_tokens=100):
        break
    assert session.generate("the", max_tokens=2).reason is StopReason.MAX_TOKENS


def test_control_c_ends_the_reading_of_a_prompt(long: Session) -> None:
    reads: list[Any] = [lambda: long.read(LONG), lambda: long.stream("a b " * (len(LONG) // 2 - 8))]
    for read in reads:
        long.rewind()
        thread = after(0.02, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            read()
            time.sleep(10)  # The machine was faster.
        thread.join()
        assert long.position % 4 == 0 and long.position < len(LONG)
    # And the session goes on.
    long.rewind()
    assert long.generate("Once", max_tokens=2, ignore_eos=True).reason is StopReason.MAX_TOKENS


def test_an_exception_of_any_signal_is_not_lost(long: Session) -> None:
    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        long.rewind()
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Alarm):
            long.read(LONG)
            time.sleep(10)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_handler_that_raises_nothing_ends_nothing(long: Session) -> None:
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        long.rewind()
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        long.read(LONG[:400])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert long.position == 400
    assert rung


def test_cancelling_from_another_thread(long: Session) -> None:
    long.rewind()
    thread = after(0.02, long.cancel)
    with pytest.raises(TinySparseError, match="cancelled"):
        long.read(LONG)
        pytest.skip("the machine was faster")
    thread.join()
    long.rewind()
    stream = long.stream("Once upon a time", max_tokens=1000, ignore_eos=True)
    next(stream)
    long.cancel()
    assert list(stream) == []
    assert stream.reason is StopReason.CANCELLED


def test_one_thread_at_a_time(long: Session) -> None:
    long.rewind()
    errors: list[BaseException] = []

    def other() -> None:
        calls: list[Any] = [lambda: long.read([1]), lambda: long.position, long.close, lambda: long.generate("a")]
        for call in calls:
            try:
                call()
            except ClosedError as error:
                errors.append(error)

    thread = after(0.02, other)
    long.read(LONG)
    thread.join()
    assert long.position >= len(LONG)
    if not errors:
        pytest.skip("the machine was faster")
    assert all("another thread" in str(error) for error in errors)


def test_sessions_beside_each_other(model: Model) -> None:
    def text(_: int) -> str:
        with model.session(threads=1, context=64) as session:
            return session.generate("Once upon a time", max_tokens=24, seed=5).text

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(text, range(12)))) == 1
