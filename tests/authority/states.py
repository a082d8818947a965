"""Runs in every state that a verb is about, copied from one that was played once.

A copy is a run of its own with the facts of the first: one append instead of twenty.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from data.codec import from_document, to_document
from engine.core import reviews
from engine.core.approvals import binding
from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.events import Event, Recorded
from engine.core.fact_events import ApprovalApproved, ApprovalRequested, PolicyEvaluated
from engine.core.people_events import OverrideRequested
from engine.core.rows import VerdictRow
from engine.core.run_events import (
    RollbackFailed,
    RollbackStarted,
    RunPaused,
    RunRequested,
    RunScheduled,
)
from engine.core.step_events import StepFailed
from engine.core.step_time_events import StepScheduled
from engine.service import Asker
from engine.services import Services
from tests.pages import kit

OTHER = "other.manager"
ENGINE = "engine"


class States:
    """Makes a run in a state, asked for by whom it is said.

    Args:
        other: of the runs that have begun; one that is rolled back is held from then on.
    """

    def __init__(self, house: Services, bundle: Digest, other: Digest) -> None:
        self._house = house
        play = kit.Play(house, bundle)
        self._moulds = {"queued": house.store.load(play.run_id)}
        play.inputs()
        play.gate()
        play.ask()
        self._moulds["waiting"] = house.store.load(play.run_id)
        self._moulds["canary"] = house.store.load(kit.in_canary(house, other))
        self._moulds["done"] = house.store.load(kit.succeeded(house, bundle))

    def make(self, state: str, *, by: str, mine: str) -> str:
        """The id of a new run.

        Args:
            by: who asked for it.
            mine: who did what `approved`, `reviewed` and `asked` are about.
        """
        match state:
            case "approved":
                run_id = self._copy("waiting", by)
                self._approve(run_id, mine)
                return run_id
            case "scheduled":
                run_id = self._copy("queued", by, scheduled=True)
                now_us = self._house.clock.now_us()
                window = {"start_us": now_us, "window_end_us": now_us + 3_600_000_000}
                self._add(run_id, RunScheduled(via="request", time_zone="UTC", **window))
                return run_id
            case "timed":
                run_id = self._copy("waiting", by)
                opens_us = self._house.clock.now_us() + 3_600_000_000
                window = {"opens_us": opens_us, "closes_us": opens_us + 3_600_000_000}
                wish = StepScheduled(step="full-100", time_zone="UTC", local="later", **window)
                self._add(run_id, wish, actor=mine)
                return run_id
            case "queued" | "waiting" | "canary" | "done":
                return self._copy(state, by)
            case _:
                run_id = self._copy("canary", by)
                self._add(run_id, *self._more(state, run_id, mine), actor=mine)
                return run_id

    def _more(self, state: str, run_id: str, mine: str) -> tuple[Event, ...]:
        step = "canary-10"
        why = "targets did not come back"
        match state:
            case "paused":
                return (RunPaused(via="pause", pause_reason="manual", reason="looking"),)
            case "failed":
                failed = StepFailed(step=step, attempt=1, result="FAILED", reason="no")
                return (
                    failed,
                    RunPaused(via="step_failed", pause_reason="step_failed", reason="no"),
                )
            case "rollback_failed":
                targets = self._house.store.run(run_id).changed_targets
                began = RollbackStarted(
                    via="rollback", trigger="operator", reason="incident", targets=targets
                )
                return (began, RollbackFailed(via="revert_error", reason=why, targets=targets))
            case "reviewed":
                return (reviews.opened("rollback", (mine,), "rollback of 1 target: incident"),)
            case "asked":
                expires_us = self._house.clock.now_us() + 3_000_000_000
                ask = OverrideRequested(
                    action="continue", step=step, attempt=1, rule=0, against="not met",
                    missing=("nothing is known",), reason="customers wait", ticket="",
                    expires_us=expires_us,
                )  # fmt: skip
                return (ask,)
            case _:
                raise ValueError(state)

    def _approve(self, run_id: str, who: str) -> None:
        run = self._house.store.run(run_id)
        command = Command(action=Action.APPROVE, reason="seen", binding=run.binding)
        self._house.service.ask(run_id, command, Asker(user=who))

    def _add(self, run_id: str, *events: Event, actor: str = ENGINE) -> None:
        after = self._house.store.run(run_id).version
        self._house.store.append(run_id, events, after=after, actor=actor)

    def _copy(self, mould: str, by: str, *, scheduled: bool = False) -> str:
        recorded = self._moulds[mould]
        number = self._house.store.last_run_number() + 1
        run_id, former = f"run-{number}", recorded[0].stream
        bound: Digest | None = None
        verdicts: list[PolicyEvaluated] = []
        for actor, events in _by_actor(recorded, by):
            made: list[Event] = []
            for event in events:
                fresh: Any = _renamed(event, former, run_id)
                if isinstance(fresh, RunRequested):
                    initial = "SCHEDULED" if scheduled else fresh.initial
                    fresh = replace(fresh, number=number, initial=initial)
                if isinstance(fresh, PolicyEvaluated):
                    verdicts.append(fresh)
                if isinstance(fresh, ApprovalRequested):
                    self._append(run_id, made, actor)
                    made = []
                    bound = binding(self._house.store.run(run_id))
                if isinstance(fresh, ApprovalRequested | ApprovalApproved):
                    fresh = replace(fresh, binding=bound)
                if isinstance(fresh, ApprovalApproved):
                    fresh = replace(fresh, view=bound)
                made.append(fresh)
            self._append(run_id, made, actor)
        for verdict in verdicts:
            self._record(run_id, verdict)
        return run_id

    def _record(self, run_id: str, verdict: PolicyEvaluated) -> None:
        """The verdict's own row, by which it is found to be replayed."""
        row = VerdictRow(
            verdict_id=f"verdict-{run_id.removeprefix('run-')}.1",
            run_id=run_id,
            step=verdict.step,
            attempt=verdict.attempt,
            ts_us=self._house.clock.now_us(),
            decision=verdict.decision,
            warn=verdict.warn,
            fail=verdict.fail,
            error=verdict.error,
            verdict=str(verdict.verdict),
            policy=str(verdict.policy),
            policy_input=str(verdict.policy_input),
            capsule=str(verdict.capsule),
        )
        self._house.store.record([row])

    def _append(self, run_id: str, events: Sequence[Event], actor: str) -> None:
        if events:
            known = self._house.store.load(run_id)
            self._house.store.append(run_id, events, after=len(known), actor=actor)


def _by_actor(recorded: Sequence[Recorded], by: str) -> list[tuple[str, list[Event]]]:
    """Neighbouring events of one actor; whoever asked for the run is `by`."""
    asked, found = recorded[0].actor, list[tuple[str, list[Event]]]()
    for one in recorded:
        actor = by if one.actor == asked else one.actor
        if not found or found[-1][0] != actor:
            found.append((actor, []))
        found[-1][1].append(one.event)
    return found


def _renamed(event: Event, former: str, run_id: str) -> Event:
    text = json.dumps(to_document(event)).replace(f'"{former}/', f'"{run_id}/')
    return from_document(event.TYPE, json.loads(text))
