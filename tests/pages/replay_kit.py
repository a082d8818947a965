"""Replays as the read models give them, made by hand: every column, each to be changed by name."""

from __future__ import annotations

from typing import Any

from engine.core.digest import Digest

ASKED_US = 1_771_400_000_000_000
DIGEST = str(Digest.of(b"one answer"))
OTHER = str(Digest.of(b"another answer"))


def row(**changed: Any) -> dict[str, Any]:
    """A completed verification of `verdict-1` that matches."""
    return {
        "key": 1_000_001,
        "name": "rr-001",
        "n": 1,
        "idx": 1,
        "status": "COMPLETED",
        "mode": "VERIFY",
        "depth": "SHALLOW",
        "kind": "VERDICT",
        "subject": "verdict-1",
        "scope": "verdict-1",
        "run_id": "run-1",
        "environment": "eu-prod",
        "actor": "ana.li",
        "reason": "Audit verification",
        "asked_us": ASKED_US,
        "ended_us": ASKED_US + 1_500_000,
        "result": "MATCH",
        "cause": "",
        "facet": "",
        "sentence": "PASS (2 WARN) again",
        "decided_us": ASKED_US - 60_000_000,
        "decision_then": "PASS",
        "decision_now": "PASS",
        "digest_then": DIGEST,
        "digest_now": DIGEST,
        "policy": DIGEST,
        "policy_now": DIGEST,
        "engine": "cel-cpp/0.1.3",
        "engine_now": "cel-cpp/0.1.3",
        "form": "combined",
        "crosscheck": "",
        "took_us": 900,
        "detail": "",
        "done": 1,
        "total": 1,
        **changed,
    }


def running(**changed: Any) -> dict[str, Any]:
    """A request under way: no outcome is there yet."""
    blank = dict.fromkeys(
        ("result", "decision_then", "decision_now", "digest_then", "digest_now", "kind"), ""
    )
    return row(
        **{
            "idx": 0,
            "status": "RUNNING",
            "ended_us": None,
            "decided_us": None,
            "took_us": None,
            "done": 0,
            **blank,
            **changed,
        }
    )


def verdict(**changed: Any) -> dict[str, Any]:
    """The document of a verdict: PASS with two warnings."""
    return {
        "schema": "releaseline.verdict/1",
        "policy": DIGEST,
        "input": DIGEST,
        "now": 1_771_400_000,
        "decision": "PASS",
        "fail": 0,
        "warn": 1,
        "error": False,
        "results": [
            {
                "rule": "feed.stale.warn",
                "level": "WARN",
                "subject": "NVD",
                "detail": "feed NVD is 10800 s old (limit 7200 s)",
            }
        ],
        **changed,
    }


def document(**changed: Any) -> dict[str, Any]:
    """`releaseline.replay/1` of a match."""
    return {
        **row(),
        "then": verdict(),
        "now": verdict(),
        "diff": [],
        "parts": [{"name": "policy", "digest": DIGEST, "state": "ok"}],
        "attribution": None,
        "bisect": [],
        "digests_seen": [],
        "gate": None,
        **changed,
    }
