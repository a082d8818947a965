"""The search for what would have blocked a promotion, as a process of its own.

`python -m engine.blocking_work BLOBS` reads one question from standard input and writes one answer
to standard output, both JSON, and ends. Evaluations hold the interpreter's lock: in the server they
would stop its pages. It reads blobs and writes nothing else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from engine.blob_folder import BlobFolder
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.policy.blockers import Blocker, Search, search, with_good_runs
from engine.policy.capsule import open_capsule
from engine.policy.document import GateInput
from engine.policy.frozen import Read, frozen_input, frozen_policy

# The smallest changes; each of them is asked about every good run.
BLOCKERS_MAX: Final = 40


def answer(question: Mapping[str, Any], read: Read) -> dict[str, Any]:
    """Args:
    question: `capsule` (digest) and `good`: (run, capsule digest) pairs.

    Raises:
        NotFound, Malformed: the run's own capsule or one of its parts is not there or damaged.
    """
    capsule = open_capsule(read(Digest.parse(question["capsule"])))
    compiled = frozen_policy(capsule, read)
    found = search(compiled, frozen_input(capsule, read))
    kept = found.blockers[:BLOCKERS_MAX]
    found = Search(word=found.word, blockers=kept)
    good: list[tuple[str, GateInput]] = []
    unread: list[str] = []
    for run, digest in question["good"] if kept else ():
        try:
            good.append((run, frozen_input(open_capsule(read(Digest.parse(digest))), read)))
        except (NotFound, Malformed):
            unread.append(run)
    found = with_good_runs(found, compiled, good)
    return {
        "word": found.word,
        "blockers": [_document(one) for one in found.blockers],
        "good": found.good,
        "already": list(found.already),
        "unread": unread,
    }


def _document(one: Blocker) -> dict[str, Any]:
    change = one.change
    return {
        "kind": change.kind.value,
        "where": change.where,
        "old": change.old,
        "new": change.new,
        "size_bp": change.size_bp,
        "because": [
            {"rule": rule, "subject": subject, "detail": detail}
            for rule, subject, detail in one.because
        ],
        "stops": list(one.stops),
    }


def main() -> None:
    folder = BlobFolder(Path(sys.argv[1]))
    question = json.load(sys.stdin)
    try:
        found = answer(question, folder.get)
    except (NotFound, Malformed) as error:
        found = {"error": str(error)}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
