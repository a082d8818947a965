"""Words and rows of replays: a recorded decision asked again, and what came of it. Pure.

A request is recorded before the work begins and each outcome when it is there, so that a request
whose outcomes are still missing is RUNNING and nothing else. "It differs" (MISMATCH) and "it could
not be asked" (FAILED) are different answers, and only mode VERIFY says something about determinism.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed

ALL: Final = "all"


class ReplayMode(StrEnum):
    VERIFY = "VERIFY"  # the same question: is it the same answer?
    WHAT_IF = "WHAT_IF"  # the same facts under a candidate policy
    TODAY = "TODAY"  # the same bundle and policy with the feeds and the clock of today


class Depth(StrEnum):
    SHALLOW = "SHALLOW"  # from the frozen facts to the verdict: proves the decision
    DEEP = "DEEP"  # from the raw sources to the facts to the verdict: proves the findings as well


class ReplayKind(StrEnum):
    VERDICT = "VERDICT"
    GATE = "GATE"


class ReplayStatus(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class ReplayResult(StrEnum):
    MATCH = "MATCH"
    MISMATCH = "MISMATCH"
    SAME = "SAME"
    FLIPPED = "FLIPPED"
    UNPROVEN = "UNPROVEN"  # the baseline does not replay, so nothing is said of the change


class Cause(StrEnum):
    """Why an answer is another one; in the order in which they are tried."""

    INPUT_MISSING = "INPUT_MISSING"
    INPUT_TAMPERED = "INPUT_TAMPERED"
    VERDICT_TAMPERED = "VERDICT_TAMPERED"
    POLICY_CHANGED = "POLICY_CHANGED"
    POLICY_CHANGED_SAME_DECISION = "POLICY_CHANGED_SAME_DECISION"
    ENGINE_CHANGED = "ENGINE_CHANGED"
    NONDETERMINISTIC = "NONDETERMINISTIC"
    UNEXPLAINED = "UNEXPLAINED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """Somebody asked for decisions to be replayed.

    Attributes:
        n: number of the request in this home, from 1 without gaps.
        scope: `verdict-42`, `run-42`, `run-42/canary-10` (the gate of one stage) or `all`.
        run_id: of the one run that is asked about; empty for more than one.
        policy: digest of the candidate; empty but in mode WHAT_IF.
        total: how many outcomes there will be.
    """

    n: int
    ts_us: int
    actor: str
    reason: str
    mode: str
    depth: str
    scope: str
    run_id: str
    environment: str
    policy: str
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRow:
    """One outcome.

    Attributes:
        n, idx: of the request, and 1-based within it; `idx` 0 ends a request as a whole.
        subject: `verdict-42`, or `run-42/canary-10/1` for the gate's decisions of an attempt.
        facet: the part that is missing, damaged or first to differ; empty when there is none.
        decided_us: when the replayed decision was made.
        digest_then, digest_now: of the answers; of a gate, of its tick series and its answers.
        crosscheck: AGREE, DISAGREE or FAILED by the second engine; empty when it was not asked.
        detail: blob with everything beyond this row; empty when there is nothing.
    """

    n: int
    idx: int
    ts_us: int
    status: str
    kind: str
    subject: str
    run_id: str
    environment: str
    mode: str
    depth: str
    result: str
    cause: str
    facet: str
    sentence: str
    decided_us: int
    decision_then: str
    decision_now: str
    digest_then: str
    digest_now: str
    policy: str
    policy_now: str
    engine: str
    engine_now: str
    form: str
    crosscheck: str
    took_us: int
    detail: str


def replay_name(n: int, idx: int = 0, total: int = 1) -> str:
    """`rr-007`, or `rr-007.3` for an outcome of a request that has several."""
    return f"rr-{n:03d}" if total == 1 or idx == 0 else f"rr-{n:03d}.{idx}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayAsk:
    """What is asked for at the door.

    Attributes:
        policy: the candidate of a WHAT_IF.
        since_us: of scope `all`: only decisions made since then.
        environment: of scope `all`: only decisions about it; empty = every one.
        processes: fresh processes that evaluate once each, to see whether they agree.
        crosscheck: ask the second engine too; it is slow.
        jobs: worker processes at most; 0 = as many as the pool has.
    """

    scope: str
    reason: str
    mode: ReplayMode = ReplayMode.VERIFY
    depth: Depth = Depth.SHALLOW
    policy: Digest | None = None
    since_us: int = 0
    environment: str = ""
    processes: int = 0
    crosscheck: bool = False
    jobs: int = 0


PROCESSES_MAX: Final = 8
REASON_MAX: Final = 400


def check_ask(ask: ReplayAsk) -> None:
    """Raises `Malformed` for what does not go together."""
    if not ask.reason.strip() or len(ask.reason) > REASON_MAX or not ask.reason.isprintable():
        raise Malformed(f"expected a line of 1 to {REASON_MAX} characters", where="reason")
    if not 0 <= ask.processes <= PROCESSES_MAX:
        raise Malformed(f"expected 0 to {PROCESSES_MAX}, found {ask.processes}", where="processes")
    if (ask.mode is ReplayMode.WHAT_IF) != (ask.policy is not None):
        raise Malformed("expected a candidate policy with WHAT_IF and only there", where="policy")
    if ask.mode is ReplayMode.WHAT_IF and ask.depth is Depth.DEEP:
        raise Malformed("expected SHALLOW: a candidate is asked about frozen facts", where="depth")
    if ask.scope != ALL and (ask.since_us or ask.environment):
        raise Malformed("expected since and environment with scope all only", where="scope")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayProgress:
    """How far a request has come."""

    n: int
    total: int
    done: int
    matching: int
    mismatching: int
    same: int
    flipped: int
    unproven: int
    failed: int
    status: ReplayStatus

    @property
    def ended(self) -> bool:
        return self.status is not ReplayStatus.RUNNING

    def document(self) -> dict[str, Any]:
        return {
            "name": replay_name(self.n),
            "n": self.n,
            "status": self.status.value,
            "total": self.total,
            "done": self.done,
            "matching": self.matching,
            "mismatching": self.mismatching,
            "same": self.same,
            "flipped": self.flipped,
            "unproven": self.unproven,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fired:
    """A rule that fired, as in a verdict."""

    rule: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A decision whose results are others under another policy or with the feeds of today.

    Attributes:
        live: environments in which this very bundle is live now.
    """

    verdict_id: str
    run_id: str
    environment: str
    bundle: str
    bundle_label: str
    decided_us: int
    decision_then: str
    decision_now: str
    policy_then: str
    policy_now: str
    fails_then: tuple[Fired, ...]
    fails_now: tuple[Fired, ...]
    warns_then: tuple[Fired, ...]
    warns_now: tuple[Fired, ...]
    live: tuple[str, ...]

    @property
    def flipped(self) -> bool:
        return self.decision_then != self.decision_now

    @property
    def newly_fails(self) -> tuple[Fired, ...]:
        return _new(self.fails_then, self.fails_now)

    @property
    def newly_warns(self) -> tuple[Fired, ...]:
        return _new(self.warns_then, self.warns_now)

    @property
    def no_longer(self) -> tuple[Fired, ...]:
        """What failed or warned then and does neither now."""
        return _new((*self.fails_now, *self.warns_now), (*self.fails_then, *self.warns_then))

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that the change of the decision comes from; else those of what differs."""
        if self.decision_now == "FAIL" and self.flipped:
            found: Iterable[Fired] = self.newly_fails
        elif self.flipped:
            found = _new(self.fails_now, self.fails_then)
        else:
            found = (*self.newly_fails, *self.newly_warns, *self.no_longer)
        return tuple(sorted({one.rule for one in found}))

    def document(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict_id,
            "run": self.run_id,
            "environment": self.environment,
            "bundle": self.bundle,
            "label": self.bundle_label,
            "decided_us": self.decided_us,
            "then": self.decision_then,
            "now": self.decision_now,
            "flipped": self.flipped,
            "rules": list(self.rules),
            "newly_fails": [_fired(one) for one in self.newly_fails],
            "newly_warns": [_fired(one) for one in self.newly_warns],
            "no_longer": [_fired(one) for one in self.no_longer],
            "live": list(self.live),
        }


def _new(before: Iterable[Fired], after: Iterable[Fired]) -> tuple[Fired, ...]:
    """Those of `after` for which `before` has nothing by the same rule about the same subject."""
    known = {(one.rule, one.subject) for one in before}
    return tuple(sorted(one for one in after if (one.rule, one.subject) not in known))


def _fired(one: Fired) -> dict[str, str]:
    return {"rule": one.rule, "subject": one.subject, "detail": one.detail}


def fired_of(verdict: Mapping[str, Any], level: str) -> tuple[Fired, ...]:
    """The results of one level of a verdict's document."""
    return tuple(
        Fired(rule=one["rule"], subject=one["subject"], detail=one["detail"])
        for one in verdict["results"]
        if one["level"] == level
    )
