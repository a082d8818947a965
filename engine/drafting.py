"""From a run's recorded facts to the statements that are due. Looks up blobs and ticks, no more.

What is said comes from `engine.evidence.predicates`; what is due, from `engine.core.effects`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from engine.core.back_events import (
    RollbackReadiness,
    RollbackSuppressed,
    TargetRollbackRequested,
    TargetRollbackVerified,
)
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.event_parts import NamedDigest
from engine.core.events import Event, Recorded
from engine.core.fact_events import (
    EnvironmentGuarded,
    EvidenceCaptured,
    GateDecided,
    InputsMaterialized,
    PolicyEvaluated,
    RollbackVerified,
    StageApplied,
    TargetReverted,
    TargetSet,
    VerifySnapshot,
)
from engine.core.jcs import canonical
from engine.core.rows import GateTick
from engine.core.run import Run
from engine.core.run_events import RollbackFailed, RollbackStarted
from engine.core.spec import StepKind
from engine.core.state import Attempt, StepState
from engine.drafting_people import approval
from engine.evidence import predicate_rollback, predicate_runtime, predicates
from engine.evidence.predicate_provenance import provenance
from engine.evidence.predicate_record import run_record
from engine.evidence.predicates import Draft
from engine.policy.capsule import open_capsule
from engine.policy.strictjson import read_strict
from engine.ports import EventStore

PRECONDITIONS: Final = "preconditions.json"

_Fact = TypeVar(
    "_Fact",
    InputsMaterialized,
    PolicyEvaluated,
    TargetSet,
    StageApplied,
    GateDecided,
    VerifySnapshot,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that statements about a run are made from.

    Attributes:
        run: the fold of `log`.
        base: URI under which our types are named.
        at_us: moment of signing, never before the newest fact.
        blob: bytes by digest; raises `NotFound` or `Malformed`.
        ticks: stored ticks of a step from an attempt on.
        identity: certificate identity of a user.
        engine: certificate identity of the engine.
    """

    run: Run
    log: Sequence[Recorded]
    base: str
    at_us: int
    blob: Callable[[Digest], bytes]
    ticks: Callable[[str, int], Sequence[GateTick]]
    identity: Callable[[str], str]
    engine: str

    def of(self, kind: type[_Fact], step: str, attempt: int) -> list[_Fact]:
        """Facts of one kind about one attempt, oldest first."""
        return [
            event
            for event in self.events()
            if isinstance(event, kind) and event.step == step and event.attempt == attempt
        ]

    def events(self) -> Iterator[Event]:
        return (recorded.event for recorded in self.log)


def drafts(facts: Facts, step_id: str, number: int) -> tuple[Draft, ...]:
    """What is to be said about a finished attempt, or about the next decision of an approval.

    Raises:
        NotFound, Malformed: something that the attempt left behind is gone or damaged.
    """
    step = facts.run.step(step_id)
    attempt = step.attempts[number - 1]
    match step.spec.kind:
        case StepKind.APPROVAL:
            return (approval(facts, attempt),)
        case StepKind.INPUTS:
            found = _inputs(facts, step, attempt)
        case StepKind.GATE_EVAL:
            found = _policy(facts, step, attempt)
        case StepKind.DEPLOY:
            found = (
                _deployment(facts, step, attempt),
                *_gate(facts, step, attempt),
                *_provenance(facts, step, attempt),
            )
        case _:
            found = (*_runtime(facts, step, attempt), *_gate(facts, step, attempt))
    if not found:
        found = (predicates.step_result(step, attempt, base=facts.base),)
    return (_with_outputs(facts, found[0], attempt), *found[1:])


def rollback(facts: Facts, number: int) -> Draft:
    """What went back that time, why, and what state that left."""
    reverted: dict[str, TargetReverted] = {}
    begun, plan = 0, None
    for event in facts.events():
        match event:
            case RollbackStarted() | TargetRollbackRequested():
                begun += 1
            case TargetReverted() if begun == number:
                reverted[event.target] = event
            case RollbackVerified() | TargetRollbackVerified() | RollbackFailed():
                plan = event.plan if begun == number else plan
            case _:
                pass
    return predicate_rollback.rollback(
        facts.run,
        facts.run.ways_back[number - 1],
        base=facts.base,
        plan=plan,
        reverted=tuple(reverted.values()),
        at_us=facts.at_us,
    )


