"""Images out of an OCI registry, over the one guarded way out, every byte hashed on arrival.

A redirect is followed for parts alone, at most three times, and without what we signed in with;
what lies there has to have the digest that the manifest names. A manifest is never redirected.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urljoin, urlsplit

from engine.adapters.guarded_http import GuardedHttp
from engine.adapters.http_ask import Reply
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, NotFound, Unauthenticated
from engine.core.oci import (
    ACCEPT,
    MANIFEST_MAX_BYTES,
    Blob,
    Reference,
    parse_challenge,
    parse_manifest,
)

PART_MAX_BYTES: Final = 200 << 20
IMAGE_MAX_BYTES: Final = 1 << 30
DEADLINE_S: Final = 300.0
_TOKEN_MAX_BYTES: Final = 64 << 10
_REDIRECTS_MAX: Final = 3
_MOVED: Final = frozenset({301, 302, 303, 307, 308})


class DigestMismatch(AdapterFailed):
    """What arrived is not what its digest names."""

    def __init__(self, what: str, *, expected: str, found: str) -> None:
        super().__init__(
            f"{what}: digest mismatch: expected {expected}, got {found}", transient=False
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """Attributes:
    digest: of the manifest's bytes, which the tag meant at this moment.
    files: the manifest first, then its parts.
    """

    digest: Digest
    files: tuple[Path, ...]


@dataclass(slots=True)
class Registry:
    """One registry, for one image. Not for several threads.

    Args:
        secure: https; else plain http, which the way out lets pass for listed hosts alone.
        deadline_s: for everything together.
    """

    http: GuardedHttp
    host: str
    user: str = ""
    password: str = field(default="", repr=False)
    secure: bool = True
    deadline_s: float = DEADLINE_S
    part_max_bytes: int = PART_MAX_BYTES
    image_max_bytes: int = IMAGE_MAX_BYTES
    _signed: str = field(default="", repr=False)
    _ends_s: float = 0.0

    def pull(self, wanted: Reference, folder: Path) -> Pulled:
        """Resolve the reference once, and write the manifest and its parts to `folder`.

        Raises:
            NotFound: the registry has no such image.
            Unauthenticated: it lets us in neither with what we were given nor without.
            DigestMismatch: bytes that are not what their digest names.
            Malformed: no manifest of a kind that we read, or a part that is too large.
            AdapterFailed: no whole answer in time.
        """
        self._ends_s = time.monotonic() + self.deadline_s
        content, digest = self._manifest(wanted.repo, wanted.asked, wanted.digest, str(wanted))
        parts = parse_manifest(content, where=str(wanted))
        self._check_sizes(parts, str(wanted))
        name = "index.json" if parts[0].manifest else "manifest.json"
        files = [_written(folder / name, content)]
        for part in parts:
            where = f"{wanted}, {part.name}"
            if part.manifest:
                inner, _ = self._manifest(wanted.repo, str(part.digest), part.digest, where)
            else:
                inner = self._part(wanted.repo, part, where)
            files.append(_written(folder / part.name, inner))
        return Pulled(digest=digest, files=tuple(files))

    def _check_sizes(self, parts: tuple[Blob, ...], where: str) -> None:
        for part in parts:
            limit = MANIFEST_MAX_BYTES if part.manifest else self.part_max_bytes
            if part.size > limit:
                raise Malformed(
                    f"expected at most {limit} bytes, found {part.size}",
                    where=f"{where}, {part.name}",
                )
        whole = sum(part.size for part in parts)
        if whole > self.image_max_bytes:
            raise Malformed(
                f"expected at most {self.image_max_bytes} bytes in all, found {whole}", where=where
            )

    def _manifest(
        self, repo: str, asked: str, expected: Digest | None, where: str
    ) -> tuple[bytes, Digest]:
        reply = self._ask(f"/v2/{repo}/manifests/{asked}", MANIFEST_MAX_BYTES, where, ACCEPT)
        if reply.status in _MOVED:
            raise AdapterFailed(
                f"{where}: the registry redirects its manifest, which is not followed",
                transient=False,
            )
        digest = Digest.of(reply.content)
        said = reply.headers.get("docker-content-digest", "")
        for wanted in (said, "" if expected is None else str(expected)):
            if wanted.startswith("sha256:") and wanted != str(digest):
                raise DigestMismatch(where, expected=wanted, found=str(digest))
        return reply.content, digest

    def _part(self, repo: str, part: Blob, where: str) -> bytes:
        reply = self._ask(f"/v2/{repo}/blobs/{part.digest}", part.size, where, "*/*")
        url = self._url(f"/v2/{repo}/blobs/{part.digest}")
        for _ in range(_REDIRECTS_MAX):
            if reply.status not in _MOVED:
                break
            url = urljoin(url, reply.headers.get("location", ""))
            reply = self._once(url, part.size, {"Accept": "*/*"})
        if reply.status != 200:
            raise AdapterFailed(f"{where}: the answer was {reply.status}", transient=False)
        found = Digest.of(reply.content)
        if found != part.digest:
            raise DigestMismatch(where, expected=str(part.digest), found=str(found))
        return reply.content

    def _ask(self, path: str, bytes_max: int, where: str, accept: str) -> Reply:
        """Ask the registry itself, signing in when it wants that."""
        headers = {"Accept": accept}
        reply = self._once(self._url(path), bytes_max, headers | self._authorization())
        if reply.status == 401:
            self._sign_in(reply, where)
            reply = self._once(self._url(path), bytes_max, headers | self._authorization())
        if reply.status in {401, 403}:
            raise Unauthenticated(f"{where}: the registry lets us not in ({reply.status}).")
        if reply.status == 404:
            raise NotFound(f"{where}: the registry has no such image.")
        if reply.status != 200 and reply.status not in _MOVED:
            raise AdapterFailed(
                f"{where}: the registry answers {reply.status}", transient=reply.status >= 500
            )
        return reply

    def _sign_in(self, reply: Reply, where: str) -> None:
        challenge = parse_challenge(reply.headers.get("www-authenticate", ""))
        if challenge.scheme == "basic":
            if not self.user:
                raise Unauthenticated(f"{where}: the registry wants a user and a password.")
            self._signed = self._basic()
            return
        given = {"service": challenge.service, "scope": challenge.scope}
        query = urlencode({name: value for name, value in given.items() if value})
        mark = "&" if urlsplit(challenge.realm).query else "?"
        headers = {"Authorization": self._basic()} if self.user else {}
        answer = self._once(f"{challenge.realm}{mark}{query}", _TOKEN_MAX_BYTES, headers)
        if answer.status != 200:
            raise Unauthenticated(f"{where}: no token for it, the answer was {answer.status}.")
        try:
            document = json.loads(answer.content)
            token = document.get("token") or document["access_token"]
        except (ValueError, KeyError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise AdapterFailed(f"{where}: the answer holds no token", transient=False)
        self._signed = f"Bearer {token}"

    def _basic(self) -> str:
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return f"Basic {pair}"

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": self._signed} if self._signed else {}

    def _url(self, path: str) -> str:
        return f"{'https' if self.secure else 'http'}://{self.host}{path}"

    def _once(self, url: str, bytes_max: int, headers: Mapping[str, str]) -> Reply:
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise AdapterFailed(
                f"gave no whole image within {self.deadline_s:.0f} s", transient=True
            )
        return self.http.ask(
            "GET", url, headers=headers, deadline_s=left_s, bytes_max=max(bytes_max, 64 << 10)
        )


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
