"""Questions to the HTTP API of a Prometheus, each with a deadline over the whole exchange.

An HTTP library's timeout holds per read: a peer that sends a byte at a time outlives it for ever,
and a name server outlives both. So every question has a thread of its own, which may be left
behind. What comes back is bounded in size and is an answer of the API, or it is refused.
"""

from __future__ import annotations

import asyncio
import json
import queue
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx

from engine.core.errors import AdapterFailed

ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
_NOTE_MAX: Final = 200
_LATE_S: Final = 0.25  # the thread's own deadline answers first, and says more
_REFUSED: Final = frozenset({401, 403})

Token = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`warnings` is not empty when the source itself says that its answer is not whole."""

    data: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


class PrometheusHttp:
    """Usable from several threads. `token` is read anew for each question, so it may be rotated.

    It is asked directly, whatever proxy the environment names, and a redirect is not followed:
    both could hand the token to somebody else.
    """

    def __init__(self, url: str, *, token: Token | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token

    def ask(self, path: str, params: Mapping[str, str], *, deadline_s: float) -> Answer:
        """GET `path` of the API.

        Raises:
            AdapterFailed: no whole, readable answer within `deadline_s`; says why in one sentence,
                without the token.
        """
        token = self._bearer()
        said: queue.SimpleQueue[tuple[int, bytes] | AdapterFailed] = queue.SimpleQueue()

        def work() -> None:
            try:
                said.put(asyncio.run(self._exchange(path, params, token, deadline_s)))
            except AdapterFailed as failed:
                said.put(failed)
            except Exception as error:
                said.put(AdapterFailed(f"could not be asked: {error!r}", transient=True))

        threading.Thread(target=work, name="prometheus", daemon=True).start()
        try:
            outcome = said.get(timeout=deadline_s + _LATE_S)
        except queue.Empty:
            raise _late(deadline_s) from None
        if isinstance(outcome, AdapterFailed):
            told = _told(str(outcome), token)
            raise AdapterFailed(told, transient=outcome.transient)
        return _read(*outcome, token)

    def _bearer(self) -> str:
        token = "" if self._token is None else self._token()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise AdapterFailed("the token holds characters that no token has", transient=False)
        return token

    async def _exchange(
        self, path: str, params: Mapping[str, str], token: str, deadline_s: float
    ) -> tuple[int, bytes]:
        # Unpacked answers would have no bound that is known beforehand.
        headers = {"Accept-Encoding": "identity", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with (
                asyncio.timeout(deadline_s),
                httpx.AsyncClient(
                    timeout=deadline_s, trust_env=False, follow_redirects=False, verify=_trust()
                ) as client,
                client.stream("GET", self._url + path, params=params, headers=headers) as answer,
            ):
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise AdapterFailed("answers packed, unasked", transient=False)
                content = bytearray()
                async for piece in answer.aiter_raw():
                    content += piece
                    if len(content) > ANSWER_BYTES_MAX:
                        raise AdapterFailed(
                            f"answers more than {ANSWER_BYTES_MAX // 1024**2} MiB", transient=False
                        )
                return answer.status_code, bytes(content)
        except (TimeoutError, httpx.TimeoutException):
            raise _late(deadline_s) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            why = str(error) or type(error).__name__
            raise AdapterFailed(f"cannot be reached: {why}", transient=True) from None


def token_from(reference: str, home: Path, env: Mapping[str, str]) -> Token:
    """Read the token where `reference` says: `env:NAME`, or `file:PATH` below `home`."""
    scheme, _, place = reference.partition(":")

    def read() -> str:
        try:
            text = (home / place).read_text() if scheme == "file" else env.get(place, "")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not a text"
            raise AdapterFailed(
                f"its token {reference} can't be read: {why}", transient=True
            ) from None
        if not text.strip():
            raise AdapterFailed(f"its token {reference} is not there", transient=True)
        return text.strip()

    return read


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()  # the system's trust, SSL_CERT_FILE included


def _late(deadline_s: float) -> AdapterFailed:
    return AdapterFailed(f"gave no answer within {deadline_s:.1f} s", transient=True)


def _read(status: int, content: bytes, token: str) -> Answer:
    """The data of an answer of the API. Raises `AdapterFailed` for every other one."""
    if 300 <= status < 400:
        raise AdapterFailed(
            f"status {status}: redirects are not followed, so `url` has to be the last address",
            transient=False,
        )
    if status in _REFUSED:
        raise AdapterFailed(f"status {status}: it does not accept the token", transient=False)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("status") not in ("success", "error"):
        start = repr(content[:1000].decode("utf-8", "replace"))
        raise AdapterFailed(
            f"status {status}: expected an answer of the Prometheus API, found "
            f"{_told(start, token, 60)}",
            transient=status >= 500,
        )
    if document["status"] == "error" or status != 200:
        why = f"{document.get('errorType', 'error')}: {document.get('error', '')}"
        raise AdapterFailed(f"status {status}, {_told(why, token)}", transient=status >= 500)
    data, warnings = document.get("data"), document.get("warnings") or []
    if not isinstance(data, dict) or not isinstance(warnings, list):
        raise AdapterFailed("expected `data` and a list of `warnings`", transient=False)
    return Answer(data=data, warnings=tuple(_told(str(one), token) for one in warnings))


def _told(text: str, token: str, length_max: int = _NOTE_MAX) -> str:
    """What a peer said, fit to be kept for ever: short, and without the token sent back to us."""
    kept = text.replace(token, "(token)") if token else text
    return kept if len(kept) <= length_max else f"{kept[:length_max]}..."
