"""View-models of the policy pages: versions, what differs between two, tests, lint. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.policy_versions import HOME, Version
from engine.live_text import day_time, plural
from engine.policy.cases import Outcome
from engine.policy.model import Policy
from engine.policy.policy_diff import Line
from pages.ui import evidence_words

COLUMNS: Final = (
    {"name": "Environment"},
    {"name": "Policy"},
    {"name": "Digest"},
    {"name": "Since", "cls": "nowrap"},
    {"name": "By"},
    {"name": "Why"},
)
RULE_COLUMNS: Final = ({"name": "Rule"}, {"name": "For each of"}, {"name": "When"})
EXPLAINED: Final = (
    "Which rules decide, where, since when and by whom. A run keeps the policy that was in force "
    "when it was requested; whoever changed one cannot approve under it for two weeks."
)
NOTHING_YET: Final = "No version is on record yet: the house has not been started since it is kept."
NO_TESTS: Final = (
    "This version has no tests on record. Put `<policy>.tests.yaml` beside the policy; "
    "`policy publish` takes them along, and publishes nothing while one is not as expected."
)
NO_DIFFERENCE: Final = "The two are the same policy."
FIRST: Final = "It is the first one that was in force here: there is nothing to compare it with."

_EFFECT: Final = {True: "stricter", False: "looser", None: "–"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One policy by digest, with everywhere it is or was in force."""

    policy: Digest
    name: str
    version: str
    now_in: tuple[str, ...]
    was_in: tuple[str, ...]
    before: Digest | None
    tests: Digest | None

    @property
    def label(self) -> str:
        where = (
            f"in force in {', '.join(self.now_in)}"
            if self.now_in
            else f"was in force in {', '.join(self.was_in)}"
        )
        return f"{self.name} {self.version} · {self.policy.short} · {where}"


def known(versions: Iterable[Version]) -> tuple[Known, ...]:
    """Every policy that was ever in force, the newest first."""
    found: dict[Digest, list[Version]] = {}
    for one in versions:
        found.setdefault(one.event.policy, []).append(one)
    entries = [_known(policy, places) for policy, places in found.items()]
    newest = {policy: max(v.since_us for v in places) for policy, places in found.items()}
    return tuple(sorted(entries, key=lambda one: newest[one.policy], reverse=True))


def _known(policy: Digest, places: Sequence[Version]) -> Known:
    last = places[-1].event
    tested = [one.event.tests for one in places if one.event.tests is not None]
    now_in = {one.event.environment for one in places if one.in_force}
    return Known(
        policy=policy,
        name=last.name,
        version=last.version,
        now_in=tuple(sorted(now_in)),
        was_in=tuple(sorted({one.event.environment for one in places} - now_in)),
        before=last.before,
        tests=tested[-1] if tested else None,
    )


def chosen(found: Sequence[Known], name: str) -> int:
    """The entry that an address names by its hex digest, else the first."""
    for n, one in enumerate(found):
        if name and one.policy.hex.startswith(name.removeprefix("sha256:")):
            return n
    return 0


def rows(versions: Sequence[Version]) -> list[dict[str, Any]]:
    """The list of versions, newest first."""
    return [_row(one) for one in reversed(versions)]


def _row(one: Version) -> dict[str, Any]:
    event = one.event
    until = "in force" if one.until_us is None else f"until {day_time(one.until_us)}"
    parameters = {"policy": event.policy.hex}
    return {
        "cells": [
            {"text": event.environment, "sub": until},
            {
                "text": f"{event.name} {event.version}",
                "href": evidence_words.address("policies", **parameters),
                "open": json.dumps(["policies", parameters]),
                "sub": f"{plural(event.passed, 'test')} as expected" if event.passed else "",
            },
            {"text": evidence_words.short(str(event.policy)), "digest": str(event.policy)},
            {"text": day_time(one.since_us)},
            {"text": one.by if event.source != HOME else "file of the home"},
            {"text": event.reason or "–"},
        ]
    }


def diff_rows(lines: Iterable[Line]) -> list[dict[str, str]]:
    return [
        {
            "Change": line.kind,
            "What": line.what,
            "Name": line.name,
            "Before": line.old or "–",
            "After": line.new or "–",
            "Effect": _EFFECT[line.stricter],
        }
        for line in lines
    ]


def diff_text(lines: Sequence[Line]) -> str:
    if not lines:
        return NO_DIFFERENCE
    rules = len({line.name.split(" ")[0] for line in lines if line.what == "rule"})
    rest = sum(line.what != "rule" for line in lines)
    parts = [plural(rules, "rule")] if rules else []
    parts += [plural(rest, "limit")] if rest else []
    return f"{' and '.join(parts)} differ."


def case_rows(outcomes: Iterable[Outcome]) -> list[dict[str, str]]:
    return [
        {
            "": "✓" if one.ok else "✗",
            "Case": one.name,
            "Verdict": one.found or "refused",
            "Not as expected": "; ".join(one.problems) or "–",
        }
        for one in outcomes
    ]


def rule_rows(policy: Policy) -> list[dict[str, Any]]:
    """The rules of a policy as they are written."""
    return [
        {
            "cells": [
                {"text": rule.id, "sub": rule.level.value},
                {"text": rule.over or "asked once"},
                {"text": " and ".join(rule.conditions)},
            ]
        }
        for rule in policy.rules
    ]
