"""The environment guard: how fast the error budget is spent, read before something is begun.

Reads, keeps what was read as evidence and records it; what the answer means for the run is said
by `engine.core.burn_guard`. The answer is asked for at every poll as long as it holds a run up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core import burn, burn_guard
from engine.core.burn import RuleBurn
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed
from engine.core.events import Event
from engine.core.fact_events import EnvironmentGuarded
from engine.core.health_criteria import Criteria
from engine.core.jcs import JsonValue, canonical
from engine.core.run import Run
from engine.core.run_events import RunStarted
from engine.core.statemachine import RunStatus, StepStatus
from engine.outside import Outside
from engine.recording import record
from engine.steps import OBSERVE_DEADLINE_S

SCHEMA: Final = "releaseline.env-guard/1"
_POLL_MS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One look at the environment. `document` is the evidence that `fact` names by its digest."""

    fact: EnvironmentGuarded
    document: bytes
    criteria: Criteria


def look(out: Outside, run: Run, *, step: str = "", attempt: int = 0) -> Read | None:
    """Ask the environment's source now; None when the run is not guarded here.

    A source that gives no answer is an answer too, and never an error.
    """
    criteria = burn_guard.criteria_for(run, step)
    if criteria is None:
        return None
    source = out.places[run.environment].burn
    rules, slo_bp = criteria.guard_burns, criteria.guard_slo_bp
    windows_s = burn.windows_of(rules)
    timeout_ms = out.settings.environment(run.environment).workflow.metrics.timeout_ms
    kind, query, at_us = "none", "", out.clock.now_us()
    found: tuple[RuleBurn, ...]
    try:
        if source is None:
            raise AdapterFailed("nothing here counts what the users got", transient=False)
        kind, query = source.kind, source.burn_query(windows_s=windows_s)
        counts = source.bad_and_total(windows_s=windows_s, deadline_s=timeout_ms / 1000)
        found = burn.judge(rules, counts, slo_bp=slo_bp)
        reason = burn.sentence(found, slo_bp=slo_bp)
    except AdapterFailed as failed:
        found, reason = burn.silent(rules), f"no data: {failed}"
    document = canonical(
        {
            "schema": SCHEMA,
            "run": run.run_id,
            "environment": run.environment,
            "step": step,
            "attempt": attempt,
            "state": burn.overall(found).value,
            "reason": reason,
            "sloBp": slo_bp,
            "rules": [_rule(rule) for rule in found],
            "query": {"source": kind, "text": query, "atUs": at_us},
        }
    )
    fact = EnvironmentGuarded(
        step=step,
        attempt=attempt,
        state=burn.overall(found),
        reason=reason,
        slo_bp=slo_bp,
        rules=found,
        source=kind,
        query=query,
        at_us=at_us,
        evidence=Digest.of(document),
    )
    return Read(fact=fact, document=document, criteria=criteria)


def start(out: Outside, run: Run, read: Read | None, epoch: int) -> float | None:
    """Let a queued run start, or stay as it is. Returns a wait in seconds when it has to stay."""

    def build(now: Run) -> Sequence[Event]:
        if now.status is not RunStatus.QUEUED:
            return ()
        if read is None:
            return (RunStarted(via="lock_acquired", epoch=epoch),)
        now_us = out.clock.now_us()
        return burn_guard.before_start(now, read.fact, now_us, read.criteria, epoch)

    after = _recorded(out, run, read, build)
    return _poll_s(run, "") if after.status is RunStatus.QUEUED else None


def hold(out: Outside, run: Run, step: str, attempt: int) -> float | None:
    """Guard a stage before its first target is touched.

    Returns a wait in seconds when the stage has to wait; None when the run is to be looked at
    again at once: the stage may go on, or is no longer at hand.
    """
    read = None if _begun(out, run, step) else look(out, run, step=step, attempt=attempt)
    if read is None:
        return None
    after = _recorded(
        out,
        run,
        read,
        lambda now: burn_guard.before_stage(now, read.fact, out.clock.now_us(), read.criteria),
    )
    waits = after.status is RunStatus.RUNNING and after.step(step).status is StepStatus.WAITING
    return _poll_s(run, step) if waits else None


def _begun(out: Outside, run: Run, step_id: str) -> bool:
    """Whether a target of the stage may run the bundle already.

    Then the stage is not held up any more: a half set stage has to come under its gate's watch.
    After an attempt that ended without an answer nobody remembers, so the targets are looked at.
    """
    step = run.step(step_id)
    before: set[str] = set()
    for cohort in run.cohorts:
        if cohort.step == step_id:
            break
        before |= set(cohort.targets)
    ours = set(run.cohort(step_id)) - before
    if any(t.target in ours and t.changed and t.current == run.bundle for t in run.targets):
        return True
    if all(attempt.status is not StepStatus.ERRORED for attempt in step.attempts):
        return False
    try:
        seen = out.places[run.environment].driver.observe(deadline_s=OBSERVE_DEADLINE_S)
    except AdapterFailed:
        # The stage's own work would meet the same trouble, and has words and tries for it; but
        # what waits already goes on waiting.
        return step.status is not StepStatus.WAITING
    was = {t.target: t.baseline for t in run.targets}
    return any(
        one.target in ours and one.digest == run.bundle and one.digest != was.get(one.target)
        for one in seen.targets
    )


def _recorded(
    out: Outside, run: Run, read: Read | None, build: Callable[[Run], Sequence[Event]]
) -> Run:
    def keep(now: Run) -> Sequence[Event]:
        events = build(now)
        if read is not None and read.fact in events:
            out.store.blobs.put(read.document)  # before the event that names it
        return events

    return record(out.store, run.run_id, keep)


def _poll_s(run: Run, step_id: str) -> float:
    polls = [s.spec.poll_ms for s in run.steps if s.spec.poll_ms and step_id in {"", s.id}]
    return (polls[0] if polls else _POLL_MS) / 1000


def _rule(rule: RuleBurn) -> JsonValue:
    return {
        "burnCenti": rule.burn_centi,
        "state": rule.state.value,
        "windows": [{"seconds": w.window_s, "bad": w.bad, "total": w.total} for w in rule.windows],
    }
