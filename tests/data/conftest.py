"""A home, and a store opened on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.store import Store
from tests.data.kit import TestClock, everything, history, play


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = Store.open(home, clock=TestClock())
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed home with something in every table; to be copied, never opened."""
    home = tmp_path_factory.mktemp("filled") / "home"
    store = Store.open(home, clock=TestClock())
    everything(store)
    play(store, history(12, 2))
    store.close()
    return home


@pytest.fixture
def filled(home: Path, filled_home: Path) -> Path:
    """A copy of `filled_home` for one test, not opened yet."""
    shutil.copytree(filled_home, home)
    return home
