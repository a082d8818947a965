"""View-model of a promotion's findings: what stands on top, what a row says, which are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.waivers import note as waiver_note
from engine.findings import FindingRow, Snapshot
from engine.live_text import day_time, percent, plural, span
from pages.ui import words

ANY: Final = "Any"
PAGE: Final = 100
COLUMNS: Final = (
    {"name": "Severity"},
    {"name": "Flaw", "cls": "nowrap"},
    {"name": "Package"},
    {"name": "Fixed in"},
    {"name": "Exploited", "cls": "nowrap"},
    {"name": "Reachability"},
    {"name": "VEX"},
    {"name": "Policy"},
)
EXPLAINED: Final = (
    "What the policy was asked about, exactly as it was frozen for the verdict. Nothing here is "
    "matched anew, so later advisories do not change it."
)
NO_VERDICT: Final = "The policy gate has not spoken yet. Findings are shown from its verdict on."
NO_RUNS: Final = "No promotion has a verdict yet."
NO_MATCH: Final = "No finding fits these filters."

# What can be chosen in each filter, in words, and which rows it keeps.
EXPLOITED: Final = {"In CISA KEV": True, "Not in KEV": False}
AGAINST: Final = {"New": True, "Already running": False}
_NEW: Final = "new"
_OLD: Final = "already running"
NO_VEX: Final = "Nothing said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What can be filtered by: only what there is."""

    severities: tuple[str, ...]
    reaches: tuple[str, ...]
    vex: tuple[str, ...]


def choices(found: Snapshot) -> Choices:
    rows = found.rows
    severities = {row.severity for row in rows}
    reaches = {row.reach for row in rows}
    vex = {row.vex_status for row in rows}
    return Choices(
        severities=tuple(word for word in words.SEVERITY if word in severities),
        reaches=tuple(look.word for reach, look in words.REACH.items() if reach in reaches),
        vex=tuple(_vex_word(one) for one in ("", *words.VEX) if one in vex),
    )


def matching(
    rows: Iterable[FindingRow],
    *,
    severity: str = ANY,
    exploited: str = ANY,
    reach: str = ANY,
    vex: str = ANY,
    against: str = ANY,
    text: str = "",
) -> tuple[FindingRow, ...]:
    needle = text.strip().lower()
    return tuple(
        row
        for row in rows
        if severity in {ANY, row.severity}
        and (exploited == ANY or EXPLOITED.get(exploited) is row.kev)
        and reach in {ANY, words.REACH[row.reach].word}
        and vex in {ANY, _vex_word(row.vex_status)}
        and (against == ANY or AGAINST.get(against) is row.new)
        and needle in _haystack(row)
    )


def _haystack(row: FindingRow) -> str:
    named = (row.id, row.purl, *row.aliases, *row.sources, *row.found_in)
    more = (*(one.rule for one in row.fired), *(one.waiver for one in row.waived))
    return " ".join((*named, *more)).lower()


def _vex_word(status: str) -> str:
    return words.VEX[status].word if status else NO_VEX


# --- on top ---------------------------------------------------------------------------------------


def decision(found: Snapshot) -> words.Look:
    if found.decision != "PASS":
        return words.FINDINGS_FAIL
    return words.FINDINGS_WARN if found.warn else words.FINDINGS_PASS


def verdict_line(found: Snapshot) -> str:
    """`verdict-3 said PASS (2 WARN), Feb 18, 08:31:12 UTC`."""
    more = [f"{count} {word}" for count, word in ((found.fail, "FAIL"), (found.warn, "WARN"))]
    told = ", ".join(one for one in more if not one.startswith("0 "))
    at = day_time(found.decided_s * 1_000_000)
    return f"{found.verdict_id} said {found.decision}{f' ({told})' if told else ''}, {at}"


def headline(found: Snapshot) -> str:
    """`102 findings in 14 packages: 2 CRITICAL, 8 HIGH`; says so when it may not be all."""
    counts = Counter(row.severity for row in found.rows)
    told = ", ".join(f"{counts[word]} {word}" for word in words.SEVERITY if counts[word])
    text = f"{plural(len(found.rows), 'finding')} in {plural(found.packages, 'package')}"
    text = f"{text}: {told}" if told else text
    return f"{text}, of what could be looked at" if found.gaps else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    label: str
    value: str
    note: str