def _inputs(facts: Facts, step: StepState, attempt: Attempt) -> tuple[Draft, ...]:
    found = facts.of(InputsMaterialized, step.id, attempt.number)
    drafts = tuple(
        predicates.inputs(facts.run, one, facts.blob(one.resolved), base=facts.base)
        for one in found[-1:]
    )
    if attempt.number > 1:
        return drafts
    return tuple(_with_preconditions(draft, facts.run, facts.blob) for draft in drafts)


def record_of(run: Run, store: EventStore, *, base: str) -> Draft:
    """Every event of the run, once; with its preconditions where it never began a step."""
    draft = run_record(run, store.texts(run.run_id), base=base)
    return draft if run.started_us is not None else _with_preconditions(draft, run, store.blobs.get)


def _with_preconditions(draft: Draft, run: Run, blob: Callable[[Digest], bytes]) -> Draft:
    """What a scheduled run's start rested on, or what kept it from starting, goes beside it."""
    checked = run.checked
    if checked is None:
        return draft
    told = {"name": PRECONDITIONS, "digest": {"sha256": checked.evidence.hex}}
    return replace(
        draft,
        predicate={**draft.predicate, "preconditions": told},
        files=(*draft.files, (PRECONDITIONS, blob(checked.evidence))),
    )


def _policy(facts: Facts, step: StepState, attempt: Attempt) -> tuple[Draft, ...]:
    found = facts.of(PolicyEvaluated, step.id, attempt.number)
    return tuple(
        predicates.policy_decision(
            facts.run,
            one,
            base=facts.base,
            at_us=attempt.ended_us or facts.at_us,
            basis=_statements(facts, StepKind.INPUTS)[-1:],
            files=(),
        )
        for one in found[-1:]
    )


def _guards(facts: Facts, step: StepState, attempt: Attempt) -> list[EnvironmentGuarded]:
    """What was known of the environment before the attempt; the first stage's also has what was
    known before the run began."""
    begins = {(step.id, attempt.number)}
    if _is_first(facts, step):
        begins.add(("", 0))
    return [
        event
        for event in facts.events()
        if isinstance(event, EnvironmentGuarded) and (event.step, event.attempt) in begins
    ]


def _is_first(facts: Facts, step: StepState) -> bool:
    return step.id == next(s.id for s in facts.run.steps if s.spec.kind is StepKind.DEPLOY)


def _provenance(facts: Facts, step: StepState, attempt: Attempt) -> tuple[Draft, ...]:
    """Of the deploy workflow as it began: with the first attempt that began it."""
    if not _is_first(facts, step) or attempt.number != 1:
        return ()
    basis = (
        *_statements(facts, StepKind.INPUTS)[-1:],
        *_statements(facts, StepKind.GATE_EVAL)[-1:],
        *_statements(facts, StepKind.APPROVAL),
    )
    draft = provenance(
        facts.run,
        base=facts.base,
        engine=facts.engine,
        began_us=attempt.started_us,
        basis=basis,
    )
    return (draft,)


def _deployment(facts: Facts, step: StepState, attempt: Attempt) -> Draft:
    applied = facts.of(StageApplied, step.id, attempt.number)
    # The inputs step looks at the way back for the whole run; the first stage rests on that.
    before = {step.id, facts.run.steps[0].id} if _is_first(facts, step) else {step.id}
    draft = predicates.deployment(
        facts.run,
        step,
        attempt,
        base=facts.base,
        sets=facts.of(TargetSet, step.id, attempt.number),
        plan=applied[-1].plan if applied else None,
        basis=(
            *_statements(facts, StepKind.GATE_EVAL)[-1:],
            *_statements(facts, StepKind.APPROVAL),
        ),
        readiness=[
            event
            for event in facts.events()
            if isinstance(event, RollbackReadiness) and event.step in before
        ],
        at_us=facts.at_us,
    )
    return _with_guards(facts, draft, _guards(facts, step, attempt))


