"""What was read for a precondition, judged. Pure.

Each function takes what the shell has read and says whether that meets what is asked for. What
gave no answer is UNKNOWN, and a source that says no is UNMET.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.core.data_health import Level
from engine.core.jcs import JsonValue
from engine.core.preconditions import Read, State
from engine.core.rescans import Standing
from engine.core.spans import span

_US: Final = 1_000_000


def feeds(known: Mapping[str, int | None], *, limit_s: int, now_us: int) -> Read:
    """Args:
    known: of every feed that the environment's policy rests on: as of when its newest snapshot
        is, in UTC seconds; None = there is none.
    """
    source: JsonValue = {name: known[name] for name in sorted(known)}
    if not known:
        return Read(state=State.UNKNOWN, value="the policy in force names no feed", source=source)
    missing = sorted(name for name, as_of_s in known.items() if as_of_s is None)
    if missing:
        value = f"{', '.join(missing)} has no snapshot"
        return Read(state=State.UNMET, value=value, observed_us=now_us, source=source)
    ages = {name: now_us - as_of_s * _US for name, as_of_s in known.items() if as_of_s is not None}
    future = sorted(name for name, age_us in ages.items() if age_us < 0)
    if future:
        value = f"{', '.join(future)} is dated after this clock"
        return Read(state=State.UNKNOWN, value=value, observed_us=now_us, source=source)
    old = {name: age for name, age in ages.items() if age >= limit_s * _US}
    told = old or {max(ages, key=lambda name: (ages[name], name)): max(ages.values())}
    value = ", ".join(f"{name} {span(told[name])} old" for name in sorted(told))
    if not old and len(ages) > 1:
        value = f"oldest: {value}"
    state = State.UNMET if old else State.MET
    return Read(state=state, value=value, observed_us=now_us, source=source)


def scans(found: Standing | None, *, now_us: int, trouble: str = "") -> Read:
    """Args:
    found: how the SBOMs that matter here stand against the newest feeds; None = nobody can say,
        and `trouble` is why.
    """
    if found is None:
        return Read(state=State.UNKNOWN, value=trouble)
    source: JsonValue = {
        "bundles": found.bundles,
        "missing": found.missing,
        "failed": found.failed,
        "underWay": found.done is not None,
    }
    state, value = State.MET, f"{found.bundles} matched against the newest feeds"
    if not found.bundles:
        value = "no bundle here has an SBOM"
    elif found.failed:
        state, value = State.UNMET, f"failed for {found.failed} of {found.bundles}: {found.reason}"
    elif found.done is not None:
        state, value = State.UNMET, f"under way, {found.done} of {found.doing} seen"
    elif found.missing:
        state, value = State.UNMET, f"due for {found.missing} of {found.bundles}"
    return Read(state=state, value=value, observed_us=now_us, source=source)


def integrations(
    known: Sequence[tuple[str, Level, str, int | None]],
) -> Read:
    """Args:
    known: of every integration that the environment rests on: name, level as it is known now,
        why, and when it was last looked at.
    """
    source: JsonValue = [
        {"name": name, "level": level.value, "reason": reason, "lookedAtUs": last_us}
        for name, level, reason, last_us in known
    ]
    if not known:
        return Read(state=State.MET, value="none is needed here", source=source)
    observed_us = min((last_us or 0) for _, _, _, last_us in known)
    odd = [(name, level, reason) for name, level, reason, _ in known if level is not Level.OK]
    if not odd:
        value = f"{len(known)} of {len(known)} work"
        return Read(state=State.MET, value=value, observed_us=observed_us, source=source)
    unknown = all(level is Level.UNKNOWN for _, level, _ in odd)
    value = "; ".join(f"{name} {level.value}: {reason}" for name, level, reason in odd)
    state = State.UNKNOWN if unknown else State.UNMET
    return Read(state=state, value=value, observed_us=observed_us, source=source)


def on_call(known: Sequence[tuple[str, Level, str, int | None]]) -> Read:
    """Args:
    known: of every on-call schedule: name, level as it is known now, why, and when it was last
        looked at. One where somebody is on call is enough.
    """
    if not known:
        value = "no server in the settings says who is on call"
        return Read(state=State.UNKNOWN, value=value)
    source: JsonValue = [
        {"name": name, "level": level.value, "reason": reason, "lookedAtUs": last_us}
        for name, level, reason, last_us in known
    ]
    observed_us = min((last_us or 0) for _, _, _, last_us in known)
    for level, state in ((Level.OK, State.MET), (Level.WARN, State.UNMET)):
        said = [f"{name}: {reason}" for name, one, reason, _ in known if one is level]
        if said:
            return Read(state=state, value="; ".join(said), observed_us=observed_us, source=source)
    value = "; ".join(f"{name} {level.value}: {reason}" for name, level, reason, _ in known)
    return Read(state=State.UNKNOWN, value=value, observed_us=observed_us, source=source)


def soaked(
    place: str, run: str, since_us: int | None, *, runs_it: bool, limit_s: int, now_us: int
) -> Read:
    """Args:
    place: the environment before; `run`: what changed it last; empty = nothing is on record.
    since_us: since when it is as it is. runs_it: it runs the bundle that is to be promoted.
    """
    source: JsonValue = {"environment": place, "run": run, "sinceUs": since_us, "runsIt": runs_it}
    if not place:
        return Read(state=State.UNKNOWN, value="no environment comes before this one")
    if not run or since_us is None:
        return Read(state=State.UNMET, value=f"{place} never ran it", source=source)
    if not runs_it:
        value = f"{place} runs something else since {run}"
        return Read(state=State.UNMET, value=value, observed_us=now_us, source=source)
    age_us = now_us - since_us
    left_us = limit_s * _US - age_us
    value = f"{place} runs it since {run}, for {span(age_us)}"
    if left_us > 0:
        value = f"{value}, {span(left_us)} to go"
    state = State.UNMET if left_us > 0 else State.MET
    return Read(state=state, value=value, observed_us=now_us, source=source)


def override_debt(owed: Sequence[tuple[str, str]], *, now_us: int) -> Read:
    """Args:
    owed: run and what nobody has looked at yet, of every open review of an override there.
    """
    source: JsonValue = [{"run": run, "what": what} for run, what in owed]
    if not owed:
        return Read(state=State.MET, value="none", observed_us=now_us, source=source)
    value = "; ".join(f"{run}: {what}" for run, what in owed[:3])
    more = f" and {len(owed) - 3} more" if len(owed) > 3 else ""
    return Read(state=State.UNMET, value=value + more, observed_us=now_us, source=source)


def rollback(
    targets: Sequence[tuple[str, bool | None]], *, observed_us: int, trouble: str = ""
) -> Read:
    """Args:
    targets: name, and whether it holds what it runs, so that it could go back to it; None = it
        does not answer. trouble: why none of them could be looked at.
    """
    if trouble:
        return Read(state=State.UNKNOWN, value=trouble)
    source: JsonValue = [{"target": name, "ready": ready} for name, ready in targets]
    silent = [name for name, ready in targets if ready is None]
    stuck = [name for name, ready in targets if ready is False]
    if stuck:
        value = f"{', '.join(stuck)} could not go back"
        return Read(state=State.UNMET, value=value, observed_us=observed_us, source=source)
    if silent or not targets:
        value = f"no answer from {', '.join(silent) or 'any target'}"
        return Read(state=State.UNKNOWN, value=value, observed_us=observed_us, source=source)
    value = f"{len(targets)} of {len(targets)} targets"
    return Read(state=State.MET, value=value, observed_us=observed_us, source=source)


def always(refused: str, *, fine: str, now_us: int) -> Read:
    """One that is always asked. `refused`: what stands against it; empty = nothing."""
    state = State.UNMET if refused else State.MET
    return Read(state=state, value=refused.rstrip(".") or fine, observed_us=now_us)
