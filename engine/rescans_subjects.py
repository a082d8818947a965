"""Which bundles matter to a rescan, and what their newest verdict rested on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from engine.attestations_read import with_imports
from engine.catalog import Catalog
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.event_parts import NamedDigest
from engine.core.events import Recorded
from engine.core.rescans import Snapshots, Subject
from engine.core.run import Run
from engine.environments import live_run
from engine.gate_eval_sources import SOURCES
from engine.policy.capsule import OpenedCapsule, open_capsule
from engine.ports import EventStore

_FEED: Final = "feed:"
_SBOM: Final = "sbom"


class Subjects:
    """Thread-safe. Follows the log; what was found is kept until a run moves.

    Args:
        environments: by name.
    """

    def __init__(self, *, store: EventStore, catalog: Catalog, environments: Sequence[str]) -> None:
        self._store, self._catalog, self._environments = store, catalog, environments
        self._lock = threading.Lock()
        self._kept: tuple[Subject, ...] | None = None
        self._moves = 0
        self.stop = store.subscribe(self._follow)

    def now(self) -> tuple[Subject, ...]:
        """Every bundle that matters and has an SBOM, by label."""
        with self._lock:
            kept, moves = self._kept, self._moves
        if kept is not None:
            return kept
        runs: dict[Digest, list[Run]] = {}
        for run in self._runs():
            runs.setdefault(run.bundle, []).append(run)
        found = [self._subject(many) for many in runs.values() if self._has_sbom(many[-1])]
        kept = tuple(sorted(found, key=lambda one: (one.label, one.bundle.hex)))
        with self._lock:
            if self._moves == moves:  # else a run moved while it was being worked out
                self._kept = kept
        return kept

    def keys_of(self, subject: Subject) -> frozenset[str] | None:
        """Keys of the findings that the newest verdict knew; None when they can't be read."""
        runs = [run for run in self._runs() if run.bundle == subject.bundle]
        run = max(runs, key=lambda run: run.number, default=None)
        capsule = None if run is None else self._capsule(run)
        if capsule is None:
            return None
        try:
            found = json.loads(self._store.blobs.get(capsule.refs["findings"]))
            return frozenset(str(one["key"]) for one in found)
        except (NotFound, Malformed, ValueError, KeyError, TypeError):
            return None

    def _runs(self) -> Iterator[Run]:
        """What is live in each environment, and what is on its way and was judged."""
        for environment in self._environments:
            run = live_run(self._store, environment)
            if run is not None:
                yield run
        yield from (run for run in self._store.runs_open() if run.verdict is not None)

    def _subject(self, runs: Sequence[Run]) -> Subject:
        newest = max(runs, key=lambda run: run.number)
        capsule = self._capsule(newest)
        return Subject(
            bundle=newest.bundle,
            label=newest.label,
            environments=tuple(sorted({run.environment for run in runs})),
            gated=None if capsule is None else snapshots_of(capsule),
            verdict_sources=None if capsule is None else capsule.raw.get(SOURCES),
        )

    def _capsule(self, run: Run) -> OpenedCapsule | None:
        if run.verdict is None:
            return None
        digest = run.verdict.capsule
        try:
            return open_capsule(self._store.blobs.get(digest), where=f"capsule {digest.short}")
        except (NotFound, Malformed):
            return None

    def _has_sbom(self, run: Run) -> bool:
        """True also when nobody can tell: the rescan then says what is wrong with the bundle."""
        try:
            bundle = with_imports(self._catalog.get(run.bundle), run.pinned)
        except (NotFound, Malformed):
            return True
        return any(one.kind == _SBOM for one in bundle.attachments)

    def _follow(self, recorded: tuple[Recorded, ...]) -> None:
        if any(one.stream.startswith("run-") for one in recorded):
            with self._lock:
                self._kept = None
                self._moves += 1


def snapshots_of(capsule: OpenedCapsule) -> Snapshots:
    """The snapshots that a verdict rested on, by name."""
    return tuple(
        NamedDigest(name=name.removeprefix(_FEED), digest=digest)
        for name, digest in sorted(capsule.raw.items())
        if name.startswith(_FEED)
    )
