"""View-model of the audit trail: what is asked for, what a record says, how its chain is. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from engine.core.audit import DENIED, AuditFilter
from engine.core.audit_events import AuditChecked
from engine.live_text import day_time, plural, span
from engine.trail.periods import iso, moment_us, quarter_of, quarter_us
from engine.trail.reading import Chain
from pages.ui import words

ANY: Final = "Any"
ANY_TIME: Final = "Any time"
LAST_DAY: Final = "Last 24 hours"
LAST_WEEK: Final = "Last 7 days"
FROM_TO: Final = "From … to …"
PAGE: Final = 50
FORMATS: Final = (("CSV", "csv"), ("Parquet", "parquet"), ("JSON lines", "jsonl"))
_DAY_US: Final = 86_400_000_000
_DIGEST: Final = "sha256:"

EXPLAINED: Final = (
    "Everything that somebody attempted, allowed or denied, by which session or token, and why. "
    "Nothing can be taken out: each record holds the hash of the one before."
)
EMPTY: Final = "Nothing matches these filters."
COLUMNS: Final = (
    {"name": "Event", "cls": "num", "width": "7%"},
    {"name": "When", "cls": "nowrap", "width": "14%"},
    {"name": "Who", "width": "15%"},
    {"name": "What", "width": "16%"},
    {"name": "Result", "width": "14%"},
    {"name": "Run or object", "width": "14%"},
    {"name": "Why", "width": "20%"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the boxes of the page say. `since` and `until` are days, with `FROM_TO` only."""

    who: str = ANY
    verb: str = ANY
    environment: str = ANY
    run: str = ""
    period: str = ANY_TIME
    since: str = ""
    until: str = ""
    denied: bool = False
    overrides: bool = False
    self_approvals: bool = False
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line of a record; `digest` is shortened, with the whole of it to copy."""

    name: str
    text: str
    digest: str = ""

    def document(self) -> dict[str, str]:
        return {
            "name": self.name,
            "text": self.text,
            "digest": self.digest,
            "href": "",
            "page": "",
        }


def periods(now_us: int) -> tuple[str, ...]:
    """What can be chosen: short ones, then this quarter and the three before it."""
    quarters = [quarter_of(now_us)]
    for _ in range(3):
        quarters.append(quarter_of(quarter_us(quarters[-1])[0] - 1))
    return (ANY_TIME, LAST_DAY, LAST_WEEK, *quarters, FROM_TO)


def quarter(now_us: int) -> str:
    return quarter_of(now_us)


def asked(wish: Wish, now_us: int) -> AuditFilter:
    """The filter that the boxes stand for. Raises `Malformed` for a day that is none."""
    since_us, until_us = _span(wish, now_us)
    return AuditFilter(
        who="" if wish.who == ANY else wish.who,
        verb="" if wish.verb == ANY else wish.verb,
        environment="" if wish.environment == ANY else wish.environment,
        run=wish.run.strip(),
        since_us=since_us,
        until_us=until_us,
        denied=wish.denied,
        overrides=wish.overrides,
        self_approvals=wish.self_approvals,
        everything=wish.everything,
    )


def _span(wish: Wish, now_us: int) -> tuple[int | None, int | None]:
    match wish.period:
        case "Any time":
            return None, None
        case "Last 24 hours":
            return now_us - _DAY_US, None
        case "Last 7 days":
            return now_us - 7 * _DAY_US, None
        case "From … to …":
            since = moment_us(wish.since, where="from")
            return since, moment_us(wish.until, where="to", ends=True)
        case quarter:
            return quarter_us(quarter)


def export_address(filtered: AuditFilter, form: str) -> str:
    """Where the API gives what the filter shows."""
    said = filtered.words()
    for name in ("since_us", "until_us"):
        us = said.pop(name, None)
        if isinstance(us, int):
            said[name.removesuffix("_us")] = iso(us)
    given = {k: "true" if v is True else v for k, v in said.items()}
    return f"/api/v1/audit/export?{urlencode({'format': form, **given})}"


def rows(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [_row(record) for record in records]


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    place = {"event": str(record["gseq"])}
    denied = record["result"] == DENIED
    proof = f"{record['method']} {record['credential']}".strip()
    return {
        "tone": "err" if denied else "",
        "cells": [
            {
                "text": f"{record['gseq']:,}",
                "href": f"/audit?{urlencode(place)}",
                "open": json.dumps(["audit", place]),
                "mono": True,
            },
            {"text": day_time(record["ts_us"])},
            {"text": record["actor"], "sub": proof},
            {"text": verb_text(record["verb"]), "sub": record["step"]},
            {
                "look": words.AUDIT[record["result"]].document(),
                "sub": record["code"].replace("_", " "),
            },
            _about(record),
            _said(record),
        ],
    }


def _about(record: Mapping[str, Any]) -> dict[str, Any]:
    run, subject = str(record["run_id"]), str(record["subject"])
    if run:
        return {
            "text": run,
            "href": f"/run?{urlencode({'run': run})}",
            "open": json.dumps(["run", {"run": run}]),
            "sub": record["environment"],
        }
    if subject.startswith(_DIGEST):
        return {"text": _short(subject), "digest": subject, "sub": record["environment"]}
    return {"text": subject or "–", "sub": record["environment"]}


def _said(record: Mapping[str, Any]) -> dict[str, Any]:
    """Why it was denied, or the reason that was given; what else was said below it."""
    why, reason = str(record["why"]), str(record["reason"])
    ticket = str(record["ticket"])
    under = [f'"{reason}"'] if why and reason else []
    under += [ticket] if ticket else []
    return {"text": why or reason or "–", "sub": " · ".join(under)}


def verb_text(verb: str) -> str:
    """`create_bundle` as people read it."""
    return verb.replace("_", " ").replace(".", " ")


def chain_text(chain: Chain, now_us: int) -> tuple[str, str]:
    """How the chain stands: a look's word of `words.CHAIN`, and a sentence."""
    found, checked = chain.found, chain.checked
    newest = f"The newest event is {chain.gseq:,}."
    if found is None or checked is None:
        return "UNCHECKED", f"Nobody has checked the chain yet. {newest}"
    when = f"{day_time(checked.ts_us)} by {checked.actor}, {span(now_us - checked.ts_us)} ago"
    if not found.ok:
        return "BROKEN", broken_text(found, when)
    return (
        "HOLDS",
        f"The chain holds up to event {found.gseq:,}, checked {when}. {newest}",
    )


