"""Starts the process of a sync, listens to it, and ends it when it takes too long or is not wanted.

Started anew and never forked: it holds no socket, no lock and no key of the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.core.errors import AdapterFailed
from engine.feeds_job import Job, Progress, Taken

_PACKAGES: Final = Path(__file__).resolve().parents[1]
# Where the world is and whom it trusts; nothing that is secret.
_PASSED_ON: Final = (
    "PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY",
)  # fmt: skip
# The process has its own deadline, which says more; this one is for a process that hangs.
_GRACE_S: Final = 30
_LAST_WORDS_MAX: Final = 500


class SyncFailed(AdapterFailed):
    """Nothing was taken. `code` as in `FeedSyncFailed`."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, transient=code == "unreachable")
        self.code = code


class SyncProcess:
    """One sync under way; `cancel` from another thread ends it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._child = subprocess.Popen(
            [sys.executable, "-m", "engine.feeds_child"],
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
        return self._child.pid

    def run(self, told: Callable[[Progress], None]) -> Taken:
        """Wait for the outcome.

        Raises:
            SyncFailed: the sentence says why.
        """
        watch = threading.Timer(self._job.limits.deadline_s + _GRACE_S, self._too_late)
        watch.daemon = True
        watch.start()
        noise: list[str] = []
        listener = threading.Thread(target=self._listen, args=(noise,), daemon=True)
        listener.start()
        try:
            return self._outcome(told, noise)
        finally:
            watch.cancel()
            self._child.kill()
            self._child.wait()
            listener.join(timeout=1)
            for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
                if pipe is not None:
                    # What was not written to a process that died is of no use to anybody, and
                    # must not take the place of the reason why it died.
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()

    def cancel(self, why: str) -> None:
        self._why_killed = self._why_killed or why
        self._child.kill()

    def _too_late(self) -> None:
        self.cancel(f"it did not end within {self._job.limits.deadline_s} s")

    def _outcome(self, told: Callable[[Progress], None], noise: list[str]) -> Taken:
        assert self._child.stdin is not None and self._child.stdout is not None  # pipes, see above
        try:
            self._child.stdin.write(self._job.line() + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once; what follows says so
        for line in self._child.stdout:
            document = json.loads(line)
            if "progress" in document:
                what, done, of, unit = document["progress"]
                told(Progress(what=what, done=done, of=of, unit=unit))
            elif "failed" in document:
                raise SyncFailed(document["failed"], code=document["code"])
            else:
                return Taken.read(document["taken"])
        code = self._child.wait()
        said = "".join(noise).strip().splitlines()
        why = self._why_killed or f"its process ended with {code}: {said[-1] if said else 'silent'}"
        raise SyncFailed(why[:_LAST_WORDS_MAX], code="stopped")

    def _listen(self, noise: list[str]) -> None:
        assert self._child.stderr is not None  # a pipe, see above
        for line in self._child.stderr:
            noise.append(line)
            del noise[:-50]
