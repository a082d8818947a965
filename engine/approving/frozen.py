"""What a verdict rested on, read back out of its capsule for somebody who decides.

Nothing is matched anew: the findings are those that the policy was asked about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.approval_facts import Frozen, RuleResult, SeenFinding
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.event_parts import UsedWaiver
from engine.findings import vex_why
from engine.inputs.exceptions import used
from engine.inputs.reachability import without_version
from engine.inputs.vex import trusted_vex
from engine.policy.capsule import open_capsule
from engine.policy.model import policy_from_blob
from engine.ports import BlobStore

_WHOLE = "COMPLETE"


def frozen_of(blobs: BlobStore, capsule: Digest) -> Frozen:
    """Raises:
    NotFound: the capsule, or a part of it, is not here.
    Malformed: it is damaged.
    """
    opened = open_capsule(blobs.get(capsule), where=f"capsule {capsule.short}")
    policy = policy_from_blob(blobs.get(opened.refs["policy"]), where="policy of the capsule")
    trusted = frozenset(trusted_vex(policy.config))
    try:
        findings = json.loads(blobs.get(opened.refs["findings"]))
        scans = json.loads(blobs.get(opened.refs["scans"]))
        exceptions = json.loads(blobs.get(opened.refs["exceptions"]))
        told = {"findings": findings, "exceptions": exceptions}
        waived = used(told, policy.config, opened.verdict["results"])
        results = tuple(
            RuleResult(
                level=one["level"], rule=one["rule"], subject=one["subject"], detail=one["detail"]
            )
            for one in opened.verdict["results"]
        )
        return Frozen(
            results=results,
            findings=_findings(findings, results, trusted, waived),
            gaps=tuple(
                (one["id"], one["status"], one["detail"])
                for one in scans
                if one["status"] != _WHOLE
            ),
            decided_s=int(opened.clock["evaluated_at_s"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed(
            f"expected findings, scans and results, found {error!r}",
            where=f"capsule {capsule.short}",
        ) from error


def _findings(
    found: Sequence[Mapping[str, Any]],
    results: Sequence[RuleResult],
    trusted: frozenset[str],
    waived: Sequence[UsedWaiver],
) -> tuple[SeenFinding, ...]:
    fired: dict[str, list[str]] = {}
    for one in results:
        fired.setdefault(one.subject, []).append(one.rule)
    return tuple(
        SeenFinding(
            id=one["id"],
            aliases=tuple(one["aliases"]),
            purl=one["purl"],
            package=without_version(one["purl"]),
            severity=one["severity"],
            cvss_dt=one["cvss_dt"],
            kev=one["kev"],
            reach=one["reach"],
            found_in=tuple(one["found_in"]),
            suppressed=vex_why(one["vex"], trusted)[1],
            rules=tuple(fired.get(one["key"], ())),
            waivers=tuple(
                w.waiver for w in waived if (w.finding, w.purl) == (one["id"], one["purl"])
            ),
        )
        for one in found
    )
