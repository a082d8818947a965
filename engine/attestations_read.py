"""What imported attestations mean to a run: which of them it rests on, what they feed, whose they
are.

A run's inputs pin them, each verified once more by what the settings trust at that moment: a key
that was taken out of the settings vouches for nothing that begins afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.catalog import Catalog
from engine.core.attestations import PROVENANCE, SBOM, VEX, Attestation, merged
from engine.core.bundle import Attachment, Bundle
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Unverified
from engine.core.run import Run
from engine.evidence.foreign_predicate import authors_of
from engine.evidence.imported import judge, peek
from engine.inputs.feeds import Scan
from engine.ports import BlobStore
from engine.settings import Settings

# Kinds whose predicate is a document that the gate reads, like one attached to the bundle.
_FEEDS: Final = frozenset({SBOM, VEX})
_STATUS: Final = {"FAILED": "FAILED", "WARNED": "DEGRADED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """Attributes:
    attestations: what the run rests on, sorted by predicate type and digest.
    refused: imports that it does not rest on, each with the reason.
    authors: our people among the commit authors, those of refused imports included.
    notes: provenances that could not be read for their authors.
    """

    attestations: tuple[Attestation, ...]
    refused: tuple[tuple[Attestation, str], ...]
    authors: tuple[str, ...]
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The lists in resolved-inputs.json; the second only where there is something to say."""
        refused = [
            {"digest": str(one.envelope), "predicateType": one.predicate_type, "reason": why}
            for one, why in self.refused
        ]
        return {
            "attestations": [
                {
                    "digest": str(one.envelope),
                    "predicateType": one.predicate_type,
                    "signer": one.signer,
                    "trust": one.trust,
                    "about": list(one.about),
                }
                for one in self.attestations
            ],
            **({"attestationsRefused": refused} if refused else {}),
        }


def pin(run: Run, *, catalog: Catalog, blobs: BlobStore, settings: Settings) -> Pinned:
    """Everything that was imported for the run or its bundle, looked at now."""
    known = merged(catalog.attestations(run.bundle), run.attestations)
    good: list[Attestation] = []
    refused: list[tuple[Attestation, str]] = []
    for one in sorted(known, key=lambda one: (one.predicate_type, one.envelope)):
        try:
            good.append(_again(one, blobs, settings))
        except (Malformed, NotFound, Unverified) as error:
            refused.append((one, str(error)))
    written, notes = _attached_authors(run.bundle, catalog, blobs)
    names = {*written, *(name for one in known for name in one.authors)}
    return Pinned(
        attestations=tuple(good),
        refused=tuple(refused),
        authors=people(settings, names),
        notes=notes,
    )


def _again(one: Attestation, blobs: BlobStore, settings: Settings) -> Attestation:
    """The import as it is judged now; another entry of the settings may vouch for it by then."""
    now = judge(blobs.get(one.source), settings.trust, where=one.file)
    for part in (one.envelope, one.predicate):
        blobs.get(part)  # re-hashed: what the gate and the packs will read is whole
    return replace(
        one,
        trust=now.anchor.name,
        anchor=now.anchor.digest,
        signer=now.signer,
        issuer=now.issuer,
        signed_s=now.signed_s,
    )


def _attached_authors(
    bundle: Digest, catalog: Catalog, blobs: BlobStore
) -> tuple[set[str], tuple[str, ...]]:
    """Authors by the provenances that the bundle was made with.

    Nobody verified who signed those. That is enough here: whoever is named loses the right to
    approve and gains nothing.
    """
    found: set[str] = set()
    notes: list[str] = []
    try:
        attachments = catalog.get(bundle).attachments
    except (Malformed, NotFound):
        return found, ()  # the bundle itself is damaged, which is said of it elsewhere
    for one in attachments:
        if one.kind != PROVENANCE:
            continue
        where = f"provenance {one.digest.short}"
        try:
            for predicate in peek(blobs.get(one.digest), where=where):
                found |= set(authors_of(predicate, where=where))
        except (Malformed, NotFound) as error:
            notes.append(str(error))
    return found, tuple(notes)


def people(settings: Settings, names: Iterable[str]) -> tuple[str, ...]:
    """Users of this house among `names`, by user name or e-mail address, case aside."""
    wanted = {name.casefold() for name in names}
    return tuple(
        sorted(
            person.user
            for person in settings.people.values()
            if {person.user.casefold(), person.email.casefold()} & wanted
        )
    )


def with_imports(bundle: Bundle, pinned: Sequence[Attestation]) -> Bundle:
    """The bundle as the gate looks for its SBOMs and VEX: imported ones lie beside its own.

    One about the manifest speaks of every component, one about components of each of those. The
    value is for reading only: its own digest is not the bundle's.
    """
    more = []
    for one in pinned:
        if one.kind not in _FEEDS:
            continue
        whole = any(subject.digest == bundle.digest for subject in one.subjects)
        for name in [""] if whole else one.about:
            more.append(
                Attachment(
                    kind=one.kind,
                    component=name,
                    digest=one.predicate,
                    size=0,  # of no use to a reader of the document
                    media_type="application/json",
                )
            )
    return replace(bundle, attachments=(*bundle.attachments, *more))


def scans_of(pinned: Sequence[Attestation]) -> list[Scan]:
    """What the policy is told of imports that are no documents of their own to it.

    One that says something bad is no complete good answer, so the policy warns of it.
    """
    return [
        Scan(
            id=f"attestation:{one.envelope.short}",
            status=_STATUS.get(one.says, "COMPLETE"),
            detail=" ".join(filter(None, (one.title, one.says, f"by {one.signer}"))),
        )
        for one in pinned
        if one.kind not in _FEEDS
    ]