def figures(found: Snapshot) -> tuple[Figure, ...]:
    rows = found.rows
    exploited = sum(row.kev for row in rows)
    suppressed = sum(row.suppressed for row in rows)
    waived = sum(bool(row.waived) for row in rows)
    new = sum(row.new for row in rows)
    fixable = sum(bool(row.fixed_in) for row in rows)
    base = f"against {found.baseline or 'nothing'}" if found.baseline_known else _NO_BASELINE
    return (
        Figure(label="In CISA KEV", value=str(exploited), note="known to be exploited"),
        Figure(label="New", value=str(new), note=base),
        Figure(label="Suppressed", value=str(suppressed), note="by a trusted VEX, with a reason"),
        Figure(label="Waived", value=str(waived), note="accepted by two people, for a while"),
        Figure(
            label="A fix is known",
            value="–" if found.fixes_unknown else str(fixable),
            note=found.fixes_unknown or f"of {plural(len(rows), 'finding')}",
        ),
        Figure(
            label="Seen in use",
            value=percent(found.runtime_bp, 10_000),
            note=f"of the packages; analysed statically: {percent(found.static_bp, 10_000)}",
        ),
    )


_NO_BASELINE: Final = "what runs now is not known, so every finding counts as new"


def gaps(found: Snapshot) -> tuple[str, ...]:
    """One line for each source that was not wholly read: this is not known to be clean."""
    return tuple(f"{scan} is {status}: {detail}" for scan, status, detail in found.gaps)


def sources(found: Snapshot) -> tuple[tuple[str, str, str], ...]:
    """(source, status, what it says) of every source, those with gaps first."""
    return tuple(sorted(found.scans, key=lambda one: (one[1] == "COMPLETE", one[0])))


def feeds_line(found: Snapshot) -> str:
    ages = [
        f"{name} {span(max(0, found.decided_s - as_of_s) * 1_000_000)} old"
        for name, as_of_s in found.feeds
    ]
    return f"Feeds at that moment: {', '.join(ages)}" if ages else "No feed could be used."


# --- rows -----------------------------------------------------------------------------------------


def rows(found: Sequence[FindingRow]) -> list[dict[str, Any]]:
    return [_row(row) for row in found]


def _row(row: FindingRow) -> dict[str, Any]:
    failed = any(one.level == "FAIL" for one in row.fired)
    score = "" if row.cvss_dt < 0 else f"CVSS {row.cvss_dt // 10}.{row.cvss_dt % 10}"
    return {
        "tone": "err" if failed else "",
        "cells": [
            {"look": words.SEVERITY[row.severity].document(), "sub": score or "no CVSS score"},
            {"text": row.id, "sub": _aliases(row), "title": ", ".join(row.aliases)},
            {
                "text": f"{row.package} {row.version}".strip(),
                "sub": f"{_NEW if row.new else _OLD}, in {', '.join(row.found_in)}",
                "title": row.purl,
            },
            {"text": _fixed(row)},
            _exploited(row),
            {
                "look": words.REACH[row.reach].document(),
                "sub": words.REACH_TOLD[row.reach],
            },
            _vex(row),
            _policy(row),
        ],
    }


def _aliases(row: FindingRow) -> str:
    more = len(row.aliases) - 1
    return row.aliases[0] + (f" and {more} more" if more > 0 else "") if row.aliases else ""


def _fixed(row: FindingRow) -> str:
    if row.fixed_in is None:
        return "not known"
    return ", ".join(row.fixed_in) or "no fix named"


def _exploited(row: FindingRow) -> Mapping[str, Any]:
    epss = "" if row.epss_ppm < 0 else f"EPSS {percent(row.epss_ppm, 1_000_000)}"
    if row.kev:
        return {"look": words.KEV.document(), "sub": epss}
    return {"text": "not in KEV", "sub": epss or "no EPSS"}


def _vex(row: FindingRow) -> Mapping[str, Any]:
    if not row.vex_status:
        return {"text": "–"}
    return {"look": words.VEX[row.vex_status].document(), "sub": row.vex_why}


def _policy(row: FindingRow) -> Mapping[str, Any]:
    if row.suppressed:
        return {"text": "suppressed", "sub": "by VEX"}
    if row.waived:
        first = row.waived[0]
        more = f" and {len(row.waived) - 1} more" if len(row.waived) > 1 else ""
        return {
            "look": words.WAIVED.document(),
            "sub": f"{first.waiver}{more}, until {day_time(first.expires_us)}",
            "title": "; ".join(waiver_note(one) for one in row.waived),
        }
    if not row.fired:
        return {"text": "–"}
    level = "FAIL" if any(one.level == "FAIL" for one in row.fired) else "WARN"
    look = words.FINDINGS_FAIL if level == "FAIL" else words.FINDINGS_WARN
    named = list(dict.fromkeys(one.rule for one in sorted(row.fired, key=lambda f: f.level)))
    more = f" and {len(named) - 1} more" if len(named) > 1 else ""
    return {"look": look.document(), "sub": named[0] + more, "title": ", ".join(named)}


def count_text(shown: int, fitting: int, every: int) -> str:
    if fitting == every:
        return f"{shown} of {plural(every, 'finding')}, the worst first"
    return f"{shown} of {plural(fitting, 'fitting finding')}, {every} in all"
