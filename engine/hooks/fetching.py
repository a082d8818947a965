"""Fetches what a call names to make a bundle of: from allowed places only, checked by digest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from engine.adapters.guarded_http import GuardedHttp
from engine.catalog import BundleFiles
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, Refused
from engine.core.hook_presets import RemoteFile, Wish
from engine.core.outbound import Address, Allowed, read_address

_FILE_BYTES_MAX: Final = 200 * 1024 * 1024
_MANIFEST_BYTES_MAX: Final = 4 * 1024 * 1024
_DEADLINE_S: Final = 120.0
_LAYERS_MAX: Final = 100
_TITLE: Final = "org.opencontainers.image.title"
_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class Fetcher:
    """Args:
    sources: beginnings of addresses; what lies elsewhere is refused.
    token: sent to them; empty = none.
    """

    def __init__(
        self, http: GuardedHttp, allowed: Allowed, sources: Sequence[str], token: str
    ) -> None:
        self._http, self._allowed, self._token = http, allowed, token
        self._sources = [read_address(one, allowed, where="from") for one in sources]

    def files(self, wish: Wish, into: Path) -> BundleFiles:
        """The files of a bundle, fetched into the folder.

        Raises:
            Refused: an address is not below an allowed source.
            Malformed: what is there is not what its digest says, or no manifest.
            AdapterFailed: it could not be fetched.
        """
        remote = wish.files
        if wish.manifest is not None:
            remote = self._layers(wish.manifest)
        components, sboms = list[Path](), list[Path]()
        for number, one in enumerate(remote):
            folder = into / str(number)
            folder.mkdir()
            path = folder / one.name
            path.write_bytes(self._get(one, _FILE_BYTES_MAX))
            (sboms if one.kind == "sbom" else components).append(path)
        return BundleFiles(
            name=wish.name,
            version=wish.version,
            components=tuple(components),
            sboms=tuple(sboms),
        )

    def _layers(self, manifest: RemoteFile) -> tuple[RemoteFile, ...]:
        """The layers of an OCI manifest, which was fetched and has its digest."""
        document = json.loads(self._get(manifest, _MANIFEST_BYTES_MAX, accept=_MANIFESTS))
        layers = document.get("layers") if isinstance(document, dict) else None
        if not isinstance(layers, list) or not 0 < len(layers) <= _LAYERS_MAX:
            raise Malformed(
                f"expected an OCI manifest with 1 to {_LAYERS_MAX} layers, found another document "
                "(an index names several; push the one that is meant)",
                where=f"manifest {manifest.digest.short}",
            )
        place, _, _ = manifest.url.rpartition("/manifests/")
        return tuple(_layer(one, place, n, manifest.name) for n, one in enumerate(layers, 1))

    def _get(self, one: RemoteFile, bytes_max: int, *, accept: Sequence[str] = ("*/*",)) -> bytes:
        address = read_address(one.url, self._allowed, where=one.name)
        if not any(_below(address, source) for source in self._sources):
            raise Refused(
                f"{address.shown(whole=True)} is not below a source of this hook.", code="source"
            )
        headers = {"Accept": ", ".join(accept)}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        reply = self._http.ask(
            "GET", one.url, headers=headers, deadline_s=_DEADLINE_S, bytes_max=bytes_max
        )
        if reply.status != 200:
            raise AdapterFailed(
                f"{address.shown(whole=True)}: status {reply.status}",
                transient=reply.status >= 500,
            )
        found = Digest.of(reply.content)
        if found != one.digest:
            raise Malformed(
                f"digest mismatch: expected {one.digest}, found {found}", where=one.name
            )
        return reply.content


def _layer(one: object, place: str, number: int, name: str) -> RemoteFile:
    where = f"layers[{number - 1}]"
    if not isinstance(one, Mapping):
        raise Malformed("expected an object, found another value", where=where)
    digest = Digest.parse(str(one.get("digest")))
    return RemoteFile(name=_title(one, number, name), url=f"{place}/blobs/{digest}", digest=digest)


def _title(layer: Mapping[str, Any], number: int, name: str) -> str:
    """The file name that whoever pushed it gave it, without any folder; else one of ours."""
    annotations = layer.get("annotations")
    title = annotations.get(_TITLE) if isinstance(annotations, Mapping) else None
    plain = PurePosixPath(str(title or "")).name
    return plain if plain not in {"", ".", ".."} and plain.isprintable() else f"{name}-{number}.tar"


def _below(address: Address, source: Address) -> bool:
    same = (address.scheme, address.host, address.port) == (
        source.scheme, source.host, source.port,
    )  # fmt: skip
    path = address.target.partition("?")[0]
    plain = "%" not in path and not {".", ".."} & set(path.split("/"))
    folder = source.target.rstrip("/") + "/"
    return same and plain and path.startswith(folder)