def broken_text(found: AuditChecked, when: str) -> str:
    return f"Broken at event {found.broken_at:,}: {found.problem}. Checked {when}."


def count_text(shown: int, more: bool) -> str:
    return f"{plural(shown, 'record')}, newest first" + ("; there are older ones" if more else "")


def facts(record: Mapping[str, Any]) -> tuple[Fact, ...]:
    """What was attempted, by whom and by what proof; only what there is."""
    told = [
        ("What", verb_text(record["verb"])),
        ("Kind of event", record["kind"]),
        ("When", f"{iso(record['ts_us'])}"),
        ("Who", record["actor"]),
        ("Proof", f"{record['method']} {record['credential']}".strip()),
        ("Request", record["request_id"]),
        ("Command", record["command_id"]),
        ("Object", record["subject"]),
        ("Run", record["run_id"]),
        ("Environment", record["environment"]),
        ("Step", record["step"]),
        ("Denied because", record["why"]),
        ("Code", record["code"]),
        ("Reason given", record["reason"]),
        ("Ticket", record["ticket"]),
        ("Before", record["before"]),
        ("After", record["after"]),
    ]
    return tuple(_fact(name, str(text)) for name, text in told if text)


def place(record: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Where the record stands in the chain."""
    return (
        Fact(name="Event", text=f"{record['gseq']:,} of the home"),
        Fact(name="Stream", text=f"{record['stream']}, number {record['seq']:,}"),
        Fact(name="Hash", text=record["hash"][:12], digest=record["hash"]),
        Fact(name="Hash of the one before", text=record["prev"][:12], digest=record["prev"]),
    )


def body_text(record: Mapping[str, Any]) -> str:
    """The event as it was hashed, on lines for reading."""
    return json.dumps(json.loads(record["body"]), ensure_ascii=False, indent=2)


def options(known: Sequence[str], chosen: str) -> list[str]:
    """What a box offers; what the address names is offered even when nothing has it."""
    extra = [chosen] if chosen and chosen != ANY and chosen not in known else []
    return [ANY, *known, *extra]


def _fact(name: str, text: str) -> Fact:
    if text.startswith(_DIGEST):
        return Fact(name=name, text=_short(text), digest=text)
    return Fact(name=name, text=text)


def _short(digest: str) -> str:
    return digest.removeprefix(_DIGEST)[:12]
