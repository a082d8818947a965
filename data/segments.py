"""What a blob of samples or of log lines looks like. Pure: rows in, bytes out, and back.

Samples are Parquet, which every tool for numbers reads; log lines are gzip of JSON lines, which
`zcat` shows. Both name run, step and attempt in every row, so that a blob explains itself.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Final, TypeAlias

import polars as pl

from engine.core.errors import Malformed
from engine.core.jcs import canonical

Frame: TypeAlias = pl.DataFrame

SAMPLES: Final = "samples"
LOGS: Final = "logs"

# The tables' columns in their order; the database checks again what may be NULL.
SAMPLE_SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "ts_us": pl.Int64,
    "run_id": pl.String,
    "step": pl.String,
    "attempt": pl.Int32,
    "target": pl.String,
    "arm": pl.String,
    "requests": pl.Int64,
    "errors": pl.Int64,
    "slow": pl.Int64,
    "p95_ms": pl.Int32,
    "healthy": pl.Boolean,
    "digest": pl.String,
}
LOG_SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "run_id": pl.String,
    "step": pl.String,
    "attempt": pl.Int32,
    "ts_us": pl.Int64,
    "level": pl.String,
    "target": pl.String,
    "text": pl.String,
}
SCHEMAS: Final = {SAMPLES: SAMPLE_SCHEMA, LOGS: LOG_SCHEMA}


def encode(kind: str, rows: Frame) -> bytes:
    """`rows` has the columns of `SCHEMAS[kind]`. Equal rows give equal bytes."""
    if kind == SAMPLES:
        buffer = io.BytesIO()
        rows.write_parquet(buffer, compression="zstd")
        return buffer.getvalue()
    lines = b"".join(canonical(row) + b"\n" for row in rows.iter_rows(named=True))
    return gzip.compress(lines, mtime=0)


def decode(kind: str, content: bytes) -> Frame:
    """The rows as they were. Raises `Malformed`."""
    schema = SCHEMAS[kind]
    if not content:  # which would pass for the gzip of nothing
        raise Malformed(f"expected {kind}, found an empty file", where="archive")
    try:
        if kind == SAMPLES:
            rows = pl.read_parquet(io.BytesIO(content))
        else:
            lines = gzip.decompress(content).splitlines()
            rows = pl.DataFrame([json.loads(line) for line in lines], schema=schema)
    except (OSError, EOFError, ValueError, zlib.error, pl.exceptions.PolarsError) as error:
        raise Malformed(f"expected {kind}, found {error}", where="archive") from None
    if dict(rows.schema) != schema:
        raise Malformed(
            f"expected the columns {', '.join(schema)}, found {', '.join(rows.columns)}",
            where="archive",
        )
    return rows
