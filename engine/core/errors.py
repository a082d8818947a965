"""Every error that Releaseline raises on purpose, in one tree.

Catch by meaning, not by place. `Refused` goes back to the person who asked, `Conflict` is
loaded again and decided again, `Malformed` names the spot in the input, `AdapterFailed` is
the outside world failing us, and `Unverified` is never softened into a warning. Whatever else
escapes is a defect: it stops the worker and is said on the health page.
"""

from __future__ import annotations


class ReleaselineError(Exception):
    """Base of the tree. `hint` is one sentence on what to do next, or empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Malformed(ReleaselineError):
    """Input from outside does not have the promised form. `where` names file, field or line."""

    def __init__(self, message: str, *, where: str, hint: str = "") -> None:
        super().__init__(f"{where}: {message}", hint=hint)
        self.where = where


class NotFound(ReleaselineError):
    """What was asked for by name or digest does not exist here."""


class StoredDamaged(Malformed):
    """Bytes of ours are not those that were stored. Whoever asked did nothing wrong.

    Attributes:
        expected, found: of the stored bytes; `found` is empty when they are gone.
    """

    def __init__(self, where: str, *, expected: str, found: str) -> None:
        told = f"found {found}" if found else "found nothing"
        super().__init__(f"expected {expected}, {told}", where=where)
        self.expected, self.found = expected, found


class Unauthenticated(ReleaselineError):
    """Nobody is signed in, or the session or token is unknown, expired or revoked."""


class Refused(ReleaselineError):
    """A command is not allowed now. The message is the sentence that the page shows.

    Attributes:
        code: stable word for programs: `state`, `role`, `conflict_of_interest`, `reason`, `stale`.
        opens_at_us: when it will be allowed (UTC, epoch microseconds); None when nobody can say.
    """

    def __init__(
        self, message: str, *, code: str = "state", opens_at_us: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.opens_at_us = opens_at_us


class Conflict(ReleaselineError):
    """Somebody was faster: the stream is at another version. Load again, decide again."""


class Outdated(ReleaselineError):
    """Whoever asked looked at another version than there is now.

    Attributes:
        version: the one that there is now.
    """

    def __init__(self, message: str, *, version: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.version = version


class IllegalTransition(ReleaselineError):
    """An event cannot follow in this state. It is damage, not a user error."""


class AdapterFailed(ReleaselineError):
    """The outside world failed us: the answer is unknown. `transient`: asking again may help."""

    def __init__(self, message: str, *, transient: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.transient = transient


class Fenced(AdapterFailed):
    """A newer engine owns the environment; this one must stop writing to it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, transient=False, hint=hint)


class LogForked(ReleaselineError):
    """The transparency log may not grow: what is recorded is not what was signed before.

    It stays as it is until somebody has found out why; a second history is never begun.
    """


class StorageFull(ReleaselineError):
    """Nothing can be recorded: the disk is full or unwritable. Stepping stops until it is not."""


class UnsafeConfig(ReleaselineError):
    """The set-up is refused before anything starts (exit code 78). May hold several lines."""


class Unverified(ReleaselineError):
    """Evidence does not prove what it claims.

    Attributes:
        check: stable name of the failed check, for example `dsse.signature`.
        file: member or path in which it was found; empty when there is no file.
    """

    def __init__(
        self, message: str, *, check: str, file: str = "", expected: str = "", found: str = ""
    ) -> None:
        super().__init__(message)
        self.check, self.file, self.expected, self.found = check, file, expected, found
