"""The document of a run is closed: whatever happens to a run, its answer has no other members."""

from __future__ import annotations

from dataclasses import replace

from pydantic import TypeAdapter

from engine.api.documents.runs import RunDoc
from engine.api.shapes import review_shape, run_shape
from engine.core.people_events import OverrideUsed
from engine.core.people_state import Review
from tests.core.simulated import Walk

SHAPE = TypeAdapter(RunDoc)
USED = OverrideUsed(
    action="resume", step="canary-10", attempt=1, asked_by="ana", confirmed_by="bob",
    asked_reason="a", reason="b", rule=4, against="c", missing=("d",),
)  # fmt: skip
REVIEW = Review(number=1, kind="rollback", doers=("ana",), what="went back", opened_us=1, due_us=2)


def test_runs_that_went_every_way_have_it() -> None:
    ends = set[str]()
    for seed in range(60):
        run = Walk(seed).play().current
        SHAPE.validate_python(run_shape(run))
        ends.add(run.status.value)
    assert {"SUCCEEDED", "REJECTED", "ROLLED_BACK"} <= ends


def test_what_two_people_let_happen_and_what_is_looked_at_afterwards_have_it() -> None:
    run = replace(Walk(0).play().current, overrides=(USED,), reviews=(REVIEW,))
    document = run_shape(run)
    assert document["overrides"] and document["reviews"]
    SHAPE.validate_python(document)
    # As one run is answered, where a clock is at hand.
    overdue = [review_shape(REVIEW, 3)]
    assert overdue[0]["overdue"] is True
    SHAPE.validate_python(document | {"reviews": overdue})