def _with_guards(facts: Facts, draft: Draft, guards: Sequence[EnvironmentGuarded]) -> Draft:
    """What was known of the environment's error budget goes beside what was done in it."""
    if not guards:
        return draft
    told = [
        {
            "before": one.step or "start",
            "state": one.state.value,
            "reason": one.reason,
            "readAt": predicates.rfc3339(one.at_us),
            "evidence": {"sha256": one.evidence.hex},
        }
        for one in guards
    ]
    files = tuple(
        (f"env-guard-{n}.json", facts.blob(one.evidence)) for n, one in enumerate(guards, start=1)
    )
    return replace(
        draft,
        predicate={**draft.predicate, "environmentGuard": told},
        files=(*draft.files, *files),
    )


def _gate(facts: Facts, step: StepState, attempt: Attempt) -> tuple[Draft, ...]:
    ticks = _ticks_of(facts, step, attempt.number)
    decisions = facts.of(GateDecided, step.id, attempt.number)
    if not step.spec.gate or not (ticks or decisions):
        return ()
    return (
        predicates.health_gate(
            step,
            attempt,
            base=facts.base,
            decisions=decisions,
            ticks=b"".join(_line(tick) for tick in ticks),
            tick_count=len(ticks),
            last_evidence=facts.blob(decisions[-1].evidence) if decisions else None,
            overrides=[
                one
                for one in facts.run.overrides
                if (one.step, one.attempt) == (step.id, attempt.number)
            ],
            suppressed=[
                event.reason
                for event in facts.events()
                if isinstance(event, RollbackSuppressed)
                and (event.step, event.attempt) == (step.id, attempt.number)
            ],
        ),
    )


def _ticks_of(facts: Facts, step: StepState, number: int) -> list[GateTick]:
    """The ticks of the watch up to this attempt; a lost engine's are part of it."""
    first = replace(step, attempts=step.attempts[:number]).watch_from
    return [tick for tick in facts.ticks(step.id, first) if tick.attempt <= number]


def _line(tick: GateTick) -> bytes:
    return (
        canonical(
            {
                "attempt": tick.attempt,
                "n": tick.n,
                "tMs": tick.t_ms,
                "tsUs": tick.ts_us,
                "tick": json.loads(tick.tick),
                "action": tick.action,
                "rule": tick.rule,
                "reason": tick.reason,
            }
        )
        + b"\n"
    )


def _runtime(facts: Facts, step: StepState, attempt: Attempt) -> tuple[Draft, ...]:
    found = facts.of(VerifySnapshot, step.id, attempt.number)
    if not found:
        return ()
    snapshot = facts.blob(found[-1].snapshot)
    trace = predicate_runtime.runtime(facts.run, attempt, found[-1], snapshot, base=facts.base)
    concluded = predicate_runtime.conclusions(
        facts.run,
        found[-1],
        snapshot,
        _findings(facts),
        base=facts.base,
        author=facts.engine,
        at_us=facts.at_us,
    )
    return (trace,) if concluded is None else (trace, concluded)


def _findings(facts: Facts) -> Sequence[Mapping[str, Any]]:
    """The findings that the policy was asked about, out of the verdict's capsule."""
    verdict = facts.run.verdict
    if verdict is None:
        return ()
    capsule = open_capsule(facts.blob(verdict.capsule), where=f"capsule of {verdict.verdict_id}")
    found = read_strict(facts.blob(capsule.refs["findings"]), where="findings")
    if not isinstance(found, list):
        raise Malformed("expected a list", where="findings")
    return found


def _statements(facts: Facts, kind: StepKind) -> tuple[NamedDigest, ...]:
    steps = {s.id for s in facts.run.steps if s.spec.kind is kind}
    return tuple(
        NamedDigest(name=event.name, digest=event.payload)
        for event in facts.events()
        if isinstance(event, EvidenceCaptured) and event.step in steps
    )


def _with_outputs(facts: Facts, draft: Draft, attempt: Attempt) -> Draft:
    """What the attempt itself put out goes into its packet, as named there."""
    known = {name for name, _ in draft.files}
    outputs = tuple(
        (one.name, facts.blob(one.digest)) for one in attempt.outputs if one.name not in known
    )
    return replace(draft, files=(*draft.files, *outputs))
