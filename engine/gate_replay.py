"""`gate-replay`: read a run's stored ticks, decisions and evidence, and have them judged again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.core.digest import Digest
from engine.core.errors import NotFound
from engine.core.fact_events import GateDecided
from engine.core.gate_replay import GateReplay, replay_watch, watches
from engine.ports import BlobStore, EventStore


def replay_run(store: EventStore, run_id: str) -> tuple[GateReplay, ...]:
    """Every watch of the run in order of its steps, the earlier attempts' too.

    Raises:
        NotFound: no such run, or none of its stages was watched yet: nothing is proven then.
        Malformed: stored rows cannot be read as ticks.
    """
    recorded = store.load(run_id)
    if not recorded:
        raise NotFound(f"There is no run {run_id}.")
    decided = [one.event for one in recorded if isinstance(one.event, GateDecided)]
    replays = []
    for step in store.run(run_id).steps:
        for rows in watches(store.gate_ticks(run_id, step.id, 1)):
            attempts = {row.attempt for row in rows}
            mine = [d for d in decided if d.step == step.id and d.attempt in attempts]
            documents = {d.evidence: _document(store.blobs, d.evidence) for d in mine}
            replays.append(replay_watch(rows, mine, documents))
    if not any(one.ticks for one in replays):
        raise NotFound(f"{run_id} has no stored tick: none of its stages was watched yet.")
    return tuple(replays)


def _document(blobs: BlobStore, digest: Digest) -> Mapping[str, Any] | None:
    if not blobs.has(digest):
        return None
    document = json.loads(blobs.get(digest))
    return document if isinstance(document, dict) else {}
