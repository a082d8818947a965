"""The story adds nothing to the facts, and leaves nothing of weight out."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from engine.core.event_parts import TargetFact
from engine.core.events import Event, RunEvent
from engine.core.fact_events import ApprovalApproved, Commented, TargetsObserved
from engine.core.run_events import (
    RollbackStarted,
    RunContinued,
    RunPaused,
    RunQueued,
    RunSealed,
)
from engine.core.step_events import StepFailed
from engine.story import _TELLERS, tell
from tests.core.simulated import NEW, Book, D, Walk, request

# Told by the event that stands beside them, or of no weight to a reader.
UNTOLD = {
    "step.waiting/1",
    "inputs.materialized/1",
    "stage.applied/1",
    "approval.approvers_seen/1",
}


def say(event: Event, actor: str = "engine") -> str:
    book = Book(request())
    one = book.log[0]
    (line,) = tell([replace(one, event=event, actor=actor)])
    return line.text


@pytest.mark.parametrize("seed", range(25))
def test_every_event_of_a_run_is_told_once_and_cited(seed: int) -> None:
    log = Walk(seed).play().log
    lines = tell(log)
    told = [r for r in log if r.event.TYPE not in UNTOLD]
    assert [line.seq for line in lines] == [r.seq for r in told]
    assert [(line.hash, line.ts_us, line.actor) for line in lines] == [
        (r.hash.hex, r.ts_us, r.actor) for r in told
    ]
    for line in lines:
        assert line.text.endswith((".", "?", "!")), line.text
        assert ".." not in line.text and ": ." not in line.text and "None" not in line.text
        assert line.document()["text"] == line.text
    assert [line.ts_us for line in lines] == sorted(line.ts_us for line in lines)


def test_every_kind_of_event_is_told_or_left_out_on_purpose() -> None:
    told = {cls.TYPE for cls in _TELLERS}  # type: ignore[attr-defined]
    assert told | UNTOLD == {cls.TYPE for cls in get_args(RunEvent)}
    assert not told & UNTOLD


def test_sentences() -> None:
    assert say(RunPaused(via="pause", pause_reason="manual", reason="wait for Bob."), "ana") == (
        "ana paused the run (manual): wait for Bob."
    )
    assert say(RunQueued(via="resume_queued"), "ana") == "ana let the run queue again."
    assert say(RunContinued(via="continue", step="canary-10", reason="enough seen"), "sam") == (
        "sam continued past canary-10: enough seen."
    )
    assert say(Commented(text="so it was"), "eve") == 'eve noted: "so it was".'
    assert say(StepFailed(step="inputs", attempt=2, result="MISSING", reason="1 missing: X")) == (
        "inputs (attempt 2) failed: MISSING, 1 missing: X."
    )
    assert say(RunSealed(via="sealed", seal_status="UNSEALED", reason="No key.")) == (
        "The run is unsealed: No key."
    )
    observed = TargetsObserved(
        purpose="baseline",
        targets=(
            TargetFact(target="t-1", digest=NEW, healthy=True),
            TargetFact(target="t-2", digest=None, healthy=None),
        ),
    )
    assert say(observed) == (f"Targets observed (baseline): 1 of 2 healthy, running {NEW.short}.")


@pytest.mark.parametrize(
    ("trigger", "actor", "who"),
    [
        ("health", "engine", "The engine"),
        ("step_failed", "engine", "The engine"),
        ("operator", "sam", "sam"),
        ("retry", "sam", "sam"),  # a person tried it again, not the engine
    ],
)
def test_who_went_back(trigger: str, actor: str, who: str) -> None:
    event = RollbackStarted(
        via="rollback", trigger=trigger, reason="errors", ticket="T-1", targets=("a", "b")
    )
    assert say(event, actor) == f"{who} began to roll back 2 targets: errors. Ticket T-1."


def test_what_people_wrote_stays_what_it_was() -> None:
    event = ApprovalApproved(
        via="approve", step="approval", attempt=1, binding=D, view=D, nonce="n", expires_us=1,
        comment="fine... <b>really</b>", groups=(),
    )  # fmt: skip
    assert say(event, "bob") == (
        f'bob approved, saying "fine... <b>really</b>" (bound to {D.short}).'
    )


def test_a_line_as_text() -> None:
    book = Book(request())
    book.now_us = 1_800_000_000_000_000
    book.append((Commented(text="x"),), actor="eve")
    line = tell(book.log)[-1]
    assert str(line) == f'2027-01-15 08:00:00Z  [  2 {line.hash[:8]}]  eve noted: "x".'
