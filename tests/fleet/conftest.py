"""Fixtures of the fleet's tests. Whatever was started is ended, also when a test fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.house import Street
from tests.fleet.kit import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    try:
        yield one
    finally:
        one.close()
        assert one.fleet.processes() == ()


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    one = Street(tmp_path)
    try:
        yield one
    finally:
        one.close()
        assert one.fleet.processes() == ()
