"""Which of several changes made the answer another one: one at a time, then one after another.

An answer here is the verdict without the names of what was asked: the digest of a verdict names
its policy and its input, so it would differ with every change, also with one that says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.jcs import canonical

SAME: Final = "same"
FLIPS: Final = "flips"
UNKNOWN: Final = "unknown"

# Of a verdict: what was decided and why, and not by what name it was asked.
_SAID: Final = ("decision", "fail", "warn", "error", "results")


def answer_digest(verdict: Mapping[str, Any]) -> Digest:
    """Args:
    verdict: its document.
    """
    return Digest.of(canonical({name: verdict[name] for name in _SAID}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """The grid of old and new policy by old and new engine, read along its axes.

    Attributes:
        policy_alone, engine_alone: `same`, `flips` or `unknown` (that cell cannot be asked here).
        first: `policy`, `engine`, `both` (neither alone flips it) or empty: nothing flips.
    """

    policy_alone: str
    engine_alone: str
    first: str

    def document(self) -> dict[str, str]:
        return {
            "policy_alone": self.policy_alone,
            "engine_alone": self.engine_alone,
            "first": self.first,
        }


def attribute(
    *,
    recorded: Digest,
    new_policy_old_engine: Digest | None,
    old_policy_new_engine: Digest | None,
    new_policy_new_engine: Digest | None,
) -> Attribution:
    """Args:
    recorded: what the old engine answered by the old policy; the others as far as known.
    """
    policy = _axis(recorded, new_policy_old_engine)
    engine = _axis(recorded, old_policy_new_engine)
    if policy == UNKNOWN and old_policy_new_engine is not None:
        # The old engine is not here; under the new one the policy's own share can still be told.
        policy = _axis(old_policy_new_engine, new_policy_new_engine)
    first = ""
    if policy == FLIPS:
        first = "policy"
    elif engine == FLIPS:
        first = "engine"
    elif new_policy_new_engine is not None and new_policy_new_engine != recorded:
        first = "both"
    return Attribution(policy_alone=policy, engine_alone=engine, first=first)


def _axis(before: Digest, after: Digest | None) -> str:
    if after is None:
        return UNKNOWN
    return SAME if before == after else FLIPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Attributes:
    change: the part that was exchanged; with `upto` all before it in the order as well.
    answer: None = with this change alone the question cannot be asked.
    """

    change: str
    upto: bool
    answer: Digest | None
    flips: bool

    def document(self) -> dict[str, Any]:
        return {
            "change": self.change,
            "upto": self.upto,
            "digest": None if self.answer is None else str(self.answer),
            "flips": self.flips,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisect:
    """`first`: the change that the other answer comes from; empty when the answers are equal."""

    first: str
    trials: tuple[Trial, ...]


def bisect(changes: Sequence[str], answer: Callable[[frozenset[str]], Digest | None]) -> Bisect:
    """Find the first change that makes the answer another one.

    Each change is tried alone, in order; the first that flips the answer is the cause. When none
    does alone, the shortest beginning of `changes` that flips it is looked for, and its last one is
    named: what came before was needed too, but did nothing yet.

    Args:
        answer: of the old question with these changes made; None = it cannot be asked.
    """
    before = answer(frozenset())
    if before is None or not changes:
        return Bisect(first="", trials=())
    trials: list[Trial] = []
    first = ""
    for change in changes:
        after = answer(frozenset({change}))
        flips = after is not None and after != before
        trials.append(Trial(change=change, upto=False, answer=after, flips=flips))
        first = first or (change if flips else "")
    if first:
        return Bisect(first=first, trials=tuple(trials))
    for end in range(2, len(changes) + 1):
        after = answer(frozenset(changes[:end]))
        flips = after is not None and after != before
        trials.append(Trial(change=changes[end - 1], upto=True, answer=after, flips=flips))
        if flips:
            return Bisect(first=changes[end - 1], trials=tuple(trials))
    return Bisect(first="", trials=tuple(trials))
