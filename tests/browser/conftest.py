"""A running product and a browser that writes down whatever should not happen."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# Streamlit probes the address of a deep link for its own health first; it is not there.
ALLOWED = (re.compile(r"/[a-z-]+/_stcore/(health|host-config)"),)

# A slow machine is no defect of a page.
expect.set_options(timeout=20_000)


@dataclass
class Product:
    """`link` is the one-time sign-in link that the demo printed."""

    url: str
    link: str
    process: subprocess.Popen[str]
    home: Path

    def token(self) -> dict[str, str]:
        """Of whoever has a shell on the home."""
        return {"Authorization": f"Bearer {(self.home / 'keys' / 'local-token').read_text()}"}


@dataclass
class Watched:
    """A page, and everything that it did which it must not do."""

    page: Page
    wrong: list[str] = field(default_factory=list)

    def clean(self) -> None:
        assert not self.wrong, self.wrong


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Most look at one demo, which plays to the end of the session: so they come last, and side by
    side with others they stay with one worker. What watches its first stage comes first among them.
    """
    ours = [item for item in items if item.path.parent == HERE]
    ours.sort(key=lambda item: (_of_the_demo(item), item.path.name != "test_stage.py"))
    for item in ours:
        name = "the demo" if _of_the_demo(item) else item.path.name
        item.add_marker(pytest.mark.xdist_group(name))
    items[:] = [*(item for item in items if item.path.parent != HERE), *ours]


def _of_the_demo(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "product" in item.fixturenames


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
def browser(browser_executable: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser_executable, args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


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


def watch(page: Page, url: str) -> Watched:
    """Write down console errors, violations of the policy and requests to anywhere else."""
    watched = Watched(page=page)
    ours = (url, url.replace("http", "ws", 1), "blob:", "data:", "about:")

    def told(kind: str, text: str, where: str = "") -> None:
        if not any(one.search(where) for one in ALLOWED):
            watched.wrong.append(f"{kind}: {text} {where}")

    page.on(
        "console",
        lambda m: told("console", m.text, m.location.get("url", "")) if m.type == "error" else None,
    )
    page.on("pageerror", lambda e: told("error", str(e)))
    page.on(
        "request", lambda r: None if r.url.startswith(ours) else told("external request", r.url)
    )
    return watched
