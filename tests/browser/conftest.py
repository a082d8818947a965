"""A running product and a browser that writes down whatever should not happen."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

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


@pytest.fixture(scope="session")
def browser(browser_executable: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser_executable,
            args=["--no-sandbox", "--disable-gpu"],  # there is none
        )
        yield chromium
        chromium.close()


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
