"""A home made of a backup again: read with distrust, checked whole, or not made at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from data.backup import MANIFEST, SCHEMA, exactly
from data.blobs import storage_full, sync_directory
from data.journal import START, Journal
from data.store import Store
from engine.core.errors import Conflict, Malformed
from engine.ports import Clock

_MANIFEST_MAX: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Attributes:
    line, digest: of the journal's last line.
    lost: samples and log lines that were not put away yet when it was made, a sentence each.
    findings: what is wrong with what was made again, a sentence each.
    """

    files: int
    bytes: int
    line: int
    digest: str
    lost: tuple[str, ...]
    findings: tuple[str, ...]


def restore(source: IO[bytes], home: Path, *, clock: Clock) -> Restored:
    """Make a home of a backup: all of it, checked, or nothing.

    The database is made again from the journal, and compared with it.

    Raises:
        Conflict: there is something at `home` already.
        Malformed: it is no backup, or not as it was written; names the member.
        StorageFull: nothing was kept.
    """
    home = home.resolve()
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise Conflict(f"{home}: expected an empty or a new folder, found something in it.")
    home.parent.mkdir(parents=True, exist_ok=True)
    fresh = home.parent / f".{home.name}.{secrets.token_hex(4)}"
    try:
        with storage_full():
            fresh.mkdir(mode=0o700)
            found, manifest = _unpack(source, fresh)
            _compare(found, manifest)
            _right_end(fresh, manifest)
            with closing(Store.open(fresh, clock=clock)) as store:
                report = store.fsck()
            if home.exists():
                home.rmdir()
            fresh.rename(home)
            sync_directory(home.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Restored(
        files=len(found),
        bytes=sum(size for size, _ in found.values()),
        line=manifest["line"],
        digest=manifest["digest"],
        lost=tuple(str(one) for one in report.findings if one.lost),
        findings=tuple(str(one) for one in report.findings if not one.lost),
    )


def _unpack(source: IO[bytes], folder: Path) -> tuple[dict[str, tuple[int, str]], dict[str, Any]]:
    """(size, SHA-256) of each file by its name, and the manifest, which has to come last."""
    found: dict[str, tuple[int, str]] = {}
    manifest: dict[str, Any] | None = None
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                name = _safe(member, found)
                if manifest is not None:
                    raise Malformed(f"expected nothing behind {MANIFEST}", where=name)
                file = archive.extractfile(member)
                assert file is not None  # a regular file
                if name == MANIFEST:
                    manifest = _manifest(file.read(_MANIFEST_MAX))
                    continue
                found[name] = (member.size, _write(file, folder / name, member.size, name))
    except (tarfile.TarError, EOFError) as error:
        raise Malformed(f"expected a tar file, found {error}", where="backup") from None
    if manifest is None:
        raise Malformed("expected this at its end, found none: it is not whole", where=MANIFEST)
    return found, manifest


def _safe(member: tarfile.TarInfo, known: dict[str, tuple[int, str]]) -> str:
    name, path = member.name, PurePosixPath(member.name)
    if not member.isreg():
        raise Malformed("expected a file, found something else", where=name)
    plain = path.as_posix() == name and not path.is_absolute()
    if not plain or ".." in path.parts or "\\" in name or "\0" in name:
        raise Malformed("expected a path inside of the home", where=name)
    if name in known or any(str(parent) in known for parent in path.parents):
        raise Malformed("expected each name once", where=name)
    return name


def _write(file: IO[bytes], place: Path, size: int, name: str) -> str:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest = hashlib.sha256()
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        for chunk in exactly(file, size, name):
            digest.update(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest()


def _manifest(content: bytes) -> dict[str, Any]:
    try:
        document: Any = json.load(io.BytesIO(content))
        files = {one["name"]: (one["size"], one["sha256"]) for one in document["files"]}
        found = {"line": document["line"], "digest": document["digest"], "files": files}
    except (ValueError, TypeError, KeyError) as error:
        raise Malformed(f"expected a manifest, found {error}", where=MANIFEST) from None
    if document.get("schema") != SCHEMA:
        raise Malformed(f"expected {SCHEMA!r}, found {document.get('schema')!r}", where=MANIFEST)
    return found


def _compare(found: dict[str, tuple[int, str]], manifest: dict[str, Any]) -> None:
    for name, expected in manifest["files"].items():
        if name not in found:
            raise Malformed("expected this file, found none", where=name)
        if found[name] != tuple(expected):
            raise Malformed(
                f"expected {expected[0]} bytes with SHA-256 {expected[1]}, found "
                f"{found[name][0]} with {found[name][1]}",
                where=name,
            )
    more = found.keys() - manifest["files"].keys()
    if more:
        raise Malformed(f"expected only what {MANIFEST} names", where=min(more))


def _right_end(home: Path, manifest: dict[str, Any]) -> None:
    journal = Journal(home / "journal")
    journal.open(START)
    journal.close()
    end, cut = journal.end, journal.cut
    expected, found = (manifest["line"], manifest["digest"]), (end.line, end.digest)
    if found != expected or cut is not None:
        raise Malformed(
            f"expected the journal to end with line {expected[0]}, {expected[1]}, found line "
            f"{found[0]}, {found[1]}",
            where=MANIFEST,
        )
