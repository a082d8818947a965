"""What would have blocked this: the smallest single changes under which a promotion had failed.

Every number of the config is moved both ways to the exact value at which the verdict turns; words
of severity are moved by rank; of lists one entry is added or taken away; a rule that only warned is
made to fail. Each change is then asked about runs that ended well: what it would also have stopped.
All of it is asked about the frozen input; nothing is estimated.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from engine.policy.compile import CompiledPolicy
from engine.policy.document import GateInput
from engine.policy.entries import Path, entries_for
from engine.policy.evaluate import Evaluation, Form, evaluate_policy
from engine.policy.model import SEVERITY_RANK, with_config
from engine.policy.problems import pointer, steps_of
from engine.policy.strictjson import INT_MAX
from engine.policy.verdict import FAIL, PASS, Verdict

# The whole of a value: to nothing, to twice as much, or one entry of a list.
WHOLE_BP: Final = 10_000
_SIZE_BP_MAX: Final = 1_000_000_000

# Of each list so many entries are tried; more would only repeat what the first ones say.
_ENTRIES_MAX: Final = 64
# So many that block are enough of each list.
_TURNS_MAX: Final = 12


class Kind(StrEnum):
    LIMIT = "limit"
    WORD = "word"
    ADDED = "added"
    REMOVED = "removed"
    LEVEL = "level"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a policy.

    Attributes:
        where: JSON pointer into the config; of a LEVEL the rule's id.
        old, new: the value before and after; of a list the entry that goes or comes.
        size_bp: how far from what it was, 10000 = a whole; a list's entry is a whole one.
    """

    kind: Kind
    where: str
    old: int | str
    new: int | str
    size_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A change under which the verdict is FAIL.

    Attributes:
        because: (rule, subject, detail) of what would have failed.
        stops: ids of good runs that pass without the change and fail with it.
    """

    change: Change
    because: tuple[tuple[str, str, str], ...]
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Attributes:
    word: the verdict as it is, in words; when it is FAIL there is nothing to look for.
    blockers: the smallest change first.
    good: good runs that were asked. `already`: of them those that this policy fails anyway.
    """

    word: str
    blockers: tuple[Blocker, ...]
    good: int = 0
    already: tuple[str, ...] = ()


def search(compiled: CompiledPolicy, given: GateInput) -> Search:
    """Every single change that would have blocked `given`, smallest first."""
    evaluation = evaluate_policy(compiled, given)
    base = evaluation.verdict
    if base.decision == FAIL:
        return Search(word=base.word, blockers=())

    def turned(change: Change) -> Blocker | None:
        return _turned(verdict_under(compiled, given, change, form=evaluation.form), change)

    found = [*_limits(compiled.policy.config, turned), *_levels(base)]
    turns = Counter[tuple[str, str]]()
    for change in (*_words(compiled.policy.config), *_entries(compiled, given)):
        group = change.kind.value, change.where
        blocker = turned(change) if turns[group] < _TURNS_MAX else None
        if blocker is not None:
            turns[group] += 1
            found.append(blocker)
    return Search(word=base.word, blockers=tuple(sorted(found, key=_order)))


def with_good_runs(
    found: Search, compiled: CompiledPolicy, good: Sequence[tuple[str, GateInput]]
) -> Search:
    """`found` with what each change would also have stopped.

    Args:
        good: (run, frozen input) of runs that ended well.
    """
    base = [(run, given, evaluate_policy(compiled, given)) for run, given in good]
    passing = [one for one in base if one[2].verdict.decision == PASS]
    return replace(
        found,
        blockers=tuple(
            sorted((_with_stops(one, compiled, passing) for one in found.blockers), key=_order)
        ),
        good=len(base),
        already=tuple(run for run, _, asked in base if asked.verdict.decision == FAIL),
    )


