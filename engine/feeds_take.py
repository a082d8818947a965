"""Takes one feed from its source: what is new is fetched, checked, counted and packed.

Runs in a process of its own (`engine.feeds_child`). It replaces nothing: whether the result comes
into force is decided, and recorded, by the server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.adapters.feeds_dir import read_index
from engine.adapters.feeds_folder import FolderMirror
from engine.adapters.feeds_http import HttpMirror, Tell
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.feeds import is_url
from engine.feeds_flow import Files, Flow, folder_flow
from engine.feeds_http_flow import http_flow
from engine.feeds_job import Job, Taken
from engine.inputs.feeds import pack_feed, unpack_feed
from engine.inputs.feeds_census import census, changes

_NAMED_MAX: Final = 5
# An address that ends so is that of the file, not of the folder that it lies in.
_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "EPSS": (".csv", ".csv.gz"),
    "KEV": (".json", ".json.gz"),
    "NVD": (".json", ".json.gz"),
}


def take(job: Job, tell: Tell = lambda what, done, of, unit: None) -> Taken:
    """Sync one feed, up to the moment before the snapshot in force is replaced.

    Args:
        tell: told of progress: what, done, of (0 = not known), unit.

    Raises:
        AdapterFailed: the source cannot be reached, or gives no whole answer.
        Malformed: what it gives is not what it claims to be, or carries no date.
        Unverified: it is not what the list of digests says, or that is not signed by the key.
    """
    before = _before(job)
    flow = _flow(job, before if job.go_on else {}, tell)
    if flow.files is None:
        return _unchanged(job, flow)
    tell("reading", 0, len(flow.files), "files")
    if sum(len(one) for one in flow.files.values()) > job.limits.unpacked_bytes:
        limit = job.limits.unpacked_bytes
        raise Malformed(f"expected at most {limit} bytes unpacked, found more", where=_where(job))
    files, broken = _texts(flow.files)
    after = census(job.name, {place: one for place, one in files.items() if place not in broken})
    problems = [*flow.problems, *broken.values(), *after.problems]
    if not after.records:
        raise Malformed(problems[0] if problems else "it holds nothing", where=_where(job))
    said_s = flow.said_s or after.newest_s
    if not said_s:
        raise Malformed("expected a date in its files, found none", where=_where(job))
    if files == before:
        return _unchanged(job, replace(flow, said_s=said_s))
    content = pack_feed(job.name, files)
    digest = Digest.of(content)
    added, changed, removed = changes(census(job.name, before) if before else None, after)
    _write(Path(job.into), content)
    return Taken(
        how=flow.how,
        digest=str(digest),
        said_s=said_s,
        newest_s=after.newest_s,
        records=len(after.records),
        added=added,
        changed=changed,
        removed=removed,
        withdrawn=len(after.withdrawn),
        unreadable=len(problems),
        problems=tuple(problems[:_NAMED_MAX]),
        bytes_read=flow.bytes_read,
        vouched=is_url(job.address),
        checked_by=flow.checked_by,
        validators=flow.validators,
    )


def _flow(job: Job, before: Files, tell: Tell) -> Flow:
    if not is_url(job.address):
        folder = FolderMirror(Path(job.address), limits=job.limits)
        index = read_index(Path(job.index)) if job.index else {}
        return folder_flow(job, folder, said_s=index.get(job.name, 0))
    secret = {}
    if job.token:
        bearer = {"Authorization": f"Bearer {job.token}"}
        secret = {"apiKey": job.token} if job.name == "NVD" else bearer
    file = job.address.endswith(_FILES.get(job.name, ()))
    mirror = HttpMirror(
        job.address.rpartition("/")[0] if file else job.address,
        limits=job.limits,
        secret=secret,
        pause_s=job.pause_ms / 1000,
        tell=tell,
    )
    with closing(mirror):
        return http_flow(job, mirror, before, tell, file=file)


def _before(job: Job) -> Files:
    if not job.previous:
        return {}
    return unpack_feed(Path(job.previous).read_bytes(), where=f"snapshot of {job.name}")


def _unchanged(job: Job, flow: Flow) -> Taken:
    return Taken(
        how="unchanged",
        said_s=flow.said_s,
        bytes_read=flow.bytes_read,
        vouched=is_url(job.address),
        checked_by=flow.checked_by,
        validators=flow.validators,
    )


def _texts(files: Files) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files as a snapshot can hold them, and a sentence for each that is no text.

    Such a file keeps its place with something unreadable in it, so that the gate finds it too.
    """
    kept, broken = {}, {}
    for place, content in files.items():
        try:
            content.decode("utf-8")
            kept[place] = content
        except UnicodeDecodeError as error:
            said = f"{place}: expected UTF-8 text, found byte {error.start}"
            broken[place] = said
            kept[place] = b"not UTF-8 text, " + str(Digest.of(content)).encode()
    return kept, broken


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _where(job: Job) -> str:
    return f"{job.name} at {job.address}"
