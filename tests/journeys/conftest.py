"""Fixtures of the journeys: processes that are ended whatever a test did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.product import ROOT, Product, environment, free_port, marked


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Product]]:
    """Start `python -m engine <words>` on a home; whatever is left at the end is ended."""
    started: list[Product] = []

    def begin(*words: str, home: Path, port: int | None = None, **env: str) -> Product:
        chosen = port or free_port()
        log = (tmp_path / f"out-{len(started)}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "engine", *words, "--home", str(home), "--port", str(chosen)],
            cwd=ROOT,
            env=environment(**env),
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        product = Product(home=home, port=chosen, process=process)
        started.append(product)
        return product

    yield begin
    for product in started:
        if product.process.poll() is None:
            product.process.kill()
            product.process.wait()
        for pid in marked(product.home):
            os.kill(pid, signal.SIGKILL)
