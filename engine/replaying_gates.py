"""A health gate's decisions, replayed in the same list as the policy's."""

from __future__ import annotations

import time
from collections.abc import Sequence

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.gate_replay import GateReplay
from engine.core.replays import Cause, ReplayResult, ReplayStatus
from engine.gate_replay import replay_run
from engine.ports import EventStore
from engine.replaying_scope import Subject
from engine.replaying_work import DETAIL_SCHEMA, Answer, failed


def gate_answers(store: EventStore, run_id: str, subjects: Sequence[Subject]) -> list[Answer]:
    """Judge the stored ticks of some watches of one run again; the run is read once.

    What that took is shared out among them.
    """
    began_ns = time.perf_counter_ns()
    try:
        replays = replay_run(store, run_id)
    except (NotFound, Malformed) as error:
        return [failed(one.name, str(error)) for one in subjects]
    took_us = (time.perf_counter_ns() - began_ns) // 1_000 // len(subjects)
    return [_of_watch(one, replays, took_us) for one in subjects]


def _of_watch(subject: Subject, replays: Sequence[GateReplay], took_us: int) -> Answer:
    step, attempt = subject.stage
    mine = [one for one in replays if one.step == step and one.attempts[0] == attempt]
    if not mine:
        return failed(subject.name, f"{step} was not watched in attempt {attempt}")
    # Of a watch that began twice in one attempt the last one counted.
    return _answer(subject.name, mine[-1], took_us)


def _answer(name: str, replay: GateReplay, took_us: int) -> Answer:
    first = replay.differences[0] if replay.differences else None
    cause, facet = "", ""
    if first is not None:
        gone = first.what == "evidence"
        tampered = first.what.startswith("/series")
        cause = Cause.INPUT_MISSING if gone else Cause.INPUT_TAMPERED if tampered else ""
        cause = cause or Cause.UNEXPLAINED
        facet = first.what
    said = f"{replay.action} (rule {replay.rule})" if replay.action else ""
    return Answer(
        subject=name,
        status=ReplayStatus.COMPLETED,
        result=ReplayResult.MATCH if replay.same else ReplayResult.MISMATCH,
        cause=cause,
        facet=facet,
        sentence=replay.sentence(),
        decision_then=said if first is None else first.expected,
        decision_now=said if first is None else first.found,
        digest_then=str(replay.series),
        digest_now=str(replay.series) if replay.same else str(_told(replay)),
        engine=f"gate/{replay.edition}",
        took_us=took_us,
        detail=_detail(replay),
    )


def _told(replay: GateReplay) -> Digest:
    """Of what differs: two replays that differ alike have the same."""
    return Digest.of("\n".join(str(one) for one in replay.differences).encode())


def _detail(replay: GateReplay) -> dict[str, object]:
    return {
        "schema": DETAIL_SCHEMA,
        "gate": replay.document(),
        "diff": [
            {"at": f"attempt {one.attempt}, tick {one.n}: {one.what}",
             "then": one.expected, "now": one.found}
            for one in replay.differences
        ],
    }  # fmt: skip
