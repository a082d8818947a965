"""The pack of what came after the seal: addenda, and every event of the run up to now.

It holds the proof chain that the addenda speak of, and is checked together with the pack of the
run, whose chain has to be that one.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.events import Recorded
from engine.core.exporting import ADDENDA
from engine.core.fact_events import EvidenceAddendum, EvidenceSealed
from engine.core.run import Run
from engine.evidence.merkle import Tree
from engine.evidence.run_events import FILE
from engine.evidence.statement import MANIFEST_NAME
from engine.packing_parts import Blob, Contents, Maker, common, finished, read
from engine.packing_readme import README, readme


def addenda_contents(
    run: Run,
    log: Sequence[Recorded],
    events: Sequence[str],
    *,
    tree: Tree,
    maker: Maker,
    blob: Blob,
) -> Contents:
    """Args:
    events: the texts of the run's journal records, oldest first.
    """
    files = {MANIFEST_NAME: blob(run.bundle)}
    added = [r.event for r in log if isinstance(r.event, EvidenceAddendum)]
    sealed = [r.event for r in log if isinstance(r.event, EvidenceSealed)]
    for written in (*(one.files for one in sealed), *(one.files for one in added)):
        files |= read(written, blob)
    files[FILE] = "".join(f"{line}\n" for line in events).encode()
    files |= common(files, tree, maker.keys)
    files[README] = readme(ADDENDA, run, maker, files)
    # A list of its own: no item of the run is in it.
    return finished(ADDENDA, run, files, maker, evidence=0, head=None, addenda=len(added))
