"""The way back of one run: planned from an observation, shown before it is taken, checked for gaps.

What a preview shows is the plan that a rollback carries out: both come from `plan_back`, and while
the targets stay as they are both have the same digest. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from engine.core import way_back
from engine.core.back_events import RollbackReadiness, TargetReadiness
from engine.core.digest import Digest
from engine.core.plan import (
    Observation,
    RollbackPlan,
    TargetChange,
    TargetObservation,
    plan_rollback,
)
from engine.core.state import Run, TargetState


class RowAction(StrEnum):
    REVERT = "revert"
    UNCHANGED = "unchanged"
    IRREVERSIBLE = "irreversible"
    UNKNOWN = "unknown"  # it gives no answer; a rollback tries it all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewRow:
    """Attributes:
    from_digest: what it runs now; None = it does not answer.
    to_digest: what it would run afterwards; None where nothing changes or none is known.
    note: one short sentence where the action alone does not say enough, else empty.
    """

    target: str
    from_digest: Digest | None
    to_digest: Digest | None
    action: RowAction
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPreview:
    """What a rollback would do now.

    Attributes:
        scope: `full` or `target`.
        targets: the named ones; empty for `full`.
        rows: every target of the scope, sorted by id.
        plan: what would be carried out; its digest may be sent along with the command.
        observed_at_us: when the targets were looked at.
        source: who looked: the driver, or `record` when the targets could not be looked at.
        warnings: sentences that whoever decides should have read.
    """

    run_id: str
    scope: str
    targets: tuple[str, ...]
    rows: tuple[PreviewRow, ...]
    plan: RollbackPlan
    observed_at_us: int
    source: str
    warnings: tuple[str, ...]

    @property
    def digest(self) -> Digest:
        return self.plan.digest

    @property
    def executable(self) -> bool:
        return self.plan.executable

    @property
    def counts(self) -> Mapping[RowAction, int]:
        """How many targets have each action; every action is there."""
        found = Counter(row.action for row in self.rows)
        return {action: found[action] for action in RowAction}

    def document(self) -> dict[str, Any]:
        """As the API and the command line give it out."""
        return {
            "run": self.run_id,
            "scope": self.scope,
            "targets": list(self.targets),
            "digest": str(self.digest),
            "executable": self.executable,
            "observed_at_us": self.observed_at_us,
            "source": self.source,
            "counts": {action.value: count for action, count in self.counts.items()},
            "rows": [
                {
                    "target": row.target,
                    "from": _text(row.from_digest),
                    "to": _text(row.to_digest),
                    "action": row.action.value,
                    "note": row.note,
                }
                for row in self.rows
            ],
            "warnings": list(self.warnings),
        }


def plan_back(run: Run, observation: Observation, only: Collection[str] = ()) -> RollbackPlan:
    """Plan the way back from what is seen now.

    A target that the run never touched is not its to answer for: it is in the plan only as
    unchanged, when it is known to run what it always ran.

    Args:
        only: restrict to these targets; empty = every one.
    """
    seen = observation.by_target()
    touched = set(run.touched_targets)
    present = {}
    for known in run.targets:
        one = seen.get(known.target)
        present[known.target] = () if one is None else one.present
        if known.reversible and known.baseline is not None and not _answered(one):
            # It does not answer, so what it holds is not known: a rollback tries every target.
            present[known.target] = (known.baseline,)
    chosen = {
        t.target: t.baseline
        for t in run.targets
        if (t.target in touched or _as_before(t, seen)) and (not only or t.target in only)
    }
    return plan_rollback(
        run_id=run.run_id,
        environment=run.environment,
        baseline=chosen,
        current={t: o.digest for t, o in seen.items()},
        present=present,
        idle=[t for t, o in seen.items() if t in touched and o.serving is False],
    )


def preview(
    run: Run, observation: Observation, targets: Collection[str] = (), *, new_run: bool = False
) -> RollbackPreview:
    """What a rollback of `targets` (empty = full) would do, from this observation.

    Args:
        new_run: a new run is to go back, so that it does not matter that this one has ended.
    """
    named = tuple(sorted(set(targets)))
    plan = plan_back(run, observation, named)
    seen = observation.by_target()
    changes = {c.target: c for c in plan.plan.changes}
    stuck = dict(plan.irreversible)
    rows = []
    for known in run.targets:
        target = known.target
        if named and target not in named:
            continue
        now = seen[target].digest if target in seen else None
        if target in changes:
            rows.append(_change_row(changes[target]))
        elif target in stuck:
            rows.append(
                PreviewRow(
                    target=target,
                    from_digest=now,
                    to_digest=None,
                    action=RowAction.IRREVERSIBLE,
                    note=stuck[target],
                )
            )
        else:
            ours = target in plan.unchanged
            rows.append(
                PreviewRow(
                    target=target,
                    from_digest=now,
                    to_digest=None,
                    action=RowAction.UNCHANGED,
                    note="" if ours else "not touched by this run",
                )
            )
    return RollbackPreview(
        run_id=run.run_id,
        scope=way_back.TARGET if named else way_back.FULL,
        targets=named,
        rows=tuple(rows),
        plan=plan,
        observed_at_us=observation.observed_at_us,
        source=observation.source,
        warnings=_warnings(run, rows, new_run=new_run),
    )


def _change_row(change: TargetChange) -> PreviewRow:
    note, action = "", RowAction.REVERT
    if change.from_digest is None:
        note, action = "does not answer; it is tried all the same", RowAction.UNKNOWN
    elif change.from_digest == change.to_digest:
        note = "runs its bundle of before but gets no traffic; it gets it back"
    return PreviewRow(
        target=change.target,
        from_digest=change.from_digest,
        to_digest=change.to_digest,
        action=action,
        note=note,
    )


def from_record(run: Run) -> Observation:
    """The targets as the run's own facts last told of them, where nobody can look now."""
    newest = () if run.readiness is None else run.readiness.targets
    ready = {one.target: one.ready for one in newest}
    return Observation(
        observed_at_us=run.updated_us,
        source="record",
        targets=tuple(
            TargetObservation(
                target=t.target,
                digest=t.current,
                healthy=t.healthy,
                present=(t.baseline,)
                if t.baseline is not None and ready.get(t.target, t.reversible)
                else (),
                note=t.note,
            )
            for t in run.targets
        ),
    )


