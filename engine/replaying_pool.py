"""Worker processes for replays: as many as there are cores, started when there is work.

Both engines hold the interpreter's lock, so replays in the server would stop its pages. Threads of
a `concurrent.futures` pool each drive one process of their own. Each is started afresh with its own
command line, never forked, and not by `multiprocessing`: that imports the parent's main module, and
in a running console this is a page. A worker ends with the pipe to the server, also after kill -9.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.core.digest import Digest
from engine.own_module import command, environment
from engine.replaying_work import Answer, Task, failed
from engine.replaying_worker import receive, send

# Of one task: reading a bulk feed for a deep replay takes the longest.
_DEADLINE_S: Final = 180.0
_NEVER: Final = "its worker process ended before it had an answer"


class ReplayPool:
    """Thread-safe.

    Args:
        blobs: folder of the home's blobs.
        jobs: worker processes at most; 0 = one for each core.
    """

    def __init__(self, blobs: Path, *, jobs: int = 0, deadline_s: float = _DEADLINE_S) -> None:
        self.jobs = jobs or max(1, os.cpu_count() or 1)
        self._blobs, self._deadline_s = blobs, deadline_s
        self._threads = ThreadPoolExecutor(self.jobs, thread_name_prefix="replay")
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._running: set[_Process] = set()
        self._stopped = False

    def submit(self, task: Task) -> Future[list[Answer]]:
        """The answers come in the order of the items, one for each, whatever happens."""
        return self._threads.submit(self._work, task)

    def fresh(self, task: Task, count: int) -> tuple[Digest, ...]:
        """The verdict digests that `count` new processes give, each with its own hash seed.

        Args:
            task: of one item; asked anew in each.
        """
        whole = replace(task, whole=True, crosscheck=False)
        seen: list[Digest] = []
        for _ in range(count):
            process = self._start(seed=secrets.randbelow(2**32))
            try:
                (answer,) = process.ask(whole, self._deadline_s)
            except EOFError:
                continue
            finally:
                self._end(process)
            if answer.digest_now:
                seen.append(Digest.parse(answer.digest_now))
        return tuple(seen)

    def stop(self) -> None:
        """End every worker, also one that is at work; what waits is cancelled."""
        with self._lock:
            self._stopped = True
            running = tuple(self._running)
        for process in running:
            process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _work(self, task: Task) -> list[Answer]:
        process: _Process | None = getattr(self._mine, "process", None)
        if process is None:
            process = self._mine.process = self._start()
        try:
            return process.ask(task, self._deadline_s)
        except EOFError:
            self._end(process)
            self._mine.process = None
        if self._stopped or len(task.items) == 1:
            return [failed(item.verdict_id, _NEVER) for item in task.items]
        # One decision took the process with it. The others get their answer, and it is named.
        half = len(task.items) // 2
        return [
            *self._work(replace(task, items=task.items[:half])),
            *self._work(replace(task, items=task.items[half:])),
        ]

    def _start(self, *, seed: int | None = None) -> _Process:
        with self._lock:
            if self._stopped:
                raise RuntimeError("the replay pool is stopped")
            process = _Process(self._blobs, seed=seed)
            self._running.add(process)
        return process

    def _end(self, process: _Process) -> None:
        process.kill()
        with self._lock:
            self._running.discard(process)


class _Process:
    def __init__(self, blobs: Path, *, seed: int | None) -> None:
        more = {} if seed is None else {"PYTHONHASHSEED": str(seed)}
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            command("engine.replaying_worker", str(blobs)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(**more),
        )

    def ask(self, task: Task, deadline_s: float) -> list[Answer]:
        """Raises `EOFError` when the process ended, or had to be ended, before it answered."""
        late = threading.Timer(deadline_s, self._process.kill)
        late.daemon = True
        late.start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            send(self._process.stdin, task)
            answers: Sequence[Answer] = receive(self._process.stdout)
        except (BrokenPipeError, ValueError) as error:  # ValueError: closed by `kill`
            raise EOFError from error
        finally:
            late.cancel()
        return list(answers)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