def changed_config(config: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The config with the change made. A LEVEL changes a rule and not the config."""
    fresh: dict[str, Any] = copy.deepcopy(dict(config))
    *above, last = steps_of(change.where)
    holder: Any = fresh
    for part in above:
        holder = holder[part]
    match change.kind:
        case Kind.ADDED:
            holder[last] = [*holder[last], change.new]
        case Kind.REMOVED:
            holder[last] = [entry for entry in holder[last] if entry != change.old]
        case _:
            holder[last] = change.new
    return fresh


def verdict_under(
    compiled: CompiledPolicy, given: GateInput, change: Change, *, form: Form | None = None
) -> Verdict:
    """What `given` gets under a changed config. The rules stay as they are compiled.

    Args:
        form: in which the unchanged policy was asked; a limit does not make an input longer.
    """
    policy = with_config(compiled.policy, changed_config(compiled.policy.config, change))
    return evaluate_policy(replace(compiled, policy=policy), given, form=form).verdict


def _with_stops(
    one: Blocker, compiled: CompiledPolicy, passing: Sequence[tuple[str, GateInput, Evaluation]]
) -> Blocker:
    if one.change.kind is Kind.LEVEL:
        stops = [
            run
            for run, _, asked in passing
            if any(result.rule == one.change.where for result in asked.verdict.results)
        ]
    else:
        stops = [
            run
            for run, given, asked in passing
            if verdict_under(compiled, given, one.change, form=asked.form).decision == FAIL
        ]
    return replace(one, stops=tuple(stops))


def _order(one: Blocker) -> tuple[int, int, str, str]:
    return one.change.size_bp, len(one.stops), one.change.where, str(one.change.new)


# --- numbers -------------------------------------------------------------------------------------


def _limits(
    config: Mapping[str, Any], turned: Callable[[Change], Blocker | None]
) -> Iterator[Blocker]:
    for path, value in _leaves(config):
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        for end in (0, INT_MAX):
            if end == value:
                continue

            def fails(new: int, path: Path = path, old: int = value) -> bool:
                return turned(_limit(path, old, new)) is not None

            new = boundary(fails, value, end)
            if new is not None:
                blocker = turned(_limit(path, value, new))
                assert blocker is not None
                yield blocker


def boundary(fails: Callable[[int], bool], now: int, end: int) -> int | None:
    """The value next to `now`, towards `end`, for which `fails`; None when `end` does not.

    By halving: exact when `fails` turns once between the two, as a limit does.
    """
    if not fails(end):
        return None
    good, bad = now, end
    while abs(bad - good) > 1:
        middle = (good + bad) // 2
        if fails(middle):
            bad = middle
        else:
            good = middle
    return bad


def _limit(path: Path, old: int, new: int) -> Change:
    size = abs(new - old) * WHOLE_BP // max(abs(old), 1)
    return Change(
        kind=Kind.LIMIT,
        where=pointer(*path),
        old=old,
        new=new,
        size_bp=max(1, min(size, _SIZE_BP_MAX)),
    )


# --- words, entries, levels ----------------------------------------------------------------------


def _words(config: Mapping[str, Any]) -> Iterator[Change]:
    """A severity moved to each other one, a whole for each rank."""
    for path, value in _leaves(config):
        if not isinstance(value, str) or value not in SEVERITY_RANK:
            continue
        for word, rank in SEVERITY_RANK.items():
            steps = abs(rank - SEVERITY_RANK[value])
            if steps:
                yield Change(
                    kind=Kind.WORD,
                    where=pointer(*path),
                    old=value,
                    new=word,
                    size_bp=steps * WHOLE_BP,
                )


def _entries(compiled: CompiledPolicy, given: GateInput) -> Iterator[Change]:
    """Each entry of each list of texts taken away, and each name that is known added."""
    known = entries_for(compiled, given)
    for path, value in _leaves(compiled.policy.config):
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            continue
        where = pointer(*path)
        for entry in value[:_ENTRIES_MAX]:
            yield Change(kind=Kind.REMOVED, where=where, old=entry, new="", size_bp=WHOLE_BP)
        fresh = [name for name in known.get(path, []) if name not in value]
        for entry in fresh[:_ENTRIES_MAX]:
            yield Change(kind=Kind.ADDED, where=where, old="", new=entry, size_bp=WHOLE_BP)


def _levels(base: Verdict) -> Iterator[Blocker]:
    """Every rule that warned, made to fail."""
    for rule in sorted({result.rule for result in base.results}):
        change = Change(kind=Kind.LEVEL, where=rule, old="WARN", new=FAIL, size_bp=WHOLE_BP)
        told = [(r.rule, r.subject, r.detail) for r in base.results if r.rule == rule]
        yield Blocker(change=change, because=tuple(told))


def _turned(verdict: Verdict, change: Change) -> Blocker | None:
    """The change as a blocker; None when it still passes, or only breaks a rule."""
    if verdict.decision != FAIL or verdict.error:
        return None
    told = [(r.rule, r.subject, r.detail) for r in verdict.results if r.level == FAIL]
    return Blocker(change=change, because=tuple(told))


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value of a config that is no object, with its path, sorted."""
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key in sorted(value):
        yield from _leaves(value[key], (*path, str(key)))
