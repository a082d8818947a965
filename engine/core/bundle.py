"""What is promoted: a bundle, named by the digest of its manifest.

The manifest lists components by digest; its own canonical bytes are hashed to the name that the
whole house uses. A version text is a label for people and decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import JsonValue, canonical

SCHEMA: Final = "releaseline.bundle/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One artifact of a bundle.

    Attributes:
        name: unique within the bundle; also the file name of its bytes at a target.
        digest: of the artifact's bytes, re-hashed whenever they are read.
        size: bytes.
        media_type: for example `application/zip`.
    """

    name: str
    digest: Digest
    size: int
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A document about the bundle: `kind` is sbom, vex or provenance; `component` may be empty."""

    kind: str
    component: str
    digest: Digest
    size: int
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Attributes:
    components: sorted by name, at least one.
    attachments: sorted by (kind, component, digest); part of the manifest, so that an SBOM
        cannot be exchanged without the bundle getting another name.
    created_by: the person or token that made it; counts as an author in approvals.
    """

    name: str
    version: str
    components: tuple[Component, ...]
    attachments: tuple[Attachment, ...] = ()
    created_by: str = ""

    def manifest(self) -> bytes:
        """The canonical bytes whose SHA-256 is the bundle's name. `created_by` is not in it."""
        return canonical(
            {
                "schema": SCHEMA,
                "name": self.name,
                "version": self.version,
                "components": [
                    {
                        "name": c.name,
                        "digest": str(c.digest),
                        "size": c.size,
                        "mediaType": c.media_type,
                    }
                    for c in sorted(self.components, key=lambda c: c.name)
                ],
                "attachments": [
                    {
                        "kind": a.kind,
                        "component": a.component,
                        "digest": str(a.digest),
                        "size": a.size,
                        "mediaType": a.media_type,
                    }
                    for a in sorted(self.attachments, key=lambda a: (a.kind, a.component, a.digest))
                ],
            }
        )

    @property
    def digest(self) -> Digest:
        return Digest.of(self.manifest())

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"


def parse_manifest(document: Mapping[str, Any], *, created_by: str = "") -> Bundle:
    """Read a manifest document. Raises `Malformed` naming the field that is wrong."""
    if document.get("schema") != SCHEMA:
        raise Malformed(
            f"expected {SCHEMA!r}, found {document.get('schema')!r}", where="manifest.schema"
        )
    name, version = (_text(document, key, "manifest") for key in ("name", "version"))
    raw_components = _items(document, "components")
    if not raw_components:
        raise Malformed("expected at least one component, found none", where="manifest.components")
    components = tuple(
        Component(
            name=_text(item, "name", where),
            digest=_digest(item, where),
            size=_size(item, where),
            media_type=_text(item, "mediaType", where),
        )
        for where, item in raw_components
    )
    names = [component.name for component in components]
    if len(set(names)) != len(names):
        raise Malformed(f"component names repeat: {names}", where="manifest.components")
    attachments = tuple(
        Attachment(
            kind=_text(item, "kind", where),
            component=str(item.get("component", "")),
            digest=_digest(item, where),
            size=_size(item, where),
            media_type=_text(item, "mediaType", where),
        )
        for where, item in _items(document, "attachments")
    )
    return Bundle(
        name=name,
        version=version,
        components=components,
        attachments=attachments,
        created_by=created_by,
    )


def _items(document: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    items = document.get(key, [])
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise Malformed("expected a list of objects", where=f"manifest.{key}")
    return [(f"manifest.{key}[{n}]", item) for n, item in enumerate(items)]


def _text(item: Mapping[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value:
        raise Malformed(f"expected a non-empty text, found {value!r}", where=f"{where}.{key}")
    return value


def _size(item: Mapping[str, Any], where: str) -> int:
    value = item.get("size")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Malformed(f"expected a size in bytes, found {value!r}", where=f"{where}.size")
    return value


def _digest(item: Mapping[str, Any], where: str) -> Digest:
    try:
        return Digest.parse(_text(item, "digest", where))
    except Malformed as error:
        raise Malformed(str(error), where=where) from error


def manifest_document(bundle: Bundle) -> JsonValue:
    """The manifest as JSON values, for pages and the API."""
    document: JsonValue = json.loads(bundle.manifest())
    return document
