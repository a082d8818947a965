"""One demo, which plays to the end of the session; every test in this folder looks at it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser.conftest import Product, Watched, watch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They come last, for the demo plays on; what watches its first stage is first among them."""
    ours = [item for item in items if item.path.parent == HERE]
    ours.sort(key=lambda item: item.path.name != "test_stage.py")
    items[:] = [*(item for item in items if item.path.parent != HERE), *ours]


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The demo, slow enough that canary stages last through these tests."""
    folder = tmp_path_factory.mktemp("demo")
    log = folder / "out.log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["demo", "--home", str(folder / "home"), "--port", str(port), "--speed", "2"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine", *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        link = _until(lambda: re.search(r"Sign in\s+(\S+)", log.read_text()), 120, log)
        _until(lambda: re.search(r"^run-1: ", log.read_text(), re.MULTILINE), 180, log)
        yield Product(
            url=f"http://127.0.0.1:{port}",
            link=link.group(1),
            process=process,
            home=folder / "home",
        )
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def _until(look: Callable[[], re.Match[str] | None], seconds: float, log: Path) -> re.Match[str]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds:.0f} s:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def signed_in(browser: Browser, product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Use the link up, once, and keep the session for every test."""
    state = tmp_path_factory.mktemp("state") / "state.json"
    context = browser.new_context()
    page = context.new_page()
    page.goto(product.link)
    page.wait_for_url(f"{product.url}/", timeout=60_000)
    context.storage_state(path=str(state))
    context.close()
    return state


@pytest.fixture
def visit(browser: Browser, product: Product, signed_in: Path) -> Iterator[Callable[..., Watched]]:
    contexts: list[BrowserContext] = []

    def open_page(
        path: str, *, width: int = 1440, height: int = 900, dark: bool = False
    ) -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            storage_state=str(signed_in),
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        watched = watch(context.new_page(), product.url)
        watched.page.goto(product.url + path)
        return watched

    yield open_page
    for context in contexts:
        context.close()
