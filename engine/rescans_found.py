"""What a rescan's process said, and what that comes to: findings that are new, and those gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.jcs import canonical
from engine.core.rescan_events import BundleProblem, BundleRescan
from engine.core.rescans import RescanLog, Subject
from engine.ports import BlobStore
from engine.rescans_job import Outcome

SCHEMA: Final = "releaseline.findings/1"
_NAMED_MAX: Final = 5
_REASON_MAX: Final = 500


@dataclass(slots=True, kw_only=True)
class Answers:
    """Attributes:
    outcomes: by digest of the bundle.
    code, reason: why it did not get to its end; empty when it did.
    """

    outcomes: dict[Digest, Outcome] = field(default_factory=dict)
    code: str = ""
    reason: str = ""

    def fail(self, code: str, reason: str) -> None:
        self.code, self.reason = code, reason[:_REASON_MAX]

    def take(self, document: Mapping[str, Any]) -> bool:
        """Take one answer in; True for the last one."""
        if "outcome" in document:
            one = Outcome.read(document["outcome"])
            self.outcomes[one.bundle] = one
            return False
        if "failed" in document:
            self.fail(document["code"], document["failed"])
        return True


def told(
    answers: Answers,
    subjects: Sequence[Subject],
    log: RescanLog,
    blobs: BlobStore,
    keys_of: Callable[[Subject], frozenset[str] | None],
) -> tuple[tuple[BundleRescan, ...], tuple[BundleProblem, ...]]:
    """What was found in each bundle, and the bundles that were not matched.

    Args:
        keys_of: keys that the bundle's newest verdict knew, for one that no rescan has seen yet.
    """
    found, failed = list[BundleRescan](), list[BundleProblem]()
    for subject in subjects:
        one = answers.outcomes.get(subject.bundle)
        problem = answers.reason if one is None else one.problem
        if one is None or problem:
            label, said = subject.label, (problem or "it was not looked at")[:_REASON_MAX]
            failed.append(BundleProblem(bundle=subject.bundle, label=label, reason=said))
            continue
        before = _before(subject, log, blobs, keys_of)
        keys = frozenset(one.keys)
        new = sorted(keys - before) if before is not None else []
        document = {"schema": SCHEMA, "keys": sorted(keys)}
        found.append(
            BundleRescan(
                bundle=subject.bundle,
                label=subject.label,
                packages=one.packages,
                findings=blobs.put(canonical(document)),
                known=len(keys),
                kev=one.kev,
                compared=before is not None,
                new=len(new),
                gone=0 if before is None else len(before - keys),
                named=tuple(new[:_NAMED_MAX]),
                unread=one.unread,
            )
        )
    return tuple(found), tuple(failed)


def _before(
    subject: Subject,
    log: RescanLog,
    blobs: BlobStore,
    keys_of: Callable[[Subject], frozenset[str] | None],
) -> frozenset[str] | None:
    known = log.bundles.get(subject.bundle)
    if known is None:
        return keys_of(subject)
    try:
        return frozenset(json.loads(blobs.get(known.found.findings))["keys"])
    except (NotFound, Malformed, ValueError, KeyError):
        return keys_of(subject)
