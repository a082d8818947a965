"""Questions to the HTTP API of a Vault (or OpenBao), signed in by token, AppRole or a JWT of
Kubernetes.

A token that was lent by a sign-in is kept until four fifths of its time are over, and given up at
once when it is refused: the next question signs in anew.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from engine.adapters.http_ask import Question, Reply, ask, short
from engine.adapters.references import Secret, header_of
from engine.core.errors import AdapterFailed
from engine.redact import learn

_BYTES_MAX: Final = 4 * 1024 * 1024
_LEASE_S_MIN: Final = 5.0


class VaultLogin(Protocol):
    """How a token is got. `own` is None where somebody has to be asked for it."""

    @property
    def own(self) -> Secret | None: ...

    def body(self) -> tuple[str, Mapping[str, str]]:
        """Path below /v1/ and body of the sign-in. Raises `AdapterFailed`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogin:
    token: Secret

    @property
    def own(self) -> Secret | None:
        return self.token

    def body(self) -> tuple[str, Mapping[str, str]]:
        raise AdapterFailed("its token is given, and not asked for", transient=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRoleLogin:
    """`mount`: where the auth method is mounted, `approle` unless somebody chose another."""

    role_id: Secret
    secret_id: Secret
    mount: str

    @property
    def own(self) -> Secret | None:
        return None

    def body(self) -> tuple[str, Mapping[str, str]]:
        return f"auth/{self.mount}/login", {
            "role_id": self.role_id(),
            "secret_id": self.secret_id(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesLogin:
    """`jwt`: the service account's token, as Kubernetes mounts it."""

    role: str
    jwt: Secret
    mount: str

    @property
    def own(self) -> Secret | None:
        return None

    def body(self) -> tuple[str, Mapping[str, str]]:
        return f"auth/{self.mount}/login", {"role": self.role, "jwt": self.jwt()}


class VaultHttp:
    """Usable from several threads."""

    def __init__(self, url: str, *, login: VaultLogin, namespace: str = "", ca: str = "") -> None:
        self.url = url.rstrip("/")
        self._login, self._ca = login, ca
        self._headers = {"X-Vault-Request": "true"}
        if namespace:
            self._headers["X-Vault-Namespace"] = namespace
        self._lock = threading.Lock()
        self._token, self._until_s = "", 0.0

    def get(self, path: str, *, deadline_s: float) -> Reply:
        """GET `path` below /v1/ with a token; whatever is answered.

        Raises:
            AdapterFailed: no answer within `deadline_s`, sign-in included, or none to sign in with.
        """
        ends_s = time.monotonic() + deadline_s
        token = self._bearer(ends_s)
        reply = self._ask(path, ends_s, token=token)
        if reply.status == 403 and self._login.own is None:
            with self._lock:
                if self._token == token:
                    self._token = ""
        return reply

    def seal_status(self, *, deadline_s: float) -> Reply:
        """What the server says of its own health, of any status; no token is sent."""
        return self._ask("sys/health", time.monotonic() + deadline_s)

    def _ask(self, path: str, ends_s: float, *, token: str = "", body: bytes = b"") -> Reply:
        left_s = ends_s - time.monotonic()
        if left_s <= 0:
            raise AdapterFailed("gave no answer in time", transient=True)
        question = Question(
            url=f"{self.url}/v1/{path}",
            method="POST" if body else "GET",
            headers={**self._headers, **({"X-Vault-Token": token} if token else {})},
            body=body,
            ca=self._ca,
        )
        return ask(question, deadline_s=left_s, bytes_max=_BYTES_MAX)

    def _bearer(self, ends_s: float) -> str:
        if self._login.own is not None:
            return header_of(self._login.own(), what="token")
        with self._lock:
            if self._token and time.monotonic() < self._until_s:
                return self._token
        path, body = self._login.body()
        reply = self._ask(path, ends_s, body=json.dumps(body).encode())
        if reply.status != 200:
            raise AdapterFailed(
                f"does not let us in ({path}): {refusal(reply)}", transient=reply.status >= 500
            )
        auth = answer_of(reply, "auth")
        token, lease_s = auth.get("client_token"), auth.get("lease_duration")
        if not isinstance(token, str) or not isinstance(lease_s, int) or isinstance(lease_s, bool):
            raise AdapterFailed("expected a token and its time, found others", transient=False)
        learn(token)
        with self._lock:
            self._token = header_of(token, what="token")
            # A lease of 0 s does not end.
            kept_s = max(_LEASE_S_MIN, 0.8 * lease_s) if lease_s else float("inf")
            self._until_s = time.monotonic() + kept_s
            return self._token


def answer_of(reply: Reply, key: str) -> Mapping[str, Any]:
    """The mapping `key` of an answer. Raises `AdapterFailed` for anything else."""
    try:
        document = json.loads(reply.content)
    except (ValueError, RecursionError):
        document = None
    part = document.get(key) if isinstance(document, dict) else None
    if not isinstance(part, dict):
        raise AdapterFailed(
            f"status {reply.status}: expected an answer with `{key}`, found "
            f"{short(repr(reply.content[:200].decode('utf-8', 'replace')), 60)}",
            transient=reply.status >= 500,
        )
    return part


def refusal(reply: Reply) -> str:
    """Status and what the server says of it, without a secret."""
    if 300 <= reply.status < 400:
        return f"status {reply.status}: redirects are not followed; url has to be the last address"
    try:
        errors = json.loads(reply.content)["errors"]
        told = "; ".join(str(one).strip() for one in errors)
    except (ValueError, KeyError, TypeError, RecursionError):
        told = ""
    return f"status {reply.status}" + (f", {short(' '.join(told.split()))}" if told else "")
