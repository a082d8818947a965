"""The journal: what happened, in append-only text files that outlive every database.

Segments of at most 64 MB under `<home>/journal/`, named by the number of their first line. One
line is one atomic batch (data/chain.py), one `fdatasync` makes a group of lines durable. A last
line without its end is what a power cut leaves: it was acknowledged to nobody and is cut off.
Any other damage is an error that names file and line; nothing is repaired silently.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from data.blobs import storage_full, sync_directory, write_all
from data.chain import ZEROS, Line, check, compose, parse
from engine.core.errors import Malformed

SEGMENT_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Behind a line: its number and digest, and where the next one begins.

    Attributes:
        line: 0 = before the first line.
        segment: number of the segment's first line, which is its name.
        offset: bytes into the segment.
    """

    line: int
    digest: str
    segment: int
    offset: int


START: Final = Position(line=0, digest=ZEROS, segment=1, offset=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A torn end that was cut off: bytes that no one was told were recorded."""

    where: str
    bytes: int


class Journal:
    """Used by one thread, the store's writer; reading from others is safe up to `end`.

    Args:
        segment_bytes: a segment that has reached this size is followed by a new one.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder, self._segment_bytes = folder, segment_bytes
        if not folder.is_dir():
            folder.mkdir(parents=True)
            sync_directory(folder.parent)
        self._descriptor: int | None = None
        self._written: Position | None = None
        self.end = START
        self.cut: Cut | None = None

    def open(self, known: Position) -> None:
        """Find the end: check the chain from the segment of `known` on, cut off a torn end.

        Args:
            known: how far the database has come; `START` when there is none.

        Raises:
            Malformed: a line is damaged, missing, or not the one that the database knows.
        """
        segments = self.segments()
        if known.line and known.segment not in segments:
            raise _shorter(self._where(known.segment, known.line), known)
        start = START
        if known.line:
            start = Position(line=known.segment - 1, digest="", segment=known.segment, offset=0)
        end = start
        for position, _, _ in self._walk(start, torn_ok=True):
            end = position
            if position.line == known.line and position.digest != known.digest:
                raise Malformed(
                    f"expected digest {known.digest}, as in the database, found "
                    f"{position.digest}: the history was exchanged",
                    where=self._where(position.segment, position.line),
                )
        if end.line < known.line:
            raise _shorter(self._where(known.segment, known.line), known)
        self._cut_torn(end)
        self.end = end

    def append(self, batches: Sequence[Sequence[str]]) -> Position:
        """Write one line per batch, make them durable, and return the end behind them.

        Nothing is kept when it fails. `retract` takes back what was appended last.

        Raises:
            StorageFull: the disk took not everything; the journal is as it was.
        """
        before = self.end
        position = before
        content = bytearray()
        for records in batches:
            line, digest = compose(position.line + 1, position.digest, records)
            content += line
            position = Position(
                line=position.line + 1,
                digest=digest,
                segment=position.segment,
                offset=position.offset + len(line),
            )
        with storage_full():
            descriptor = self._open_for(before)
            if before.offset >= self._segment_bytes:
                descriptor, position = self._next_segment(before, position)
            try:
                write_all(descriptor, bytes(content))
                os.fdatasync(descriptor)
            except OSError:
                self._truncate(before)
                raise
        self._written, self.end = before, position
        return position

    def retract(self) -> None:
        """Take back the last `append`, whose lines could not be acknowledged."""
        if self._written is not None:
            self._truncate(self._written)
            self.end, self._written = self._written, None

    def lines(self, after: Position) -> Iterator[tuple[Position, Line]]:
        """Every line behind `after`, checked and read. Raises `Malformed` at damage."""
        for position, raw, where in self._walk(after, torn_ok=False):
            yield position, parse(raw, digest=position.digest, where=where)
            if position.line == self.end.line:
                return

    def segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.jsonl"))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _walk(self, after: Position, *, torn_ok: bool) -> Iterator[tuple[Position, bytes, str]]:
        """(position behind it, raw line, where) of every line behind `after`, chain checked.

        An empty digest in `after` means that the first line is believed in what it follows.
        """
        position = after
        segments = [s for s in self.segments() if s >= after.segment]
        for index, segment in enumerate(segments):
            if segment != position.segment:
                if segment != position.line + 1:
                    raise Malformed(
                        f"expected line {position.line + 1}, found a segment that begins with "
                        f"line {segment}: lines are missing",
                        where=self._where(segment, segment),
                    )
                position = Position(
                    line=position.line, digest=position.digest, segment=segment, offset=0
                )
            last = index == len(segments) - 1
            with self._path(segment).open("rb") as file:
                file.seek(position.offset)
                for raw in file:
                    where = self._where(segment, position.line + 1)
                    if last and torn_ok and (not raw.endswith(b"\n")):
                        return
                    position = self._step(position, raw, where)
                    yield position, raw[:-1], where

    def _step(self, position: Position, raw: bytes, where: str) -> Position:
        if not raw.endswith(b"\n"):
            raise Malformed("expected a whole line, found a torn one", where=where)
        prev = position.digest or _stated_prev(raw, position.line + 1)
        digest = check(raw[:-1], number=position.line + 1, prev=prev, where=where)
        return Position(
            line=position.line + 1,
            digest=digest,
            segment=position.segment,
            offset=position.offset + len(raw),
        )

    def _cut_torn(self, end: Position) -> None:
        path = self._path(end.segment)
        size = path.stat().st_size if path.exists() else 0
        if size > end.offset:
            self.cut = Cut(where=self._where(end.segment, end.line + 1), bytes=size - end.offset)
            self._truncate(end)

    def _truncate(self, end: Position) -> None:
        self.close()
        for segment in self.segments():
            if segment > end.segment:
                self._path(segment).unlink()
        path = self._path(end.segment)
        if path.exists():
            descriptor = os.open(path, os.O_WRONLY)
            try:
                os.ftruncate(descriptor, end.offset)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(self._folder)

    def _open_for(self, end: Position) -> int:
        if self._descriptor is None:
            path = self._path(end.segment)
            fresh = not path.exists()
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            if fresh:
                sync_directory(self._folder)
        return self._descriptor

    def _next_segment(self, before: Position, after: Position) -> tuple[int, Position]:
        self.close()
        first = before.line + 1
        start = Position(line=before.line, digest=before.digest, segment=first, offset=0)
        moved = Position(
            line=after.line,
            digest=after.digest,
            segment=first,
            offset=after.offset - before.offset,
        )
        return self._open_for(start), moved

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:012d}.jsonl"

    def _where(self, segment: int, line: int) -> str:
        """File and line within it, 1-based, as an editor shows it."""
        return f"journal/{segment:012d}.jsonl, line {line - segment + 1}"


def _stated_prev(raw: bytes, number: int) -> str:
    start = len(f'{{"line":{number},"prev":"')
    return raw[start : start + 64].decode("ascii", "replace")


def _shorter(where: str, known: Position) -> Malformed:
    return Malformed(
        f"expected line {known.line}, which the database knows, found the journal's end before "
        "it: recorded facts are missing",
        where=where,
        hint="Bring the journal back from a copy, or move releaseline.duckdb away to go on from "
        "what the journal still holds.",
    )
