"""The break-it drill on a run's own pack, as the page and the API ask for it.

A drill signs nothing and records nothing: it reads a pack that was made already. It keeps a core
busy for some seconds, so there is one at a time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from engine.core.digest import Digest
from engine.core.errors import Conflict, Refused
from engine.core.fact_events import EvidenceExported
from engine.evidence.drill import Drill, run_drill
from engine.ports import EventStore

_PACKS: Final = ("audit-pack.tar.gz", "evidence-bundle.zip")
_ONE: Final = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """A drill, and the pack it was made on."""

    run_id: str
    pack: str
    digest: Digest
    drill: Drill


def drill_run(store: EventStore, trusted_root: bytes, run_id: str) -> Drilled:
    """Drill the audit pack of a sealed run, or the newest partial pack of one that is not.

    Raises:
        NotFound: no such run, or its stored pack is gone.
        Refused: there is no pack of it yet.
        Conflict: another drill is under way.
        Unverified: the untouched pack does not verify.
    """
    name, digest = _newest_pack(store, run_id)
    content = store.blobs.get(digest)
    if not _ONE.acquire(blocking=False):
        raise Conflict("Another drill is under way; there is one at a time.")
    try:
        done = run_drill(content, trusted_root)
    finally:
        _ONE.release()
    return Drilled(run_id=run_id, pack=name, digest=digest, drill=done)


def _newest_pack(store: EventStore, run_id: str) -> tuple[str, Digest]:
    run = store.run(run_id)
    if run.seal_status == "SEALED":
        made = {one.name: one.digest for one in run.steps[-1].attempts[-1].outputs}
        for name in _PACKS:
            if name in made:
                return name, made[name]
    for recorded in reversed(store.load(run_id)):
        event = recorded.event
        if isinstance(event, EvidenceExported) and event.partial:
            return f"{run_id}, partial pack", event.digest
    raise Refused(
        f"{run_id} is not sealed, and no partial pack of it was exported yet.",
        hint=f"releaseline evidence export {run_id} --kind partial",
    )
