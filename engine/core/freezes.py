"""Freeze windows: what bars an environment now, since when and until when. Pure.

Windows add up and their order means nothing. Inside of any DENY an environment is closed; where an
ALLOW applies, it is closed outside of all of them too; DENY wins. A run of the kind HOTFIX passes
those that let it. Nothing here is ever asked about a rollback: going back is always allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from engine.core.events import Recorded
from engine.core.freeze_events import FreezeAdded, FreezeEnded, FreezeKind, Weekly
from engine.core.local_time import OffsetAt, instant_of, local, utc_text, weekday
from engine.core.retirement import DAY_US
from engine.core.spec import HOTFIX, ROLLBACK, StepKind
from engine.core.standing import Frozen
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus

# Kinds of event that a fold of the freezes has to see.
FOLDED: Final = (FreezeAdded, FreezeEnded)
# An IANA name to that zone's offsets. Raises `Malformed` for an unknown one.
Zones: TypeAlias = Callable[[str], OffsetAt]
Freezes: TypeAlias = Mapping[str, "Freeze"]

# After so many windows that follow each other without a gap nobody can say when it opens.
_CHAIN_MAX: Final = 500
_WEEK_DAYS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """One that is in force. `by` set it; `fact` is everything else."""

    fact: FreezeAdded
    by: str
    added_us: int

    @property
    def id(self) -> str:
        return self.fact.freeze

    @property
    def stops_the_line(self) -> bool:
        fact = self.fact
        return fact.kind is FreezeKind.DENY and fact.until_us is None and fact.weekly is None

    def applies(self, place: Place) -> bool:
        return meant(self.fact.environments, self.fact.regions, place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    environment: str
    region: str


def meant(environments: Collection[str], regions: Collection[str], place: Place) -> bool:
    """Whether a freeze of these is about the place; empty: about every one."""
    named = not environments or place.environment in environments
    return named and (not regions or place.region in regions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `start_us` on, and before `end_us`; None = no end."""

    start_us: int
    end_us: int | None

    def covers(self, at_us: int) -> bool:
        return self.start_us <= at_us and (self.end_us is None or at_us < self.end_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that bars an environment.

    Attributes:
        key: of this window and no other one of the same freeze.
        freeze: of a DENY its id; empty for outside of every ALLOW.
        name: of the freeze, or of the ALLOW windows that one is outside of.
        since_us, until_us: of this window; None = nobody has set an end.
    """

    key: str
    freeze: str
    name: str
    owner: str
    reason: str
    since_us: int
    until_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Attributes:
    causes: at least one, the oldest first.
    until_us: when the environment opens next, as far as windows say; None = when somebody ends one.
    """

    causes: tuple[Cause, ...]
    until_us: int | None

    @property
    def since_us(self) -> int:
        return min(cause.since_us for cause in self.causes)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(sorted(cause.key for cause in self.causes))


def evolve(freezes: Freezes, recorded: Recorded) -> Freezes:
    """Return the freezes in force after `recorded`, by id."""
    match recorded.event:
        case FreezeAdded() as fact:
            added = Freeze(fact=fact, by=recorded.actor, added_us=recorded.ts_us)
            return {**freezes, fact.freeze: added}
        case FreezeEnded(freeze=ended):
            return {key: one for key, one in freezes.items() if key != ended}
        case _:
            return freezes


def barring(
    freezes: Iterable[Freeze],
    place: Place,
    now_us: int,
    zones: Zones,
    *,
    hotfix: bool = False,
    passed: Collection[str] = (),
) -> Bar | None:
    """What bars the environment at `now_us`, by name, since when and until when; None when nothing.

    Args:
        freezes: every one that is in force, in any order.
        hotfix: for a run of the kind HOTFIX, which passes the windows that let it.
        passed: keys of causes that two people let the run pass by.
    """
    here = [one for one in freezes if one.applies(place) and not (hotfix and one.fact.hotfix)]
    # A hotfix that is bound to some ALLOW window may use any of them.
    inside = [one for one in freezes if one.applies(place) and _allows(one)]
    causes = [cause for cause in _causes(here, inside, now_us, zones) if cause.key not in passed]
    if not causes:
        return None
    causes.sort(key=lambda cause: (cause.since_us, cause.key))
    return Bar(causes=tuple(causes), until_us=_opens(here, inside, now_us, zones))


def bar_of(freezes: Iterable[Freeze], run: Run, now_us: int, zones: Zones) -> Bar | None:
    """What keeps this run from starting, or from its next step. Never anything for a rollback.

    While the glass is broken for the run it passes every freeze.
    """
    if run.request.kind == ROLLBACK or run.glass_broken(now_us):
        return None
    return barring(
        freezes,
        Place(environment=run.environment, region=run.request.region),
        now_us,
        zones,
        hotfix=run.request.kind == HOTFIX,
        passed=run.passed_freezes,
    )


def may_stop(run: Run) -> bool:
    """Whether a freeze takes hold of a running run now: between two steps, before the next one
    begins. A verification changes nothing and is never put off: what is deployed is looked at."""
    step = run.current_step
    return (
        run.status is RunStatus.RUNNING
        and step is not None
        and step.status in {StepStatus.PENDING, StepStatus.CANCELLED}
        and step.spec.kind not in {StepKind.VERIFY, StepKind.SEAL}
    )


def closes_us(freezes: Iterable[Freeze], place: Place, now_us: int, zones: Zones) -> int | None:
    """When an environment that is open at `now_us` closes next; None when no window says so."""
    here = [one for one in freezes if one.applies(place)]
    allows, at_us = [one for one in here if _allows(one)], now_us
    for _ in range(_CHAIN_MAX):
        edges = [start for one in here if not _allows(one) for start in _starts(one, at_us, zones)]
        if allows:
            ends = [s.end_us for one in allows for s in _covering(one, at_us, zones)]
            if None not in ends:
                edges.append(max((end for end in ends if end is not None), default=at_us))
        if not edges:
            return None
        at_us = min(edges)
        if barring(here, place, at_us, zones) is not None:
            return at_us
    return None


def sentence(bar: Bar, environment: str) -> str:
    """Why nothing starts there, since when, and how that ends."""
    whys = "; ".join(
        f"{cause.name} since {utc_text(cause.since_us)} "
        f"(owner {cause.owner}: {cause.reason.rstrip('.')})"
        for cause in bar.causes
    )
    return f"{environment} is frozen: {whys}. {opening(bar)}"


def frozen(bar: Bar | None, environment: str) -> Frozen:
    """The same for a decision about a run."""
    if bar is None:
        return Frozen()
    return Frozen(keys=bar.keys, sentence=sentence(bar, environment), until_us=bar.until_us)


def headline(freeze: Freeze) -> str:
    """What it does, in a few words."""
    if freeze.stops_the_line:
        return "stop-the-line: nothing starts until somebody ends it"
    if freeze.fact.kind is FreezeKind.ALLOW:
        return "promotions only inside of it"
    return "no promotions inside of it"


def opening(bar: Bar) -> str:
    if bar.until_us is None:
        return "It opens when somebody ends that freeze."
    return f"It opens at {utc_text(bar.until_us)}."


def spans(freeze: Freeze, from_us: int, to_us: int, zones: Zones) -> tuple[Span, ...]:
    """The freeze's windows that touch [from_us, to_us), in order; whole, so they may reach out."""
    fact = freeze.fact
    if fact.weekly is None:
        found: Iterable[Span] = (Span(start_us=fact.from_us, end_us=fact.until_us),)
    else:
        found = _weekly(fact, fact.weekly, zones(fact.time_zone), from_us, to_us)
    return tuple(
        span
        for span in found
        if span.start_us < to_us and (span.end_us is None or from_us < span.end_us)
    )


def _weekly(
    fact: FreezeAdded, weekly: Weekly, offset_at: OffsetAt, from_us: int, to_us: int
) -> Iterator[Span]:
    first, _ = local(max(from_us, fact.from_us), offset_at)
    last, _ = local(to_us, offset_at)
    for day in range(first - _WEEK_DAYS - 1, last + 1):
        if weekday(day) not in weekly.days:
            continue
        start_us = instant_of(day, weekly.begins_minute, offset_at).at_us
        end_us = instant_of(day + weekly.runs_days, weekly.ends_minute, offset_at).at_us
        start_us = max(start_us, fact.from_us)
        end_us = end_us if fact.until_us is None else min(end_us, fact.until_us)
        if start_us < end_us:  # clocks that go forward may leave nothing of it
            yield Span(start_us=start_us, end_us=end_us)


def _allows(freeze: Freeze) -> bool:
    return freeze.fact.kind is FreezeKind.ALLOW


def _causes(here: list[Freeze], inside: list[Freeze], at_us: int, zones: Zones) -> Iterator[Cause]:
    for one in here:
        if _allows(one):
            continue
        for span in _covering(one, at_us, zones):
            yield Cause(
                key=f"{one.id}@{span.start_us}",
                freeze=one.id,
                name=one.fact.name,
                owner=one.fact.owner,
                reason=one.fact.reason,
                since_us=span.start_us,
                until_us=span.end_us,
            )
    bound = [one for one in here if _allows(one)]
    if bound and not any(_covering(one, at_us, zones) for one in inside):
        yield _outside(bound, inside, at_us, zones)


def _outside(bound: list[Freeze], inside: list[Freeze], at_us: int, zones: Zones) -> Cause:
    ended = [end for one in inside for end in _ends(one, at_us, zones)]
    begun = min(one.added_us for one in bound)
    since_us = max(ended, default=begun)
    starts = [start for one in inside for start in _starts(one, at_us, zones)]
    return Cause(
        key=f"outside@{since_us}",
        freeze="",
        name=f"outside of {' and '.join(sorted({one.fact.name for one in bound}))}",
        owner=", ".join(sorted({one.fact.owner for one in bound})),
        reason="; ".join(sorted({one.fact.reason.rstrip(".") for one in bound})),
        since_us=min(since_us, at_us),
        until_us=min(starts, default=None),
    )


def _opens(here: list[Freeze], inside: list[Freeze], at_us: int, zones: Zones) -> int | None:
    for _ in range(_CHAIN_MAX):
        causes = list(_causes(here, inside, at_us, zones))
        if not causes:
            return at_us
        ends = [cause.until_us for cause in causes]
        if any(end is None for end in ends):
            return None
        at_us = max(end for end in ends if end is not None)
    return None


def _covering(freeze: Freeze, at_us: int, zones: Zones) -> tuple[Span, ...]:
    """The freeze's window at `at_us`; overlapping ones of its own count as one."""
    found = [s for s in spans(freeze, at_us, at_us + 1, zones) if s.covers(at_us)]
    if len(found) < 2:
        return tuple(found)
    ends = [s.end_us for s in found if s.end_us is not None]
    return (replace(found[0], end_us=max(ends)),)


def _starts(freeze: Freeze, after_us: int, zones: Zones) -> tuple[int, ...]:
    """The first beginning of a window behind `after_us`, if any."""
    begin_us = max(after_us, freeze.fact.from_us - 1)
    until_us = begin_us + (_WEEK_DAYS + 2) * DAY_US
    found = [s.start_us for s in spans(freeze, begin_us, until_us, zones) if s.start_us > after_us]
    return tuple(found[:1])


def _ends(freeze: Freeze, before_us: int, zones: Zones) -> tuple[int, ...]:
    """The last end of a window at or before `before_us`, if any."""
    upto_us = before_us
    if freeze.fact.until_us is not None:
        upto_us = min(upto_us, freeze.fact.until_us)
    from_us = upto_us - (_WEEK_DAYS + 2) * DAY_US
    ends = [s.end_us for s in spans(freeze, from_us, upto_us, zones) if s.end_us is not None]
    return tuple(end for end in sorted(ends) if end <= before_us)[-1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """A stretch of time in which the same things bar an environment."""

    start_us: int
    end_us: int
    causes: tuple[Cause, ...]


def closures(
    freezes: Iterable[Freeze], place: Place, from_us: int, to_us: int, zones: Zones
) -> tuple[Closure, ...]:
    """When the environment is closed in [from_us, to_us), cut off there, in order."""
    here = [one for one in freezes if one.applies(place)]
    edges = {from_us}
    for one in here:
        for span in spans(one, from_us, to_us, zones):
            edges |= {span.start_us, to_us if span.end_us is None else span.end_us}
    inner = sorted(edge for edge in edges if from_us <= edge < to_us)
    found: list[Closure] = []
    for start_us, end_us in zip(inner, [*inner[1:], to_us], strict=True):
        bar = barring(here, place, start_us, zones)
        if bar is None:
            continue
        last = found[-1] if found else None
        if last is not None and last.end_us == start_us and last.causes == bar.causes:
            found[-1] = replace(last, end_us=end_us)
        else:
            found.append(Closure(start_us=start_us, end_us=end_us, causes=bar.causes))
    return tuple(found)
