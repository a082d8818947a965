"""A mirror of advisory files over HTTP: conditional requests, and a bound on all that it may do.

Every answer is bounded in bytes, every sync in time, redirects in number. A body that is not framed
by a length or by chunks is refused, because nobody could tell that its end is missing. A token goes
to the origin that it is for and to nobody else.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import quote, urlsplit

import httpx

from engine.core.errors import AdapterFailed
from engine.core.feed_events import Validator
from engine.inputs.feeds_unpack import FeedLimits

_CONNECT_S: Final = 10.0
_READ_S: Final = 30.0
_REDIRECTS_MAX: Final = 5
_TRIES: Final = 4
_WAIT_S_MAX: Final = 60.0
_TELL_EVERY_BYTES: Final = 1 << 20
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """A file, or the answer that it has not changed: then `content` is None."""

    content: bytes | None
    validator: Validator | None


class _Later(Exception):
    """Worth another try. `wait_s`: what the server asked for; 0 = it did not say."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class HttpMirror:
    """One feed's address, for one sync; not thread-safe.

    Args:
        base: address of the folder that places are below.
        secret: headers for this origin alone.
        pause_s: waited before every request but the first, where a server limits their rate.
        tell: told of progress: what is read, how far, of how much (0 = not known), in what unit.
    """

    def __init__(
        self,
        base: str,
        *,
        limits: FeedLimits,
        secret: Mapping[str, str] | None = None,
        pause_s: float = 0.0,
        tell: Tell = lambda what, done, of, unit: None,
    ) -> None:
        self._base = base.rstrip("/") + "/"
        self._limits, self._pause_s, self._tell = limits, pause_s, tell
        self._secret = dict(secret or {})
        self._asked = False
        self.bytes_read = 0
        self._client = httpx.Client(
            verify=_trust(),
            timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S),
            follow_redirects=False,
            # A proxy is for servers elsewhere, never for this machine.
            trust_env=(urlsplit(base).hostname or "") not in _LOOPBACK,
            headers={"Accept-Encoding": "identity", "User-Agent": "releaseline-feeds/1"},
        )
        self._ends_s = time.monotonic() + limits.deadline_s

    def close(self) -> None:
        self._client.close()

    def get(
        self,
        place: str,
        *,
        known: Validator | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> Got | None:
        """The file at `place`, or None when the mirror says that there is none.

        Args:
            known: of the file that is here; the answer may then be that it has not changed.

        Raises:
            AdapterFailed: no whole answer, after a few tries where another one may help.
        """
        url = httpx.URL(self._base.rstrip("/"))
        if place:
            url = httpx.URL(self._base).join(quote(place, safe="/+"))
        if params:
            url = url.copy_merge_params({name: str(value) for name, value in params.items()})
        tried = 0
        while True:
            tried += 1
            try:
                return self._follow(url, place, known)
            except _Later as later:
                wait_s = min(max(later.wait_s, 0.25 * 2**tried), _WAIT_S_MAX)
                if tried >= _TRIES or time.monotonic() + wait_s >= self._ends_s:
                    raise AdapterFailed(f"{_shown(url)}: {later}", transient=True) from None
                time.sleep(wait_s)

    def _follow(self, url: httpx.URL, place: str, known: Validator | None) -> Got | None:
        start, asked = url, url
        for _ in range(_REDIRECTS_MAX + 1):
            moved, got = self._ask(asked, place, known, own=_origin(asked) == _origin(start))
            if moved is None:
                return got
            asked = redirected(asked, moved)
        raise AdapterFailed(
            f"{_shown(start)}: expected at most {_REDIRECTS_MAX} redirects, found more",
            transient=False,
        )

    def _ask(
        self, url: httpx.URL, place: str, known: Validator | None, *, own: bool
    ) -> tuple[str | None, Got | None]:
        """Where it moved to, or what was got."""
        if self._asked and self._pause_s:
            time.sleep(self._pause_s)
        self._asked = True
        if time.monotonic() >= self._ends_s:
            raise self._late(url)
        headers = dict(self._secret) if own else {}
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        if known is not None and known.modified:
            headers["If-Modified-Since"] = known.modified
        try:
            with self._client.stream("GET", url, headers=headers) as answer:
                status = answer.status_code
                if status in _MOVED:
                    return answer.headers.get("location", ""), None
                if status == 304 and known is not None:
                    return None, Got(content=None, validator=known)
                if status in {404, 410}:
                    return None, None
                if status in _AGAIN:
                    raise _Later(f"status {status}", _retry_after(answer.headers))
                if status != 200:
                    raise AdapterFailed(f"{_shown(url)}: status {status}", transient=False)
                content = self._body(answer, url, place)
                return None, Got(content=content, validator=_validator(answer.headers, place))
        except httpx.TimeoutException as error:
            raise _Later(f"no answer in time ({type(error).__name__})") from error
        except httpx.RemoteProtocolError as error:
            raise _Later(f"the answer broke off: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _Later(f"cannot be reached: {error or type(error).__name__}") from error

    def _body(self, answer: httpx.Response, url: httpx.URL, place: str) -> bytes:
        headers = answer.headers
        if headers.get("content-encoding", "identity") != "identity":
            raise AdapterFailed(f"{_shown(url)}: it is sent packed, unasked", transient=False)
        chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length", "")
        if not chunked and not length.isdecimal():
            raise AdapterFailed(
                f"{_shown(url)}: expected Content-Length or chunks, found neither: nobody could "
                "tell a part from the whole",
                transient=False,
            )
        expected = int(length) if length.isdecimal() else 0
        self._bound(expected, url)
        content, told = bytearray(), 0
        for piece in answer.iter_raw():
            content += piece
            self._bound(len(content), url)
            if time.monotonic() >= self._ends_s:
                raise self._late(url)
            if len(content) - told >= _TELL_EVERY_BYTES:
                told = len(content)
                self._tell(place or "file", told, expected, "bytes")
        self.bytes_read += len(content)
        return bytes(content)

    def _late(self, url: httpx.URL) -> AdapterFailed:
        return AdapterFailed(
            f"{_shown(url)}: the sync did not end within {self._limits.deadline_s} s",
            transient=True,
        )

    def _bound(self, size: int, url: httpx.URL) -> None:
        if size > self._limits.file_bytes:
            raise AdapterFailed(
                f"{_shown(url)}: expected at most {self._limits.file_bytes} bytes, found more",
                transient=False,
            )


def redirected(asked: httpx.URL, location: str) -> httpx.URL:
    """Where an answer sends us. Raises `AdapterFailed` for nowhere, and for out of https."""
    try:
        url = asked.join(location)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    if not location or url.scheme not in {"http", "https"} or not url.host:
        raise AdapterFailed(
            f"{_shown(asked)}: it redirects to {location[:100]!r}, which is no address",
            transient=False,
        )
    if url.scheme == "http" and asked.scheme == "https":
        raise AdapterFailed(
            f"{_shown(asked)}: it redirects from https to {_shown(url)}", transient=False
        )
    return url


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _shown(url: httpx.URL) -> str:
    """The address as it may be told: without user, password and query."""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{url.host}{port}{url.path}"


def _validator(headers: httpx.Headers, place: str) -> Validator | None:
    etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
    if not etag and not modified:
        return None
    return Validator(place=place, etag=etag[:200], modified=modified[:100])


def _retry_after(headers: httpx.Headers) -> float:
    text = headers.get("retry-after", "")
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()  # the system's trust, SSL_CERT_FILE included
