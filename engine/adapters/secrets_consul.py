"""Inputs from the KV store of a Consul."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final
from urllib.parse import quote

from engine.adapters.http_ask import Question, Reply, ask, short
from engine.adapters.references import Secret, header_of
from engine.adapters.secret_value import resolved
from engine.core.errors import AdapterFailed, NotFound
from engine.ports import ResolvedInput

_BYTES_MAX: Final = 4 * 1024 * 1024


class ConsulHttp:
    """Questions to the HTTP API of a Consul. Usable from several threads."""

    def __init__(
        self, url: str, *, token: Secret | None = None, datacenter: str = "", ca: str = ""
    ) -> None:
        self.url = url.rstrip("/")
        self._token, self._datacenter, self._ca = token, datacenter, ca

    def get(self, path: str, *, deadline_s: float) -> Reply:
        """GET `path` below /v1/; whatever is answered. Raises `AdapterFailed` for no answer."""
        headers = {}
        if self._token is not None:
            headers["X-Consul-Token"] = header_of(self._token(), what="token")
        # The leader's own answer: a follower's may be of yesterday, also when it says "nothing".
        params = {"consistent": ""} | ({"dc": self._datacenter} if self._datacenter else {})
        question = Question(
            url=f"{self.url}/v1/{path}", params=params, headers=headers, ca=self._ca
        )
        return ask(question, deadline_s=deadline_s, bytes_max=_BYTES_MAX)


class ConsulConfig:
    """`SecretSource` for `consul:<key>`; the version is the key's modify index."""

    def __init__(self, key: bytes, consul: ConsulHttp) -> None:
        self._key, self._consul = key, consul

    @property
    def scheme(self) -> str:
        return "consul"

    def resolve(self, name: str, path: str, *, deadline_s: float) -> ResolvedInput:
        try:
            reply = self._consul.get(f"kv/{quote(path, safe='/')}", deadline_s=deadline_s)
            value, index = _read(reply, path)
        except AdapterFailed as failed:
            raise AdapterFailed(
                f"Consul, {name} (consul:{path}): {failed}", transient=failed.transient
            ) from failed
        return resolved(self._key, name, f"consul:{path}", value, version=str(index))


def _read(reply: Reply, path: str) -> tuple[bytes, int]:
    """The value and its modify index. Raises `NotFound`, or `AdapterFailed` for no answer."""
    # A store that knows nothing there sends its index and no content; somebody in between does not.
    if reply.status == 404 and not reply.content and "x-consul-index" in reply.headers:
        raise NotFound(f"There is nothing at consul:{path}.")
    if reply.status != 200:
        raise AdapterFailed(
            consul_refusal(reply), transient=reply.status >= 500 or reply.status == 429
        )
    try:
        document = json.loads(reply.content)
    except (ValueError, RecursionError):
        document = None
    entry: Any = document[0] if isinstance(document, list) and len(document) == 1 else None
    if not isinstance(entry, dict) or entry.get("Key") != path:
        raise AdapterFailed(f"expected the one key {path}, found something else", transient=False)
    index, coded = entry.get("ModifyIndex"), entry.get("Value")
    if not isinstance(index, int) or not isinstance(coded, str | None):
        raise AdapterFailed("expected a value and its index, found others", transient=False)
    try:
        return base64.b64decode(coded or "", validate=True), index  # null: it is empty
    except binascii.Error:
        raise AdapterFailed("expected a value in base64, found another", transient=False) from None


def consul_refusal(reply: Reply) -> str:
    """Status and what the server says of it, without a secret."""
    if 300 <= reply.status < 400:
        return f"status {reply.status}: redirects are not followed; url has to be the last address"
    told = " ".join(reply.content[:400].decode("utf-8", "replace").split())
    return f"status {reply.status}" + (f", {short(told)}" if told else "")
