"""The engine's own table against the published one, row for row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.core.commands import Action
from engine.core.diagram import BEGIN, END, run_diagram, state_diagram, step_diagram
from engine.core.errors import IllegalTransition
from engine.core.statemachine import (
    STEP_NEXT,
    STEP_OPEN,
    TERMINAL,
    TRANSITIONS,
    Role,
    RunStatus,
    StepStatus,
    actors_of,
    check_step,
    exists,
    transition,
)

ROOT = Path(__file__).parents[2]
PUBLISHED: dict[str, Any] = json.loads((ROOT / "tests/golden/statemachine.json").read_text())

# Actions of the published file that never change a status. The first is there today; the others
# are requests to other rooms (export, replay, verify) or come with later issues.
NOT_MOVING = {
    "comment",
    "annotate_addendum",
    "export_partial",
    "export_final",
    "auditor_bundle",
    "replay_verify",
    "replay_what_if",
    "verify",
    "retry_seal",
    "rerun",
    "rollback_promotion",
}


def test_the_golden_file_is_the_published_one() -> None:
    published = ROOT.parent / "shared/design/statemachine.json"
    if not published.exists():
        pytest.skip("the published statemachine.json is not on this machine")
    golden = ROOT / "tests/golden/statemachine.json"
    assert golden.read_bytes() == published.read_bytes()


def test_run_states() -> None:
    assert [s.value for s in RunStatus] == PUBLISHED["run_states"]
    assert len(RunStatus) == 15
    assert sorted(TERMINAL) == sorted(PUBLISHED["terminal"])


def test_every_transition_with_actors_guard_and_note() -> None:
    ours = [
        {
            "from": t.source.value,
            "event": t.event,
            "actors": ",".join(t.actors),
            "guard": t.guard,
            "to": t.target.value,
            "note": t.note,
        }
        for t in TRANSITIONS
    ]
    assert ours == PUBLISHED["transitions"]
    assert len(ours) == 55


def test_step_states_and_transitions() -> None:
    assert [s.value for s in StepStatus] == PUBLISHED["step_states"]
    ours = {(a.value, b.value) for a, targets in STEP_NEXT.items() for b in targets}
    assert ours == {(a, b) for a, b in PUBLISHED["step_transitions"]}
    assert sum(len(targets) for targets in STEP_NEXT.values()) == 25
    assert {StepStatus.RUNNING, StepStatus.WAITING} == STEP_OPEN


def test_actions_that_move_nothing() -> None:
    assert set(PUBLISHED["non_transition_actions"]) == NOT_MOVING
    moving = {t.event for t in TRANSITIONS if t.actors != ("system",)}
    offered = {a.value for a in Action}
    # Ours beside the published ones: words about a run, which move it no more than a comment. What
    # a broken glass lets through is the engine's own `quorum_met` or `lock_acquired`; a step's time
    # is a criterion of what the engine does by itself.
    words = {"review", "drop_override", "break_glass", "schedule_step", "unschedule_step"}
    assert moving - {"resume_queued"} == offered - NOT_MOVING - words
    assert offered & NOT_MOVING == {"comment", "rerun", "rollback_promotion"}


def test_actors_are_roles_or_the_system() -> None:
    roles = {r.value for r in Role} | {"system"}
    for row in TRANSITIONS:
        assert set(row.actors) <= roles
        assert "admin" not in row.actors  # exempt from nothing, decides nothing
        assert "ci" not in row.actors


@pytest.mark.parametrize("status", RunStatus)
def test_lookup_agrees_with_the_rows(status: RunStatus) -> None:
    events = {t.event for t in TRANSITIONS}
    for event in events:
        rows = [t for t in TRANSITIONS if (t.source, t.event) == (status, event)]
        assert exists(status, event) == bool(rows)
        assert actors_of(event, status) == (rows[0].actors if rows else ())
        if not rows:
            with pytest.raises(IllegalTransition, match=f"a run that is {status}"):
                transition(status, event)
        for row in rows:
            assert transition(status, event, outcome=row.target) is row


def test_a_seal_without_an_outcome_leads_nowhere() -> None:
    with pytest.raises(IllegalTransition):
        transition(RunStatus.SEALING, "sealed")
    with pytest.raises(IllegalTransition):
        transition(RunStatus.SEALING, "sealed", outcome=RunStatus.RUNNING)


def test_step_moves() -> None:
    for source in StepStatus:
        for target in StepStatus:
            if [source.value, target.value] in PUBLISHED["step_transitions"]:
                check_step(source, target, step="s")
            else:
                with pytest.raises(IllegalTransition, match="step s cannot go"):
                    check_step(source, target, step="s")


def test_the_diagram_shows_every_row() -> None:
    drawn = set()
    for line in run_diagram().splitlines():
        if " : " in line:
            arrow, events = line.strip().split(" : ")
            source, target = arrow.split(" --> ")
            drawn |= {(source, event.rstrip("*"), target) for event in events.split(", ")}
    assert drawn == {(t.source.value, t.event, t.target.value) for t in TRANSITIONS}
    assert step_diagram().count(" --> ") == 26


def test_the_diagram_in_the_architecture_is_printed_from_the_table() -> None:
    document = ROOT / "ARCHITECTURE.md"
    if not document.exists():
        pytest.skip("ARCHITECTURE.md is not written yet")
    text = document.read_text()
    assert BEGIN in text and END in text, "ARCHITECTURE.md has no state diagram markers"
    block = text.split(BEGIN)[1].split(END)[0].strip()
    assert block == state_diagram(), "print it again: engine.core.diagram.state_diagram()"
