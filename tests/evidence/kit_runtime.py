"""What the gate found and what a trace shows, as far as evidence reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.policy.document import FACETS

USED, UNUSED = "pkg:pypi/jinja2@3.1.6", "pkg:pypi/idna@3.7"
UNSTATED = {"status": "", "justification": "", "author": ""}
FINDINGS: tuple[Mapping[str, Any], ...] = (
    {"id": "PYSEC-1", "aliases": ["CVE-1"], "purl": USED, "vex": UNSTATED},
    {"id": "PYSEC-2", "aliases": [], "purl": UNUSED, "vex": UNSTATED},
)


def capsule_of(blobs: Any, findings: Sequence[Mapping[str, Any]]) -> bytes:
    """A capsule that holds these findings and nothing else of weight."""
    parts = dict.fromkeys(("policy", *FACETS), b"{}") | {"findings": canonical(list(findings))}
    return canonical(
        {
            "schema": "releaseline.capsule/1",
            "verdict_id": "verdict-1",
            "clock": {"evaluated_at_s": 1},
            "refs": {name: str(blobs.put(content)) for name, content in parts.items()},
            "raw": {},
            "env": {},
            "verdict": {},
            "verdict_digest": str(Digest.of(b"any")),
        }
    )


def snapshot_of(bundle: Digest, targets: Sequence[str], at_us: int) -> bytes:
    """Every target runs the bundle and has one of its two packages loaded."""
    return canonical(
        {
            "schema": "releaseline.runtime-snapshot/1",
            "observedAtUs": at_us,
            "targets": [
                {
                    "target": one,
                    "digest": str(bundle),
                    "healthy": True,
                    "componentsObserved": [USED],
                }
                for one in targets
            ],
            "components": [UNUSED, USED],
            "observed": [USED],
        }
    )
