"""The state machine as Mermaid text, printed from the tables of `engine.core.statemachine`. Pure.

ARCHITECTURE.md holds this text between two markers, and a test compares the two.
"""

from __future__ import annotations

from typing import Final

from engine.core.statemachine import STEP_NEXT, TERMINAL, TRANSITIONS, RunStatus, StepStatus

BEGIN: Final = "<!-- state-diagram:begin -->"
END: Final = "<!-- state-diagram:end -->"


def run_diagram() -> str:
    """Every status of a run; what leads from one to the same other shares an arrow."""
    arrows: dict[tuple[RunStatus, RunStatus], list[str]] = {}
    for row in TRANSITIONS:
        by_people = row.actors != ("system",)
        arrows.setdefault((row.source, row.target), []).append(
            f"{row.event}*" if by_people else row.event
        )
    lines = ["stateDiagram-v2", "    [*] --> SCHEDULED", "    [*] --> QUEUED"]
    lines += [f"    {a} --> {b} : {', '.join(events)}" for (a, b), events in arrows.items()]
    lines += [f"    {status} --> [*]" for status in RunStatus if status in TERMINAL]
    return "\n".join(lines)


def step_diagram() -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {StepStatus.PENDING}"]
    lines += [f"    {a} --> {b}" for a, targets in STEP_NEXT.items() for b in targets]
    return "\n".join(lines)


def state_diagram() -> str:
    """What stands between the markers; a star marks what people cause."""
    return (
        "A run (a star marks what people cause; the rest the engine does):\n\n"
        f"```mermaid\n{run_diagram()}\n```\n\n"
        f"A step:\n\n```mermaid\n{step_diagram()}\n```"
    )
