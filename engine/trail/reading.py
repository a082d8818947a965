"""The audit trail for whoever may read it: its records, the state of its chain, and exports."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import duckdb
import polars as pl

from data import queries
from data.queries_audit import choices, framed, records
from data.tables import AUDIT, TABLES, WRITERS, Table, table
from data.trail import TrailReport
from engine.asker import Asker, refusal_of
from engine.core.audit import ENGINE, MAY_READ, AuditFilter
from engine.core.audit_events import AuditChecked, BackupMade, DataExported, StoreChecked
from engine.core.commands import Refusal
from engine.core.digest import Digest
from engine.core.duties import Duties, duties
from engine.core.errors import Malformed, NotFound
from engine.core.events import Recorded
from engine.core.house import ADMIN, CommandRejected
from engine.core.jcs import canonical
from engine.core.scopes import CHECK_AUDIT, EXPORT, READ_AUDIT
from engine.ports import Clock, EventStore
from engine.recording import append_to
from engine.settings import Settings
from engine.trail import asking
from engine.trail.denials import admit
from engine.trail.periods import iso
from engine.trail.sign_ins import FailedSignIns

MANIFEST: Final = "releaseline.export-manifest/1"
CHECK_EVERY_US: Final = 24 * 3600 * 1_000_000
_READ: Final = "read the audit trail"
_ALL: Final = 1 << 60
_FIRST, _SENTENCE_MAX = 5, 300
_ISO: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


class TrailStore(EventStore, Protocol):
    def cursor(self) -> duckdb.DuckDBPyConnection: ...
    def check_trail(self) -> TrailReport: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Attributes:
    gseq, ts_us, hash: of the newest event; 0, 0 and empty without one.
    checked: when the chain was last read from its beginning, by whom, and what that came to.
    """

    gseq: int
    ts_us: int
    hash: str
    checked: Recorded | None

    @property
    def found(self) -> AuditChecked | None:
        event = None if self.checked is None else self.checked.event
        return event if isinstance(event, AuditChecked) else None


