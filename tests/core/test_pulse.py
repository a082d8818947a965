"""Which runs and chores are stuck, and which only wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.pulse import MOVING, STUCK_S, ChoreHealth, Pulse, stuck_chore, stuck_run
from engine.core.statemachine import RunStatus

LONG, SHORT = STUCK_S + 1, STUCK_S - 1


@pytest.mark.parametrize(
    ("status", "pulse", "stuck"),
    [
        (RunStatus.RUNNING, Pulse(working_s=LONG), True),
        (RunStatus.RUNNING, Pulse(working_s=SHORT, rested_s=LONG), False),
        (RunStatus.RUNNING, Pulse(rested_s=LONG), True),
        (RunStatus.RUNNING, Pulse(rested_s=LONG, due_s=5.0), False),  # it sleeps as planned
        (RunStatus.RUNNING, Pulse(rested_s=2 * LONG, due_s=-LONG), True),  # its alarm was lost
        (RunStatus.RUNNING, Pulse(rested_s=LONG, waiting=True), False),
        (RunStatus.RUNNING, Pulse(rested_s=SHORT), False),
        (RunStatus.RUNNING, Pulse(), False),  # this engine has only just begun
        (RunStatus.PAUSED, Pulse(rested_s=10 * LONG), False),
        (RunStatus.AWAITING_APPROVAL, Pulse(rested_s=10 * LONG), False),
        (RunStatus.QUEUED, Pulse(rested_s=10 * LONG), False),
        (RunStatus.SEALING, Pulse(rested_s=LONG), True),
    ],
)
def test_what_nobody_looks_at_is_stuck(status: RunStatus, pulse: Pulse, stuck: bool) -> None:
    assert bool(stuck_run(status, pulse)) is stuck


@given(st.sampled_from(sorted(set(RunStatus) - MOVING)), st.floats(0, 1e9))
def test_who_waits_for_people_is_never_stuck(status: RunStatus, rested_s: float) -> None:
    assert stuck_run(status, Pulse(rested_s=rested_s)) == ""


def test_a_chore_without_an_end_is_stuck_and_says_for_how_long() -> None:
    chore = ChoreHealth(name="retention", every_s=60, running_s=LONG)
    assert stuck_chore(chore) == "At work for 10 minutes without an end."
    assert stuck_chore(ChoreHealth(name="retention", every_s=60, ended_s=LONG)) == ""
