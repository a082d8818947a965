"""OCI images as bytes and names: what a reference means, and what a manifest consists of. Pure.

A tag is somebody's word of the moment. It is resolved once, to the SHA-256 of the manifest's own
bytes; a header that says so too is compared, and never believed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed

SCHEME: Final = "oci://"
MANIFEST_MAX_BYTES: Final = 4 << 20
LAYERS_MAX: Final = 256
_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ACCEPT: Final = ", ".join((*_MANIFESTS, *_INDEXES))
_REFERENCE: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?|[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?)/"
    r"(?P<repo>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_PARAMETER: Final = re.compile(r'([A-Za-z_]{1,32})="([^"\\]{0,2000})"', re.ASCII)
_ENDINGS: Final = {"tar+gzip": ".tar.gz", "tar.gzip": ".tar.gz", "tar": ".tar", "json": ".json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Attributes:
    tag: empty where only a digest names it.
    digest: that the manifest has to have; None where the tag decides.
    """

    host: str
    repo: str
    tag: str
    digest: Digest | None

    @property
    def asked(self) -> str:
        return str(self.digest) if self.digest is not None else self.tag

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{SCHEME}{self.host}/{self.repo}{tag}{f'@{self.digest}' if self.digest else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A part of an image. `name`: of its file in the bundle; `manifest`: it is one itself."""

    name: str
    digest: Digest
    size: int
    manifest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a registry asks for. `scheme`: bearer or basic; the rest is of bearer."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def parse_reference(text: str) -> Reference:
    """Read `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:...]`. Raises `Malformed`."""
    found = _REFERENCE.fullmatch(text.removeprefix(SCHEME)) if text.startswith(SCHEME) else None
    if found is None or not (found["tag"] or found["digest"]):
        raise Malformed(
            "expected oci://HOST[:PORT]/REPOSITORY:TAG, or @sha256:<64 hex digits>, found "
            f"{text[:200]!r}",
            where="bundle",
        )
    digest = None if found["digest"] is None else Digest.parse(found["digest"])
    return Reference(
        host=found["host"].lower(), repo=found["repo"], tag=found["tag"] or "", digest=digest
    )


def parse_manifest(content: bytes, *, where: str) -> tuple[Blob, ...]:
    """What the manifest of an image, or an index of several, is made of, in its order.

    Raises:
        Malformed: not one, or it names other than SHA-256, or too many parts.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"expected JSON: {error}", where=where) from None
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        raise Malformed("expected a manifest with schemaVersion 2", where=where)
    if isinstance(document.get("manifests"), list):
        return _parts(document["manifests"], where=f"{where}, manifests", manifest=True)
    layers = document.get("layers")
    if not isinstance(document.get("config"), dict) or not isinstance(layers, list):
        raise Malformed("expected config and layers, or manifests", where=where)
    config = _part(document["config"], "config.json", where=f"{where}, config")
    return (config, *_parts(layers, where=f"{where}, layers", manifest=False))


def _parts(found: list[Any], *, where: str, manifest: bool) -> tuple[Blob, ...]:
    if not 1 <= len(found) <= LAYERS_MAX:
        raise Malformed(f"expected 1 to {LAYERS_MAX}, found {len(found)}", where=where)
    parts = []
    for number, one in enumerate(found, start=1):
        spot = f"{where} {number}"
        if not isinstance(one, dict):
            raise Malformed("expected an object", where=spot)
        name = f"{'manifest' if manifest else 'layer'}-{number:03d}{_ending(one)}"
        parts.append(_part(one, name, where=spot, manifest=manifest))
    return tuple(parts)


def _part(one: Mapping[str, Any], name: str, *, where: str, manifest: bool = False) -> Blob:
    size, digest = one.get("size"), one.get("digest")
    if not isinstance(digest, str):
        raise Malformed(f"expected a digest, found {str(digest)[:80]!r}", where=where)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise Malformed(f"expected a size in bytes, found {str(size)[:80]!r}", where=where)
    try:
        parsed = Digest.parse(digest)
    except Malformed as error:
        raise Malformed(str(error)[:200], where=where) from None
    return Blob(name=name, digest=parsed, size=size, manifest=manifest)


def _ending(one: Mapping[str, Any]) -> str:
    media_type = str(one.get("mediaType", ""))
    return next((end for key, end in _ENDINGS.items() if media_type.endswith(key)), "")


def parse_challenge(text: str) -> Challenge:
    """Read `WWW-Authenticate`. Raises `Malformed` for any other kind than bearer and basic."""
    scheme, _, rest = text.strip().partition(" ")
    given = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
    match scheme.lower():
        case "basic":
            return Challenge(scheme="basic")
        case "bearer" if given.get("realm"):
            return Challenge(
                scheme="bearer",
                realm=given["realm"],
                service=given.get("service", ""),
                scope=given.get("scope", ""),
            )
        case _:
            raise Malformed(
                f"expected Bearer with a realm, or Basic, found {text[:80]!r}",
                where="WWW-Authenticate",
            )
