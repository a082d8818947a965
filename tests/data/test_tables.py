"""Export tables: the columns are those that are documented, and no cell calculates."""

from __future__ import annotations

import csv
import io
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import tables
from data.queries_audit import framed, records
from data.store import Store
from engine.core.errors import Malformed
from tests.data.kit import everything


@pytest.mark.parametrize("name", sorted(tables.TABLES))
def test_columns_are_those_of_the_header(store: Store, name: str) -> None:
    everything(store)
    assert store.fsck()  # samples come in late; it waits for them
    known = tables.TABLES[name]
    relation = store.cursor().sql(known.sql, params={"run": "run-1"})
    found = list(zip(relation.columns, map(str, relation.types), strict=True))
    assert found == [(column.name, column.type) for column in known.columns]
    assert known.told and known.order
    assert all(column.meaning for column in known.columns)
    rows = tables.table(store.cursor(), name, run="run-1")
    assert rows.height > 0 or name in {"replays", "approvals"}
    assert tables.table(store.cursor(), name, run="run-77").is_empty()
    if name in tables.ONE_RUN:
        with pytest.raises(Malformed, match="of one run"):
            tables.table(store.cursor(), name)


def test_the_audit_s_columns_are_those_of_its_query(store: Store) -> None:
    everything(store)
    frame = framed(records(store.cursor()))
    told = {column.name for column in tables.AUDIT.columns}
    assert told == ({*frame.columns} | {"time"}) - {"body", "auth"}


TEXT = (
    st.text(st.sampled_from("=+-@\t\r\n'\" ,;|a1é") | st.characters(codec="utf-8"), max_size=12)
    | st.none()
)


@given(st.lists(st.tuples(TEXT, st.integers(-9, 9)), min_size=1, max_size=6))
def test_no_cell_begins_like_a_formula(rows: list[tuple[str | None, int]]) -> None:
    schema = {"text": pl.String, "number": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    written = tables.csv(frame).decode()
    found: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(written, newline="")))
    assert len(found) == len(rows)
    for (text, number), row in zip(rows, found, strict=True):
        literal = text or ""
        if literal[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"} and literal:
            literal = f"'{literal}"
        assert row["text"] == literal
        assert row["number"] == str(number)  # a number is no text, also a negative one
