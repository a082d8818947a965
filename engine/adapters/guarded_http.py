"""HTTP to addresses that users name: the one way out for all of them.

The name is looked up once, every IP that it stands for is judged (`engine.core.outbound`), and the
connection goes to a judged IP, with the name in Host and in the certificate's check. A name server
that says something else a moment later is not asked again.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from engine.adapters.http_ask import Question, Reply, ask, short
from engine.core.errors import AdapterFailed, Malformed
from engine.core.hook_book import Answer
from engine.core.outbound import Address, Allowed, checked, read_address
from engine.ports_notified import Letter

ANSWER_BYTES_MAX: Final = 1024 * 1024
_SAID_MAX: Final = 200
_LOOK_UP_S: Final = 3.0

Resolve = Callable[[str, int], Sequence[str]]


class AddressRefused(AdapterFailed):
    """The address leads where nobody may have us go. It was not asked."""

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=False)


class GuardedHttp:
    """Usable from several threads. Implements `ports.Notifier`.

    Args:
        resolve: (name, port) to its IPs; raises `OSError`. The system's own by default.
    """

    def __init__(self, allowed: Allowed, *, resolve: Resolve | None = None) -> None:
        self._allowed, self._resolve = allowed, resolve or system_resolve

    def check(self, url: str, *, where: str) -> None:
        """Judge an address as it stands now, without asking it.

        Raises:
            Malformed: it is none that may be asked.
            AdapterFailed: its name cannot be looked up now.
        """
        self._ips(read_address(url, self._allowed, where=where), _LOOK_UP_S)

    def deliver(self, letter: Letter, *, deadline_s: float) -> Answer:
        try:
            reply = self.ask(
                "POST",
                letter.url,
                headers=letter.headers,
                body=letter.body,
                deadline_s=deadline_s,
                bytes_max=ANSWER_BYTES_MAX,
                cut=True,
            )
        except Malformed as wrong:  # what env: or file: holds is read only now
            return Answer(status=0, note=str(wrong), final=True)
        except AdapterFailed as failed:
            return Answer(status=0, note=str(failed), final=isinstance(failed, AddressRefused))
        return Answer(
            status=reply.status, note=_said(reply), retry_after_s=_retry_after(reply.headers)
        )

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        deadline_s: float,
        bytes_max: int,
        cut: bool = False,
    ) -> Reply:
        """Ask once, and return whatever was answered, redirects too: none is followed.

        Raises:
            AddressRefused: the address may not be asked.
            AdapterFailed: no whole answer within `deadline_s`.
        """
        ends_s = time.monotonic() + deadline_s
        address = read_address(url, self._allowed, where="url")
        ips = self._ips(address, deadline_s)
        question = Question(
            url="",
            method=method,
            headers={**headers, "Host": address.authority},
            body=body,
            name=address.host if address.scheme == "https" else "",
        )
        failed = AdapterFailed("leads nowhere", transient=True)
        for ip in ips:
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                break
            try:
                return ask(
                    replace(question, url=address.at(ip)),
                    deadline_s=left_s,
                    bytes_max=bytes_max,
                    cut=cut,
                )
            except AdapterFailed as error:
                failed = error
                if not str(error).startswith("cannot be reached"):
                    break
        raise failed

    def _ips(self, address: Address, deadline_s: float) -> tuple[str, ...]:
        why, ips = checked(self._looked_up(address, deadline_s), address, self._allowed)
        if why:
            raise AddressRefused(why)
        return ips

    def _looked_up(self, address: Address, deadline_s: float) -> Sequence[str]:
        """In a thread of its own: a name server may take minutes, and cannot be told to stop."""
        said: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

        def work() -> None:
            try:
                said.put(self._resolve(address.host, address.port))
            except (OSError, UnicodeError) as error:
                said.put(error)

        threading.Thread(target=work, name="lookup", daemon=True).start()
        try:
            found = said.get(timeout=deadline_s)
        except queue.Empty:
            why = f"{address.host} could not be looked up within {deadline_s:.1f} s"
            raise AdapterFailed(why, transient=True) from None
        if isinstance(found, Exception):
            why = getattr(found, "strerror", None) or str(found)
            raise AdapterFailed(f"{address.host} cannot be looked up: {why}", transient=True)
        return found


def system_resolve(host: str, port: int) -> Sequence[str]:
    """Every IP that the system's resolver names, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


def _said(reply: Reply) -> str:
    """The beginning of what a receiver said, for whoever has to mend it."""
    if 300 <= reply.status < 400:
        return "it redirects, and redirects are not followed"
    text = reply.content[: 4 * _SAID_MAX].decode("utf-8", "replace")
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return short(" ".join(printable.split()), _SAID_MAX)


def _retry_after(headers: Mapping[str, str]) -> int:
    text = headers.get("retry-after", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0
