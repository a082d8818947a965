"""The replay pages on real verdicts and real ticks, opened as a browser would open them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from data import queries_replays
from engine.core.digest import Digest
from engine.core.replays import Depth, ReplayAsk, ReplayMode
from engine.services import Services
from pages.ui import replay_models, session
from tests.pages import kit, replay_house
from tests.pages.reading import asker, components, texts

pytestmark = pytest.mark.house

SCRIPT = Path(__file__).resolve().parents[2] / "pages" / "console.py"
RUN_PAGE, ALL, ONE = "evidence/replay_run.py", "evidence/replay.py", "evidence/replay_one.py"
DETERMINISM = "insights/determinism.py"
Visit = Callable[..., AppTest]
WAIT_S = 120.0


@dataclass(frozen=True)
class Judged:
    """`run_id` was judged by the policy gate, and its first stage by the health gate."""

    services: Services
    run_id: str

    @property
    def verdict(self) -> str:
        found = self.services.service.run(self.run_id).verdict
        assert found is not None
        return found.verdict_id

    def replay(self, scope: str, **asked: object) -> str:
        """Ask at the engine's door, wait for the end; the request's name."""
        ask = ReplayAsk(scope=scope, reason="page test", **asked)  # type: ignore[arg-type]  # by name
        made = self.services.replaying.request(ask, asker())
        assert self.services.replaying.wait(made.n, WAIT_S).ended
        return f"rr-{made.n:03d}"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    folder = tmp_path_factory.mktemp("judged")
    services = replay_house.build(folder)
    try:
        digest = replay_house.bundle(services, folder, "1.3.0-rc1")
        yield Judged(services=services, run_id=replay_house.in_canary(services, digest))
    finally:
        services.stop()


@pytest.fixture
def sign_in(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def enter(user: str) -> None:
        identity = judged.services.identity
        secret = identity.redeem_link(identity.create_link(user, actor="test"))
        monkeypatch.setattr(session, "cookie", lambda: secret)

    enter(kit.OPERATOR)
    return enter


@pytest.fixture
def visit(sign_in: Callable[[str], None]) -> Visit:
    def open_page(page: str, **parameters: str) -> AppTest:
        at = AppTest.from_file(str(SCRIPT), default_timeout=60)
        at.run()
        at.switch_page(page)
        for name, value in parameters.items():
            at.query_params[name] = value
        return at.run()

    return open_page


def rows(at: AppTest, component: str = "ledger") -> list[dict[str, object]]:
    found = components(at)[component]["rows"]
    assert isinstance(found, list)
    return found


def press(at: AppTest, key_ends: str) -> AppTest:
    button = next(b for b in at.button if str(b.key).endswith(key_ends))
    assert not button.disabled, button.help
    return button.click().run()


def fill_reason(at: AppTest, choice: str = "Audit verification") -> AppTest:
    box = next(b for b in at.selectbox if str(b.key).endswith(".reason"))
    return box.select(choice).run()


# --- before anything was replayed (these come first in the file) ----------------------------------


def test_a_house_without_replays_says_what_to_do(visit: Visit) -> None:
    at = visit(DETERMINISM)
    assert not at.exception
    assert "no mismatch is not the same as a match" in texts(at)
    assert at.code[0].value == "./run replay --all"
    assert not at.metric
    assert "Nothing was replayed yet" in texts(visit(ALL))


def test_the_form_is_filled_in_and_the_line_counts_nothing_yet(
    visit: Visit, judged: Judged
) -> None:
    at = visit(RUN_PAGE, run=judged.run_id, verdict=judged.verdict)
    assert not at.exception
    said = texts(at)
    assert 'Legacy name/location: "Verdict Replay" (Evidence → Replay/Verify)' in said
    run = judged.services.service.run(judged.run_id)
    facts = {one["name"]: one for one in components(at)["facts"]["facts"]}  # type: ignore[union-attr,index]
    assert facts["Verdict ID"]["text"] == judged.verdict
    assert facts["Bundle"]["text"] == run.label
    assert facts["Manifest"]["digest"] == str(run.bundle)
    assert facts["Baseline"]["digest"] == str(kit.OLD)
    assert "**Determinism:** total 0 | matching 0 | mismatches 0 | running 0 | match rate -" in said
    assert replay_models.NOTHING_YET in said


def test_without_a_reason_nothing_is_asked(visit: Visit, judged: Judged) -> None:
    at = press(visit(RUN_PAGE, run=judged.run_id), ".do")
    assert "A reason is required" in texts(at)
    assert "rr-001" not in texts(at)


# --- asking ---------------------------------------------------------------------------------------


def test_a_verdict_is_asked_again_from_its_page_and_matches(visit: Visit, judged: Judged) -> None:
    at = visit(RUN_PAGE, run=judged.run_id, verdict=judged.verdict)
    at = press(fill_reason(at), ".do")
    assert not at.exception
    assert any("asks about" in one.value for one in at.success)
    assert judged.services.replaying.wait(1, WAIT_S).matching == 1
    at = visit(RUN_PAGE, run=judged.run_id)
    row = rows(at)[0]["cells"]
    assert row[0]["text"] == "rr-001"  # type: ignore[index]
    assert row[1]["look"]["word"] == "COMPLETED"  # type: ignore[index]
    assert row[2]["look"]["word"] == "MATCH"  # type: ignore[index]
    assert "total 1 | matching 1 | mismatches 0 | running 0 | match rate 100 %" in texts(at)


def test_the_gate_of_a_stage_is_in_the_same_list(visit: Visit, judged: Judged) -> None:
    at = visit(RUN_PAGE, run=judged.run_id, step="canary-10")
    assert not at.exception
    at = press(fill_reason(at, "Incident investigation"), ".do")
    name = judged.replay(f"{judged.run_id}/canary-10")
    shown = [row["cells"] for row in rows(visit(RUN_PAGE, run=judged.run_id))]
    gates = [cells for cells in shown if cells[3]["text"].startswith("gate of canary-10")]  # type: ignore[index]
    assert len(gates) == 2 and all(c[2]["look"]["word"] == "MATCH" for c in gates)
    at = visit(ONE, name=name)
    assert not at.exception
    assert "byte for byte the same" in texts(at)


def test_everything_of_a_run_is_one_request_with_several_outcomes(
    visit: Visit, judged: Judged
) -> None:
    name = judged.replay(judged.run_id)
    at = visit(ONE, name=name)
    assert not at.exception
    assert "2 of 2 done" in texts(at) and "2 matching" in texts(at)
    assert [row["cells"][0]["text"] for row in rows(at)] == [f"{name}.2", f"{name}.1"]  # type: ignore[index]
    at = visit(ONE, name=f"{name}.1")
    assert not at.exception and at.title[0].value == f"{name}.1"


def test_damage_is_named_explained_and_led_to(visit: Visit, judged: Judged) -> None:
    blobs = judged.services.store.blobs
    capsule = judged.services.replaying.capsule(judged.verdict)
    place = blobs.path(Digest.parse(capsule["refs"]["components"]))
    good = place.read_bytes()
    place.chmod(0o600)
    place.write_bytes(good.replace(b"jinja2", b"jinja3"))
    try:
        name = judged.replay(judged.verdict)
    finally:
        place.write_bytes(good)
    row = next(row for row in rows(visit(RUN_PAGE, run=judged.run_id)) if row["tone"] == "err")[
        "cells"
    ]
    assert row[0]["text"] == name  # type: ignore[index]
    assert row[2]["look"]["word"] == "MISMATCH"  # type: ignore[index]
    assert "other bytes (components)" in row[2]["sub"]  # type: ignore[index]
    at = visit(ONE, name=name)
    assert not at.exception
    said = texts(at)
    assert "INPUT\\_TAMPERED" in said and "Treat it as an incident" in said
    assert '"components (tampered)"' in said
    at = visit(DETERMINISM)
    assert "did not match: a frozen input has other bytes" in texts(at)
    metrics = {one.label: one.value for one in at.metric}
    assert metrics["Mismatching"] == "1"
    narrowed = visit(ALL, mode="VERIFY", result="MISMATCH", cause="INPUT_TAMPERED")
    assert [row["cells"][0]["text"] for row in rows(narrowed)] == [name]  # type: ignore[index]


# --- the canonical page ---------------------------------------------------------------------------


def options(at: AppTest) -> list[str]:
    return list(next(b for b in at.selectbox if str(b.label) == "Decision").options)


def test_a_decision_is_found_by_whatever_people_hold(visit: Visit, judged: Judged) -> None:
    run = judged.services.service.run(judged.run_id)
    assert run.verdict is not None
    component = judged.services.catalog.get(run.bundle).components[0]
    for text in (
        judged.verdict,
        judged.run_id,
        str(run.bundle),
        run.bundle.hex[:12],
        f"registry.example/platform@{run.bundle}",
        str(component.digest),
        str(run.verdict.verdict),
        "platform release 1.3.0-rc1",
    ):
        at = visit(ALL, find=text)
        assert not at.exception, text
        assert any(one.startswith(judged.verdict) for one in options(at)), text
    assert len(options(visit(ALL, find=f"{judged.run_id}/canary-10"))) == 1
    assert "Nothing here is called" in texts(visit(ALL, find="no such thing"))


def test_what_if_asks_a_known_policy_and_refuses_an_unsound_one(
    visit: Visit, judged: Judged
) -> None:
    at = fill_reason(visit(ALL, find=judged.verdict, ask="WHAT_IF"), "Policy change test")
    at = press(at, ".do")
    assert not at.exception and any("asks about" in one.value for one in at.success)
    frame = judged.services.replaying.wait(_newest(judged), WAIT_S)
    assert (frame.same, frame.matching) == (1, 0)
    at = fill_reason(visit(ALL, find=judged.verdict, ask="WHAT_IF"), "Policy change test")
    how = next(g for g in at.segmented_control if str(g.key).endswith(".policy.how"))
    at = how.select("Paste one").run()
    next(a for a in at.text_area if str(a.key).endswith(".rules")).input("rules: [").run()
    at = press(at, ".do")
    assert not at.exception and at.error


def _newest(judged: Judged) -> int:
    frame = queries_replays.replay_requests(judged.services.store.cursor(), limit=1)
    return int(frame["n"][0])


def test_only_verification_counts(visit: Visit, judged: Judged) -> None:
    before = judged.services.replaying.determinism().total
    judged.replay(judged.verdict, mode=ReplayMode.TODAY, depth=Depth.DEEP)
    assert judged.services.replaying.determinism().total == before
    shown = rows(visit(ALL, mode="TODAY"))
    assert len(shown) == 1 and "Today, deep" in str(shown[0])


def test_filters_stand_in_the_address_and_what_has_no_control_can_be_dropped(
    visit: Visit, judged: Judged
) -> None:
    at = visit(ALL, environment=kit.PROD, run=judged.run_id, kind="GATE")
    assert not at.exception
    assert "Only run" in texts(at) and "health gate" in texts(at)
    assert all(row["cells"][3]["text"].startswith("gate of") for row in rows(at))  # type: ignore[index]
    assert "No replay matches" in texts(visit(ALL, cause="NONDETERMINISTIC"))
    assert not visit(ALL, cause="left over", decided="yesterday", before="x").exception


def test_an_unknown_request_is_a_sentence(visit: Visit) -> None:
    for name in ("", "rr-999", "nonsense", "rr-001.7"):
        at = visit(ONE, name=name)
        assert not at.exception, name
    assert "There is no replay 'rr-999'" in texts(visit(ONE, name="rr-999"))


# --- who may ask ----------------------------------------------------------------------------------


def test_who_may_not_ask_sees_the_button_off_with_the_reason(
    visit: Visit, judged: Judged, sign_in: Callable[[str], None]
) -> None:
    sign_in("nobody.knows")
    at = visit(RUN_PAGE, run=judged.run_id)
    button = next(b for b in at.button if str(b.key).endswith(".do"))
    assert button.disabled and button.help
    why = judged.services.replaying.why_not(judged.verdict, asker("nobody.knows"))
    assert why is not None and button.help == why.sentence


# --- the ways to it -------------------------------------------------------------------------------


def links(at: AppTest) -> set[str]:
    """Pages that the page links to, with their parameters."""
    return {f"{link.proto.page}?{link.proto.query_string}" for link in at.get("page_link")}


def test_run_step_and_stage_lead_to_the_replay_of_their_decision(
    visit: Visit, judged: Judged
) -> None:
    at = visit("releases/run.py", run=judged.run_id)
    button = at.button(key="run.replay")
    assert not button.disabled
    step = visit("releases/step.py", run=judged.run_id, step="gate-eval")
    assert f"replay-run?run={judged.run_id}&verdict={judged.verdict}" in links(step)
    shown = components(step)["facts"]
    assert "/replay-run?run=" in str(shown)
    stage = visit("releases/stage.py", run=judged.run_id, step="canary-10")
    assert f"replay-run?run={judged.run_id}&step=canary-10" in links(stage)


def test_determinism_counts_what_the_lists_show(visit: Visit, judged: Judged) -> None:
    at = visit(DETERMINISM, environment=kit.PROD)
    assert not at.exception
    found = judged.services.replaying.determinism(environment=kit.PROD)
    metrics = {one.label: one.value for one in at.metric}
    assert metrics["Total"] == str(found.total)
    assert metrics["Coverage"] == "100 %"
    charts = at.get("plotly_chart")
    assert len(charts) == 2 and all(chart.proto.alt for chart in charts)
    shown = rows(visit(ALL, mode="VERIFY", result="MATCH"))
    assert len(shown) == found.matching
