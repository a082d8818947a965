"""What every test shares: which groups run here, and a home to work on."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

from engine import keystore_file

# How long one example takes says more about the machine than about us; timings are benchmarks.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

# Played under real traffic, whose answers a neighbour of the same kind would hold up; and one demo
# is looked at by a whole folder.
TRAFFIC = ("tests/browser/demo/", "tests/fleet/test_roll.py", "tests/journeys/test_demo.py")
# Of seconds, not milliseconds, or minutes of real play.
LONG = (
    "tests/api/test_schemathesis.py",
    "tests/authority/",
    "tests/contracts/",
    "tests/core/test_histories.py",
    "tests/data/test_kill.py",
    "tests/data/test_trail.py",
    "tests/evidence/",
    "tests/faults/",
    "tests/feeds/",
    "tests/fleet/",
    "tests/hooks/",
    "tests/interop/",
    "tests/prometheus/",
    "tests/test_architecture.py",
    "tests/browser/test_keeping.py",
    TRAFFIC[0],
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--ci", action="store_true", help="what every change has to pass; asks for a browser"
    )
    parser.addoption("--long", action="store_true", help="also kills, fuzzing and soaks")


def browser_path() -> str | None:
    """The browser to test with: RELEASELINE_BROWSER, or the first that is installed."""
    chosen = os.environ.get("RELEASELINE_BROWSER")
    return chosen or next((path for name in BROWSERS if (path := shutil.which(name))), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ci, long = config.getoption("--ci"), config.getoption("--long")
    must = ci or os.environ.get("CI") == "true"
    no_browser = pytest.mark.skip(
        reason="browser: no browser found; apt-get install chromium, or set RELEASELINE_BROWSER"
    )
    not_ci = pytest.mark.skip(reason="ci: minutes of real play, with --ci or --long only")
    not_long = pytest.mark.skip(reason="long: kills, fuzzing, soaks, repetitions; with --long only")
    for item in items:
        # By mark, not by keyword: a parameter may well be called `ci`.
        marks = {mark.name for mark in item.iter_markers()}
        if "long" in marks and not long:
            item.add_marker(not_long)
        if "ci" in marks and not (ci or long):
            item.add_marker(not_ci)
        if "browser" in marks and browser_path() is None and not must:
            item.add_marker(no_browser)


class _ByFile(LoadFileScheduling):
    """A file is one worker's, and so is all that plays under real traffic.

    xdist's own groups do nothing under pytest 9.2 (pytest-xdist issue 1386). What takes longest
    begins first, so that no worker ends long after the others.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        return TRAFFIC[0] if path.startswith(TRAFFIC) else path

    def _assign_work_unit(self, node: Any) -> None:
        longest = max(self.workqueue, key=lambda scope: scope.startswith(LONG))
        self.workqueue.move_to_end(longest, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return _ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def stretched_once() -> Iterator[None]:
    """Stretching a passphrase takes a quarter of a second, as it should. In one process the same
    one under the same salt is stretched once: a test that asks ten commands opens ten times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keystore_file, "_stretch", functools.cache(keystore_file._stretch))
        yield


@pytest.fixture(scope="session")
def browser_executable() -> str:
    """Path of the browser. A missing one fails here, where it may not be skipped."""
    path = browser_path()
    if path is None:
        pytest.fail("no browser found, and CI=true (or --ci) asks for one")
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    """Third-party vectors and data beside the project; skips with one line where absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("shared: the folder with third-party vectors and data is not beside us")
    return folder
