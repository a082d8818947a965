"""One house for all page tests: built and not started, with a run in every state that matters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine import wiring
from engine.adapters.feeds_dir import write_index
from engine.homes import create_home
from engine.settings import read_settings
from pages.ui import session
from tests.pages import kit
from tests.pages.reading import House

SCRIPT = Path(__file__).resolve().parents[2] / "pages" / "console.py"
PASSPHRASE = "a passphrase of the page tests"


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    home = folder / "home"
    create_home(home, passphrase=PASSPHRASE)
    now_s = int(time.time())
    ages = {"NVD": 3 * 3600, "OSV": 20 * 60, "KEV": 5 * 3600}
    write_index(home / "feeds", {name: now_s - age for name, age in ages.items()})
    services = wiring.build(read_settings(home), speed=15, passphrase=PASSPHRASE)
    try:
        paused = kit.in_canary(services, kit.bundle(services, folder, "1.3.1"))
        kit.pause(services, paused)
        yield House(
            services=services,
            done=kit.succeeded(services, kit.bundle(services, folder, "1.2.9")),
            canary=kit.in_canary(services, kit.bundle(services, folder, "1.3.0-rc1")),
            waiting=kit.awaiting(services, kit.bundle(services, folder, "1.4.0")),
            paused=paused,
        )
    finally:
        services.stop()


@pytest.fixture
def signed_in(house: House, monkeypatch: pytest.MonkeyPatch) -> str:
    """A session of ana.li, as the browser would send it."""
    identity = house.services.identity
    secret = identity.redeem_link(identity.create_link(kit.OPERATOR, actor="test"))
    monkeypatch.setattr(session, "cookie", lambda: secret)
    return secret


@pytest.fixture
def visit(house: House, signed_in: str) -> Callable[..., AppTest]:
    """Open a page of the console, signed in: `visit("releases/run.py", run="run-1")`."""

    def open_page(page: str = "", **parameters: str) -> AppTest:
        at = AppTest.from_file(str(SCRIPT), default_timeout=30)
        if page:
            at.run()
            at.switch_page(page)
        for name, value in parameters.items():
            at.query_params[name] = value
        return at.run()

    return open_page
