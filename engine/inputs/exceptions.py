"""Waivers as the policy is told of them: each beside the finding that it is about. Pure.

A waiver names a flaw by any of its names; the finding has one. A waiver that names no finding of a
document is not in it, so that it changes nothing about decisions that it is not about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.event_parts import UsedWaiver
from engine.core.waivers import Holding
from engine.inputs.match import Match


def exception_approvers(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Whose grants a policy's config follows, sorted; nobody's when it names none."""
    named = config.get("exception_approvers")
    known = named if isinstance(named, list) else []
    return tuple(sorted({one for one in known if isinstance(one, str)}))


def exceptions_of(
    waivers: Sequence[Holding], matches: Sequence[Match], now_s: int
) -> list[dict[str, Any]]:
    """Of each waiver that has not ended the findings that it names, in the findings' order."""
    return [
        {
            "waiver": one.waiver,
            "finding": match.id,
            "purl": match.package.purl,
            "requested_by": one.requested_by,
            "approved_by": one.approved_by,
            "expires_at_s": one.expires_at_s,
            "reason": one.reason,
        }
        for match in matches
        for one in waivers
        if one.expires_at_s > now_s
        and one.purl == match.package.purl
        and one.finding.casefold() in {name.casefold() for name in match.names}
    ]


def used(
    document: Mapping[str, Any], config: Mapping[str, Any], results: Sequence[Mapping[str, Any]]
) -> tuple[UsedWaiver, ...]:
    """The waivers that a verdict rests on, in their order in the document.

    That is each whose finding is there, whose grant the policy follows, and past which no rule
    fired on that finding after all.

    Args:
        document: what the policy was asked about, or its `findings` and `exceptions`.
        results: the verdict's.
    """
    trusted, fired = exception_approvers(config), {one["subject"] for one in results}
    keys = {(one["id"], one["purl"]): one["key"] for one in document["findings"]}
    return tuple(
        UsedWaiver(
            waiver=one["waiver"],
            finding=one["finding"],
            purl=one["purl"],
            author=one["requested_by"],
            granted_by=one["approved_by"],
            expires_us=one["expires_at_s"] * 1_000_000,
        )
        for one in document["exceptions"]
        if one["approved_by"] in trusted
        and keys.get((one["finding"], one["purl"]), "") not in {"", *fired}
    )
