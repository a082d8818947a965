"""View-model of one replay: what was asked, both answers, the difference, its cause. Pure.

It reads the document `releaseline.replay/1` that the engine keeps of an outcome.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.replays import ALL, Depth, ReplayKind, ReplayMode, ReplayStatus
from engine.live_text import day_time, span
from pages.ui import evidence_words, models, replay_models, replay_words, words

DIFFERENCE: Final = (
    {"name": "Where", "width": "40%"},
    {"name": "Then"},
    {"name": "Now"},
)
GATE_DIFFERENCE: Final = (
    {"name": "When", "cls": "nowrap"},
    {"name": "What"},
    {"name": "Then"},
    {"name": "Now"},
)
BISECT: Final = (
    {"name": "What was exchanged"},
    {"name": "Answer"},
    {"name": "Digest of the answer"},
)
NO_DIFFERENCE: Final = "The two answers are byte for byte the same."
NOT_ASKED: Final = "The question could not be asked again, so there is no second answer."
# Whole digests stand below, where they can be copied.
_HEX: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", re.ASCII)
_NO_VALUE: Final = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Attributes:
    badge: of the result, or of how far it has come.
    level: OK, INFO, WARN or FAIL: how loud the page says it.
    means, do: empty when there is nothing to explain.
    """

    title: str
    badge: str
    level: str
    sentence: str
    means: str
    do: str


def head(document: Mapping[str, Any]) -> Head:
    cause = replay_words.cause(str(document["cause"]))
    result, status = str(document["result"]), str(document["status"])
    look = replay_words.result(result, status)
    level = {"MATCH": "OK", "SAME": "OK", "MISMATCH": "FAIL", "FLIPPED": "WARN"}.get(result, "WARN")
    if status in {ReplayStatus.RUNNING.value, ReplayStatus.QUEUED.value}:
        level = "INFO"
    return Head(
        title=str(document["name"]),
        badge=look.badge,
        level="FAIL" if status == ReplayStatus.FAILED.value else level,
        sentence=_sentence(document, look),
        means=cause.means if cause else "",
        do=cause.do if cause else "",
    )


def _sentence(document: Mapping[str, Any], look: words.Look) -> str:
    said = _HEX.sub(r"\1…", str(document["sentence"]))
    cause = str(document["cause"])
    if cause:
        return f"{cause}: {said}"
    return said or replay_words.RESULTS.get(str(document["result"]), look.word)


def asked(document: Mapping[str, Any], request: Mapping[str, Any]) -> list[dict[str, str]]:
    """What was asked, by whom and why.

    Args:
        request: its row of `queries_replays.replay_requests`.
    """
    mode, depth = str(document["mode"]), str(document["depth"])
    policy = str(request["policy"])
    facts = [
        _fact("Decision", replay_models.subject_text(str(document["subject"]))),
        _fact("Made", day_time(int(document["decided_us"]))),
        _fact("Question", replay_words.MODES[mode].help.partition(".")[0]),
        _fact("Depth", replay_words.DEPTHS[depth].help.removesuffix(".")),
        _fact("Asked by", str(request["actor"])),
        _fact("Reason", str(request["reason"])),
        _fact("Asked", day_time(int(request["ts_us"]))),
        _fact("Took", span(int(document["took_us"]))),
    ]
    if policy:
        facts.insert(3, _fact("Candidate policy", evidence_words.short(policy), policy))
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two answers.

    Attributes:
        look: None when there is no answer.
        results: rule and subject, level, detail; with the looks of the levels.
    """

    name: str
    word: str
    look: words.Look | None
    facts: list[dict[str, str]]
    results: tuple[tuple[words.Look, str, str], ...]


def sides(document: Mapping[str, Any]) -> tuple[Side, Side]:
    """The verdict of then and the one of now."""
    return (
        _side(
            "Then",
            document.get("then"),
            digest=str(document["digest_then"]),
            policy=str(document["policy"]),
            engine=str(document["engine"]),
        ),
        _side(
            "Now",
            document.get("now"),
            digest=str(document["digest_now"]),
            policy=str(document["policy_now"]),
            engine=str(document["engine_now"]),
        ),
    )


def _side(
    name: str, verdict: Mapping[str, Any] | None, *, digest: str, policy: str, engine: str
) -> Side:
    facts = [
        _fact("Decision digest", evidence_words.short(digest), digest),
        _fact("Policy", evidence_words.short(policy), policy),
        _fact("Engine", engine or "–"),
    ]
    if verdict is None:
        return Side(name=name, word="–", look=None, facts=facts, results=())
    warn, fail = int(verdict["warn"]), int(verdict["fail"])
    decision = str(verdict["decision"])
    given = str(verdict["input"])
    facts.insert(1, _fact("Input", evidence_words.short(given), given))
    facts.append(_fact("Clock", day_time(int(verdict["now"]) * 1_000_000)))
    return Side(
        name=name,
        word=models.verdict_text(decision, warn, fail, bool(verdict["error"])),
        look=words.VERDICT[(decision, warn > 0)],
        facts=facts,
        results=tuple(_result(one) for one in verdict["results"]),
    )


def _result(one: Mapping[str, Any]) -> tuple[words.Look, str, str]:
    look = words.DATA_HEALTH["FAIL" if one["level"] == "FAIL" else "WARN"]
    about = f" · {one['subject']}" if one["subject"] else ""
    return look, f"{one['rule']}{about}", str(one["detail"])


# --- the difference ---------------------------------------------------------------------------


def difference(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per field that differs: its JSON pointer, then, now."""
    return [_changed(one) for one in document["diff"]]


