"""An approval view in sentences: the same words on the page, on the command line, now and later.

Everything is told from the document alone, so that what somebody saw reads the same for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.event_parts import UsedWaiver
from engine.core.health_criteria import criteria_from_document
from engine.core.waivers import note as waiver_note
from engine.live_stage import criteria_sentence
from engine.live_text import day_time, plural
from engine.policy.verdict import word_of

Document: TypeAlias = Mapping[str, Any]
NOTHING_LIVE: Final = "Nothing was promoted here before, so everything in it is new."
_EFFECT: Final = {True: " (stricter)", False: " (looser)", None: ""}
_BREACH: Final = {"rollback": "rolls it back by itself", "pause": "pauses it and asks people"}
_KINDS: Final = frozenset({"integration", "job"})
_WORKS: Final = {
    "WARN": "is degraded",
    "FAIL": "does not work",
    "UNKNOWN": "is not known to work",
}
_STALE: Final = {
    "STALE": "is stale",
    "CRITICAL": "is too old",
    "FUTURE": "is dated after this clock",
    "MISSING": "has no snapshot",
    "NO_LIMIT": "has no limit, so nobody can call it fresh",
    "FRESH": "is fresh",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """`key`: the part of the document; `lines`: sentences, the most important first."""

    key: str
    title: str
    lines: tuple[str, ...]


def sections(shown: Document) -> tuple[Section, ...]:
    """The whole view, in the order of the page."""
    told = (
        ("verdict", "Verdict", verdict_lines(shown)),
        ("dataHealth", "Data health", health_lines(shown)),
        ("findings", "Findings", findings_lines(shown)),
        ("targets", "Targets", target_lines(shown)),
        ("plan", "Plan", plan_lines(shown)),
        ("rollback", "Way back", rollback_lines(shown)),
        ("policy", "Policy", policy_lines(shown)),
        ("people", "People", people_lines(shown)),
        ("quorum", "Approvals", quorum_lines(shown)),
    )
    return tuple(Section(key=key, title=title, lines=lines) for key, title, lines in told)


def changed(before: Document, now: Document) -> tuple[str, ...]:
    """Titles of the parts in which two views differ, in the order of the page."""
    titles = {one.key: one.title for one in sections(now)}
    bound = ("The run itself",) if before["bound"] != now["bound"] else ()
    return (*bound, *(title for key, title in titles.items() if before[key] != now[key]))


def headline(shown: Document) -> str:
    """`Platform Release 1.4.0 to EU-West / eu-prod, from eu-stage`."""
    bundle, target = shown["bundle"], shown["target"]
    source = f", from {target['promotesFrom']}" if target["promotesFrom"] else ""
    place = f"{target['region']} / {target['environment']}"
    return f"{bundle['name']} {bundle['version']} to {place}{source}"


def verdict_word(shown: Document) -> str:
    verdict = shown["verdict"]
    return word_of(verdict["decision"], verdict["fail"], verdict["warn"])


def verdict_lines(shown: Document) -> tuple[str, ...]:
    """What the policy said, and every rule that fired."""
    verdict = shown["verdict"]
    results = verdict["results"]
    fired = (
        tuple(one for one in verdict["notes"] if not one.startswith("waived: "))
        if results is None
        else tuple(f"{one['level']} {one['rule']}: {one['detail']}" for one in results)
    )
    waived = tuple(_waiver(one) for one in verdict.get("waivers", ()))
    return (f"{verdict['id']} says {verdict_word(shown)}.", *fired, *waived)


def _waiver(one: Document) -> str:
    used = UsedWaiver(
        waiver=one["id"],
        finding=one["finding"],
        purl=one["purl"],
        author=one["by"],
        granted_by=one["grantedBy"],
        expires_us=one["expiresUs"],
    )
    return waiver_note(used)


def health_lines(shown: Document) -> tuple[str, ...]:
    """Sources that are not in order, each with the moment up to which it is known; behind them what
    its schedule only warns of."""
    warned = tuple(f"At its start: {one}." for one in shown.get("schedule", {}).get("warnings", ()))
    return (*_source_lines(shown["dataHealth"]["sources"]), *warned)


def _source_lines(sources: Sequence[Document]) -> tuple[str, ...]:
    odd = [one for one in sources if one["level"] != "OK"]
    if not sources:
        return ("No source is known.",)
    fine = ", ".join(one["name"] for one in sources if one["level"] == "OK")
    return (*(_source(one) for one in odd), *((f"In order: {fine}.",) if fine else ()))


def _source(one: Document) -> str:
    if one["state"] in _KINDS:
        return f"{one['name']} ({one['state']}) {_WORKS.get(one['level'], one['level'])}."
    as_of = "" if one["asOfS"] is None else f": known up to {day_time(one['asOfS'] * 1_000_000)}"
    return f"{one['name']} {_STALE.get(one['state'], one['state'])}{as_of}."


def findings_lines(shown: Document) -> tuple[str, ...]:
    """What is new against what is live, and what could not be looked at."""
    found = shown["findings"]
    gaps = tuple(f"{g['source']} is {g['status']}: {g['detail']}" for g in found["gaps"])
    if not found["known"]:
        return (f"What is new is not known: {found['why']}.", *gaps)
    return (findings_head(shown), *(_finding(one) for one in found["added"]), *gaps)


def findings_head(shown: Document) -> str:
    """`3 findings are new against run-3 (Platform Release 1.2.9), 1 is gone, 12 stay.`"""
    found = shown["findings"]
    added, gone, same = len(found["added"]), len(found["gone"]), found["unchanged"]
    if found["against"] is None:
        return f"{plural(added, 'finding')}. {NOTHING_LIVE}"
    against = f"{found['against']['run']} ({found['against']['label']})"
    if not added and not gone:
        return f"No finding is new against {against}, and none is gone; {same} stay."
    are, go = ("is" if number == 1 else "are" for number in (added, gone))
    return f"{plural(added, 'finding')} {are} new against {against}, {gone} {go} gone, {same} stay."


def _finding(one: Document) -> str:
    more = [one["severity"]]
    more += ["known to be exploited"] if one["kev"] else []
    more += ["suppressed by VEX"] if one["suppressed"] else []
    more += [f"waived by {', '.join(one['waivers'])}"] if "waivers" in one else []
    return f"new: {one['id']} in {one['purl']} ({', '.join(more)})"


def target_lines(shown: Document) -> tuple[str, ...]:
    """How many targets go from which bundle to which, and those that cannot go back."""
    targets = shown["targets"]
    groups: dict[tuple[str | None, str], list[str]] = {}
    for one in targets:
        groups.setdefault((one["before"], one["after"]), []).append(one["target"])
    lines = [
        f"{plural(len(names), 'target')}, {named(names)}: {_goes(before, after)}"
        for (before, after), names in groups.items()
    ]
    stuck = [one for one in targets if one["irreversible"]]
    return (*lines, *(f"{one['target']} cannot go back: {one['irreversible']}." for one in stuck))


def _goes(before: str | None, after: str) -> str:
    if before == after:
        return f"run {short(after)} already."
    return f"go from {'a bundle that is not known' if before is None else short(before)} to " + (
        f"{short(after)}."
    )


def plan_lines(shown: Document) -> tuple[str, ...]:
    plan = shown["plan"]
    speed = f", waiting times divided by {plan['speed']}" if plan["speed"] > 1 else ""
    breach = f"A breach of its health gate {_BREACH.get(plan['onBreach'], plan['onBreach'])}."
    return (
        f"Workflow {plan['workflow']}, plan {short(plan['digest'])}{speed}. {breach}",
        *(stage_line(one) for one in plan["stages"]),
    )


def stage_line(stage: Document) -> str:
    count = f": {plural(len(stage['targets']), 'target')}" if stage["targets"] else ""
    gate, time = gate_text(stage), stage.get("time")
    opens = "" if time is None else f"; not before {time['at']}, by {time['by']}"
    return f"{stage['name']}{count}{f'; {gate}' if gate else ''}{opens}."


def gate_text(stage: Document) -> str:
    """What the stage has to show before the next one; empty when it has no gate."""
    if stage["gate"] is None:
        return ""
    try:
        return criteria_sentence(criteria_from_document(dict(stage["gate"])))
    except Malformed:
        return "judged by criteria that this version cannot read"


def rollback_lines(shown: Document) -> tuple[str, ...]:
    ready = shown["rollback"]["readiness"]
    stuck = sum(bool(one["irreversible"]) for one in shown["targets"])
    if ready is None:
        return ("The way back was not looked at yet: whether it is open is not known.",)
    at = day_time(ready["observedAtUs"])
    said = f"{ready['ready']} of {plural(ready['targets'], 'target')} can go back, seen {at}."
    if stuck or ready["ready"] < ready["targets"]:
        return (said, "A rollback does not begin by itself then: the run pauses instead.")
    return (said,)


def policy_lines(shown: Document) -> tuple[str, ...]:
    """Which policy judged it, and what differs from the one of the live run."""
    policy = shown["policy"]
    version = f" {policy['version']}" if policy["version"] else ""
    head = f"{policy['name']}{version}, {short(policy['digest'])}"
    if policy["live"] is None:
        return (f"{head}. Nothing is live here to compare it with.",)
    run = policy["live"]["run"]
    if policy["changes"] is None:
        return (f"{head}. What differs from the policy of {run} is not known.",)
    if not policy["changes"]:
        return (f"{head}, the same as of {run}.",)
    lines = tuple(policy_change(one) for one in policy["changes"])
    return (f"{head}, in {plural(len(lines), 'place')} another than of {run}:", *lines)


def policy_change(one: Document) -> str:
    what = f"{one['what']} {one['name']}"
    effect = _EFFECT[one["stricter"]]
    match one["kind"]:
        case "added":
            return f"{what} added: {one['after']}{effect}"
        case "removed":
            return f"{what} removed: {one['before']}{effect}"
        case _:
            return f"{what}: {one['before']} → {one['after']}{effect}"


def people_lines(shown: Document) -> tuple[str, ...]:
    people, asked = shown["people"], shown["asked"]
    why = f': "{asked["reason"]}"' if asked["reason"] else ""
    ticket = f" ({asked['ticket']})" if asked["ticket"] else ""
    lines = [
        f"Asked for by {people['requestedBy']}, {day_time(asked['requestedUs'])}{why}{ticket}."
    ]
    for label, key in (
        ("Bundle made by", "bundleAuthors"),
        ("Commits by", "commitAuthors"),
        ("Policy changed lately by", "policyAuthors"),
    ):
        if people[key]:
            lines.append(f"{label} {named(people[key])}.")
    may = named(people["may"]) or "nobody"
    lines.append(f"May approve: {may}.")
    return (*lines, *(f"May not: {one['why']}" for one in people["mayNot"]))


def quorum_lines(shown: Document) -> tuple[str, ...]:
    """What is there, what is missing, until when."""
    quorum = shown["quorum"]
    given = tuple(decision_line(one) for one in quorum["decisions"])
    lacks = f"Missing: {', '.join(quorum['missing'])}." if quorum["missing"] else "All are there."
    expires = quorum["expiresUs"]
    until = () if expires is None else (f"Expires {day_time(expires)}.",)
    need = ("A comment is required.",) if quorum["commentRequired"] else ()
    return (lacks, *until, *need, *given)


def decision_line(one: Document) -> str:
    counts = "" if one["counts"] else ", which no longer counts"
    comment = f': "{one["comment"]}"' if one["comment"] else ""
    hand = f", with a link or token that {one['letInBy']} made" if one.get("letInBy") else ""
    return f"{one['person']} {one['decision']} {day_time(one['decidedUs'])}{hand}{counts}{comment}"


def named(names: Sequence[str], most: int = 4) -> str:
    """Names in a row; of many the first few and the last one."""
    if len(names) > most + 1:
        return f"{', '.join(names[: most - 1])} … {names[-1]}"
    return ", ".join(names)


def short(digest: str) -> str:
    return f"sha256:{Digest.parse(digest).short}"
