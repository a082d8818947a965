"""The imperative shell around a run: ask what is next, do that one thing, record the answer.

`advance` may be killed at any line and called again; a restart is the same call. All thinking is
in `engine.core.effects`; each effect is carried out by the room that knows its outside.
"""

from __future__ import annotations

from typing import Final, assert_never

from engine import (
    again_gate,
    approvers,
    env_guard,
    gate_eval,
    going_back,
    settling,
    steps,
    steps_inputs,
    waiver_register,
)
from engine.acquiring import Acquiring
from engine.core import freezes, rebinding
from engine.core.effect_kinds import (
    AcquireLock,
    ApplyStage,
    CaptureEvidence,
    CaptureRollback,
    Drain,
    Effect,
    EvaluateGate,
    MaterializeInputs,
    OpenWindow,
    Record,
    Revert,
    RevertTargets,
    Seal,
    SeeApprovers,
    Settle,
    VerifyTargets,
    Wait,
    Watch,
)
from engine.core.effects import engine_lost, next_effect
from engine.core.events import RunEvent
from engine.core.freezes import Bar
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.outside import Outside
from engine.recording import record
from engine.sealing import Sealer
from engine.starting import Starter
from engine.watch import Watcher

# A run that never comes to rest is a defect; stopping it loudly beats spinning.
_EFFECTS_MAX: Final = 200
_DRAIN_RETRY_S: Final = 1.0


class Runner:
    def __init__(self, out: Outside, *, sealer: Sealer, watcher: Watcher, starter: Starter) -> None:
        self._out, self._sealer, self._watcher = out, sealer, watcher
        self.starter, self._acquiring = starter, Acquiring(out, starter)

    def recover(self) -> int:
        """End what a former engine left open. Call once, before any `advance`. Returns how many."""
        lost = 0
        for run in self._out.store.runs_open():
            events = engine_lost(run)
            if events:
                record(self._out.store, run.run_id, engine_lost)
                lost += len(events)
            approvers.see_again(self._out, run)
        return lost

    def advance(self, run_id: str) -> float | None:
        """Take the run as far as it goes now.

        Returns:
            Seconds until it should be called again, or None when only an event changes it.
        """
        for _ in range(_EFFECTS_MAX):
            run = self._out.store.run(run_id)
            effect = next_effect(run, self._out.clock.now_us(), self._bar(run), self._lost(run))
            if isinstance(effect, Wait):
                return self._until(effect)
            wait_s = self._perform(run, effect)
            if wait_s is not None:
                return wait_s
        raise RuntimeError(f"{run_id} made {_EFFECTS_MAX} steps without coming to rest")

    def _bar(self, run: Run) -> Bar | None:
        """The freezes that a running run meets between two steps; None within a step."""
        return self._acquiring.bar(run) if freezes.may_stop(run) else None

    def _lost(self, run: Run) -> str:
        """Of a run that people are asked about: what its verdict can rest on no more."""
        if run.status is not RunStatus.AWAITING_APPROVAL:
            return ""
        return waiver_register.lost(self._out.store, run, self._out.clock.now_us())

    def _until(self, wait: Wait) -> float | None:
        if wait.until_us is None:
            return None
        return max(0.0, (wait.until_us - self._out.clock.now_us()) / 1_000_000)

    def _perform(self, run: Run, effect: Effect) -> float | None:
        """Do one thing. Returns a wait in seconds when the same thing is not due again before."""
        out = self._out
        match effect:
            case Record():
                # Built again from the newest state: a command may have come in between.
                now_us = out.clock.now_us()
                bar, lost = self._bar(run), self._lost(run)
                record(out.store, run.run_id, lambda now: _consequence(now, now_us, bar, lost))
            case OpenWindow():
                return self._acquiring.open_window(run)
            case AcquireLock():
                return self._acquiring.acquire(run)
            case MaterializeInputs(step=step, attempt=attempt):
                steps_inputs.materialize_inputs(out, run, step, attempt)
            case EvaluateGate(step=step, attempt=attempt):
                if run.request.vouched_by:
                    again_gate.recheck(out, run, step, attempt)
                else:
                    gate_eval.evaluate(out, run, step, attempt)
            case SeeApprovers(step=step, attempt=attempt):
                approvers.see(out, run, step, attempt)
            case ApplyStage(step=step, attempt=attempt):
                if not approvers.still_stand(out, run) or not _still_rests(out, run):
                    return None
                held_s = env_guard.hold(out, run, step, attempt)
                if held_s is not None:
                    return held_s
                steps.apply_stage(out, run, step, attempt)
            case VerifyTargets(step=step, attempt=attempt):
                going_back.verify_targets(out, run, step, attempt)
            case Watch(step=step, attempt=attempt, judge=judge):
                return self._watcher.poll(run, step, attempt, judge=judge)
            case Drain(last=last):
                going_back.drain(out, run, last=last)
                still = out.store.run(run.run_id).status is RunStatus.CANCELLING
                return _DRAIN_RETRY_S if still else None
            case Revert():
                going_back.revert(out, run)
            case RevertTargets(number=number):
                going_back.revert_targets(out, run, number)
            case Settle(step=step, attempt=attempt):
                return settling.settle(out, run, step, attempt)
            case CaptureEvidence(step=step, attempt=attempt):
                self._sealer.capture(run, step, attempt)
            case CaptureRollback():
                self._sealer.capture_rollback(run, effect)
            case Seal(step=step, attempt=attempt):
                self._sealer.seal(run, step, attempt)
            case Wait():
                raise AssertionError("waits are answered by the caller")
            case _:
                assert_never(effect)
        return None


def _still_rests(out: Outside, run: Run) -> bool:
    """Whether the verdict still stands on what it rests on, now that the first target is about to
    be touched. Where it doesn't, that is recorded, and the gate is asked again."""
    lost = waiver_register.lost(out.store, run, out.clock.now_us())
    if not lost or not rebinding.before_deploy(run, lost):
        return True
    record(out.store, run.run_id, lambda now: rebinding.before_deploy(now, lost))
    return False


def _consequence(run: Run, now_us: int, bar: Bar | None, lost: str) -> tuple[RunEvent, ...]:
    effect = next_effect(run, now_us, bar, lost)
    return effect.events if isinstance(effect, Record) else ()
