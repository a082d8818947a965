"""What a run's verdicts rest on, as files of its packs: enough to replay them on another machine.

The capsule is bound by its digest in the signed policy decision, and every part by its digest in
the capsule. Raw feeds are left out for their size, so a pack replays shallow: from the frozen facts
to the decision.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.events import Recorded
from engine.core.fact_events import PolicyEvaluated

FOLDER: Final = "replay"
CAPSULE: Final = "capsule.json"
PARTS: Final = f"{FOLDER}/parts"


def part_name(digest: Digest) -> str:
    return f"{PARTS}/{digest.hex}.json"


def replay_files(log: Sequence[Recorded], blob: Callable[[Digest], bytes]) -> dict[str, bytes]:
    """`replay/<verdict>/capsule.json` of every verdict, and the parts that the capsules name.

    A part that is gone or damaged is left out, since a seal must not fail for it: whoever replays
    the pack is told INPUT_MISSING, which is true.

    Args:
        blob: bytes by digest; raises `NotFound` or `Malformed`.
    """
    files: dict[str, bytes] = {}
    for event in (one.event for one in log):
        if not isinstance(event, PolicyEvaluated):
            continue
        try:
            capsule = blob(event.capsule)
            refs = json.loads(capsule)["refs"].values()
        except (NotFound, Malformed, ValueError, KeyError, AttributeError):
            continue
        files[f"{FOLDER}/{event.verdict_id}/{CAPSULE}"] = capsule
        for text in refs:
            digest = Digest.parse(text)
            try:
                files[part_name(digest)] = blob(digest)
            except (NotFound, Malformed):
                continue
    return files
