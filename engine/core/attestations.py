"""Attestations that others made and this house took in: what is known of them, and whose they are.

An imported attestation was verified when it came in; here it is a plain fact. A run rests on those
that its inputs pinned; what comes later is on record, and binds nothing that was decided before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest

# Where packs hold them.
FOLDER: Final = "imported/"
PROVENANCE: Final = "provenance"
SBOM: Final = "sbom"
VEX: Final = "vex"
TEST_RESULT: Final = "test-result"
SUMMARY: Final = "verification-summary"
SIMPLE_RESULT: Final = "simple-result"
OTHER: Final = "other"

_EXACT: Final[Mapping[str, tuple[str, str]]] = {
    "https://slsa.dev/provenance/v1": (PROVENANCE, "SLSA provenance v1"),
    "https://slsa.dev/provenance/v0.2": (PROVENANCE, "SLSA provenance v0.2"),
    "https://in-toto.io/attestation/test-result/v0.1": (TEST_RESULT, "test result"),
    "https://slsa.dev/verification_summary/v1": (SUMMARY, "SLSA verification summary"),
    "https://in-toto.io/attestation/svr/v0.1": (SIMPLE_RESULT, "simple verification result"),
    "https://in-toto.io/attestation/svr/v0.2": (SIMPLE_RESULT, "simple verification result"),
}
# These formats write their own version behind the name.
_BEGINNINGS: Final[Mapping[str, tuple[str, str]]] = {
    "https://cyclonedx.org/bom": (SBOM, "CycloneDX"),
    "https://spdx.dev/Document": (SBOM, "SPDX"),
    "https://openvex.dev/ns": (VEX, "OpenVEX"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """One imported attestation, as it was judged then.

    Attributes:
        envelope: blob of the DSSE envelope, canonical; the import's name.
        source: blob of what came in, for example a Sigstore bundle around that envelope.
        form: `dsse` or `sigstore`.
        file: the name under which it came.
        payload: digest of the statement's bytes; `predicate` is a blob of its predicate's bytes.
        statement_type: `_type` of the statement.
        subjects: those of its subjects that are the bundle's manifest or a component, by our name.
        says: result that a predicate of a known kind states, for example PASSED; else empty.
        authors: commit authors that a provenance names: e-mail addresses and names.
        trust: entry of the settings that vouched; `anchor`: digest of its key or trusted root.
        signer: identity of a certificate, or `SHA256:` and the fingerprint of a key.
        issuer: what vouched for the identity; empty for a key.
        signed_s: UTC seconds of a verified time stamp; None when nothing tells the time.
    """

    envelope: Digest
    source: Digest
    form: str
    file: str
    payload: Digest
    statement_type: str
    predicate_type: str
    predicate: Digest
    subjects: tuple[NamedDigest, ...]
    says: str
    authors: tuple[str, ...]
    trust: str
    anchor: Digest
    signer: str
    issuer: str
    signed_s: int | None

    @property
    def kind(self) -> str:
        return kind_of(self.predicate_type)

    @property
    def title(self) -> str:
        return title_of(self.predicate_type)

    @property
    def about(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.subjects)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationImported:
    """An attestation was verified and taken in, for a run or, in the stream of bundles, a bundle.

    `authors`: the people of this house among its commit authors, by user name.
    """

    TYPE: ClassVar = "attestation.imported/1"
    bundle: Digest
    attestation: Attestation
    authors: tuple[str, ...]


def kind_of(predicate_type: str) -> str:
    """What the predicate is to us; `other` is kept as it is."""
    return _known(predicate_type)[0]


def title_of(predicate_type: str) -> str:
    """What people call it; of an unknown kind the type itself."""
    return _known(predicate_type)[1]


def _known(predicate_type: str) -> tuple[str, str]:
    known = _EXACT.get(predicate_type)
    if known is not None:
        return known
    for beginning, found in _BEGINNINGS.items():
        if predicate_type == beginning or predicate_type.startswith(f"{beginning}/"):
            return found
    return OTHER, predicate_type


def stem(predicate_type: str) -> str:
    """The last words of a type as part of a file name: `provenance-v1`."""
    path = predicate_type.partition("://")[2].partition("/")[2] or predicate_type
    words = re.findall(r"[a-z0-9.]+", path.lower(), re.ASCII)
    return "-".join(words[-2:])[:48].strip("-.") or "predicate"


def place(number: int, predicate_type: str) -> str:
    """Where a run's packs hold the files of its `number`th, without what follows the dot."""
    return f"{FOLDER}{number:02d}-{stem(predicate_type)}"


def merged(*groups: Iterable[Attestation]) -> tuple[Attestation, ...]:
    """All of them in order, each envelope once."""
    found: dict[Digest, Attestation] = {}
    for group in groups:
        for one in group:
            found.setdefault(one.envelope, one)
    return tuple(found.values())
