"""Which targets a stage touches, from which digest to which, and the way back. Pure.

A plan is data: it is hashed into the approval before anything is touched, shown as the preview
of a rollback, handed to a driver, and sealed. Drivers never choose targets themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.digest import Digest
from engine.core.jcs import canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetObservation:
    """What a target is seen to be, read from the running thing.

    Attributes:
        digest: bundle that it runs; None when unknown (no answer is not "nothing runs").
        healthy: its own answer to the health probe; None when it did not answer.
        epoch: highest fencing epoch that the target has accepted; 0 when never deployed.
        present: bundle digests that the target holds locally and can switch to without a source.
        serving: whether it is given its traffic, as a switch that was cut off may have left it
            without; None where the environment does not say.
        note: one short sentence when something is odd, else empty.
    """

    target: str
    digest: Digest | None
    healthy: bool | None
    epoch: int = 0
    since_us: int | None = None
    present: tuple[Digest, ...] = ()
    serving: bool | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All targets of an environment at one moment, sorted by target id."""

    observed_at_us: int
    source: str
    targets: tuple[TargetObservation, ...]

    def by_target(self) -> dict[str, TargetObservation]:
        return {target.target: target for target in self.targets}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChange:
    """`from_digest` is what the plan expects to find; None means it was unknown."""

    target: str
    from_digest: Digest | None
    to_digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """What one stage does, in order.

    Attributes:
        changes: sorted by target id; targets already on the digest are listed too (as no-ops).
        max_failures: after this many failed targets no further one is started.
    """

    run_id: str
    step: str
    environment: str
    changes: tuple[TargetChange, ...]
    max_failures: int = 0

    def document(self) -> dict[str, Any]:
        return {
            "schema": "releaseline.stage-plan/1",
            "run": self.run_id,
            "step": self.step,
            "environment": self.environment,
            "maxFailures": self.max_failures,
            "changes": [
                {
                    "target": change.target,
                    "from": None if change.from_digest is None else str(change.from_digest),
                    "to": str(change.to_digest),
                }
                for change in self.changes
            ],
        }

    @property
    def digest(self) -> Digest:
        return Digest.of(canonical(self.document()))


def cohort(targets: Iterable[str], *, share_bp: int, minimum: int = 1) -> tuple[str, ...]:
    """Return the targets of a stage: ceil(share x N), at least `minimum`, sorted, nested.

    Nested means that a larger share always contains the smaller one (10 % within 50 %), because
    the same sorted list is cut. Empty for an environment without targets.

    Args:
        share_bp: 1 to 10_000 basis points of the environment's targets.
    """
    if not 1 <= share_bp <= 10_000:
        raise ValueError(f"share_bp must be 1 to 10000, got {share_bp}")
    ordered = sorted(set(targets))
    count = max(minimum, -(-share_bp * len(ordered) // 10_000))
    return tuple(ordered[:count])


def plan_stage(
    *,
    run_id: str,
    step: str,
    environment: str,
    bundle: Digest,
    targets: Sequence[str],
    observed: Mapping[str, Digest | None],
    max_failures: int = 0,
) -> StagePlan:
    """Plan to bring `targets` to `bundle`, from what was observed on each."""
    return StagePlan(
        run_id=run_id,
        step=step,
        environment=environment,
        changes=tuple(
            TargetChange(target=target, from_digest=observed.get(target), to_digest=bundle)
            for target in sorted(targets)
        ),
        max_failures=max_failures,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """The way back, per target to the digest that it really had before this run.

    Attributes:
        plan: only targets that have to change.
        unchanged: targets that already run their recorded digest.
        irreversible: (target, why) for targets that cannot go back; not empty = not executable.
    """

    plan: StagePlan
    unchanged: tuple[str, ...]
    irreversible: tuple[tuple[str, str], ...]

    @property
    def executable(self) -> bool:
        return not self.irreversible

    @property
    def digest(self) -> Digest:
        return Digest.of(
            canonical(
                {
                    "schema": "releaseline.rollback-plan/1",
                    "plan": self.plan.document(),
                    "unchanged": list(self.unchanged),
                    "irreversible": [list(pair) for pair in self.irreversible],
                }
            )
        )


def plan_rollback(
    *,
    run_id: str,
    environment: str,
    baseline: Mapping[str, Digest | None],
    current: Mapping[str, Digest | None],
    present: Mapping[str, Sequence[Digest]],
    idle: Collection[str] = (),
    only: Sequence[str] = (),
) -> RollbackPlan:
    """Plan the way from `current` back to `baseline`.

    Args:
        baseline: digest per target before the run touched anything; None = was unknown.
        current: digest per target as observed now; None = unknown, which is planned as a change
            (asking an already reverted target again is a no-op).
        present: digests each target holds locally. A target whose baseline digest is not among
            them is irreversible: going back must work with every artifact source down.
        idle: targets that are given no traffic. One that runs its bundle of before is planned all
            the same: setting it once more changes nothing but gives it its traffic back.
        only: restrict to these targets; empty = all.
    """
    chosen = sorted(only or baseline)
    changes: list[TargetChange] = []
    unchanged: list[str] = []
    irreversible: list[tuple[str, str]] = []
    for target in chosen:
        was = baseline.get(target)
        if was is None:
            irreversible.append((target, "its digest before this run is not known"))
        elif current.get(target) == was and target not in idle:
            unchanged.append(target)
        elif current.get(target) != was and was not in present.get(target, ()):
            irreversible.append((target, f"previous bundle {was.short} is no longer on the target"))
        else:
            changes.append(
                TargetChange(target=target, from_digest=current.get(target), to_digest=was)
            )
    return RollbackPlan(
        plan=StagePlan(
            run_id=run_id,
            step="rollback",
            environment=environment,
            changes=tuple(changes),
            max_failures=len(changes),  # a rollback tries every target, whatever fails
        ),
        unchanged=tuple(unchanged),
        irreversible=tuple(irreversible),
    )
