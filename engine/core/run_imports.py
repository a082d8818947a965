"""How imported attestations enter a run. One part of `engine.core.run.evolve`."""

from __future__ import annotations

from dataclasses import replace

from engine.core.attestations import AttestationImported, merged
from engine.core.events import Recorded
from engine.core.fact_events import InputsMaterialized
from engine.core.state import Run
from engine.core.statemachine import RunStatus


def apply(run: Run, recorded: Recorded) -> Run | None:
    """Return the run after an import; None when the event is another one."""
    event = recorded.event
    if not isinstance(event, AttestationImported):
        return None
    run = replace(run, attestations=merged(run.attestations, (event.attestation,)))
    if run.status is RunStatus.AWAITING_APPROVAL:
        # Who turns out to be an author while approval is open has not approved. Once the quorum
        # was met the decision is history, and the import is on record behind it.
        run = replace(
            run,
            approvals=tuple(
                replace(a, counts=False) if a.person in event.authors else a for a in run.approvals
            ),
        )
    return _with_authors(run, event.authors)


def pinned(run: Run, event: InputsMaterialized) -> Run:
    """The run with its inputs, and with what it rests on besides them."""
    run = replace(
        run,
        resolved_inputs=event.resolved,
        inputs_count=len(event.inputs),
        attestations=merged(run.attestations, event.attestations),
        pinned=event.attestations,
    )
    return _with_authors(run, event.authors)


def _with_authors(run: Run, authors: tuple[str, ...]) -> Run:
    """Once an author, always one: inputs that are resolved anew clear nobody."""
    return replace(run, authors=tuple(sorted({*run.authors, *authors})))
