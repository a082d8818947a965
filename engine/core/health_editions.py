"""Editions of the gate's rules: what was recorded under one is judged by it for ever. Pure.

A stored tick has to get the answer again that it got then, and a stage that is under watch while
its engine is renewed has to end under the rules that it began with. So an edition is never changed:
where the rules become better, a new one is added here, and start marks name theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.core.errors import Malformed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What sets an edition apart from the one before.

    Attributes:
        level_noise: the limit is held against noise that counts bad minutes of the whole fleet.
        whole_limit: beside a baseline, evidence of the limit counts from the stage's start alone.
        baseline_holds: a baseline that may be over the limit too holds the stage, row 8.
        new_proof: what proved a fleet-wide fault has to be proven anew after its pause.
    """

    edition: int
    level_noise: bool
    whole_limit: bool
    baseline_holds: bool
    new_proof: bool


RULES: Final[Mapping[int, Rules]] = {
    1: Rules(
        edition=1, level_noise=False, whole_limit=False, baseline_holds=False, new_proof=False
    ),
    2: Rules(edition=2, level_noise=True, whole_limit=True, baseline_holds=True, new_proof=True),
}
EDITION: Final = 2
# Marks did not name their edition from the start on: these two may stand behind one without.
UNNAMED: Final = (2, 1)


def rules_of(edition: int) -> Rules:
    """Raises `Malformed` for an edition that this build does not know."""
    known = RULES.get(edition)
    if known is None:
        names = ", ".join(str(number) for number in RULES)
        raise Malformed(f"expected one of {names}, found {edition}", where="edition of the gate")
    return known
