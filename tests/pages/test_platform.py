"""Platform health, and `/metrics` with the same numbers."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.api.metrics import exposition, labels
from engine.core.integrity import Damage
from engine.core.integrity_events import DamageFound
from engine.core.statemachine import RunStatus
from pages.ui import health, platform_models
from tests.pages.reading import House, texts

ALERTS = Path(__file__).parents[2] / "examples" / "prometheus" / "alerts.yml"
PAGE = "operations/platform_health.py"


@pytest.fixture(scope="session")
def promtool() -> str:
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool: apt-get install prometheus")
    return path


def told(house: House) -> dict[str, float]:
    lines = [one for one in exposition(house.services).splitlines() if not one.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_page_and_metrics_have_the_same_numbers(
    visit: Callable[..., AppTest], house: House
) -> None:
    at = visit(PAGE)
    assert not at.exception
    said = texts(at)
    assert "The engine is not stepping." in said  # this house is built and not started
    now = house.services.vitals.now(house.services.worker.health())
    found = told(house)
    assert found["releaseline_engine_running"] == 0
    assert found["releaseline_journal_bytes"] == now.slow.sizes.journal_bytes > 0
    assert found["releaseline_blobs"] == now.slow.sizes.blobs > 0
    assert found["releaseline_commit_duration_seconds_count"] == now.commits.count > 0
    paused = found[f'releaseline_runs_open{{status="{RunStatus.PAUSED.value}"}}']
    assert paused == now.runs[RunStatus.PAUSED] >= 1
    cells = {row["cells"][0]["text"]: row["cells"] for row in platform_models.rows(now)}
    assert f"journal {platform_models.size(now.slow.sizes.journal_bytes)}" in said
    assert cells["Runs and queues"][2]["text"].startswith(f"{sum(now.runs.values())} open runs: ")
    assert cells["Engine"][1]["look"]["word"] == "FAIL"


def test_every_metric_has_help_and_type_and_no_two_samples_are_one(house: House) -> None:
    text = exposition(house.services)
    names = re.findall(r"^# TYPE (\w+) (?:gauge|counter|summary)$", text, re.MULTILINE)
    assert len(names) == len(set(names)) == text.count("# HELP ")
    samples = [one.rpartition(" ")[0] for one in text.splitlines() if not one.startswith("#")]
    assert len(samples) == len(set(samples))
    assert labels(name='a"\\\nb') == '{name="a\\"\\\\\\nb"}'


def test_prometheus_takes_it(house: House, promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=exposition(house.services),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_alerts_are_sound_and_ask_for_what_is_told(house: House, promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "rules", str(ALERTS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    known = set(re.findall(r"^# TYPE (\w+)", exposition(house.services), re.MULTILINE))
    asked = set(re.findall(r"\breleaseline_\w+", ALERTS.read_text()))
    # A log without entries was never signed; every other metric is there from the start.
    assert asked <= known, asked - known


def test_damage_is_told_with_what_may_still_be_done_the_newest_first() -> None:
    digest = f"sha256:{'ab' * 32}"
    found = DamageFound(
        place=f"blob {digest}",
        item="steps/01-inputs/*x*.dsse",
        check="blob.sha256",
        expected=digest,
        found="sha256:cd",
        runs=("run-2",),
    )
    many = [Damage(since_us=n, found=replace(found, found=f"bytes{n}")) for n in range(6)]
    told = health.damaged(many, now_us=7)
    assert told.index("bytes5") < told.index("bytes2") and "bytes1" not in told
    assert "2 more" in told and f"blobs/ab/{'ab' * 32}" in told and "releaseline fsck" in told
    assert "*x*" not in told  # names are text, not markup
    assert health.damaged([], now_us=7) == ""
