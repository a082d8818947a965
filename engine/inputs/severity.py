"""How bad a flaw is, from CVSS vectors and from the words of those who published it.

A flaw of which nobody said so stays UNKNOWN: it is never taken for harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError

UNKNOWN: Final = "UNKNOWN"
_WORST_LAST: Final = ("UNKNOWN", "NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL")
_WORDS: Final = {"MODERATE": "MEDIUM", "IMPORTANT": "HIGH"}


@dataclass(frozen=True, slots=True)
class Severity:
    """Attributes:
    word: UNKNOWN, NONE, LOW, MEDIUM, HIGH or CRITICAL.
    cvss_dt: ten times the highest base score; -1 when there is none.
    """

    word: str = UNKNOWN
    cvss_dt: int = -1


@lru_cache(maxsize=16_384)
def score_dt(vector: str) -> int | None:
    """Ten times the base score of a CVSS 2, 3 or 4 vector; None for anything else."""
    try:
        if vector.startswith("CVSS:4"):
            score = CVSS4(vector).base_score
        elif vector.startswith("CVSS:3"):
            score = CVSS3(vector).base_score
        else:
            score = CVSS2(vector).base_score
    except (CVSSError, ValueError, KeyError):
        return None
    return int(Decimal(str(score)) * 10)


def word_of(dt: int) -> str:
    """The word of a score, by the scale of CVSS 3 and 4."""
    if dt == 0:
        return "NONE"
    if dt < 40:
        return "LOW"
    if dt < 70:
        return "MEDIUM"
    return "HIGH" if dt < 90 else "CRITICAL"


def worst(vectors: tuple[str, ...], words: tuple[str, ...]) -> Severity:
    """The worst of everything that was said about one flaw."""
    scores = [score for vector in vectors if (score := score_dt(vector)) is not None]
    dt = max(scores, default=-1)
    said = [_WORDS.get(word, word) for word in words]
    candidates = [word for word in said if word in _WORST_LAST]
    if dt >= 0:
        candidates.append(word_of(dt))
    return Severity(max(candidates, key=_WORST_LAST.index, default=UNKNOWN), dt)
