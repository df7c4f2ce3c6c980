# SPDX-License-Identifier: Apache-2.0
"""Models and sessions for the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tinysparse

MODEL = Path(__file__).resolve().parents[3] / "models" / "tinysparse-fairy.gguf"


@pytest.fixture(scope="session")
def path() -> Path:
    return MODEL


@pytest.fixture(scope="session")
def model(path: Path) -> tinysparse.Model:
    return tinysparse.Model(path)


@pytest.fixture
def session(model: tinysparse.Model) -> Iterator[tinysparse.Session]:
    with model.session(threads=2, context=256) as session:
        yield session
