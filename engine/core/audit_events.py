"""Facts about access: who could not sign in, what left the house, and when the record was checked.

They stand in the stream `admin`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.core.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInFailed:
    """A proof of who somebody is was not good, once or more often (`engine.core.sign_ins`).

    Attributes:
        method: `link`, `session`, `token`, `oidc`, or `none` where no proof was shown.
        credential: of a token its id, which opens nothing; else empty. Never the secret.
        code: stable word for programs.
        reason: as it was said to whoever tried.
        count: how many tries of this method and code this record stands for.
        first_us, last_us: when they were.
        address: of the network, of the last of them; empty when it is not known.
    """

    TYPE: ClassVar = "sign_in.failed/1"
    method: str
    credential: str
    code: str
    reason: str
    count: int
    first_us: int
    last_us: int
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataExported:
    """Something was handed out that is not a pack of a run's evidence.

    Attributes:
        what: `audit`, the name of a table, `blob`, `step-log`, `feed-snapshot`.
        run: that it is of; empty for none or several.
        asked: the filter, or what else names it, as text.
        digest: of the bytes that were handed out.
        manifest: of the document that describes them; None when there is none.
    """

    TYPE: ClassVar = "data.exported/1"
    what: str
    run: str
    format: str
    asked: str
    rows: int
    size: int
    digest: Digest
    manifest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditChecked:
    """The record was read from its beginning and compared with what pages read.

    Attributes:
        events, lines: that were found in order before anything was not.
        gseq, hash: of the last event that is in order; 0 and 64 zeros without one.
        broken_at: place of the first event that is not; 0 when all are.
        problem: what is wrong there; empty when nothing is.
    """

    TYPE: ClassVar = "audit.checked/1"
    ok: bool
    events: int
    lines: int
    gseq: int
    hash: Digest
    broken_at: int
    problem: str
    took_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupMade:
    """Somebody took a copy of everything. The copy holds this event too, as the last one.

    Attributes:
        how: `server`: it was sent to them; `stopped`: on the machine, while no server ran.
    """

    TYPE: ClassVar = "backup.made/1"
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChecked:
    """All that is stored was compared with what it was made from.

    Attributes:
        what: `store`: every table with the journal; `log`: the transparency log with both.
        findings: how many; `first` of them as text.
    """

    TYPE: ClassVar = "store.checked/1"
    what: str
    ok: bool
    findings: int
    first: tuple[str, ...]
