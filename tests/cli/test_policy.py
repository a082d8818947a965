"""`policy` by the command line: tests, explanations, and publishing into a home."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.exits import DONE, FORBIDDEN, GATE_FAIL, USAGE
from tests.cli.conftest import Done

pytestmark = pytest.mark.house

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Command = Callable[..., Done]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    for path in EXAMPLES.glob("release-gate.*"):
        shutil.copy(path, tmp_path)
    return str(tmp_path / "release-gate.yaml"), str(tmp_path / "release-gate.config.json")


def test_the_tests_beside_a_policy_are_asked(
    releaseline: Command, files: tuple[str, str], tmp_path: Path
) -> None:
    policy, config = files
    done = releaseline("policy", "test", policy, "--config", config)
    assert done.code == DONE and "14 of 14 tests as expected." in done.out
    limits = json.loads(Path(config).read_text())
    limits["feeds"]["NVD"]["warn_s"] = 86_400
    Path(config).write_text(json.dumps(limits))
    done = releaseline("policy", "test", policy, "--config", config, "--json")
    assert done.code == GATE_FAIL
    failed = [one for one in json.loads(done.out)["tests"] if not one["ok"]]
    assert failed[0]["problems"][0] == "warn: expected 2, found 1"
    (tmp_path / "release-gate.tests.yaml").unlink()
    assert releaseline("policy", "test", policy, "--config", config).code == USAGE


def test_an_input_outside_the_tests_folder_is_refused(
    releaseline: Command, files: tuple[str, str], tmp_path: Path
) -> None:
    tests = tmp_path / "release-gate.tests.yaml"
    tests.write_text(tests.read_text().replace("release-gate.input.json", "../release-gate.x"))
    done = releaseline("policy", "test", files[0], "--config", files[1])
    assert done.code == USAGE and "expected a file beside the tests" in done.err


def test_why_a_rule_did_not_fire(releaseline: Command, files: tuple[str, str]) -> None:
    words = ("--policy", files[0], "--config", files[1])
    example = str(EXAMPLES / "release-gate.input.json")
    done = releaseline("policy", "explain", example, *words, "--rule", "feed.stale.fail")
    assert done.code == DONE
    assert "FAIL feed.stale.fail: did not fire, 3 looked at" in done.out
    assert "nearest: NVD: now - it.as_of_s = 10800, config.feeds[it.name].fail_s = 86400" in (
        done.out
    )
    assert "vuln.kev" not in done.out
    whole = json.loads(releaseline("policy", "explain", example, *words, "--json").out)
    assert whole["schema"] == "releaseline.explain/2" and len(whole["rules"]) == 19
    assert releaseline("policy", "explain", example, *words, "--rule", "x").code == USAGE


def test_publishing_takes_a_policy_author(releaseline: Command, files: tuple[str, str]) -> None:
    assert releaseline("init", "--home", "home").code == DONE
    policy = Path(files[0])
    policy.write_text(policy.read_text().replace("version: 1.0.0", "version: 1.1.0"))
    where = ("--to", "eu-prod", "--reason", "a second version", "--home", "home")
    words = ("policy", "publish", files[0], "--config", files[1], *where)
    assert releaseline(*words).code == FORBIDDEN
    made = releaseline("token", "create", "--user", "eva.roth", "--home", "home")
    token = made.out.strip()
    done = releaseline(*words, "--token", token)
    assert done.code == DONE, done.err
    assert "release-gate 1.1.0" in done.out and "14 tests as expected" in done.out
    listed = json.loads(releaseline("policy", "versions", "--home", "home", "--json").out)
    (item,) = listed["items"]
    assert (item["by"], item["environment"], item["reason"]) == (
        "eva.roth",
        "eu-prod",
        "a second version",
    )
