"""Which approval rule would have held a promotion back, and which good ones too. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_WHOLE_BP = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OneMore:
    """One approval more than were given.

    Attributes:
        required, new: how many were asked for, and how many would have had to be.
        size_bp: how much more that is, 10000 = as many again.
        stops: good runs that had fewer.
    """

    required: int
    new: int
    size_bp: int
    stops: tuple[str, ...]


def one_more(required: int, given: int, good: Iterable[tuple[str, int]]) -> OneMore:
    """Args:
    given: people whose approval counted.
    good: (run, approvals given) of runs that ended well.
    """
    new = max(required, given) + 1
    return OneMore(
        required=required,
        new=new,
        size_bp=(new - required) * _WHOLE_BP // max(required, 1),
        stops=tuple(run for run, had in good if had < new),
    )
