"""Tables as files for others: which there are, what each column means, and how they are written.

The columns of the tables that anybody may rely on stand in `sql/tables/<name>.sql`, documented in
the header; a test holds them against the query. Times stay epoch microseconds, so that no reader
guesses a zone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from engine.core.errors import Malformed

FOLDER: Final = Path(__file__).parent / "sql" / "tables"
# Of one run only, because all of them do not fit into one answer.
ONE_RUN: Final = frozenset({"samples"})
# What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = r"^[=+\-@\t\r\n]"
_COLUMN: Final = re.compile(r"--   (\w+) ([A-Z]+)\s+(\S.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    name: str
    told: str
    order: str
    columns: tuple[Column, ...]
    sql: str


def _table(path: Path) -> Table:
    text = path.read_text("utf-8")
    head, *rest = text.splitlines()
    order = next(line.removeprefix("-- order: ") for line in rest if line.startswith("-- order: "))
    columns = tuple(
        Column(name=found[1], type=found[2], meaning=found[3])
        for line in rest
        if (found := _COLUMN.fullmatch(line))
    )
    told = head.partition(": ")[2]
    return Table(name=path.stem, told=told, order=order, columns=columns, sql=text)


TABLES: Final[Mapping[str, Table]] = {
    path.stem: _table(path) for path in sorted(FOLDER.glob("*.sql"))
}


AUDIT: Final = Table(
    name="audit",
    told="who attempted what, by which proof, and what came of it.",
    order="gseq, descending",
    columns=(
        Column(name="gseq", type="BIGINT", meaning="place among all events of the home, from 1"),
        Column(name="time", type="VARCHAR", meaning="UTC, ISO 8601"),
        Column(name="ts_us", type="BIGINT", meaning="the same in UTC epoch microseconds"),
        Column(name="actor", type="VARCHAR", meaning="user name; unknown of failed sign-ins"),
        Column(name="method", type="VARCHAR", meaning="how they were let in; else empty"),
        Column(name="credential", type="VARCHAR", meaning="id of the session or token"),
        Column(name="verb", type="VARCHAR", meaning="what was asked for"),
        Column(name="result", type="VARCHAR", meaning="allowed or denied"),
        Column(name="code", type="VARCHAR", meaning="why it was denied, for programs"),
        Column(name="why", type="VARCHAR", meaning="why it was denied, as a sentence"),
        Column(name="subject", type="VARCHAR", meaning="what it was about"),
        Column(name="run_id", type="VARCHAR", meaning="of which run; else empty"),
        Column(name="environment", type="VARCHAR", meaning="in which environment; else empty"),
        Column(name="step", type="VARCHAR", meaning="of the run; else empty"),
        Column(name="reason", type="VARCHAR", meaning="that they gave"),
        Column(name="ticket", type="VARCHAR", meaning="that they gave"),
        Column(name="before", type="VARCHAR", meaning="digest of what was there before"),
        Column(name="after", type="VARCHAR", meaning="digest of what came of it"),
        Column(name="request_id", type="VARCHAR", meaning="of the request that it came with"),
        Column(name="command_id", type="VARCHAR", meaning="as the client named its command"),
        Column(name="kind", type="VARCHAR", meaning="name of the event, version of its shape"),
        Column(name="stream", type="VARCHAR", meaning="that the event stands in"),
        Column(name="seq", type="INTEGER", meaning="place within the stream, from 1"),
        Column(name="prev", type="VARCHAR", meaning="hash of the stream's event before"),
        Column(name="hash", type="VARCHAR", meaning="SHA-256 of the event (table events)"),
    ),
    sql="",
)


def table(cursor: duckdb.DuckDBPyConnection, name: str, *, run: str = "") -> pl.DataFrame:
    """A whole table, or its rows of one run.

    Raises:
        Malformed: it is given out only run by run, and none is named.
    """
    if name in ONE_RUN and not run:
        raise Malformed(f"{name} are exported of one run, found none named", where="run")
    frame: pl.DataFrame = cursor.sql(TABLES[name].sql, params={"run": run}).pl()
    return frame


def csv(frame: pl.DataFrame) -> bytes:
    """UTF-8 with a head line. A cell that a spreadsheet would calculate has a `'` before it."""
    safe = frame.with_columns(
        pl.when(pl.col(name).str.contains(_FORMULA))
        .then("'" + pl.col(name))
        .otherwise(pl.col(name))
        .alias(name)
        for name, kind in frame.schema.items()
        if kind == pl.String
    )
    return safe.write_csv().encode()


def jsonl(frame: pl.DataFrame) -> bytes:
    """One JSON object a line."""
    return frame.write_ndjson().encode()


def parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out, compression="zstd", statistics=True)
    return out.getvalue()


WRITERS: Final[Mapping[str, Callable[[pl.DataFrame], bytes]]] = {
    "csv": csv,
    "jsonl": jsonl,
    "parquet": parquet,
}
