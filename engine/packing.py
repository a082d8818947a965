"""What goes into a pack of a run: evidence, story, logs, and how to check it without us."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.core.events import Recorded
from engine.core.exporting import BUNDLE, PARTIAL, WATERMARK
from engine.core.fact_events import EvidenceCaptured, EvidenceSealed
from engine.core.jcs import canonical
from engine.core.run import Run
from engine.evidence import verify
from engine.evidence.merkle import Tree
from engine.evidence.statement import MANIFEST_NAME
from engine.packing_imports import imported_files
from engine.packing_parts import Blob, Contents, Maker, common, finished, read
from engine.packing_readme import README, readme
from engine.packing_replay import replay_files
from engine.story import tell

# Text of one attempt's log, by run, step and attempt.
StepLogs = Callable[[str, str, int], str]


def contents(
    kind: str,
    run: Run,
    log: Sequence[Recorded],
    *,
    tree: Tree,
    maker: Maker,
    blob: Blob,
    step_logs: StepLogs | None,
) -> Contents:
    """Gather a pack of `kind` from what is stored. Only a partial one does without the seal."""
    files = {MANIFEST_NAME: blob(run.bundle)}
    items = [r.event for r in log if isinstance(r.event, EvidenceCaptured)]
    chain = [r.event for r in log if isinstance(r.event, EvidenceSealed)]
    for event in (*items, *(() if kind == PARTIAL else chain)):
        files |= read(event.files, blob)
    files |= imported_files(run, blob)
    files |= replay_files(log, blob)
    files |= common(files, tree, maker.keys)
    if kind == BUNDLE:
        envelopes = [item.envelope for item in items]
        files["evidence.intoto.jsonl"] = b"".join(blob(one) + b"\n" for one in envelopes)
    else:
        files |= _telling(kind, run, log, step_logs)
    files[README] = readme(kind, run, maker, files)
    return finished(
        kind,
        run,
        files,
        maker,
        chain=None if kind == PARTIAL or run.chain is None else {"sha256": run.chain.hex},
        evidence=len(items),
        head={"sha256": items[-1].payload.hex} if items else None,
    )


def _telling(
    kind: str, run: Run, log: Sequence[Recorded], step_logs: StepLogs | None
) -> dict[str, bytes]:
    lines = tell(log)
    mark = (
        f"{WATERMARK}: the run has not been sealed; this is what there was so far.\n\n"
        if kind == PARTIAL
        else ""
    )
    title = f"{run.run_id}: {run.label} to {run.request.region} / {run.environment}\n\n"
    cited = (
        "Each sentence rests on one event. In brackets: its number in the run and the first eight\n"
        "digits of its SHA-256; story.json has them whole.\n\n"
    )
    files = {
        verify.STORY: (mark + title + cited + "".join(f"{line}\n" for line in lines)).encode(),
        "story.json": canonical(
            {
                "run": run.run_id,
                "partial": kind == PARTIAL,
                "lines": [line.document() for line in lines],
            }
        ),
    }
    if step_logs is not None:
        for number, step in enumerate(run.steps, start=1):
            for attempt in step.attempts:
                name = f"logs/{number:02d}-{step.id}/attempt-{attempt.number}.log"
                files[name] = step_logs(run.run_id, step.id, attempt.number).encode()
    return files


__all__ = ["Contents", "Maker", "StepLogs", "contents"]
