"""Bundles: made from real files, kept as blobs, found again by digest.

A bundle's manifest is a blob whose digest is the bundle's name, so that a target can check what it
was given without asking us. Policies live here too, as read at start and pinned by digest.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.core.attestations import Attestation, AttestationImported, merged
from engine.core.bundle import Attachment, Bundle, Component, parse_manifest
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.events import Recorded
from engine.core.house import BUNDLES, BundleCreated
from engine.core.statemachine import Role
from engine.ports import EventStore
from engine.recording import append_to

MAY_CREATE: Final = frozenset({Role.RELEASE_MANAGER, Role.CI})
APP_MEDIA_TYPE: Final = "application/vnd.releaseline.app+zip"
_MEDIA_BY_SUFFIX: Final = {
    ".zip": APP_MEDIA_TYPE,
    ".tar": "application/x-tar",
    ".gz": "application/gzip",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFiles:
    """What `bundle create` was given. `components` are files; the others are documents."""

    name: str
    version: str
    components: tuple[Path, ...]
    sboms: tuple[Path, ...] = ()
    vex: tuple[Path, ...] = ()
    provenance: tuple[Path, ...] = ()
    reachability: tuple[Path, ...] = ()


class Catalog:
    """Thread-safe. Follows the `bundles` stream."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._created: dict[Digest, BundleCreated] = {}
        self._imported: dict[Digest, tuple[Attestation, ...]] = {}
        for recorded in store.load(BUNDLES):
            self._apply(recorded)
        self.stop = store.subscribe(self._follow)

    def create(
        self, files: BundleFiles, *, actor: str, hand: str = "", command_id: str = ""
    ) -> Bundle:
        """Store the files and the manifest. The same files give the same bundle again.

        Args:
            hand: another person, who made the link or token that `actor` came in with; an author
                as well.

        Raises:
            Malformed: a path does not exist or is not a file, or component names repeat.
        """
        components = tuple(self._component(path) for path in _expand(files.components, "component"))
        attachments = tuple(
            self._attachment(kind, path)
            for kind, paths in (
                ("sbom", files.sboms),
                ("vex", files.vex),
                ("provenance", files.provenance),
                ("reachability", files.reachability),
            )
            for path in _expand(paths, kind)
        )
        draft = Bundle(
            name=files.name,
            version=files.version,
            components=components,
            attachments=attachments,
            created_by=actor,
        )
        manifest = draft.manifest()
        parse_manifest(json.loads(manifest))  # the one place that knows what is well-formed
        digest = self._store.blobs.put(manifest)
        if not self._has(digest):
            created = BundleCreated(
                digest=digest,
                name=files.name,
                version=files.version,
                authors=(actor, hand) if hand else (actor,),
            )
            append_to(self._store, BUNDLES, created, actor=actor, command_id=command_id)
        return self.get(digest)

    def get(self, digest: Digest) -> Bundle:
        """The bundle, its manifest re-hashed.

        Raises:
            NotFound: nobody made a bundle of this digest here.
            Malformed: the stored manifest no longer has its digest.
        """
        with self._lock:
            created = self._created.get(digest)
        if created is None:
            raise NotFound(f"There is no bundle {digest}.")
        document = json.loads(self._store.blobs.get(digest))
        return parse_manifest(document, created_by=created.authors[0])

    def authors(self, digest: Digest) -> tuple[str, ...]:
        with self._lock:
            created = self._created.get(digest)
        return () if created is None else created.authors

    def attestations(self, digest: Digest) -> tuple[Attestation, ...]:
        """Imported for this bundle, oldest first. They are no part of it: its digest stays."""
        with self._lock:
            return self._imported.get(digest, ())

    def find(self, text: str) -> Bundle:
        """The bundle by digest, or by a unique beginning of at least 8 hex digits.

        Raises:
            NotFound, Malformed: none, or several, match.
        """
        prefix = text.removeprefix("sha256:")
        if len(prefix) == 64:
            return self.get(Digest.parse(f"sha256:{prefix}"))
        with self._lock:
            found = [d for d in self._created if len(prefix) >= 8 and d.hex.startswith(prefix)]
        if len(found) > 1:
            raise Malformed(f"{prefix!r} names {len(found)} bundles", where="bundle")
        if not found:
            raise NotFound(f"There is no bundle {text}.")
        return self.get(found[0])

    def named(self, name: str, version: str) -> Bundle:
        """The bundle of this name and version.

        Raises:
            NotFound: there is none.
            Malformed: there are several, which only their digests tell apart.
        """
        with self._lock:
            found = [d for d, c in self._created.items() if (c.name, c.version) == (name, version)]
        if len(found) > 1:
            raise Malformed(
                f"{name} {version} names {len(found)} bundles; name one by its digest",
                where="bundle",
            )
        if not found:
            raise NotFound(f"There is no bundle {name} {version}.")
        return self.get(found[0])

    def _has(self, digest: Digest) -> bool:
        with self._lock:
            return digest in self._created

    def _component(self, path: Path) -> Component:
        content = _read(path)
        media_type = _MEDIA_BY_SUFFIX.get(path.suffix, "application/octet-stream")
        return Component(
            name=path.name,
            digest=self._store.blobs.put(content),
            size=len(content),
            media_type=media_type,
        )

    def _attachment(self, kind: str, path: Path) -> Attachment:
        content = _read(path)
        return Attachment(
            kind=kind,
            component="",
            digest=self._store.blobs.put(content),
            size=len(content),
            media_type="application/json",
        )

    def _follow(self, batch: tuple[Recorded, ...]) -> None:
        for recorded in batch:
            self._apply(recorded)

    def _apply(self, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, BundleCreated):
            with self._lock:
                # Whoever made it first stays its author, also when two made it at once.
                self._created.setdefault(event.digest, event)
        elif isinstance(event, AttestationImported) and recorded.stream == BUNDLES:
            with self._lock:
                known = self._imported.get(event.bundle, ())
                self._imported[event.bundle] = merged(known, (event.attestation,))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Malformed(f"cannot be read: {error.strerror}", where=str(path)) from error


def _expand(paths: Sequence[Path], what: str) -> list[Path]:
    """Files as given, folders as the files in them (not deeper), sorted by name."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if p.is_file())
        elif path.is_file():
            files.append(path)
        else:
            raise Malformed(f"expected a {what} file, found nothing", where=str(path))
    return files
