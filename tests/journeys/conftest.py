"""Fixtures of the journeys: processes that are ended whatever a test did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.product import Product, starting


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Product]]:
    """Start `python -m engine <words>` on a home; whatever is left at the end is ended."""
    with starting(tmp_path) as begin:
        yield begin
