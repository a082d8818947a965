"""Runtime observations of the local fleet: each process says what it has really loaded."""

from __future__ import annotations

from collections.abc import Mapping

from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed
from engine.fleet.ask import ask
from engine.fleet.control import Fleet
from engine.fleet.marker import SERVICE
from engine.fleet.turn import LOOK_S, Deadline
from engine.ports_observed import RuntimeFacts


class FleetRuntime:
    """`RuntimeSource` of one environment."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def observe(self, *, deadline_s: float) -> Mapping[str, RuntimeFacts]:
        deadline = Deadline(deadline_s)
        facts: dict[str, RuntimeFacts] = {}
        for process in self._fleet.processes():
            if process.role != SERVICE or process.name not in self._fleet.targets:
                continue
            try:
                left_s = max(0.01, deadline.left_s(LOOK_S))
                answer = ask(process.port, "/runtime", deadline_s=left_s)
                facts[process.name] = RuntimeFacts(
                    digest=Digest.parse(str(answer["digest"])),
                    components=tuple(sorted(map(str, answer["components"]))),
                    observed=tuple(sorted(map(str, answer["observed"]))),
                )
            except (AdapterFailed, Malformed, KeyError, TypeError):
                continue  # missing is what says "no answer"
        return facts
