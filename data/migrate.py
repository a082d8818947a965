"""Brings a database to the newest schema, one numbered file at a time.

Each migration commits together with its own record. Once applied it is frozen: a file whose digest
differs from the recorded one is refused, because nobody could say any more what the tables hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from engine.core.digest import Digest
from engine.core.errors import Malformed

FOLDER: Final = Path(__file__).parent / "sql" / "migrations"

_RECORD: Final = """
CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER NOT NULL,
    name   VARCHAR NOT NULL,
    digest VARCHAR NOT NULL
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return str(Digest.of(self.sql.encode()))


def migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """All migrations in order. Their numbers have no gaps."""
    found = tuple(
        Migration(number=int(path.stem[:4]), name=path.stem, sql=path.read_text("utf-8"))
        for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    )
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations in {folder} are not numbered 1, 2, 3, ...")
    return found


def migrate(connection: duckdb.DuckDBPyConnection, known: tuple[Migration, ...]) -> None:
    """Apply what is missing.

    Raises:
        Malformed: an applied migration is not the one known by its number.
    """
    connection.execute(_RECORD)
    applied = connection.execute("SELECT number, name, digest FROM migrations ORDER BY 1")
    done = applied.fetchall()
    for (number, name, digest), migration in zip(done, known, strict=False):
        if (number, name, digest) != (migration.number, migration.name, migration.digest):
            raise Malformed(
                f"expected {migration.digest}, found {digest} applied: a migration may not change",
                where=f"migration {name}",
            )
    if len(done) > len(known):
        raise Malformed(
            "expected no such migration: the database was written by a newer release",
            where=f"migration {done[len(known)][1]}",
        )
    for migration in known[len(done) :]:
        connection.begin()
        connection.execute(migration.sql)
        connection.execute(
            "INSERT INTO migrations VALUES (?, ?, ?)",
            [migration.number, migration.name, migration.digest],
        )
        connection.commit()
    if len(done) < len(known):
        connection.execute("CHECKPOINT")
