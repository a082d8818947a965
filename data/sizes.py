"""How large a home's record is on the disk."""

from __future__ import annotations

import os
from pathlib import Path

from data.shelf import DATABASE
from engine.core.vitals import Sizes


def sizes_of(home: Path) -> Sizes:
    """Walks every folder of blobs, which takes a while in a large home."""
    files, journal = _folder(home / "journal")
    blobs, blob_bytes = 0, 0
    for folder in os.scandir(home / "blobs"):
        if folder.is_dir():
            count, size = _folder(Path(folder.path))
            blobs += count
            blob_bytes += size
    database = sum(
        path.stat().st_size
        for path in (home / DATABASE, home / f"{DATABASE}.wal")
        if path.is_file()
    )
    return Sizes(
        journal_bytes=journal,
        journal_files=files,
        database_bytes=database,
        blobs=blobs,
        blob_bytes=blob_bytes,
    )


def _folder(path: Path) -> tuple[int, int]:
    """How many files lie in it, and their bytes; one that went away meanwhile is not counted."""
    count = size = 0
    for entry in os.scandir(path):
        try:
            if entry.is_file() and not entry.name.startswith("."):
                size += entry.stat().st_size
                count += 1
        except FileNotFoundError:
            continue
    return count, size
