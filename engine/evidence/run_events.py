"""A run's events as they travel in a pack: one a line, each chained to the one before.

A line is the record of the home's journal in canonical JSON (RFC 8785). `hash` is the SHA-256 of
the line without the members `hash` and `type`; `prev` is the hash of the stream's event before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.evidence.report import Ledger
from engine.evidence.strict import fields, integer, parse_object, text

FILE: Final = "run-events.ndjson"
STORY: Final = "story.json"
_MEMBERS: Final = {
    "actor",
    "body",
    "command_id",
    "gseq",
    "hash",
    "kind",
    "prev",
    "seq",
    "stream",
    "ts_us",
    "type",
}
_ZEROS: Final = "0" * 64


def check_record(files: Mapping[str, bytes], ledger: Ledger, *, run_id: str) -> None:
    """The events of the run record, wherever it lies, and the story that cites them."""
    for path in sorted(files):
        if path.rpartition("/")[2] == FILE:
            hashes = check_events(files[path], ledger, run_id=run_id, where=path)
            if STORY in files:
                check_story(files[STORY], hashes, ledger, where=STORY)


def check_events(content: bytes, ledger: Ledger, *, run_id: str, where: str) -> dict[int, str]:
    """Every event of the run from the first on, without gaps. Returns their hashes by number."""
    hashes: dict[int, str] = {}
    prev = _ZEROS
    with ledger.judging(where, "events"):
        lines = content.split(b"\n")
        if len(lines) < 2 or lines.pop() != b"":
            raise Malformed("expected lines that end", where=where)
        for number, line in enumerate(lines, start=1):
            place = f"{where}:{number}"
            event = _event(line, place)
            expected = {"seq": number, "stream": run_id, "prev": prev, "hash": _hash(event)}
            found = {key: event[key] for key in expected}
            if not ledger.equal(place, "events.chain", expected=expected, found=found):
                return hashes
            prev = hashes[number] = text(event, "hash", where=place)
        ledger.ok(where, "events", f"{len(hashes)} events, each chained to the one before")
    return hashes


def check_story(content: bytes, hashes: Mapping[int, str], ledger: Ledger, *, where: str) -> None:
    """Each sentence cites an event that is there. Later ones than the record are not judged."""
    with ledger.judging(where, "story"):
        lines = parse_object(content, where=where).get("lines")
        if not isinstance(lines, list):
            raise Malformed("expected a list", where=f"{where}.lines")
        for line in lines:
            if not isinstance(line, Mapping):
                raise Malformed("expected an object", where=f"{where}.lines")
            number = integer(line, "seq", where=where)
            if number <= len(hashes):
                cited = text(line, "hash", where=where)
                ledger.equal(where, "story.event", expected=hashes.get(number), found=cited)


def _event(line: bytes, where: str) -> Mapping[str, Any]:
    event = fields(parse_object(line, where=where), _MEMBERS, optional={"auth"}, where=where)
    if canonical(dict(event)) != line or event["type"] != "event":
        raise Malformed("expected an event in canonical JSON", where=where)
    return event


def _hash(event: Mapping[str, Any]) -> str:
    bare = {key: value for key, value in event.items() if key not in {"hash", "type"}}
    return Digest.of(canonical(bare)).hex
