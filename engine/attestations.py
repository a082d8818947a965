"""Taking in attestations that others signed: for a bundle, or for one run of it.

Judged by what the settings trust, matched to the bundle by digest, kept as blobs and told as one
event each. The bundle keeps its digest; a run rests on those that its inputs pin.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from engine.asker import Asker, refusal_of
from engine.attestations_read import people
from engine.catalog import Catalog
from engine.core.attestations import (
    PROVENANCE,
    SBOM,
    VEX,
    Attestation,
    AttestationImported,
    kind_of,
    merged,
)
from engine.core.bundle import Bundle
from engine.core.commands import Refusal
from engine.core.digest import Digest
from engine.core.errors import Malformed, Refused, Unverified
from engine.core.event_parts import NamedDigest
from engine.core.house import BUNDLES
from engine.core.run import Run
from engine.core.scopes import IMPORT_ATTESTATION, UNLIMITED, Limits
from engine.core.statemachine import Role, RunStatus
from engine.evidence.foreign_predicate import authors_of, result_of
from engine.evidence.imported import SIZE_MAX, Imported, documents, judge
from engine.evidence.statement import MANIFEST_NAME
from engine.inputs.sbom import read_sbom
from engine.inputs.vex_reading import read_vex
from engine.ports import EventStore
from engine.recording import append_to, record
from engine.settings import Settings
from engine.trail.denials import admit, denied

__all__ = ["SIZE_MAX", "Attestations", "Given", "Taken"]

AT_ONCE_MAX: Final = 64
_MAY_IMPORT: Final = frozenset({Role.RELEASE_MANAGER, Role.CI})
_FILE_MAX: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A file as it was handed over."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of one attestation.

    Attributes:
        new: False when the same envelope was imported there before; then nothing was recorded.
        pinned: of a run: its inputs name it already. One that they don't name is on record, and
            the gate is asked about it once the inputs are resolved again.
    """

    attestation: Attestation
    new: bool
    pinned: bool = False


class Attestations:
    """Thread-safe."""

    def __init__(self, *, store: EventStore, settings: Settings, catalog: Catalog) -> None:
        self._store, self._settings, self._catalog = store, settings, catalog
        self._one_at_a_time = threading.Lock()

    def of_bundle(self, digest: Digest) -> tuple[Attestation, ...]:
        """Raises `NotFound` for an unknown bundle."""
        self._catalog.get(digest)
        return self._catalog.attestations(digest)

    def of_run(self, run_id: str) -> tuple[Taken, ...]:
        """Everything that ever belonged to the run, oldest first. Raises `NotFound`."""
        run = self._store.run(run_id)
        pinned = {one.envelope for one in run.pinned}
        return tuple(
            Taken(attestation=one, new=False, pinned=one.envelope in pinned)
            for one in run.attestations
        )

    def import_for_bundle(
        self,
        digest: Digest,
        files: Sequence[Given],
        *,
        actor: str,
        limits: Limits = UNLIMITED,
        command_id: str = "",
    ) -> tuple[Taken, ...]:
        """Verify and take in every file for a bundle, or none of them.

        Runs of the bundle that resolve their inputs from now on rest on them.

        Args:
            limits: of the token that `actor` asks with.

        Raises:
            NotFound: no such bundle.
            Refused: this takes a release manager or a ci token. The attempt is on record.
            Malformed, Unverified: the first file that is not good; the latter is on record.
        """
        bundle = self._catalog.get(digest)
        asker = Asker(user=actor, limits=limits)
        self._check(self._refusal(asker), "", actor)
        judged = self._judged(files, bundle, "", actor)
        with self._one_at_a_time:
            known = {one.envelope: one for one in self._catalog.attestations(digest)}
            fresh = [one for one in judged if one.envelope not in known]
            # At once: a power cut must not leave a part of what was asked for.
            events = [self._imported(digest, one) for one in fresh]
            append_to(self._store, BUNDLES, *events, actor=actor, command_id=command_id)
        new = {one.envelope for one in fresh} | self._taken_by(command_id)
        return tuple(
            Taken(attestation=known.get(one.envelope, one), new=one.envelope in new)
            for one in judged
        )

    def import_for_run(
        self,
        run_id: str,
        files: Sequence[Given],
        *,
        actor: str,
        limits: Limits = UNLIMITED,
        command_id: str = "",
    ) -> tuple[Taken, ...]:
        """Verify and take in every file for one run, or none of them.

        Raises:
            NotFound: no such run.
            Refused: no such role in the run's environment, or the run is over. On record.
            Malformed, Unverified: as for a bundle.
        """
        run = self._store.run(run_id)
        asker = Asker(user=actor, limits=limits)
        self._check(self._refusal(asker, run.environment), run_id, actor)
        again = bool(command_id and self._store.by_command(command_id))
        try:
            if not again:
                _check_open(run)
        except Refused as refused:
            self._deny(refused.code, str(refused), run_id, actor)
            raise
        judged = self._judged(files, self._catalog.get(run.bundle), run_id, actor)
        fresh: list[Attestation] = []

        def events(now: Run) -> tuple[AttestationImported, ...]:
            if again:  # what was done then is told again, also when the run has ended since
                return ()
            _check_open(now)
            known = {one.envelope for one in now.attestations}
            fresh[:] = [one for one in judged if one.envelope not in known]
            return tuple(self._imported(now.bundle, one) for one in fresh)

        after = record(self._store, run_id, events, actor=actor, command_id=command_id)
        known = {one.envelope: one for one in after.attestations}
        pinned = {one.envelope for one in after.pinned}
        new = {one.envelope for one in fresh} | self._taken_by(command_id)
        return tuple(
            Taken(
                attestation=known[one.envelope],
                new=one.envelope in new,
                pinned=one.envelope in pinned,
            )
            for one in judged
        )

    def _taken_by(self, command_id: str) -> set[Digest]:
        """Envelopes that this command took in when it was first asked."""
        earlier = self._store.by_command(command_id) if command_id else ()
        events = (one.event for one in earlier)
        return {e.attestation.envelope for e in events if isinstance(e, AttestationImported)}

    def _judged(
        self, files: Sequence[Given], bundle: Bundle, run_id: str, actor: str
    ) -> tuple[Attestation, ...]:
        """Every attestation of the files, each envelope once; their blobs are stored."""
        parts = [part for given in files for part in _parts(given)]
        if not 1 <= len(parts) <= AT_ONCE_MAX:
            raise Malformed(
                f"expected 1 to {AT_ONCE_MAX} attestations at once, found {len(parts)}",
                where="attestations",
            )
        try:
            read = [self._read(part, bundle) for part in parts]
        except Unverified as error:
            self._deny("unverified", str(error), run_id, actor)
            raise
        for part, imported, _ in read:
            for blob in (part.content, imported.envelope, imported.statement.predicate_bytes):
                self._store.blobs.put(blob)
        return merged(one for _, _, one in read)

    def _read(self, given: Given, bundle: Bundle) -> tuple[Given, Imported, Attestation]:
        imported = judge(given.content, self._settings.trust, where=given.name)
        statement = imported.statement
        one = Attestation(
            envelope=Digest.of(imported.envelope),
            source=Digest.of(given.content),
            form=imported.form,
            file=given.name,
            payload=Digest.of(imported.payload),
            statement_type=statement.statement_type,
            predicate_type=statement.predicate_type,
            predicate=Digest.of(statement.predicate_bytes),
            subjects=_subjects(imported, bundle, given.name),
            says=result_of(statement, where=given.name),
            authors=(
                authors_of(statement.predicate, where=given.name)
                if kind_of(statement.predicate_type) == PROVENANCE
                else ()
            ),
            trust=imported.anchor.name,
            anchor=imported.anchor.digest,
            signer=imported.signer,
            issuer=imported.issuer,
            signed_s=imported.signed_s,
        )
        _check_document(one, statement.predicate_bytes)
        return given, imported, one

    def _imported(self, bundle: Digest, one: Attestation) -> AttestationImported:
        authors = people(self._settings, one.authors)
        return AttestationImported(bundle=bundle, attestation=one, authors=authors)

    def _refusal(self, asker: Asker, environment: str = "") -> Refusal | None:
        return refusal_of(
            self._settings,
            asker,
            IMPORT_ATTESTATION,
            _MAY_IMPORT,
            what="import attestations",
            environment=environment,
        )

    def _check(self, why_not: Refusal | None, run_id: str, actor: str) -> None:
        admit(self._store, why_not, user=actor, action=IMPORT_ATTESTATION, run=run_id)

    def _deny(self, code: str, reason: str, run_id: str, actor: str) -> None:
        denied(
            self._store,
            user=actor,
            action=IMPORT_ATTESTATION,
            run=run_id,
            code=code,
            reason=reason,
        )


