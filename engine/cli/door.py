"""The way to the API: over HTTP where a server runs, else the same application in this process.

A command knows one door and one set of addresses. Which of the two it is was decided when it was
opened; only following a run's events needs a server, since nothing moves on a stopped home.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx

from engine.cli.answers import Answers
from engine.cli.call import Call
from engine.cli.exits import BAD_CONFIG, UNREACHABLE, Ended
from engine.core.errors import UnsafeConfig
from engine.home import holder, is_loopback, read_server_file

PREFIX: Final = "/api/v1"
_TIMEOUT_S: Final = 60.0
# A server that is starting holds its home before it answers; another command is soon done.
_BUSY_S: Final = 15.0


class Door(Protocol):
    """`get` and `post` give the JSON of the answer, or end the command with what the API said."""

    def get(self, path: str, **params: Any) -> Any: ...
    def whole(self, path: str, *, of: str = "items", **params: Any) -> Any:
        """A list with the items of all its pages."""
        ...

    def post(self, path: str, body: Any = None, *, key: str = "", **more: Any) -> Any: ...
    def delete(self, path: str, **params: Any) -> Any: ...
    def download(self, path: str, **params: Any) -> tuple[str, bytes]:
        """The file name that the server gives it, and the bytes."""
        ...

    def stream(
        self, path: str, *, headers: Mapping[str, str], timeout_s: float
    ) -> AbstractContextManager[httpx.Response]:
        """An open answer of server-sent events. Raises `httpx.TransportError`."""
        ...

    def renew(self) -> None:
        """Look again where the server is: a restarted one may answer elsewhere."""
        ...

    def close(self) -> None: ...


class Remote(Answers):
    """Args:
    locate: where the server is and the token to show it; called again after a lost connection.
    """

    def __init__(self, locate: Callable[[], tuple[str, str]]) -> None:
        self._locate = locate
        self._http = self._client()

    @property
    def url(self) -> str:
        """The server's address, without the API's prefix."""
        return str(self._http.base_url).rstrip("/").removesuffix(PREFIX)

    def renew(self) -> None:
        fresh = self._client()
        self._http.close()
        self._http = fresh

    def close(self) -> None:
        self._http.close()

    def stream(
        self, path: str, *, headers: Mapping[str, str], timeout_s: float
    ) -> AbstractContextManager[httpx.Response]:
        limits = httpx.Timeout(timeout_s, connect=min(5.0, timeout_s))
        return self._http.stream("GET", path, headers=dict(headers), timeout=limits)

    def save(self, path: str, target: Path) -> None:
        """Write an answer to a file, piece by piece: it may be larger than the memory."""
        try:
            with self._http.stream("GET", path) as answer:
                if not answer.is_success:
                    answer.read()
                    self.checked(answer)
                with target.open("wb") as file:
                    file.writelines(answer.iter_bytes())
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **more)
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def _silent(self, error: httpx.TransportError) -> Ended:
        return Ended(
            UNREACHABLE,
            f"No answer from {self.url}: {str(error) or type(error).__name__}.",
            hint="Is the server running? `releaseline serve` starts it; then try again.",
        )

    def _client(self) -> httpx.Client:
        url, token = self._locate()
        return httpx.Client(
            base_url=url.rstrip("/") + PREFIX,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=_TIMEOUT_S,
            # A proxy is for servers elsewhere, never for this machine.
            trust_env=not _is_local(url),
            # The authorities take longer to read than an answer; without TLS nobody needs them.
            verify=url.startswith("https:"),
        )


@contextmanager
def open_door(call: Call) -> Iterator[Door]:
    """The door of this invocation, closed again at the end.

    Raises:
        Ended: the server is named in a way that would give the token away.
        UnsafeConfig: the home can't be opened.
    """
    door = _open(call)
    try:
        yield door
    finally:
        door.close()


@contextmanager
def open_remote(call: Call) -> Iterator[Remote | None]:
    """The server of this invocation; None where none runs on the home. Raises as `open_door`."""
    remote = _remote(call)
    try:
        yield remote
    finally:
        if remote is not None:
            remote.close()


def _remote(call: Call) -> Remote | None:
    if call.remote:
        return Remote(lambda: (_safe(call.remote, call.token), call.token))
    if _find(call.home):
        return Remote(lambda: _locate(call))
    return None


def _open(call: Call) -> Door:
    remote = _remote(call)
    if remote is not None:
        return remote
    from engine.cli.local import Local  # noqa: PLC0415 (brings the whole engine: a second)

    return Local(call.home, call.token)


def _find(home: Path) -> bool:
    """True when a server runs on the home. Waits for one that is starting, or for a command."""
    deadline_s = time.monotonic() + _BUSY_S
    while time.monotonic() < deadline_s:
        if read_server_file(home) is not None:
            return True
        if holder(home) is None:
            return False
        time.sleep(0.1)
    raise UnsafeConfig(
        f"{home}: process {holder(home)} has this home open and answers nowhere.",
        hint="Wait for it or stop it.",
    )


def _locate(call: Call) -> tuple[str, str]:
    server = read_server_file(call.home)
    if server is None:
        raise Ended(UNREACHABLE, f"No server runs on {call.home} now.", hint="Try again later.")
    return server.url, call.token or local_token(call.home)


def local_token(home: Path) -> str:
    """The token of whoever has a shell on this home; empty when it can't be read."""
    try:
        return (home / "keys" / "local-token").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _safe(url: str, token: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Ended(BAD_CONFIG, f"--server: expected http(s)://HOST[:PORT], found {url!r}")
    if parts.scheme == "http" and token and not _is_local(url):
        raise Ended(
            BAD_CONFIG,
            f"--server: expected https:// for another machine, found {url!r}; "
            "the token would travel in the clear.",
        )
    return url


def _is_local(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")
