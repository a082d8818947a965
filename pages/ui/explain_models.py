"""View-model of a gate's explanation: why each rule fired, or did not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.live_text import plural

COLUMNS: Final = (
    {"name": "Rule"},
    {"name": "Result"},
    {"name": "Looked at", "cls": "num"},
    {"name": "What stopped it, and what came nearest"},
)
FIRED: Final = "Fired"
ERROR: Final = "No answer"
QUIET: Final = "Did not fire"
NO_EXPLANATION: Final = "No explanation was kept for this attempt."
_ORDER: Final = {ERROR: 0, FIRED: 1, QUIET: 2}


def rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per rule: those without an answer first, then those that fired, then the rest.

    Args:
        document: releaseline.explain/1 or /2, as the gate step kept it.
    """
    return [_row(one) for one in sorted(document["rules"], key=lambda one: _ORDER[_result(one)])]


def _result(one: Mapping[str, Any]) -> str:
    return ERROR if one["error"] else FIRED if one["fired"] else QUIET


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    result = _result(one)
    bad = result == ERROR or (result == FIRED and one["level"] == "FAIL")
    on = f"on {one['fired']}" if result == FIRED else "counts as FAIL" if result == ERROR else ""
    return {
        "tone": "err" if bad else "warn" if result == FIRED else "",
        "cells": [
            {"text": str(one["rule"]), "sub": str(one["level"])},
            {"text": result, "sub": on},
            {"text": str(one["considered"])},
            {"text": _stopped(one), "sub": _nearest(one)},
        ],
    }


def _stopped(one: Mapping[str, Any]) -> str:
    if not one["considered"]:
        return "nothing to look at"
    parts = [f"{stop['count']} × {stop['condition']}" for stop in one["stopped_by"]]
    return "; ".join(parts) or "nothing: it fired on all"


def _nearest(one: Mapping[str, Any]) -> str:
    """The facts of the item that came closest; of an explanation of the first version nothing."""
    nearest = one.get("nearest")
    if not nearest:
        return ""
    facts = ", ".join(f"{fact['expression']} = {fact['value']}" for fact in nearest["facts"])
    subject = nearest["subject"] or "the input"
    return f"nearest: {subject}, with {facts}" if facts else f"nearest: {subject}"


def summary(document: Mapping[str, Any]) -> str:
    rules = document["rules"]
    fired = sum(_result(one) == FIRED for one in rules)
    failed = sum(_result(one) == ERROR for one in rules)
    text = f"{fired} of {plural(len(rules), 'rule')} fired"
    return f"{text}, {failed} had no answer, which counts as FAIL." if failed else f"{text}."
