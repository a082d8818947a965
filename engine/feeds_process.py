"""Starts the process of a sync, listens to it, and ends it when it takes too long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Final

from engine.child import Child, ChildEnded, Progress
from engine.core.errors import AdapterFailed
from engine.feeds_job import Job, Taken

# The process has its own deadline, which says more; this one is for a process that hangs.
_GRACE_S: Final = 30


class SyncFailed(AdapterFailed):
    """Nothing was taken. `code` as in `FeedSyncFailed`."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, transient=code == "unreachable")
        self.code = code


class SyncProcess:
    """One sync under way; `cancel` from another thread ends it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._child = Child("engine.feeds_child", deadline_s=job.limits.deadline_s + _GRACE_S)

    @property
    def pid(self) -> int:
        return self._child.pid

    def run(self, told: Callable[[Progress], None]) -> Taken:
        """Wait for the outcome.

        Raises:
            SyncFailed: the sentence says why.
        """
        try:
            with closing(self._child.talk(self._job.line(), told)) as answers:
                document = next(answers)
        except ChildEnded as ended:
            raise SyncFailed(str(ended), code="stopped") from None
        if "failed" in document:
            raise SyncFailed(document["failed"], code=document["code"])
        return Taken.read(document["taken"])

    def cancel(self, why: str) -> None:
        self._child.cancel(why)
