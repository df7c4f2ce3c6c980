# SPDX-License-Identifier: Apache-2.0
"""What sessions write and read. The expected texts are what `tinysparse run` prints: it is the same on every machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import tinysparse
from tinysparse import Model, Session, StopReason

PROMPT = "Once upon a time"
SAMPLED = ", and his mother was very glad to see him. Then they gave him a beautiful dress, and they gave him a small plate, and a good-"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def test_a_text_is_that_of_the_command_line(session: Session) -> None:
    completion = session.generate(PROMPT, max_tokens=32, seed=7)
    assert (str(completion), completion.reason) == (SAMPLED, StopReason.MAX_TOKENS)
    assert session.position == 4 + 31  # The last token was chosen, and not read yet.


def test_with_predictors_too(model: Model) -> None:
    with model.session(sparsity="predicted", lm_head_screen=True, speculate="lookup") as session:
        text = session.generate(PROMPT, max_tokens=32, seed=7).text
    assert text == (
        ", he took the cage and put it into his mouth, and left it alone.\nAs he was going to get, he saw the old woman,\n"
    ).rstrip("\n")


def test_greedy(session: Session) -> None:
    assert session.generate("The cat", max_tokens=32, temperature=0).text == (
        ", who was a little frightened, was a little frightened, and said, \"I am a poor little girl, and I am a poor "
        "little girl, and"
    )


def test_pieces_make_the_text(session: Session) -> None:
    with session.stream(PROMPT, max_tokens=32, seed=7) as stream:
        pieces = list(stream)
    assert "".join(pieces) == SAMPLED
    assert len(pieces) > 8 and "" not in pieces
    assert stream.reason is StopReason.MAX_TOKENS


def test_a_text_goes_on(session: Session) -> None:
    first = session.generate(PROMPT, max_tokens=8, temperature=0).text
    session.rewind()
    whole = session.generate(PROMPT, max_tokens=16, temperature=0).text
    assert whole.startswith(first)
    session.rewind()
    session.generate(PROMPT, max_tokens=0)
    assert session.generate("", max_tokens=16, temperature=0).text == whole


def test_characters_are_whole(session: Session) -> None:
    """At a high temperature, tokens of single bytes come."""
    text = ""
    for piece in session.stream("\u00e4\u20ac\U0001f600", max_tokens=200, temperature=50, top_k=0, top_p=1, min_p=0):
        assert piece == piece.encode().decode()
        text += piece
    assert text


def test_stop(session: Session) -> None:
    completion = session.generate(PROMPT, max_tokens=64, seed=7, stop=["beautiful"])
    assert completion.reason is StopReason.STOP_STRING
    assert completion.text == SAMPLED[: SAMPLED.index("beautiful")]


def test_the_context_ends(model: Model) -> None:
    with model.session(context=16) as session:
        assert session.generate(PROMPT, temperature=0, ignore_eos=True).reason is StopReason.END_OF_CONTEXT


@pytest.mark.parametrize("schema", [PERSON, json.dumps(PERSON)])
def test_json_schema(session: Session, schema: Any) -> None:
    text = session.generate("A child: ", json_schema=schema, max_tokens=80, seed=3).text
    assert text == '{"name": "Oh, that", "age": 57 }'
    assert set(json.loads(text)) == {"name", "age"}


def test_other_constraints(session: Session) -> None:
    pattern = r"(yes|no), because [a-z ]{5,30}\."
    text = session.generate("Is it good? ", regex=pattern, max_tokens=24, seed=3).text
    assert text == "yes, because you are right."
    assert re.fullmatch(pattern, text)
    session.rewind()
    assert session.generate("One or two? ", grammar='root ::= "one" | "two"', max_tokens=9).text in ("one", "two")
    session.rewind()
    session.rewind()
    completion = session.generate("A child: ", response_format={"type": "json_object"}, seed=1, max_tokens=200)
    assert completion.text.startswith("{")


def test_conversations_keep_what_was_read(session: Session) -> None:
    messages = [{"role": "user", "content": PROMPT}]
    for _ in range(2):
        assert session.generate(messages, chat_template=TEMPLATE, max_tokens=32, seed=7).text == SAMPLED
    assert session.position == 4 + 31


def test_tokens(model: Model) -> None:
    assert model.tokenize(PROMPT) == [2622, 626, 259, 546]
    assert model.detokenize([2622, 626, 259, 546]) == PROMPT
    for text in ["", "\u00e4\u20ac\U0001f600", "a\0b", " \n\t", "x" * 5000]:
        assert model.detokenize(model.tokenize(text, add_special=False)) == text
    assert max(model.tokenize(PROMPT)) < model.vocabulary_size
    assert model.context_length > 0
    assert not model.is_end(2622)


def test_logits_are_a_view(model: Model, session: Session) -> None:
    session.read(model.tokenize(PROMPT))
    logits = session.logits
    assert (logits.format, logits.shape, logits.readonly) == ("f", (model.vocabulary_size,), True)
    with model.session() as other:
        other.read(model.tokenize(PROMPT)[:2])
        other.read(model.tokenize(PROMPT)[2:])
        assert other.logits == logits
    best = max(range(len(logits)), key=logits.__getitem__)
    session.rewind()
    assert session.generate(PROMPT, max_tokens=1, temperature=0).text == model.detokenize([best])


def test_numpy_views_logits(model: Model) -> None:
    numpy = pytest.importorskip("numpy")
    session = model.session()
    session.read([1, 2, 3])
    view = numpy.asarray(session.logits)
    assert view.dtype == numpy.float32 and numpy.isfinite(view).all() and view.std() > 0
    kept = view.copy()
    # The memory lasts as long as its views.
    session.close()
    del session
    assert (view == kept).all()


def test_what_was_read_is_kept_in_a_file(model: Model, session: Session, tmp_path: Path) -> None:
    tokens = model.tokenize("There was once a king who had three sons")
    session.read(tokens)
    logits = bytes(session.logits)
    session.save(tmp_path / "state")
    with model.session(threads=1) as other:
        assert other.restore(tmp_path / "state", tokens) == len(tokens) - 1
        other.read(tokens[-1:])
        assert bytes(other.logits) == logits
        assert other.restore(tmp_path / "state") == len(tokens)


def test_a_model_in_memory(path: Path) -> None:
    session = tinysparse.Model.from_bytes(path.read_bytes()).session()
    assert session.generate(PROMPT, max_tokens=32, seed=7).text == SAMPLED
