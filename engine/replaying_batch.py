"""A request cut into tasks for the worker processes, and their answers as rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Final

from engine.core.errors import ReleaselineError
from engine.core.replays import ReplayAsk, ReplayKind, ReplayMode, ReplayRequest, ReplayRow
from engine.core.waivers import WaiverState
from engine.gate_eval_sources import FeedNamed
from engine.policy.identity import ENGINE
from engine.replaying_pool import ReplayPool
from engine.replaying_scope import ReplayStore, Subject
from engine.replaying_work import Answer, Task, failed
from engine.verdicts import PolicyDesk
from engine.waiver_register import register

_BATCH: Final = 250


def answers_of(
    store: ReplayStore,
    desk: PolicyDesk,
    pool: ReplayPool,
    ask: ReplayAsk,
    verdicts: Sequence[Subject],
    now_s: int,
) -> Iterator[tuple[Task | None, list[Answer]]]:
    """(task, answers) as they come; a few tasks wait in the pool, so that others get through.

    The task is None when nothing could be asked at all.

    Args:
        now_s: the clock of a TODAY, UTC seconds.
    """
    items = [one.item for one in verdicts if one.item is not None]
    if not items:
        return
    shape = _shape(store, desk, ask, now_s, whole=len(items) == 1)
    if isinstance(shape, str):
        yield None, [failed(item.verdict_id, shape) for item in items]
        return
    jobs = min(ask.jobs or pool.jobs, pool.jobs)
    size = max(1, min(_BATCH, -(-len(items) // jobs)))
    cut = [tuple(items[n : n + size]) for n in range(0, len(items), size)]
    waiting: deque[tuple[Task, Future[list[Answer]]]] = deque()
    for chunk in cut:
        task = replace(shape, items=chunk)
        waiting.append((task, pool.submit(task)))
        # One more than there are workers, so that none of them waits for us; unless that is asked.
        if len(waiting) > (jobs if jobs == pool.jobs else jobs - 1):
            task, future = waiting.popleft()
            yield task, future.result()
    for task, future in waiting:
        yield task, future.result()


def _shape(
    store: ReplayStore, desk: PolicyDesk, ask: ReplayAsk, now_s: int, *, whole: bool
) -> Task | str:
    """The task without its items; or why there is none."""
    feeds, holds = tuple[FeedNamed, ...](), frozenset[str]()
    if ask.mode is ReplayMode.TODAY:
        try:
            snapshots = desk.feeds()
        except ReleaselineError as error:
            return f"the feeds of today can't be read: {error}"
        feeds = tuple(
            FeedNamed(name=one.name, digest=store.blobs.put(one.content), as_of_s=one.as_of_s)
            for one in snapshots
        )
        now_us = now_s * 1_000_000
        holds = frozenset(
            one.id for one in register(store).values() if one.state(now_us) is WaiverState.GRANTED
        )
    return Task(
        items=(),
        mode=ask.mode,
        depth=ask.depth,
        candidate=ask.policy,
        feeds=feeds,
        waivers=holds,
        now_s=now_s,
        crosscheck=ask.crosscheck,
        whole=whole,
    )


def row_of(
    request: ReplayRequest, subject: Subject, one: Answer, *, idx: int, ts_us: int, detail: str
) -> ReplayRow:
    return ReplayRow(
        n=request.n,
        idx=idx,
        ts_us=ts_us,
        status=str(one.status),
        kind=subject.kind.value,
        subject=one.subject,
        run_id=subject.run_id,
        environment=subject.environment,
        mode=request.mode,
        depth=request.depth,
        result=str(one.result),
        cause=str(one.cause),
        facet=one.facet,
        sentence=one.sentence,
        decided_us=subject.decided_us,
        decision_then=one.decision_then,
        decision_now=one.decision_now,
        digest_then=one.digest_then,
        digest_now=one.digest_now,
        policy=one.policy,
        policy_now=one.policy_now,
        engine=one.engine,
        engine_now=ENGINE if subject.kind is ReplayKind.VERDICT else one.engine,
        form=one.form,
        crosscheck=one.crosscheck,
        took_us=one.took_us,
        detail=detail,
    )