def no_difference(document: Mapping[str, Any]) -> str:
    """Why there is no row: both answers are the same, or there is one only."""
    if document["cause"] and not document.get("now") and not is_gate(document):
        return NOT_ASKED
    return NO_DIFFERENCE


def _changed(one: Mapping[str, Any]) -> dict[str, Any]:
    at = str(one["at"])
    return {
        "cells": [
            {"text": at, "mono": True, "sub": place_text(at)},
            _value(str(one["then"])),
            _value(str(one["now"])),
        ]
    }


def _value(text: str) -> dict[str, Any]:
    if text == _NO_VALUE:
        return {"text": "", "sub": "is not there"}
    return {"text": _bare(text), "mono": not text.startswith('"')}


def _bare(text: str) -> str:
    """A JSON text without its quotes; other values as they are written."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def place_text(at: str) -> str:
    """A JSON pointer in words: `what feed.stale says about NVD`."""
    if at == "/decision":
        return "the decision itself"
    head, _, name = at.rstrip("'").rpartition("/")
    keyed = head.removeprefix("/results/").replace("~1", "/").replace("~0", "~")
    if head.startswith("/results/"):
        try:
            rule, subject = json.loads(keyed)
        except ValueError:
            return "a result"
        about = f" about {subject}" if subject else ""
        return {
            "level": f"how serious {rule} is{about}",
            "detail": f"what {rule} says{about}",
        }.get(name, f"{name} of {rule}{about}")
    return {
        "/input": "digest of everything that was asked about",
        "/policy": "digest of the policy",
        "/now": "the clock of the decision",
        "/warn": "how many results warn",
        "/fail": "how many results fail",
        "/error": "whether a rule could not be evaluated",
    }.get(at, "")


def gate_difference(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same of a health gate: at which tick, what, then, now."""
    return [
        {
            "cells": [
                {
                    "text": f"{int(one['t_ms']) / 1000:g} s",
                    "sub": f"attempt {one['attempt']}, tick {one['n']}",
                },
                {"text": str(one["what"]), "mono": str(one["what"]).startswith("/")},
                {"text": str(one["expected"])},
                {"text": str(one["found"])},
            ]
        }
        for one in (document.get("gate") or {}).get("differences", ())
    ]


# --- why --------------------------------------------------------------------------------------


def tried_title(document: Mapping[str, Any]) -> str:
    return "How the cause was found" if document["cause"] else "What else was asked"


def found_out(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What was tried to find the cause, one sentence each."""
    lines = []
    axes = (document.get("attribution") or {}) if document["cause"] else {}
    for key, what in (("policy_alone", "policy"), ("engine_alone", "engine")):
        said = {
            "flips": f"The {what} of now alone, with everything else of then, gives another "
            "answer.",
            "same": f"The {what} of now alone, with everything else of then, changes nothing.",
        }.get(str(axes.get(key, "")))
        if said:
            lines.append(said)
    seen = document.get("digests_seen") or ()
    if seen:
        kinds = len(set(seen))
        said = "one answer" if kinds == 1 else f"{kinds} different answers"
        lines.append(f"Fresh processes gave {said}.")
    if document["crosscheck"]:
        lines.append(replay_words.crosscheck(str(document["crosscheck"])))
    return tuple(lines)


def bisected(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Which single exchanged part gives another answer, the first of them first."""
    tried = document.get("bisect") or ()
    first = next((i for i, one in enumerate(tried) if one["flips"]), None)
    return [
        {
            "tone": "err" if i == first else "",
            "cells": [
                {
                    "text": f"{one['change']} and all before it" if one["upto"] else one["change"],
                    "sub": "the first cause" if i == first else "",
                },
                {"text": _tried(one)},
                {
                    "text": evidence_words.short(str(one["digest"] or "")),
                    "digest": str(one["digest"] or ""),
                },
            ],
        }
        for i, one in enumerate(tried)
    ]


def _tried(one: Mapping[str, Any]) -> str:
    if one["digest"] is None:
        return "can't be asked with it"
    return "another answer" if one["flips"] else "the same answer"


def parts(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the decision rests on, by name, each with its whole digest and how it was found."""
    return [_part(one) for one in document.get("parts") or ()]


def _part(one: Mapping[str, Any]) -> dict[str, str]:
    look = replay_words.part(str(one["state"]))
    digest, state = str(one["digest"]), str(one["state"])
    kept = state in {"ok", "differs"}
    return {
        "name": f"{one['name']}{'' if state == 'ok' else f' ({look.word.lower()})'}",
        "text": evidence_words.short(digest),
        "digest": digest,
        "href": f"/api/v1/blobs/{digest}" if kept and digest else "",
        "mark": look.shape,
        "tone": look.tone,
    }


# --- the same elsewhere -----------------------------------------------------------------------


def command(*, scope: str, mode: str, depth: str) -> str:
    """The command line that asks the same."""
    what = "--all" if scope == ALL else scope
    deep = " --deep" if depth == Depth.DEEP.value else ""
    if mode == ReplayMode.WHAT_IF.value:
        return f"./run replay {what} --policy policy.yaml --config policy.config.json"
    today = " --today" if mode == ReplayMode.TODAY.value else ""
    return f"./run replay {what}{today}{deep}"


def is_gate(document: Mapping[str, Any]) -> bool:
    return str(document["kind"]) == ReplayKind.GATE.value


def _fact(name: str, text: str, digest: str = "") -> dict[str, str]:
    return {"name": name, "text": text, "digest": digest, "href": ""}
