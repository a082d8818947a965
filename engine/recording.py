"""Append to a log against its newest state, again when somebody was faster.

What an effect saw is a fact whatever else happened meanwhile, so it is never thrown away on a
conflict: the events are built anew from the newer state and appended behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.core.errors import Conflict
from engine.core.events import Event, Recorded
from engine.core.rows import Row
from engine.core.run import Run
from engine.ports import EventStore

_TRIES = 8
_TRIES_AT_THE_END = 50


def record(
    store: EventStore,
    run_id: str,
    build: Callable[[Run], Sequence[Event]],
    *,
    actor: str = "engine",
    command_id: str = "",
    rows: Sequence[Row] = (),
    before_us: int | None = None,
) -> Run:
    """Append what `build` makes of the run's newest state; return the run after it.

    `build` may be called several times and must depend on its argument alone, or on the time
    where `before_us` says until when its answer counts. Nothing is appended when it returns no
    events (then `rows` are not either).

    Raises:
        Conflict: others were faster eight times in a row.
    """
    for _ in range(_TRIES):
        run = store.run(run_id)
        events = tuple(build(run))
        if not events:
            return run
        try:
            store.append(
                run_id,
                events,
                after=run.version,
                actor=actor,
                command_id=command_id,
                rows=rows,
                before_us=before_us,
            )
        except Conflict:
            continue
        return store.run(run_id)
    raise Conflict(f"{run_id} changed {_TRIES} times while one fact was being recorded")


def append_to(
    store: EventStore, stream: str, *events: Event, actor: str, command_id: str = ""
) -> tuple[Recorded, ...]:
    """Append at the end of a stream whose order does not matter to its meaning; all or none.

    Returns what was recorded: nothing where there are no events.

    Raises:
        Conflict: others were faster fifty times in a row.
        StorageFull: nothing was recorded.
    """
    for _ in range(_TRIES_AT_THE_END if events else 0):
        try:
            after = store.version(stream)
            return store.append(stream, events, after=after, actor=actor, command_id=command_id)
        except Conflict:
            continue
    if events:
        raise Conflict(f"stream {stream} is too busy")
    return ()
