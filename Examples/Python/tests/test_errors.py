# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong is an exception with the library's text, and leaves everything as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tinysparse
from tinysparse import ClosedError, ContextFullError, FileError, Model, OptionError, Session


@pytest.mark.parametrize("name", ["/no/such/model.gguf", b"/no/such/\xff\xfe", Path("/dev/null"), "/", "", __file__])
def test_files_that_are_no_models(name: Any) -> None:
    with pytest.raises(FileError) as failure:
        Model(name)
    assert str(failure.value)
    if isinstance(name, str) and name.startswith("/no"):
        assert name in str(failure.value)


def test_damaged_models(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    for cut in [0, 3, 100, len(data) // 2]:
        with pytest.raises(FileError):
            Model.from_bytes(bytes(data[:cut]))
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.gguf").write_bytes(data)
    with pytest.raises(FileError, match="damaged.gguf"):
        Model(tmp_path / "damaged.gguf")


@pytest.mark.parametrize("name", [None, 3, 1.5, ["a"]])
def test_paths_of_other_types(name: Any, session: Session) -> None:
    calls: list[Any] = [Model, session.save, session.restore]
    for call in calls:
        with pytest.raises(TypeError):
            call(name)


def test_null_bytes_in_paths(session: Session) -> None:
    calls: list[Any] = [Model, session.save, session.restore]
    for call in calls:
        with pytest.raises(ValueError, match="null byte"):
            call("a\0b")


@pytest.mark.parametrize(
    "options",
    [
        {"threats": 2}, {"threads": -1}, {"threads": "two"}, {"threads": 1 << 70}, {"context": 1.5}, {"kernels": "none"},
        {"cache": "tiny"}, {"sparsity": "some"}, {"memory_limit": 1}, {"block_size": 0}, {"context": 1 << 24},
    ],
)  # fmt: skip
def test_options_of_sessions(model: Model, options: dict[str, Any]) -> None:
    with pytest.raises(tinysparse.TinySparseError) as failure:
        model.session(**options)
    assert str(failure.value)


@pytest.mark.parametrize(
    "options",
    [
        {"max_token": 2}, {"max_tokens": -1}, {"max_tokens": 1 << 70}, {"temperature": "hot"}, {"seed": -1}, {"stop": [""]},
        {"stop": [1]}, {"json_schema": {"type": "no"}}, {"regex": "("}, {"grammar": "root = 1"}, {"regex": "a", "grammar": "b"},
        {"json_schema": {"$ref": "#/nowhere"}}, {"tools": []},
    ],
)  # fmt: skip
def test_options_of_texts(session: Session, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as failure:
        session.generate("Once", **options)
    assert str(failure.value)
    assert session.position == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", object(), {1, 2}])
def test_options_that_are_no_json(session: Session, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        session.generate("Once", temperature=value)


@pytest.mark.parametrize("prompt", [None, 3, {"role": "user"}, ["text"], [None]])
def test_prompts_of_other_types(session: Session, prompt: Any) -> None:
    with pytest.raises(TypeError):
        session.generate(prompt)


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ([], {}), ([{"role": "user", "content": "Hi"}], {}),
        ([{"role": "user", "content": "Hi"}], {"chat_template": "{{ raise_exception('no') }}"}),
    ],
)  # fmt: skip
def test_conversations_that_cannot_be(session: Session, messages: Any, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        session.generate(messages, **options)


def test_a_template_that_is_none(session: Session) -> None:
    for template in ["{{", "{{ x.y.z }}"]:
        with pytest.raises(FileError, match="line 1"):
            session.generate([{"role": "user", "content": "Hi"}], chat_template=template)


def test_texts_that_are_no_text(model: Model, session: Session) -> None:
    with pytest.raises(UnicodeEncodeError):
        model.tokenize("\ud800")
    with pytest.raises(UnicodeEncodeError):
        session.generate("\ud800")
    assert model.detokenize(model.tokenize(b"a\xff\xfeb", add_special=False)) == "a\ufffd\ufffdb"
    assert session.generate(b"a\0\xff\xc3", max_tokens=3) is not None
    for wrong in [None, 3, ["a"], bytearray(b"a")]:
        with pytest.raises(TypeError):
            model.tokenize(wrong)  # type: ignore[arg-type]


def test_tokens_that_are_none(model: Model, session: Session) -> None:
    for tokens in [[1 << 31], [-(1 << 40)], [1 << 200]]:
        with pytest.raises(OverflowError):
            session.read(tokens)
        with pytest.raises(OverflowError):
            model.detokenize(tokens)
    for wrong in [["a"], [1.5], [None], 3, None, "abc", b"abc"]:
        with pytest.raises(TypeError):
            session.read(wrong)  # type: ignore[arg-type]
    for tokens in [[-1], [model.vocabulary_size], [1, (1 << 31) - 1]]:
        with pytest.raises(OptionError):
            session.read(tokens)
        assert model.detokenize_bytes(tokens[-1:]) == b""
        assert not model.is_end(tokens[-1])
    assert session.position == 0
    session.read([])
    assert model.detokenize([]) == ""


def test_too_many_tokens(session: Session) -> None:
    for count in [257, 1_000_000]:
        with pytest.raises(ContextFullError):
            session.read([1] * count)
    with pytest.raises(ContextFullError):
        session.generate("word " * 1000)
    assert session.position == 0


def test_counts_that_cannot_be(session: Session) -> None:
    session.read([1, 2, 3])
    for count in [-1, 4, 1 << 64, (1 << 64) + 1, -(1 << 64)]:
        with pytest.raises(ValueError, match="cannot rewind"):
            session.rewind(count)
    for wrong in [1.5, "1", None]:
        with pytest.raises(TypeError):
            session.rewind(wrong)  # type: ignore[arg-type]
    session.rewind(2)
    assert session.position == 2


def test_logits_that_are_not_there(session: Session) -> None:
    def none() -> None:
        with pytest.raises(OptionError, match="no logits"):
            session.logits

    none()
    session.read([])
    none()
    session.read([1, 2])
    session.rewind(1)
    none()
    session.generate("Once", max_tokens=1)
    none()


def test_files_of_sessions(session: Session, tmp_path: Path) -> None:
    session.read([1, 2, 3])
    with pytest.raises(FileError, match="/no/such"):
        session.save("/no/such/folder/file")
    (tmp_path / "state").write_bytes(b"no state")
    for name in [tmp_path / "state", tmp_path / "none", tmp_path]:
        with pytest.raises(FileError):
            session.restore(name)


def test_what_is_closed(model: Model, path: Path) -> None:
    other = Model(path)
    session = other.session()
    stream = session.stream("Once", max_tokens=9)
    next(stream)
    other.close()
    other.close()
    calls: list[Any] = [lambda: other.tokenize("a"), lambda: other.session(), lambda: other.vocabulary_size]
    for call in calls:
        with pytest.raises(ClosedError, match="the model is closed"):
            call()
    # A session keeps what it needs of its model.
    next(stream)
    session.close()
    session.close()
    calls = [lambda: next(stream), lambda: session.position, lambda: session.read([1]), lambda: session.generate("a")]
    for call in calls:
        with pytest.raises(ClosedError, match="the session is closed"):
            call()
    stream.close()
    assert list(stream) == []


def test_a_stream_whose_session_goes_elsewhere(session: Session) -> None:
    stream = session.stream("Once", max_tokens=9)
    next(stream)
    session.rewind()
    with pytest.raises(OptionError, match="since this text began"):
        next(stream)
    assert session.generate("Once", max_tokens=2).text


def test_a_forked_process_has_models_and_no_sessions(model: Model, session: Session) -> None:
    session.read([1, 2])
    child = os.fork()
    if child == 0:
        try:
            try:
                session.position
            except ClosedError:
                os._exit(0 if model.tokenize("Once") else 3)
            os._exit(1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_library_that_is_missing(tmp_path: Path) -> None:
    for name in ["none.so", "no.so"]:
        (tmp_path / "no.so").write_bytes(b"no library")
        result = subprocess.run(
            [sys.executable, "-c", "import tinysparse"], capture_output=True, text=True,
            env={**os.environ, "TINYSPARSE_LIBRARY": str(tmp_path / name)},
        )  # fmt: skip
        assert result.returncode == 1
        assert "LibraryError" in result.stderr and name in result.stderr
