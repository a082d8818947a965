"""The text of journal lines and what chains them. Pure: bytes in, bytes out.

A line is one atomic batch in canonical JSON:

    {"line":7,"prev":"<sha256 of line 6>","records":[...],"sha256":"<sha256 of this line>"}

`sha256` is over the canonical JSON of the line without that member, so anyone can check it with
standard tools; because the member comes last, a line is checked here without parsing it. Each
record carries its `type`; an event record carries the hash chain of its own stream as well.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from data.codec import ROW_TYPES, from_document, row_from_document
from engine.core.auth import AuthContext
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.events import Event, Recorded
from engine.core.jcs import canonical
from engine.core.rows import Row

ZEROS: Final = "0" * 64
_LINE: Final = '{"line":'
_RECORDS: Final = '"records":['
_BODY: Final = '"body":'
_AUTH: Final = '"auth":'
_DECODER: Final = json.JSONDecoder()
_TAIL: Final = b',"sha256":"'
_TAIL_LENGTH: Final = len(_TAIL) + 64 + len(b'"}')


@dataclass(frozen=True, slots=True, kw_only=True)
class EventText:
    """An event at its place in the log, with its body as the exact text that was hashed.

    `auth`: canonical JSON as well; empty where nobody asked, and then no member of the record.
    """

    gseq: int
    stream: str
    seq: int
    ts_us: int
    actor: str
    command_id: str
    kind: str
    body: str
    prev: str
    hash: str
    auth: str = ""

    @classmethod
    def chained(
        cls,
        *,
        gseq: int,
        stream: str,
        seq: int,
        ts_us: int,
        actor: str,
        command_id: str,
        kind: str,
        body: str,
        prev: str,
        auth: str = "",
    ) -> EventText:
        """The event with its hash calculated."""
        bare = cls(
            gseq=gseq,
            stream=stream,
            seq=seq,
            ts_us=ts_us,
            actor=actor,
            command_id=command_id,
            kind=kind,
            body=body,
            prev=prev,
            hash="",
            auth=auth,
        )
        return cls(**{**_members(bare), "hash": bare.calculated()})

    def calculated(self) -> str:
        """The hash that the other fields have: SHA-256 of their canonical JSON."""
        return hashlib.sha256(self._text(digest="").encode()).hexdigest()

    def record(self) -> str:
        """The canonical JSON of this event's journal record."""
        return self._text(digest=self.hash)

    def recorded(self, event: Event | None = None) -> Recorded:
        """The event in the words of the core. Raises `Malformed` when the body does not fit."""
        if event is None:
            event = from_document(self.kind, json.loads(self.body))
        return Recorded(
            gseq=self.gseq,
            stream=self.stream,
            seq=self.seq,
            ts_us=self.ts_us,
            actor=self.actor,
            command_id=self.command_id,
            event=event,
            prev=Digest(self.prev),
            hash=Digest(self.hash),
            auth=auth_from(self.auth),
        )

    def _text(self, *, digest: str) -> str:
        before = _before_body(self.actor, self.auth)
        behind = _behind_body(
            self.command_id,
            self.gseq,
            self.kind,
            self.prev,
            self.seq,
            self.stream,
            self.ts_us,
            digest,
        )
        return f"{before}{self.body}{behind}"


def auth_text(auth: AuthContext | None) -> str:
    """How it stands in the record; empty for none."""
    return "" if auth is None else canonical(dataclasses.asdict(auth)).decode()


