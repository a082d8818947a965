"""What is known of the bytes that are stored, and which bytes a record names. Pure.

A sweep (`engine.integrity`) reads; what it found is folded here from its facts, so that a restart
forgets nothing and a repair is on record like the damage before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final

from engine.core.attestations import AttestationImported
from engine.core.bundle import SCHEMA as BUNDLE_SCHEMA
from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.events import Recorded
from engine.core.fact_events import (
    EnvironmentGuarded,
    EvidenceAddendum,
    EvidenceCaptured,
    EvidenceSealed,
    GateDecided,
    InputsMaterialized,
    PolicyEvaluated,
)
from engine.core.house import BundleCreated
from engine.core.integrity_events import DamageCleared, DamageFound, IntegritySwept
from engine.core.policy_versions import PolicyPublished
from engine.core.run_events import RunRequested

BLOB: Final = "blob "
LEAF: Final = "leaf "
# A document that is larger names nothing that its record does not name too.
NESTED_MAX_BYTES: Final = 1 << 20
_NAMED: Final = re.compile(rb"sha256:([0-9a-f]{64})")
# Of these events the bytes have to be there; other digests may name something that lies elsewhere.
_KEPT: Final[Mapping[type, frozenset[str]]] = {
    BundleCreated: frozenset({"digest"}),
    PolicyPublished: frozenset({"policy", "tests"}),
    AttestationImported: frozenset({"envelope", "source"}),
    RunRequested: frozenset({"bundle", "policy_digest"}),
    InputsMaterialized: frozenset({"resolved"}),
    PolicyEvaluated: frozenset({"verdict", "policy", "capsule"}),
    EnvironmentGuarded: frozenset({"evidence"}),
    GateDecided: frozenset({"evidence"}),
    EvidenceCaptured: frozenset({"envelope", "files"}),
    EvidenceSealed: frozenset({"files"}),
    EvidenceAddendum: frozenset({"envelope", "files"}),
}
HOUSE_KINDS: Final = (BundleCreated.TYPE, PolicyPublished.TYPE, AttestationImported.TYPE)
_WORDS: Final[Mapping[str, str]] = {
    "bundle": "the bundle's manifest",
    "capsule": "what the verdict rests on",
    "envelope": "a signed statement",
    "evidence": "what a gate decided by",
    "policy": "the policy",
    "policy_digest": "the policy",
    "resolved": "the resolved inputs",
    "source": "an imported attestation",
    "tests": "the cases of a policy",
    "verdict": "the verdict",
    "view": "what an approver saw",
}
NO_ITEM: Final = "an entry of the log that no run names"
NAMELESS: Final = "a stored file that no run names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Bytes that a record names. `kept`: they have to be stored; others may be."""

    digest: Digest
    item: str
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something that is damaged now, and since when that is known."""

    since_us: int
    found: DamageFound


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityLog:
    """Attributes:
    swept: the newest sweep that saw everything, and when it ended; None before the first.
    damaged: by place, in the order in which they were found.
    """

    swept: IntegritySwept | None = None
    swept_us: int = 0
    damaged: Mapping[str, Damage] = field(default_factory=dict)

    def of_run(self, run_id: str) -> tuple[Damage, ...]:
        return tuple(one for one in self.damaged.values() if run_id in one.found.runs)


def evolve(log: IntegrityLog, recorded: Recorded) -> IntegrityLog:
    """The log after one more event; other events change nothing."""
    match recorded.event:
        case DamageFound() as found:
            known = log.damaged.get(found.place)
            since_us = recorded.ts_us if known is None else known.since_us
            one = Damage(since_us=since_us, found=found)
            return replace(log, damaged={**log.damaged, found.place: one})
        case DamageCleared(place=place):
            left = {key: one for key, one in log.damaged.items() if key != place}
            return replace(log, damaged=left)
        case IntegritySwept() as swept:
            return replace(log, swept=swept, swept_us=recorded.ts_us)
        case _:
            return log


def named_in(event: object) -> Iterator[Named]:
    """Every digest that an event names, once, by the name of its file where it has one."""
    kept = _KEPT.get(type(event), frozenset())
    found: dict[Digest, Named] = {}
    for name, value in _fields_of(event):
        for digest, item in _digests(value, _WORDS.get(name, f"bytes named as {name}")):
            before = found.get(digest)
            must = name in kept or (before is not None and before.kept)
            known = item if before is None or name == "files" else before.item
            found[digest] = Named(digest=digest, item=known, kept=must)
    yield from found.values()


def nested_in(content: bytes, item: str) -> Iterator[Named]:
    """What a stored JSON document names in turn. All of a bundle's parts have to be there."""
    if len(content) > NESTED_MAX_BYTES or not content.startswith(b"{"):
        return
    kept = b'"schema":"' + BUNDLE_SCHEMA.encode() + b'"' in content
    for hexes in dict.fromkeys(_NAMED.findall(content)):
        yield Named(digest=Digest(hexes.decode()), item=f"something that {item} names", kept=kept)


def remedy(found: DamageFound) -> str:
    """What may still be done, in sentences."""
    if found.place.startswith(LEAF):
        return (
            "The journal holds this leaf too: stop the server, set releaseline.duckdb aside, and "
            "the next start makes it again. Then releaseline log fsck looks at the whole log."
        )
    digest = found.place.removeprefix(f"{BLOB}sha256:")
    return (
        "What was exported before is whole, and verifies without this server. Put the same bytes "
        f"back as blobs/{digest[:2]}/{digest}, from a backup or from a pack, then run releaseline "
        "fsck: it looks again, and what is whole again is cleared."
    )


def sentence(found: DamageFound) -> str:
    """What is damaged and which check says so, in one sentence."""
    file = "/" in found.item or "." in found.item  # a file's name is left as it is
    item = found.item if file else found.item[:1].upper() + found.item[1:]
    place = "" if found.expected in found.place else f" ({found.place})"
    return (
        f"{item}{place} failed the check {found.check}: expected {found.expected}, "
        f"found {found.found}."
    )


def runs_of(damaged: Sequence[Damage]) -> tuple[str, ...]:
    """Every run that something damaged belongs to, the newest first."""
    named = {run for one in damaged for run in one.found.runs}
    return newest_first(named)


def newest_first(runs: set[str]) -> tuple[str, ...]:
    return tuple(sorted(runs, key=lambda run: (len(run), run), reverse=True))


def _fields_of(value: object) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value):
        for one in fields(value):
            yield one.name, getattr(value, one.name)


def _digests(value: Any, item: str) -> Iterator[tuple[Digest, str]]:
    if isinstance(value, Digest):
        yield value, item
    elif isinstance(value, NamedDigest):
        yield value.digest, value.name
    elif isinstance(value, tuple):
        for one in value:
            yield from _digests(one, item)
    elif is_dataclass(value):
        for _, inner in _fields_of(value):
            yield from _digests(inner, item)
