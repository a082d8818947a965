"""What a replay is asked about: the recorded decisions that a scope names, and who may ask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import data.queries_replays as queries
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.replays import ALL, ReplayAsk, ReplayKind, ReplayMode
from engine.environments import live_run
from engine.ports import EventStore
from engine.replaying_work import Item

_VERDICT: Final = re.compile(r"verdict-[0-9]+(\.[0-9]+)?")
_RUN: Final = re.compile(r"run-[0-9]+")
_STAGE: Final = re.compile(r"(run-[0-9]+)/([A-Za-z0-9_.-]+)")
# What a scope is written as, for descriptions.
SCOPE: Final = rf"^({ALL}|{_VERDICT.pattern}|{_STAGE.pattern}|{_RUN.pattern})$"


class ReplayStore(EventStore, Protocol):
    """The store, with what replays read of it."""

    def last_replay(self) -> int:
        """Number of the newest request; 0 when there was none."""
        ...

    def cursor(self) -> Any:
        """For `data.queries_replays`; a new one for each call."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One recorded decision.

    Attributes:
        name: `verdict-42`, or `run-42/canary-10/1`: run, stage and first attempt of a watch.
        item: of a verdict; None for a watch.
    """

    kind: ReplayKind
    name: str
    run_id: str
    environment: str
    decided_us: int
    item: Item | None

    @property
    def stage(self) -> tuple[str, int]:
        """Step and first attempt of a watch."""
        _, step, attempt = self.name.split("/")
        return step, int(attempt)


def run_of(scope: str) -> str:
    """The run that a scope names; empty for a verdict or `all`. Raises `Malformed`."""
    if scope == ALL or _VERDICT.fullmatch(scope):
        return ""
    if _RUN.fullmatch(scope):
        return scope
    stage = _STAGE.fullmatch(scope)
    if stage is None:
        raise Malformed(
            f"expected verdict-N, run-N, run-N/STAGE or all, found {scope!r}", where="scope"
        )
    return stage[1]


def subjects(store: ReplayStore, ask: ReplayAsk) -> list[Subject]:
    """The decisions that `ask` names, in the order in which they were made.

    Health gates have no policy and read no feed, so only VERIFY asks them again.

    Raises:
        NotFound: nothing that could be replayed has this name.
        Malformed: the scope is none.
    """
    run_id, scope = run_of(ask.scope), ask.scope
    stage = _STAGE.fullmatch(scope)
    found: list[Subject] = []
    if stage is None:
        found += _verdicts(store, ask, scope if _VERDICT.fullmatch(scope) else "", run_id)
    if ask.mode is ReplayMode.VERIFY and not _VERDICT.fullmatch(scope):
        found += _watches(store, ask, run_id, stage[2] if stage else "")
    if not found:
        if run_id:
            store.run(run_id)  # says so when there is no such run
        raise NotFound(_NOTHING.get(scope, f"There is nothing to replay in {scope} yet."))
    return sorted(found, key=lambda one: (one.decided_us, one.name))


def environments(store: ReplayStore, scope: str) -> list[str]:
    """Where the decisions that `scope` names were made, sorted. Raises as `subjects` does."""
    if scope != ALL:
        found = subjects(store, ReplayAsk(scope=scope, reason="-"))
        return sorted({one.environment for one in found})
    # Pages ask this with every drawing, so the decisions themselves are not read.
    names: list[str] = queries.decided_environments(store.cursor())["environment"].to_list()
    if not names:
        raise NotFound(_NOTHING[ALL])
    return names


_NOTHING: Final = {ALL: "There is nothing to replay yet: no decision was made."}


def _verdicts(store: ReplayStore, ask: ReplayAsk, verdict_id: str, run_id: str) -> list[Subject]:
    rows = queries.verdicts(
        store.cursor(),
        verdict_id=verdict_id,
        run_id=run_id,
        environment=ask.environment,
        since_us=ask.since_us,
        limit=None,
    )
    return [
        Subject(
            kind=ReplayKind.VERDICT,
            name=row["verdict_id"],
            run_id=row["run_id"],
            environment=row["environment"],
            decided_us=row["ts_us"],
            item=Item(
                verdict_id=row["verdict_id"],
                capsule=Digest.parse(row["capsule"]),
                recorded=Digest.parse(row["verdict"]),
            ),
        )
        for row in rows.iter_rows(named=True)
    ]


def _watches(store: ReplayStore, ask: ReplayAsk, run_id: str, step: str) -> list[Subject]:
    rows = queries.watches(
        store.cursor(),
        run_id=run_id,
        step=step,
        environment=ask.environment,
        since_us=ask.since_us,
    )
    return [
        Subject(
            kind=ReplayKind.GATE,
            name=f"{row['run_id']}/{row['step']}/{row['attempt']}",
            run_id=row["run_id"],
            environment=row["environment"],
            decided_us=row["ts_us"],
            item=None,
        )
        for row in rows.iter_rows(named=True)
    ]


def one_run(found: Sequence[Subject]) -> str:
    """The run that all of them are of; empty when there are several."""
    runs = {one.run_id for one in found}
    return runs.pop() if len(runs) == 1 else ""


def one_environment(found: Sequence[Subject]) -> str:
    environments = {one.environment for one in found}
    return environments.pop() if len(environments) == 1 else ""


def watches_by_run(found: Sequence[Subject]) -> dict[str, list[Subject]]:
    """The health gates' watches among `found`, each in its place."""
    runs: dict[str, list[Subject]] = {}
    for one in found:
        if one.kind is ReplayKind.GATE:
            runs.setdefault(one.run_id, []).append(one)
    return runs


def live_in(store: ReplayStore) -> dict[str, tuple[str, ...]]:
    """Environments by the bundle that is live there, each sorted."""
    found: dict[str, list[str]] = {}
    for name in sorted(queries.decided_environments(store.cursor())["environment"].to_list()):
        run = live_run(store, name)
        if run is not None:
            found.setdefault(str(run.bundle), []).append(name)
    return {bundle: tuple(names) for bundle, names in found.items()}