def auth_from(text: str) -> AuthContext | None:
    """Raises `Malformed` when the text is none of ours."""
    if not text:
        return None
    try:
        return AuthContext(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise Malformed(f"expected who asked, found {text[:80]!r}", where="auth") from error


# As `json.dumps(text, ensure_ascii=False)` writes a text, without its detours.
quoted: Final = json.encoder.encode_basestring


def row_record(kind: str, body: str) -> str:
    return f'{{"body":{body},"type":"{kind}"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A checked journal line. `records` are (type, value) in order."""

    number: int
    digest: str
    events: tuple[EventText, ...]
    rows: tuple[Row, ...]


def compose(number: int, prev: str, records: Sequence[str]) -> tuple[bytes, str]:
    """The line with its newline, and its digest."""
    head = f'{{"line":{number},"prev":"{prev}","records":[{",".join(records)}]'.encode()
    digest = hashlib.sha256(head + b"}").hexdigest()
    return head + _TAIL + digest.encode() + b'"}\n', digest


def check(raw: bytes, *, number: int, prev: str, where: str) -> str:
    """Check a line (without newline) against its place in the chain and return its digest.

    Raises:
        Malformed: altered, or not the line that belongs here.
    """
    head, tail = raw[:-_TAIL_LENGTH], raw[-_TAIL_LENGTH:]
    if not tail.startswith(_TAIL) or not raw.endswith(b'"}'):
        raise Malformed("expected a journal line, found other text", where=where)
    stated = tail[len(_TAIL) : -2].decode("ascii", "replace")
    digest = hashlib.sha256(head + b"}").hexdigest()
    if stated != digest:
        raise Malformed(f"expected digest {stated}, found {digest}: altered", where=where)
    expected = f'{{"line":{number},"prev":"{prev}",'.encode()
    if not head.startswith(expected):
        found = head[: len(expected)].decode("utf-8", "replace")
        raise Malformed(
            f"expected line {number} behind {prev[:12]}, found {found}: removed or exchanged",
            where=where,
        )
    return digest


def parse(raw: bytes, *, digest: str, where: str) -> Line:
    """Read the records of a line that `check` let pass.

    Raises:
        Malformed: a record of an unknown type or form, named by its place in the line.
    """
    line = raw.decode()
    number = int(line[len(_LINE) : line.index(",")])
    events: list[EventText] = []
    rows: list[Row] = []
    at = line.index(_RECORDS) + len(_RECORDS)
    while line[at] != "]":
        record, end = _DECODER.raw_decode(line, at)
        spot = f"{where}, record {len(events) + len(rows)}"
        try:
            kind = record["type"]
            if kind == "event":
                events.append(_event(record, line[at:end]))
            else:
                rows.append(row_from_document(kind, record["body"]))
        except Malformed as error:
            raise Malformed(str(error), where=spot) from None
        except (KeyError, TypeError) as error:
            raise Malformed(f"expected a record, missing {error}", where=spot) from None
        at = end + (line[end] == ",")
    return Line(number=number, digest=digest, events=tuple(events), rows=tuple(rows))


def _event(record: dict[str, Any], raw: str) -> EventText:
    """The event of a record. Its body is the text that stands in `raw`, not written again."""
    stream, seq, digest = record["stream"], record["seq"], record["hash"]
    auth = _auth_in(record, raw)
    command_id, kind, prev = record["command_id"], record["kind"], record["prev"]
    gseq, ts_us = record["gseq"], record["ts_us"]
    before = _before_body(record["actor"], auth)
    after = _behind_body(command_id, gseq, kind, prev, seq, stream, ts_us, digest)
    start, end = len(before), len(raw) - len(after)
    where = f"{stream} {seq}"
    # Nothing but one value may stand between what is known.
    if not (
        raw.startswith(before)
        and raw.endswith(after)
        and start < end
        and _DECODER.raw_decode(raw, start)[1] == end
    ):
        raise Malformed("expected a record in canonical JSON, found other text", where=where)
    body = raw[start:end]
    hashed = _behind_body(command_id, gseq, kind, prev, seq, stream, ts_us, "")
    found = hashlib.sha256(f"{before}{body}{hashed}".encode()).hexdigest()
    if found != digest:
        raise Malformed(f"expected hash {digest}, found {found}", where=where)
    return EventText(
        gseq=gseq,
        stream=stream,
        seq=seq,
        ts_us=ts_us,
        actor=record["actor"],
        command_id=command_id,
        kind=kind,
        body=body,
        prev=prev,
        hash=digest,
        auth=auth,
    )


# A record in the order of RFC 8785, in two parts, so that a body of any size is not walked again.


def _before_body(actor: str, auth: str) -> str:
    asked = f'"auth":{auth},' if auth else ""
    return f'{{"actor":{quoted(actor)},{asked}"body":'


def _behind_body(
    command_id: str,
    gseq: int,
    kind: str,
    prev: str,
    seq: int,
    stream: str,
    ts_us: int,
    digest: str,
) -> str:
    """Without a `digest` what the digest is over: neither it nor the record's type."""
    own, kept = (f'"hash":"{digest}",', ',"type":"event"') if digest else ("", "")
    return (
        f',"command_id":{quoted(command_id)},"gseq":{gseq},{own}"kind":{quoted(kind)},'
        f'"prev":"{prev}","seq":{seq},"stream":{quoted(stream)},"ts_us":{ts_us}{kept}}}'
    )


def _auth_in(record: dict[str, Any], raw: str) -> str:
    if "auth" not in record:
        return ""
    start = raw.find(_AUTH) + len(_AUTH)
    return raw[start : _DECODER.raw_decode(raw, start)[1]]


def _members(text: EventText) -> dict[str, Any]:
    return {name: getattr(text, name) for name in text.__slots__}


__all__ = [
    "ROW_TYPES",
    "ZEROS",
    "EventText",
    "Line",
    "check",
    "compose",
    "parse",
    "quoted",
    "row_record",
]
