"""A module of ours at work in a process of its own: it is given one line of JSON and answers in
lines of JSON, of which some only tell how far it is.

Started anew and never forked: it holds no socket, no lock and no key of the server. It ends with
the server's end of the pipe, however the server ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.core.errors import AdapterFailed

_PACKAGES: Final = Path(__file__).resolve().parents[1]
# Where the world is and whom it trusts; nothing that is secret.
_PASSED_ON: Final = (
    "PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY",
)  # fmt: skip
_LAST_WORDS_MAX: Final = 500
_TELL_EVERY_S: Final = 0.2


class ChildEnded(AdapterFailed):
    """The process ended before it had said what came of its work; the sentence says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message[:_LAST_WORDS_MAX], transient=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is done now: `done` of `of` (0 = not known) in `unit`; empty while it waits."""

    what: str = ""
    done: int = 0
    of: int = 0
    unit: str = ""


# --- the server's side ------------------------------------------------------------------------


class Child:
    """One process at work; `cancel` from another thread ends it.

    Args:
        deadline_s: for all of its work; it is killed then.
    """

    def __init__(self, module: str, *, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._process = subprocess.Popen(  # noqa: S603 (a module of ours by its name)
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_PACKAGES,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            text=True,
            encoding="utf-8",
        )
        self._why_killed = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def talk(
        self, line: str, told: Callable[[Progress], None]
    ) -> Generator[dict[str, Any], None, None]:
        """Give it its work, and yield what it answers but for its progress, which is `told`.

        Closing the iterator ends the process.

        Raises:
            ChildEnded: it ended, or was ended, before the caller had heard enough.
        """
        watch = threading.Timer(self._deadline_s, self._too_late)
        watch.daemon = True
        watch.start()
        noise: list[str] = []
        listener = threading.Thread(target=self._listen, args=(noise,), daemon=True)
        listener.start()
        try:
            yield from self._answers(line, told)
            code = self._process.wait()
            listener.join(timeout=1)
            said = "".join(noise).strip().splitlines()
            silent = f"its process ended with {code}: {said[-1] if said else 'silent'}"
            raise ChildEnded(self._why_killed or silent)
        finally:
            watch.cancel()
            self._process.kill()
            self._process.wait()
            listener.join(timeout=1)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe is not None:
                    # What was not written to a process that died is of no use to anybody, and
                    # must not take the place of the reason why it died.
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()

    def cancel(self, why: str) -> None:
        self._why_killed = self._why_killed or why
        self._process.kill()

    def _too_late(self) -> None:
        self.cancel(f"it did not end within {self._deadline_s:g} s")

    def _answers(self, line: str, told: Callable[[Progress], None]) -> Iterator[dict[str, Any]]:
        assert self._process.stdin is not None and self._process.stdout is not None  # pipes
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once; what follows says so
        for answer in self._process.stdout:
            if not answer.endswith("\n"):
                return  # it died over this line
            document = json.loads(answer)
            if "progress" in document:
                what, done, of, unit = document["progress"]
                told(Progress(what=what, done=done, of=of, unit=unit))
            else:
                yield document

    def _listen(self, noise: list[str]) -> None:
        assert self._process.stderr is not None  # a pipe, see above
        for line in self._process.stderr:
            noise.append(line)
            del noise[:-50]


# --- the process's side -----------------------------------------------------------------------


def work() -> str:
    """The line that this process was started for. From here on it ends with the server."""
    line = sys.stdin.readline()
    threading.Thread(target=_leave_with_the_server, daemon=True).start()
    return line


def say(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def teller() -> Callable[[str, int, int, str], None]:
    """Tells progress, not more often than somebody could read it: what is done, how much of it, of
    how much (0 = not known), and in which unit."""
    told_s = 0.0

    def tell(what: str, done: int, of: int, unit: str) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= _TELL_EVERY_S:
            told_s = time.monotonic()
            say({"progress": [what, done, of, unit]})

    return tell


def _leave_with_the_server() -> None:
    sys.stdin.read()
    os._exit(1)