class Trail:
    """Thread-safe. `sign_ins`: where doors tell of those that failed."""

    def __init__(self, store: TrailStore, clock: Clock, settings: Settings) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self._checking = threading.Lock()
        self.sign_ins = FailedSignIns(store, clock)

    def why_not(self, who: Asker) -> str:
        """Why this person may not read the trail; empty when they may."""
        why = self._refusal(who, READ_AUDIT, _READ)
        return "" if why is None else why.sentence

    def rows(
        self, asked: AuditFilter, who: Asker, *, before: int | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """As in `data.queries_audit`, newest first. Raises `Refused`, which is on record."""
        self._check(who)
        return records(self._store.cursor(), asked=asked, before=before, limit=limit)

    def record(self, gseq: int, who: Asker) -> dict[str, Any]:
        """One record. Raises `Refused`, `NotFound`."""
        self._check(who)
        asked = AuditFilter(everything=True)
        rows = records(self._store.cursor(), asked=asked, gseq=gseq, limit=1)
        if not rows:
            raise NotFound(f"There is no event {gseq}.")
        return rows[0]

    def choices(self, who: Asker) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """People and verbs that can be asked for, each sorted. Raises `Refused`."""
        self._check(who)
        found = choices(self._store.cursor())
        return (
            tuple(sorted({actor for actor, _ in found})),
            tuple(sorted({verb for _, verb in found})),
        )

    def duties(self, run_id: str) -> Duties:
        """Who did what around a run, and who stood on both sides. Raises `NotFound`."""
        run = self._store.run(run_id)
        denials = self._store.of_kinds([CommandRejected.TYPE])
        return duties(run, self._store.load(run_id), denials)

    def chain(self) -> Chain:
        rows = queries.audit_head(self._store.cursor()).to_dicts()
        head = rows[0] if rows else {"gseq": 0, "ts_us": 0, "hash": ""}
        checks = self._store.of_kinds([AuditChecked.TYPE])
        return Chain(**head, checked=checks[-1] if checks else None)

    def check(self, who: Asker) -> AuditChecked:
        """Read the chain from its beginning now, and record what that came to.

        Raises:
            Refused: no such role. The attempt is on record.
        """
        self._check(who, CHECK_AUDIT, "check the audit trail")
        return self._checked(who.user)

    def when_due(self) -> None:
        """For the alarm clock: record counted sign-ins, and check the chain once a day."""
        self.sign_ins.flush()
        last = self.chain().checked
        if last is None or self._clock.now_us() - last.ts_us >= CHECK_EVERY_US:
            self._checked(ENGINE)

    def stop(self) -> None:
        self.sign_ins.stop()

    def export(self, asked: AuditFilter, form: str, who: Asker) -> tuple[str, bytes]:
        """Everything that the filter asks for, as a ZIP of the file and its manifest, and its name.

        Raises:
            Refused: no such role. The attempt is on record.
            Malformed: no such format.
        """
        self._check(who, EXPORT, "export the audit trail")
        writer = _writer(form)
        head = self.chain()
        rows = records(self._store.cursor(), asked=asked, before=head.gseq + 1, limit=_ALL)
        frame = framed(rows)
        time = pl.from_epoch("ts_us", time_unit="us").dt.strftime(_ISO).alias("time")
        frame = frame.with_columns(time).select([column.name for column in AUDIT.columns])
        return self._packed(AUDIT, frame, writer(frame), form, asked.words(), head, who)

    def table(self, name: str, form: str, who: Asker, *, run: str = "") -> tuple[str, bytes]:
        """A whole table, or its rows of one run, as `export` gives it.

        Raises:
            NotFound: there is no such table.
            Refused, Malformed: as `export`.
        """
        if name not in TABLES:
            raise NotFound(f"There is no table {name!r}; there are {', '.join(TABLES)}.")
        self._check(who, EXPORT, f"export {name}")
        writer = _writer(form)
        head = self.chain()
        frame = table(self._store.cursor(), name, run=run)
        asked = {"run": run} if run else {}
        return self._packed(TABLES[name], frame, writer(frame), form, asked, head, who, run=run)

    def store_checked(self, what: str, findings: Sequence[str], *, ok: bool, user: str) -> None:
        """Record that somebody had the `store` or the `log` compared with what it is made from."""
        first = tuple(one[:_SENTENCE_MAX] for one in findings[:_FIRST])
        event = StoreChecked(what=what, ok=ok, findings=len(findings), first=first)
        append_to(self._store, ADMIN, event, actor=user)

    def backup_made(self, *, user: str) -> None:
        """Record that somebody is about to get a copy of everything."""
        append_to(self._store, ADMIN, BackupMade(how="server"), actor=user)

    def handed_out(
        self, what: str, content: bytes, *, user: str, asked: str, run: str = "", rows: int = 1
    ) -> None:
        """Record that bytes were given to somebody as they are stored."""
        event = DataExported(
            what=what,
            run=run,
            format="",
            asked=asked,
            rows=rows,
            size=len(content),
            digest=Digest.of(content),
        )
        append_to(self._store, ADMIN, event, actor=user)

    def _packed(
        self,
        source: Table,
        frame: pl.DataFrame,
        content: bytes,
        form: str,
        asked: Mapping[str, Any],
        head: Chain,
        who: Asker,
        *,
        run: str = "",
    ) -> tuple[str, bytes]:
        now_us = self._clock.now_us()
        auth = asking.current()
        file = f"{source.name}.{form}"
        manifest = canonical(
            {
                "schema": MANIFEST,
                "table": source.name,
                "told": source.told,
                "filter": dict(asked),
                "order": source.order,
                "rows": frame.height,
                "columns": [asdict(column) for column in source.columns],
                "file": {
                    "name": file,
                    "format": form,
                    "size": len(content),
                    "sha256": Digest.of(content).hex,
                },
                "chain": {"gseq": head.gseq, "hash": head.hash},
                "exported": iso(now_us),
                "exported_by": who.user,
                "request_id": "" if auth is None else auth.request_id,
            }
        )
        event = DataExported(
            what=source.name,
            run=run,
            format=form,
            asked=canonical(dict(asked)).decode(),
            rows=frame.height,
            size=len(content),
            digest=Digest.of(content),
            manifest=self._store.blobs.put(manifest),
        )
        append_to(self._store, ADMIN, event, actor=who.user)
        stamp = iso(now_us)[:19].replace("-", "").replace(":", "")
        return f"{source.name}-{stamp}Z.zip", _zip({file: content, "manifest.json": manifest})

    def _checked(self, user: str) -> AuditChecked:
        with self._checking:
            began_s = self._clock.monotonic_s()
            report = self._store.check_trail()
            event = AuditChecked(
                ok=report.ok,
                events=report.events,
                lines=report.lines,
                gseq=report.gseq,
                hash=Digest(report.hash),
                broken_at=report.broken_at,
                problem=report.problem,
                took_ms=int((self._clock.monotonic_s() - began_s) * 1000),
            )
            append_to(self._store, ADMIN, event, actor=user)
        return event

    def check_reader(self, who: Asker) -> None:
        """Raises `Refused` for somebody who may not read the trail. The attempt is on record."""
        self._check(who)

    def _refusal(self, who: Asker, verb: str, what: str) -> Refusal | None:
        return refusal_of(self._settings, who, verb, MAY_READ, what=what)

    def _check(self, who: Asker, verb: str = READ_AUDIT, what: str = _READ) -> None:
        admit(self._store, self._refusal(who, verb, what), user=who.user, action=verb)


def _writer(form: str) -> Callable[[pl.DataFrame], bytes]:
    if form not in WRITERS:
        known = ", ".join(WRITERS)
        raise Malformed(f"expected one of {known}, found {form[:20]!r}", where="format")
    return WRITERS[form]


def _zip(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), content)
    return out.getvalue()
