"""Houses with webhooks, and receivers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.kit import HookHouse
from tests.hooks.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def house(tmp_path: Path) -> Iterator[HookHouse]:
    one = HookHouse(tmp_path / "home")
    yield one
    one.close()
