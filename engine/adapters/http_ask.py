"""One bounded HTTP question: a deadline over the whole exchange, a bound on the answer's size.

An HTTP library's timeout holds per read: a peer that sends a byte at a time outlives it for ever,
and a name server outlives both. So every question has a thread of its own, which may be left
behind. It is asked directly, whatever proxy the environment names, and a redirect is an answer like
any other: both could hand a token to somebody else.
"""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import httpx

from engine.core.errors import AdapterFailed
from engine.redact import redact

_LATE_S: Final = 0.25  # the thread's own deadline answers first, and says more
_TOLD_MAX: Final = 200
_CAUSES_MAX: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Attributes:
    headers, body: may hold secrets; neither is ever part of an error.
    ca: PEM file of the authorities to trust; empty = those of this machine.
    name: of the server, where `url` holds the address that was checked for it: what its
        certificate has to name. Empty = as in `url`.
    """

    url: str
    method: str = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    ca: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Attributes:
    headers: names in lower case.
    took_ms: from the question to the last byte.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    took_ms: int


def ask(question: Question, *, deadline_s: float, bytes_max: int, cut: bool = False) -> Reply:
    """Ask once, and return whatever was answered, of any status.

    Args:
        cut: what an answer has beyond `bytes_max` is not read, and no error.

    Raises:
        AdapterFailed: no whole answer within `deadline_s`; says why in one sentence, without a
            secret.
    """
    said: queue.SimpleQueue[Reply | AdapterFailed] = queue.SimpleQueue()

    def work() -> None:
        try:
            said.put(asyncio.run(_exchange(question, deadline_s, bytes_max, cut=cut)))
        except AdapterFailed as failed:
            said.put(failed)
        except Exception as error:
            said.put(AdapterFailed(f"could not be asked: {error!r}", transient=True))

    threading.Thread(target=work, name="question", daemon=True).start()
    try:
        outcome = said.get(timeout=deadline_s + _LATE_S)
    except queue.Empty:
        raise _late(deadline_s) from None
    if isinstance(outcome, AdapterFailed):
        raise AdapterFailed(short(str(outcome)), transient=outcome.transient)
    return outcome


def short(text: str, length_max: int = _TOLD_MAX) -> str:
    """What a peer said, fit to be kept for ever: without secrets, and of a bounded length."""
    kept = redact(text)
    return kept if len(kept) <= length_max else f"{kept[:length_max]}..."


async def _exchange(question: Question, deadline_s: float, bytes_max: int, *, cut: bool) -> Reply:
    # Unpacked answers would have no bound that is known beforehand.
    headers = {"Accept-Encoding": "identity", "Accept": "application/json", **question.headers}
    began_s = time.monotonic()
    try:
        async with (
            asyncio.timeout(deadline_s),
            httpx.AsyncClient(
                timeout=deadline_s,
                trust_env=False,
                follow_redirects=False,
                verify=_trust(question.ca),
            ) as client,
            client.stream(
                question.method,
                question.url,
                params=question.params or None,
                headers=headers,
                content=question.body or None,
                extensions={"sni_hostname": question.name} if question.name else None,
            ) as answer,
        ):
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise AdapterFailed("answers packed, unasked", transient=False)
            content = bytearray()
            async for piece in answer.aiter_raw():
                content += piece
                if cut and len(content) > bytes_max:
                    break
                if len(content) > bytes_max:
                    raise AdapterFailed(f"answers more than {_size(bytes_max)}", transient=False)
            return Reply(
                status=answer.status_code,
                headers={name.lower(): text for name, text in answer.headers.items()},
                content=bytes(content),
                took_ms=int((time.monotonic() - began_s) * 1000),
            )
    except (TimeoutError, httpx.TimeoutException):
        raise _late(deadline_s) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise AdapterFailed(f"cannot be reached: {_why(error)}", transient=True) from None


def _why(error: BaseException) -> str:
    """What the system says of it, where the libraries above only say that all attempts failed."""
    found: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        match found:
            case ssl.SSLCertVerificationError(verify_message=why):
                return f"its certificate is not trusted: {why}"
            case ssl.SSLError() | socket.gaierror():
                return found.strerror or str(found)
            case OSError(errno=int(number)) if number > 0:
                return os.strerror(number)
        found = None if found is None else found.__cause__ or found.__context__
    return str(error) or type(error).__name__


@cache
def _system() -> ssl.SSLContext:
    return ssl.create_default_context()  # the system's trust, SSL_CERT_FILE included


def _trust(ca: str) -> ssl.SSLContext:
    """Read anew where a file is named, because authorities are rotated like keys."""
    if not ca:
        return _system()
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or "no certificate in it"
        raise AdapterFailed(f"its authorities {ca} can't be read: {why}", transient=False) from None


def _size(count: int) -> str:
    return f"{count // 1024**2} MiB" if count >= 1024**2 else f"{count} bytes"


def _late(deadline_s: float) -> AdapterFailed:
    return AdapterFailed(f"gave no answer within {deadline_s:.1f} s", transient=True)