def _check_open(run: Run) -> None:
    if run.terminal or run.status is RunStatus.SEALING:
        raise Refused(
            f"{run.run_id} is {run.status.value}: what it rests on is closed.",
            hint=f"Import it for the bundle {run.bundle.short} instead.",
        )


def _parts(given: Given) -> tuple[Given, ...]:
    # Only for people to read: what a caller named the file, kept short and printable.
    base = given.name.replace("\\", "/").rpartition("/")[2][:_FILE_MAX]
    name = "".join(sign for sign in base if sign.isprintable()) or "attestation"
    found = documents(given.content)
    if len(found) == 1:
        return (replace(given, name=name),)
    return tuple(Given(name=f"{name}:{n}", content=one) for n, one in enumerate(found, 1))


def _subjects(imported: Imported, bundle: Bundle, where: str) -> tuple[NamedDigest, ...]:
    """Which parts of the bundle the statement is about, by digest alone.

    Raises:
        Unverified: none; a name that fits is not enough.
    """
    ours = {bundle.digest: MANIFEST_NAME} | {c.digest: c.name for c in bundle.components}
    named = {one.digest for one in imported.statement.subjects}
    matched = tuple(
        NamedDigest(name=name, digest=digest) for digest, name in ours.items() if digest in named
    )
    if matched:
        return matched
    theirs = sorted(str(digest) for digest in named if digest is not None)
    found = ", ".join(theirs[:3]) or "no SHA-256"
    more = f" and {len(theirs) - 3} more" if len(theirs) > 3 else ""
    expected = f"the manifest {bundle.digest} or one of its {len(bundle.components)} components"
    raise Unverified(
        f"{where}: attestation.subject: expected {expected}, found {found}{more}",
        check="attestation.subject",
        file=where,
        expected=expected,
        found=f"{found}{more}",
    )


def _check_document(one: Attestation, predicate: bytes) -> None:
    """An SBOM or VEX that the gate could not read is refused now, not found there."""
    where = f"{one.file}.predicate"
    match one.kind:
        case kind if kind == SBOM:
            read_sbom(predicate, where=where)
        case kind if kind == VEX:
            read_vex(predicate, where=where)
        case _:
            return
