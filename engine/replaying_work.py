"""What a worker process of the replay pool does: reads frozen bytes, asks, compares.

It writes nothing and knows no store but the blobs; what comes of it is recorded by whoever asked.
A worker lives as long as its pool and remembers what it read, so that a batch asks the same
question once. Whatever happens to one decision is that decision's answer and no other's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, ReleaselineError
from engine.core.replays import Cause, Depth, ReplayMode, ReplayResult, ReplayStatus
from engine.gate_eval_deep import Deep, ask_today, deep_replay
from engine.gate_eval_sources import FeedNamed
from engine.inputs.feeds import FeedMemory
from engine.policy.asking import Asker
from engine.policy.attribution import answer_digest, attribute
from engine.policy.cel import EvaluationFailed
from engine.policy.crosscheck import crosscheck_verdict
from engine.policy.frozen import frozen_document
from engine.policy.identity import ENGINE
from engine.policy.replay import (
    Replay,
    policy_cause,
    replay_capsule,
    unreadable,
    verdict_diff,
)
from engine.policy.verdict import Verdict

DETAIL_SCHEMA: Final = "releaseline.replay/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One decision. `recorded`: the verdict's digest by the run's log."""

    verdict_id: str
    capsule: Digest
    recorded: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Attributes:
    candidate: of WHAT_IF.
    feeds, now_s: of TODAY; the snapshots are blobs. `waivers`: ids of those that hold today.
    whole: one decision, told in full and asked anew: nothing that a batch remembers is used.
    """

    items: tuple[Item, ...]
    mode: ReplayMode
    depth: Depth
    candidate: Digest | None = None
    feeds: tuple[FeedNamed, ...] = ()
    waivers: frozenset[str] = frozenset()
    now_s: int = 0
    crosscheck: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is recorded of one decision's replay; the fields are those of `ReplayRow`."""

    subject: str
    status: str
    result: str
    cause: str
    facet: str
    sentence: str
    decision_then: str = ""
    decision_now: str = ""
    digest_then: str = ""
    digest_now: str = ""
    policy: str = ""
    policy_now: str = ""
    engine: str = ""
    form: str = ""
    crosscheck: str = ""
    took_us: int = 0
    detail: Mapping[str, Any] | None = None

    def with_fresh(self, seen: Sequence[Digest]) -> Answer:
        """The answer with what fresh processes gave: several digests are a fault of their own.

        A cause that comes before it in the order stays.
        """
        different = sorted({str(one) for one in seen} | ({self.digest_now} - {""}))
        detail = {**(self.detail or {}), "digests_seen": different}
        if len(different) < 2 or self.cause not in {"", Cause.UNEXPLAINED}:
            return replace(self, detail=detail)
        return replace(
            self,
            result=ReplayResult.MISMATCH,
            cause=Cause.NONDETERMINISTIC,
            facet="policy",
            sentence=f"{len(seen) + 1} processes gave {len(different)} different answers",
            detail=detail,
        )


class Blobs(Protocol):
    """Where the parts lie; `ports.BlobStore` is one."""

    def get(self, digest: Digest) -> bytes:
        """Raises `NotFound`, or `Malformed` for bytes of another digest."""
        ...


