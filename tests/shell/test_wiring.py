"""The composition root: what it refuses to open, and what it closes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import wiring
from engine.core.errors import UnsafeConfig
from engine.home import holder
from engine.homes import create_home
from engine.services import Services
from engine.settings import read_settings

pytestmark = pytest.mark.house

PASSPHRASE = "correct horse"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    create_home(tmp_path / "home", passphrase=PASSPHRASE)
    return tmp_path / "home"


def _running() -> Services | None:
    try:
        return wiring.running()
    except RuntimeError:
        return None


def _edit(home: Path, before: str, after: str) -> None:
    settings = home / "releaseline.yaml"
    text = settings.read_text()
    assert before in text
    settings.write_text(text.replace(before, after))


def test_the_metric_source_is_the_one_that_the_workflow_names(home: Path) -> None:
    _edit(home, "type: router ", "type: prometheus\n      url: http://127.0.0.1:9090 ")
    services = wiring.build(read_settings(home), passphrase=PASSPHRASE)
    try:
        places = services.outside.places
        assert {place.metrics.kind for place in places.values()} == {"prometheus"}
        assert {place.burn.kind for place in places.values() if place.burn} == {"prometheus"}
    finally:
        services.stop()


def test_a_log_origin_of_other_keys_is_refused(home: Path) -> None:
    _edit(home, "log_origin: log-2026a", "log_origin: log-2031a")
    with pytest.raises(UnsafeConfig, match=r"evidence\.log_origin.*log-2026a.*log-2031a"):
        wiring.build(read_settings(home), passphrase=PASSPHRASE)


def test_a_broken_policy_is_refused_with_its_problem(home: Path) -> None:
    policy = home / "policies" / "release-gate.yaml"
    policy.write_text(policy.read_text().replace("it.kev", "it.kevv", 1))
    with pytest.raises(UnsafeConfig, match="kevv"):
        wiring.build(read_settings(home), passphrase=PASSPHRASE)
    assert holder(home) is None


def test_the_newest_house_is_the_current_one(home: Path, tmp_path: Path) -> None:
    create_home(tmp_path / "other", passphrase=PASSPHRASE)
    open_before = _running()  # another test's house may be open in this process
    first = wiring.build(read_settings(home), passphrase=PASSPHRASE)
    second = wiring.build(read_settings(tmp_path / "other"), passphrase=PASSPHRASE)
    assert wiring.running() is second
    second.stop()
    assert wiring.running() is first
    first.stop()
    first.stop()
    assert _running() is open_before
    assert holder(home) is None
