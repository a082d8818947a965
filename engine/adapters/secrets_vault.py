"""Inputs from the KV store, version 2, of a Vault or OpenBao."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from engine.adapters.http_ask import Reply
from engine.adapters.secret_value import resolved
from engine.adapters.vault_http import VaultHttp, answer_of, refusal
from engine.core.errors import AdapterFailed, NotFound
from engine.ports import ResolvedInput

_FORM: Final = "vault:MOUNT/PATH#FIELD"


class VaultSecrets:
    """`SecretSource` for `vault:<mount>/<path>#<field>`; without a field it is the input's name.

    A field that is no text is taken as its JSON.
    """

    def __init__(self, key: bytes, vault: VaultHttp) -> None:
        self._key, self._vault = key, vault

    @property
    def scheme(self) -> str:
        return "vault"

    def resolve(self, name: str, path: str, *, deadline_s: float) -> ResolvedInput:
        place, _, field = path.partition("#")
        mount, _, inner = place.partition("/")
        field = field or name
        if not mount or not inner or inner.endswith("/"):
            raise AdapterFailed(f"expected {_FORM}, found vault:{path}", transient=False)
        asked = f"{quote(mount, safe='')}/data/{quote(inner, safe='/')}"
        ends_s = time.monotonic() + deadline_s
        try:
            reply = self._vault.get(asked, deadline_s=deadline_s)
            if reply.status == 404:
                self._of_version_2(mount, ends_s - time.monotonic())
            data, version = _read(reply, f"vault:{place}")
        except AdapterFailed as failed:
            raise AdapterFailed(
                f"Vault, {name} (vault:{path}): {failed}", transient=failed.transient
            ) from failed
        if field not in data:
            raise NotFound(f"There is no field {field} in vault:{place}, version {version}.")
        value = data[field]
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        return resolved(
            self._key, name, f"vault:{path}", text.encode("utf-8", "surrogatepass"), version=version
        )

    def _of_version_2(self, mount: str, deadline_s: float) -> None:
        """A store of version 1 knows nothing at our address, whatever it holds."""
        reply = self._vault.get(
            f"sys/internal/ui/mounts/{quote(mount, safe='')}", deadline_s=deadline_s
        )
        if reply.status == 200:
            options = answer_of(reply, "data").get("options") or {}
            if options.get("version") != "2":
                raise AdapterFailed(
                    f"expected a KV store of version 2 at {mount}, found another", transient=False
                )


def _read(reply: Reply, where: str) -> tuple[Mapping[str, Any], str]:
    """The fields and their version. Raises `NotFound`, or `AdapterFailed` for no answer."""
    if reply.status == 404:
        _missing(reply, where)
    if reply.status != 200:
        raise AdapterFailed(refusal(reply), transient=reply.status >= 500 or reply.status == 429)
    outer = answer_of(reply, "data")
    data, metadata = outer.get("data"), outer.get("metadata")
    if "metadata" not in outer or not isinstance(metadata, dict):
        raise AdapterFailed("expected a KV store of version 2, found another", transient=False)
    version = metadata.get("version")
    if data is None:
        raise NotFound(f"Version {version} of {where} was deleted.")
    if not isinstance(data, dict) or not isinstance(version, int):
        raise AdapterFailed("expected fields and their version, found others", transient=False)
    return data, str(version)


def _missing(reply: Reply, where: str) -> None:
    """A 404 of the store itself: `errors` is empty, or the version is deleted.

    One that names an error is about the mount or the address, which proves nothing about a value;
    nor does a page that somebody in between sends.
    """
    try:
        document = json.loads(reply.content)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict) and document.get("errors") == []:
        raise NotFound(f"There is nothing at {where}.")
    data = document.get("data") if isinstance(document, dict) else None
    if isinstance(data, dict) and isinstance(data.get("metadata"), dict):
        version = data["metadata"].get("version")
        raise NotFound(f"Version {version} of {where} was deleted.")
    raise AdapterFailed(refusal(reply), transient=False)