class Worker:
    """Args:
    blobs: where every part lies. Not for several threads at once.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._asker = Asker()
        self._feeds = FeedMemory()

    def work(self, task: Task) -> list[Answer]:
        return [self._timed(task, item) for item in task.items]

    def _timed(self, task: Task, item: Item) -> Answer:
        began_ns = time.perf_counter_ns()
        try:
            answer = self._one(task, item)
        except ReleaselineError as error:
            answer = failed(item.verdict_id, str(error))
        # A rollback rests on the capsule of the run that it goes back to, under a name of its own.
        return replace(
            answer, subject=item.verdict_id, took_us=(time.perf_counter_ns() - began_ns) // 1_000
        )

    def _one(self, task: Task, item: Item) -> Answer:
        read = self._blobs.get
        try:
            blob = read(item.capsule)
            replay = replay_capsule(
                blob, read, recorded=item.recorded, asker=None if task.whole else self._asker
            )
        except (NotFound, Malformed) as error:
            cause, sentence = unreadable(error, item.capsule)
            return _lost(task, item, cause, sentence)
        if task.mode is ReplayMode.WHAT_IF:
            return self._what_if(task, replay)
        if task.mode is ReplayMode.TODAY:
            return self._today(task, replay)
        deep: Deep | None = None
        if task.depth is Depth.DEEP:
            deep = deep_replay(replay, read, self._feeds.facts)
            replay = deep.replay
        crosscheck = self._crosscheck(replay) if task.crosscheck else ""
        told = task.whole or replay.cause is not None or crosscheck == "DISAGREE"
        detail = self._detail(replay, deep, crosscheck) if told else None
        result = ReplayResult.MATCH if replay.matches else ReplayResult.MISMATCH
        return _answer(replay, result, replay.verdict, detail=detail, crosscheck=crosscheck)

    def _what_if(self, task: Task, replay: Replay) -> Answer:
        assert task.candidate is not None  # a WHAT_IF has one
        if not replay.matches:
            return _answer(replay, ReplayResult.UNPROVEN, None, detail=self._detail(replay))
        capsule = replay.capsule
        now = self._asker.verdict(task.candidate, capsule.clock, capsule.refs, self._blobs.get)
        return self._changed(replay, now, policy_cause(replay, now), whole=task.whole)

    def _today(self, task: Task, replay: Replay) -> Answer:
        if not replay.matches:
            return _answer(replay, ReplayResult.UNPROVEN, None, detail=self._detail(replay))
        today = ask_today(
            replay.capsule,
            self._blobs.get,
            now_s=task.now_s,
            feeds=task.feeds,
            waivers=task.waivers,
            feeds_of=self._feeds.facts,
        )
        answer = self._changed(replay, today.verdict, None, whole=True, facet=today.bisect.first)
        assert answer.detail is not None  # told in full
        changes = [one.document() for one in today.changes]
        detail = {
            **answer.detail,
            "diff": [*answer.detail["diff"], *changes],
            "bisect": [one.document() for one in today.bisect.trials],
            "differs": list(today.differs),
        }
        return replace(answer, detail=detail)

    def _changed(
        self,
        replay: Replay,
        now: Verdict,
        cause: Cause | None,
        *,
        whole: bool,
        facet: str = "",
    ) -> Answer:
        """The answer of a mode that asks otherwise on purpose."""
        then = replay.then
        flipped = now.decision != then["decision"]
        same = answer_digest(then) == answer_digest(now.document())
        diff = tuple(
            one for one in verdict_diff(then, now.document()) if one.at not in _ASKED_OTHERWISE
        )
        changed = replace(
            replay,
            cause=cause,
            facet=facet or ("policy" if cause is not None else ""),
            sentence=f"{then['decision']} then, {now.word} now",
            verdict=now,
            diff=diff,
        )
        result = ReplayResult.FLIPPED if flipped else ReplayResult.SAME
        detail = self._detail(changed, parts=whole) if whole or not same else None
        return _answer(changed, result, now, detail=detail)

    def _crosscheck(self, replay: Replay) -> str:
        if replay.verdict is None:
            return ""
        capsule = replay.capsule
        try:
            document = frozen_document(capsule, self._blobs.get)
            second = crosscheck_verdict(self._blobs.get(capsule.policy), document)
        except (EvaluationFailed, ReleaselineError):
            return "FAILED"
        first = self._asker.verdict(capsule.policy, capsule.clock, capsule.refs, self._blobs.get)
        return "AGREE" if second.digest == first.digest else "DISAGREE"

    def _detail(
        self,
        replay: Replay,
        deep: Deep | None = None,
        crosscheck: str = "",
        *,
        parts: bool = True,
    ) -> dict[str, Any]:
        capsule, now = replay.capsule, replay.verdict
        differs = () if deep is None else deep.differs
        raw = {} if deep is None else capsule.raw
        return {
            "schema": DETAIL_SCHEMA,
            "verdict_id": capsule.verdict_id,
            "run": capsule.run,
            "then": dict(replay.then),
            "now": None if now is None else now.document(),
            "diff": [one.document() for one in replay.diff],
            "parts": self._parts({**capsule.refs, **raw}, differs) if parts else [],
            "differs": list(differs),
            "attribution": _attribution(replay),
            "bisect": [] if deep is None else [one.document() for one in deep.bisect.trials],
            "digests_seen": [],
            "crosscheck": crosscheck,
            "env": dict(capsule.env),
        }

    def _parts(self, refs: Mapping[str, Digest], differs: Sequence[str]) -> list[dict[str, str]]:
        found = []
        for name, digest in sorted(refs.items()):
            state = part_state(self._blobs.get, digest)
            if state == "ok" and name in differs:
                state = "differs"
            found.append({"name": name, "digest": str(digest), "state": state})
        return found


# What differs because it was asked otherwise on purpose.
_ASKED_OTHERWISE: Final = frozenset({"/policy", "/input", "/now"})


def part_state(read: Callable[[Digest], bytes], digest: Digest) -> str:
    """`ok`, `missing` or `tampered`."""
    try:
        return "ok" if Digest.of(read(digest)) == digest else "tampered"
    except NotFound:
        return "missing"
    except Malformed:
        return "tampered"


def failed(subject: str, sentence: str) -> Answer:
    return Answer(
        subject=subject,
        status=ReplayStatus.FAILED,
        result="",
        cause="",
        facet="",
        sentence=sentence,
        engine=ENGINE,
    )


def _lost(task: Task, item: Item, cause: Cause, sentence: str) -> Answer:
    verify = task.mode is ReplayMode.VERIFY
    return Answer(
        subject=item.verdict_id,
        status=ReplayStatus.COMPLETED,
        result=ReplayResult.MISMATCH if verify else ReplayResult.UNPROVEN,
        cause=cause,
        facet="capsule",
        sentence=sentence,
        digest_then=str(item.recorded),
        engine=ENGINE,
    )


def _answer(
    replay: Replay,
    result: ReplayResult,
    now: Verdict | None,
    *,
    detail: Mapping[str, Any] | None,
    crosscheck: str = "",
) -> Answer:
    capsule = replay.capsule
    return Answer(
        subject=capsule.verdict_id,
        status=ReplayStatus.COMPLETED,
        result=result,
        cause="" if replay.cause is None else replay.cause,
        facet=replay.facet,
        sentence=replay.sentence,
        decision_then=str(replay.then.get("decision", "")),
        decision_now="" if now is None else now.decision,
        digest_then=str(capsule.verdict_digest),
        digest_now="" if now is None else str(now.digest),
        policy=str(capsule.policy),
        policy_now="" if now is None else str(now.policy),
        engine=capsule.engine,
        form=str(capsule.env.get("form", "")),
        crosscheck=crosscheck,
        detail=detail,
    )


def _attribution(replay: Replay) -> dict[str, str]:
    """The grid, as far as it is known: the old engine's answer is the recorded one."""
    now = replay.verdict
    if now is None or not {"decision", "results"} <= replay.then.keys():
        return attribute(
            recorded=Digest.of(b""),
            new_policy_old_engine=None,
            old_policy_new_engine=None,
            new_policy_new_engine=None,
        ).document()
    recorded, answer = answer_digest(replay.then), answer_digest(now.document())
    changed_policy = str(now.policy) != replay.then.get("policy")
    same_engine = replay.capsule.engine == ENGINE
    return attribute(
        recorded=recorded,
        new_policy_old_engine=answer if same_engine else None,
        old_policy_new_engine=None
        if changed_policy and not same_engine
        else (recorded if changed_policy else answer),
        new_policy_new_engine=answer,
    ).document()
