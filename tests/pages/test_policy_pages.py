"""Policies, the policy pull request, what would have blocked a run, and why a rule did not fire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.digest import Digest
from engine.core.replays import ReplayProgress
from engine.policy.cases import with_inputs
from engine.policy_book import Publication
from engine.service import Asker
from engine.services import Services
from pages.ui import session
from tests.pages import kit, replay_house
from tests.pages.conftest import SCRIPT
from tests.pages.reading import components, texts

pytestmark = pytest.mark.house

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RULES = (EXAMPLES / "release-gate.yaml").read_text("utf-8")
LIMITS = json.loads((EXAMPLES / "release-gate.config.json").read_text("utf-8"))
POLICIES, PULL, BLOCKED = (
    "insights/policies.py",
    "insights/policy_pull_request.py",
    "releases/blocked.py",
)
Visit = Callable[..., AppTest]


@dataclass(frozen=True)
class Judged:
    services: Services
    run_id: str
    second: Digest


def stricter() -> tuple[str, str]:
    """NVD may be no older than an hour; in the house it is three hours old."""
    limits = json.loads(json.dumps(LIMITS))
    limits["feeds"]["NVD"]["fail_s"] = 3_600
    return RULES.replace("1.0.0", "1.1.0"), json.dumps(limits)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    folder = tmp_path_factory.mktemp("policies")
    services = replay_house.build(folder)
    try:
        services.policies.take_up_files()
        run_id = replay_house.in_canary(services, replay_house.bundle(services, folder, "1.3.0"))
        tests = with_inputs(
            (EXAMPLES / "release-gate.tests.yaml").read_bytes(),
            lambda name: (EXAMPLES / name).read_bytes(),
        )
        (event,) = services.policies.publish(
            Publication(
                policy=RULES.replace("1.0.0", "1.0.1").encode(),
                config=json.dumps({**LIMITS, "required_feeds": ["KEV", "NVD", "OSV"]}).encode(),
                tests=tests,
                environments=("eu-prod",),
                reason="feeds in order",
            ),
            Asker(user="eva.roth"),
        )
        yield Judged(services=services, run_id=run_id, second=event.policy)
    finally:
        services.stop()


@pytest.fixture
def visit(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> Visit:
    identity = judged.services.identity
    secret = identity.redeem_link(identity.create_link(kit.OPERATOR, actor="test"))
    monkeypatch.setattr(session, "cookie", lambda: secret)

    def open_page(page: str, **parameters: str) -> AppTest:
        at = AppTest.from_file(str(SCRIPT), default_timeout=60)
        at.run()
        at.switch_page(page)
        for name, value in parameters.items():
            at.query_params[name] = value
        return at.run()

    return open_page


def param(at: AppTest, name: str) -> str:
    """Of an address: set by a page it is a text, by a test a list of one."""
    value: Any = at.query_params[name]
    return value if isinstance(value, str) else str(value[0])


def ended(judged: Judged, at: AppTest) -> ReplayProgress:
    progress = judged.services.replaying.wait(int(param(at, "asked")), 60)
    assert progress.ended
    return progress


def test_every_version_is_listed_with_who_and_why(visit: Visit, judged: Judged) -> None:
    at = visit(POLICIES)
    assert not at.exception
    said = texts(at).replace("\\", "")
    assert "eva.roth" in said and "feeds in order" in said and "file of the home" in said
    assert "14 tests as expected" in said
    rows: Any = components(at)["ledger"]["rows"]
    assert rows[0]["cells"][0]["text"] == "eu-prod"
    assert judged.second.short in at.selectbox[0].options[0]


def test_a_version_opens_by_its_address_and_tells_what_changed(
    visit: Visit, judged: Judged
) -> None:
    at = visit(POLICIES, policy=judged.second.hex)
    assert not at.exception
    assert "1 limit differ" in texts(at)
    shown = at.dataframe[0].value
    assert list(shown["Name"]) == ["required_feeds"]
    first = judged.services.outside.desk.policy_digest("eu-stage")
    at = visit(POLICIES, policy=first.hex)
    assert first.short in str(at.selectbox[0].format_func(at.selectbox[0].value))


def test_choosing_another_version_changes_the_address(visit: Visit, judged: Judged) -> None:
    at = visit(POLICIES, asked="7")
    at.selectbox[0].set_value(1).run()
    assert not at.exception
    first = judged.services.outside.desk.policy_digest("eu-stage")
    assert param(at, "policy") == first.hex and "asked" not in at.query_params
    at.selectbox[0].set_value(0).run()
    assert param(at, "policy") == judged.second.hex


def test_tests_rules_and_lint_of_a_version(visit: Visit, judged: Judged) -> None:
    for tab, says in (
        ("Tests", "14 of 14 tests as expected."),
        ("Lint", "Sound: no expression can differ"),
        ("Rules", "Limits"),
    ):
        at = visit(POLICIES, policy=judged.second.hex)
        at.session_state["policies.tab"] = tab
        at.run()
        assert not at.exception
        assert says in texts(at), tab


def test_the_blast_radius_of_a_version(visit: Visit, judged: Judged) -> None:
    at = visit(POLICIES, policy=judged.second.hex)
    at.session_state["policies.tab"] = "Blast radius"
    at.run()
    at.button(key="policies.ask").click().run()
    assert not at.exception
    ended(judged, at)
    assert param(at, "policy") == judged.second.hex
    at = visit(POLICIES, policy=judged.second.hex, asked=param(at, "asked"))
    assert not at.exception
    assert "No decision of 1 recorded verdict would change" in texts(at)


def test_a_candidate_is_checked_proven_and_compared(visit: Visit, judged: Judged) -> None:
    at = visit(PULL)
    assert not at.exception
    assert at.button(key="pull.ask").disabled
    at.segmented_control(key="pull.how").set_value("Paste").run()
    rules, limits = stricter()
    at.text_area(key="pull.rules").set_value("rules: [")
    at.text_area(key="pull.limits").set_value(limits).run()
    assert "expected YAML" in texts(at) and at.button(key="pull.ask").disabled
    at.text_area(key="pull.rules").set_value(rules).run()
    assert not at.button(key="pull.ask").disabled
    assert "release-gate 1.1.0" in texts(at)
    at.button(key="pull.ask").click().run()
    assert not at.exception
    ended(judged, at)

    at = visit(PULL, asked=param(at, "asked"))
    assert not at.exception
    said = texts(at).replace("\\", "")
    assert "1 of 1 recorded verdict would be decided otherwise: 1 blocked, 0 let through" in said
    assert "feed.stale.fail" in said and judged.run_id in said
    assert [metric.value for metric in at.metric] == ["1 of 1", "1", "0", "0"]
    before = judged.services.outside.desk.policy_digest("eu-prod")
    assert before == judged.second  # a candidate comes into force nowhere


def test_an_address_that_names_no_request_says_so(visit: Visit) -> None:
    for wrong in ("999", "x"):
        at = visit(PULL, asked=wrong)
        assert not at.exception
        assert at.warning


def test_what_would_have_blocked_a_run(visit: Visit, judged: Judged) -> None:
    at = visit(BLOCKED, run=judged.run_id)
    assert not at.exception
    said = texts(at).replace("\\", "")
    assert "The smallest change that would have stopped it: " in said
    rows: Any = components(at)["ledger"]["rows"]
    changes = [row["cells"][0]["text"] for row in rows]
    assert "limit feeds.NVD.fail_s" in changes
    assert "required_feeds with EPSS" in changes and "approvals asked for" in changes
    assert "its cost is not known" in said  # no other run has ended well
    assert visit(BLOCKED).exception == visit(BLOCKED, run="run-99").exception


def test_the_gate_step_says_why_a_rule_did_not_fire(visit: Visit, judged: Judged) -> None:
    at = visit("releases/step.py", run=judged.run_id, step="gate-eval")
    assert not at.exception
    assert "Why each rule fired, or did not" in texts(at)
    rows: Any = components(at)["ledger"]["rows"]
    by_rule = {row["cells"][0]["text"]: row["cells"] for row in rows}
    assert by_rule["feed.stale.fail"][1]["text"] == "Did not fire"
    nearest = by_rule["feed.stale.fail"][3]["sub"]
    assert nearest.startswith("nearest: NVD, with now - it.as_of_s = ")
    assert by_rule["reach.runtime_coverage"][1]["text"] == "Fired"
    at = visit("releases/step.py", run=judged.run_id, step="approval")
    assert "Why each rule fired" not in texts(at)