def readiness(run: Run, step: str, observation: Observation) -> RollbackReadiness:
    """Whether the targets of this step, and those set before it, could go back.

    Its plan is the one that holds when the step has set its targets: a preview made then, of
    targets that went the planned way, has the same digest.
    """
    goes = set(run.cohort(step)) | set(run.touched_targets)
    after = replace(
        observation,
        targets=tuple(
            replace(one, digest=run.bundle) if one.target in goes else one
            for one in observation.targets
        ),
    )
    plan = plan_back(run, after)
    seen = observation.by_target()
    return RollbackReadiness(
        step=step,
        plan=plan.digest,
        observed_at_us=observation.observed_at_us,
        targets=tuple(_ready(t, seen.get(t.target)) for t in run.targets if t.target in goes),
    )


def not_by_itself(run: Run, *, breach: bool = True) -> str:
    """Why a rollback does not begin by itself now; empty when it does.

    Args:
        breach: the health gate asks for it, so that `on_breach` has a say.
    """
    if breach and run.request.on_breach != "rollback":
        return f"{run.environment} pauses on a breach (on_breach: {run.request.on_breach})"
    if run.plan is None:
        return "the targets were never looked at, so no way back is known"
    stuck = run.stuck_targets
    if stuck:
        named = "; ".join(f"{target}: {why}" for target, why in stuck)
        return f"{_targets(len(stuck))} cannot go back ({named})"
    return ""


def not_rolled_back(reason: str, held: str) -> str:
    """What whoever is called to a paused run reads first."""
    return f"{reason}; not rolled back by itself: {held}"


def _ready(known: TargetState, seen: TargetObservation | None) -> TargetReadiness:
    was = known.baseline
    if was is None:
        note = "its digest before this run is not known"
        return TargetReadiness(target=known.target, to_digest=None, present=False, note=note)
    if seen is None or (seen.digest is None and not seen.present):
        # No answer says nothing of what it holds; at the baseline it was there or it was not.
        note = "" if known.reversible else known.note
        return TargetReadiness(
            target=known.target, to_digest=was, present=known.reversible, note=note
        )
    # That it runs the bundle now is not enough: only what lies there can be gone back to later.
    present = was in seen.present
    note = "" if present else f"previous bundle {was.short} is no longer on the target"
    return TargetReadiness(target=known.target, to_digest=was, present=present, note=note)


def _warnings(run: Run, rows: Collection[PreviewRow], *, new_run: bool) -> tuple[str, ...]:
    found = []
    stuck = [row.target for row in rows if row.action is RowAction.IRREVERSIBLE]
    silent = [row.target for row in rows if row.action is RowAction.UNKNOWN]
    if stuck:
        found.append(f"{_targets(len(stuck))} cannot go back: {', '.join(stuck)}.")
    if silent:
        do = "does" if len(silent) == 1 else "do"
        found.append(
            f"{_targets(len(silent))} {do} not answer: {', '.join(silent)}. What comes of going "
            "back is seen only afterwards."
        )
    step = run.being_set
    if step is not None:
        found.append(
            f"{step.spec.name} is setting targets: what changes before it stops goes back too."
        )
    if run.terminal and not new_run:
        found.append(f"{run.run_id} has ended: nothing goes back in it any more.")
    return tuple(found)


def _as_before(known: TargetState, seen: Mapping[str, TargetObservation]) -> bool:
    return (
        known.baseline is not None
        and known.target in seen
        and seen[known.target].digest == known.baseline
    )


def _answered(one: TargetObservation | None) -> bool:
    return one is not None and one.digest is not None


def _targets(count: int) -> str:
    return "1 target" if count == 1 else f"{count} targets"


def _text(digest: Digest | None) -> str | None:
    return None if digest is None else str(digest)
