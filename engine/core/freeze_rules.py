"""Who may set and end a freeze, and what a wish for one has to say. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core.approvals import Actor
from engine.core.commands import Refusal
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.freeze_events import FreezeAdded, FreezeEnded, FreezeKind, Weekly
from engine.core.freezes import Freeze, Place, meant
from engine.core.local_time import (
    DAY_MINUTES,
    WEEKDAYS,
    Instant,
    OffsetAt,
    clock_text,
    instant_of,
    minute_of,
    said,
    utc_text,
    wall_of,
)
from engine.core.scopes import FREEZE
from engine.core.statemachine import Role

MAY_FREEZE: Final = frozenset({Role.RELEASE_MANAGER, Role.SRE})
_NAME_MAX: Final = 80
_FORM: Final = "MO-FR 09:00-17:00, SA,SU 00:00-24:00 or FR 18:00-MO 08:00"
_WEEKLY: Final = re.compile(
    r"(?P<days>[A-Z,-]+) (?P<begins>\d\d:\d\d) ?- ?(?:(?P<last>[A-Z]{2}) )?(?P<ends>\d\d:\d\d)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeWish:
    """What somebody asks for, as they wrote it.

    Attributes:
        owner: a person of the settings; empty = whoever asks.
        environments, regions: empty = every one.
        begins, ends: wall times in `time_zone`, `2026-12-24 18:00`; empty = from now, no end.
        weekly: as in `parse_weekly`; empty = the whole time.
    """

    kind: FreezeKind
    name: str
    reason: str
    owner: str = ""
    environments: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    begins: str = ""
    ends: str = ""
    weekly: str = ""
    time_zone: str = "UTC"
    hotfix: bool = False
    ticket: str = ""


def parse_weekly(text: str, *, where: str = "weekly") -> Weekly:
    """Read `MO-FR 09:00-17:00` or, over midnights, `FR 18:00-MO 08:00`; local times.

    An end without a day is on the same day, or on the next one when that would be no time at all.

    Raises:
        Malformed: it has another form.
    """
    found = _WEEKLY.fullmatch(" ".join(text.upper().split()))
    if found is None:
        raise Malformed(f"expected {_FORM}, found {text[:60]!r}", where=where)
    days = _days(found["days"], where=where)
    begins, ends = (minute_of(found[name], where=where) for name in ("begins", "ends"))
    if begins == DAY_MINUTES:
        raise Malformed(f"expected a beginning before 24:00, found {text!r}", where=where)
    if found["last"] is None:
        runs_days = 0 if ends > begins else 1
    else:
        last = _days(found["last"], where=where)
        if len(days) != 1:
            raise Malformed(
                f"expected one day before a window that names the day of its end, found {text!r}",
                where=where,
            )
        runs_days = (last[0] - days[0]) % 7
        if runs_days == 0 and ends <= begins:
            runs_days = 7
    return Weekly(days=days, begins_minute=begins, runs_days=runs_days, ends_minute=ends)


def weekly_text(weekly: Weekly) -> str:
    """As `parse_weekly` reads it."""
    days, last = _days_text(weekly.days), ""
    if len(weekly.days) == 1 and weekly.runs_days:
        last = f"{WEEKDAYS[(weekly.days[0] + weekly.runs_days) % 7]} "
    return f"{days} {clock_text(weekly.begins_minute)}-{last}{clock_text(weekly.ends_minute)}"


def _days_text(days: Sequence[int]) -> str:
    """`MO-FR` for three or more in a row."""
    found: list[list[int]] = []
    for day in days:
        if found and found[-1][-1] == day - 1:
            found[-1].append(day)
        else:
            found.append([day])
    return ",".join(
        f"{WEEKDAYS[row[0]]}-{WEEKDAYS[row[-1]]}"
        if len(row) > 2
        else ",".join(WEEKDAYS[day] for day in row)
        for row in found
    )


def _days(text: str, *, where: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
            raise Malformed(f"expected days such as MO-FR or SA,SU, found {text!r}", where=where)
        begin = WEEKDAYS.index(first)
        count = (WEEKDAYS.index(last) - begin) % 7 if dash else 0
        found |= {(begin + step) % 7 for step in range(count + 1)}
    return tuple(sorted(found))


def covered(
    environments: Sequence[str], regions: Sequence[str], places: Sequence[Place]
) -> tuple[str, ...]:
    """Environments of the house that a freeze of these would apply to.

    Raises:
        NotFound: one that is named is none of the house; or they are in none of these regions.
    """
    known = {place.environment for place in places}
    unknown = [name for name in environments if name not in known]
    if unknown:
        raise NotFound(f"There is no environment {', '.join(unknown)}.")
    here = {place.region for place in places}
    nowhere = [name for name in regions if name not in here]
    if nowhere:
        raise NotFound(
            f"There is no region {', '.join(nowhere)}; there are {', '.join(sorted(here))}."
        )
    found = tuple(one.environment for one in places if meant(environments, regions, one))
    if not found:
        raise NotFound("None of these environments is in one of these regions.")
    return found


def refusal(actors: Mapping[str, Actor], *, what: str) -> Refusal | None:
    """Why somebody may not set or end a freeze of these environments; None when they may.

    Args:
        actors: the asker in each environment that it covers.
        what: the deed: `set a freeze`, `end a freeze`.
    """
    for environment, actor in actors.items():
        beyond = actor.beyond_token(FREEZE, environment)
        if beyond is not None:
            return beyond
        if not actor.roles & MAY_FREEZE:
            return Refusal(
                sentence=f"{actor.user} may not {what} in {environment}: this needs the role "
                "release manager or sre.",
                code="role",
            )
        if actor.service:
            return Refusal(
                sentence=f"{actor.user} is a service account; people {what}.", code="role"
            )
    return None


def added(
    wish: FreezeWish,
    *,
    number: int,
    by: str,
    now_us: int,
    people: Collection[str],
    offset_at: OffsetAt,
) -> FreezeAdded:
    """The event that sets it, once its author may.

    Args:
        people: users of the settings.
        offset_at: of the wish's time zone.

    Raises:
        Malformed: a field says nothing that can be meant.
        Refused: no reason is given.
    """
    name, reason, owner = wish.name.strip(), wish.reason.strip(), wish.owner.strip() or by
    if not name or len(name) > _NAME_MAX or not name.isprintable():
        raise Malformed(
            f"expected 1 to {_NAME_MAX} printable characters, found {name[:90]!r}", where="name"
        )
    if not reason:
        raise Refused("A reason is required; it goes on record.", code="reason")
    if owner not in people:
        raise Malformed(f"expected a person of the settings, found {owner[:60]!r}", where="owner")
    weekly = parse_weekly(wish.weekly) if wish.weekly else None
    begins, ends = (_instant(wish, where, offset_at) for where in ("begins", "ends"))
    from_us = now_us if begins is None else begins.at_us
    until_us = None if ends is None else ends.at_us
    if from_us < now_us:
        raise Malformed(f"expected a time to come, found {utc_text(from_us)}", where="begins")
    if until_us is not None and until_us <= from_us:
        raise Malformed(
            f"expected a time behind {utc_text(from_us)}, found {utc_text(until_us)}", where="ends"
        )
    if wish.kind is FreezeKind.ALLOW and weekly is None and until_us is None:
        raise Malformed("expected an end or a weekly window of an ALLOW, found none", where="ends")
    return FreezeAdded(
        freeze=f"freeze-{number}",
        kind=wish.kind,
        name=name,
        owner=owner,
        reason=reason,
        environments=tuple(sorted(set(wish.environments))),
        regions=tuple(sorted(set(wish.regions))),
        from_us=from_us,
        until_us=until_us,
        weekly=weekly,
        time_zone=wish.time_zone,
        hotfix=wish.hotfix,
        ticket=wish.ticket.strip(),
    )


def notes(wish: FreezeWish, offset_at: OffsetAt) -> tuple[str, ...]:
    """What clock changes make of the wall times that were asked for, one sentence each."""
    found = []
    for where in ("begins", "ends"):
        instant = _instant(wish, where, offset_at)
        if instant is not None and instant.change:
            found.append(said(*wall_of(getattr(wish, where), where=where), instant, offset_at))
    return tuple(found)


def _instant(wish: FreezeWish, where: str, offset_at: OffsetAt) -> Instant | None:
    text: str = getattr(wish, where)
    return instant_of(*wall_of(text, where=where), offset_at) if text.strip() else None


def ended(freeze: Freeze, *, reason: str, ticket: str) -> FreezeEnded:
    """Raises `Refused` without a reason."""
    if not reason.strip():
        raise Refused("A reason is required; it goes on record.", code="reason")
    return FreezeEnded(freeze=freeze.id, reason=reason.strip(), ticket=ticket.strip())
