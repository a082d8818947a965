"""What every way to take a feed has in common, and the way from a folder."""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, TypeAlias

from engine.adapters.feeds_dir import FOLDERS
from engine.adapters.feeds_folder import FolderMirror, unpacked
from engine.core.errors import AdapterFailed, Malformed, Unverified
from engine.core.feed_events import Validator
from engine.evidence.foreign_key import parse_key
from engine.feeds_job import Job
from engine.inputs.feeds_census import scored_us
from engine.inputs.feeds_manifest import check_listed, read_manifest
from engine.inputs.feeds_nvd import Page, last_modified_us, read_page
from engine.inputs.feeds_osv import by_id

Files: TypeAlias = Mapping[str, bytes]

SIGNATURE_SUFFIX: Final = ".sig"
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Attributes:
    files: what the snapshot shall hold, by place; None: the source has nothing new.
    said_s: the newest date that the source gave beside the data; 0 = none.
    """

    files: Files | None
    how: str
    bytes_read: int
    said_s: int = 0
    problems: tuple[str, ...] = ()
    checked_by: str = ""
    validators: tuple[Validator, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The list of digests of a source; without one everything passes."""

    digests: Mapping[str, str] | None = None
    manifest: str = ""
    by: str = ""

    def passed(self, place: str, content: bytes) -> bytes:
        """`content`, which is what the list says. Raises `Unverified`."""
        if self.digests is not None:
            check_listed(self.digests, place, content, manifest=self.manifest)
        return content


def check_manifest(job: Job, content: bytes | None, signature: bytes | None) -> Checked:
    """Read the list of digests, after its signature when the settings name a key.

    Raises:
        AdapterFailed: it is not there.
        Malformed: it is not such a list.
        Unverified: it is not signed by the key.
    """
    if content is None:
        raise AdapterFailed(f"{job.address}: there is no {job.manifest}", transient=False)
    by = job.manifest
    if job.key:
        key = parse_key(job.key.encode(), where=f"key of {job.name}")
        if signature is None or not any(key.signed(one, content) for one in _spelled(signature)):
            found = "no signature" if signature is None else "a signature of something else"
            raise Unverified(
                f"{job.manifest}: expected a signature of {key.name} in "
                f"{job.manifest}{SIGNATURE_SUFFIX}, found {found}",
                check="feed.signature",
                file=job.manifest,
                expected=key.name,
                found=found,
            )
        by = checked_by(job.manifest, key.name)
    digests = read_manifest(content, where=job.manifest)
    return Checked(digests=digests, manifest=job.manifest, by=by)


def checked_by(manifest: str, key_name: str) -> str:
    """How a synced feed names what vouches for its files."""
    return f"{manifest}, signed by {key_name}" if key_name else manifest


def _spelled(signature: bytes) -> Iterator[bytes]:
    """A detached signature is written as it is, or in base64."""
    yield signature
    try:
        yield base64.b64decode(signature.strip(), validate=True)
    except (binascii.Error, ValueError):
        return


def folder_flow(job: Job, mirror: FolderMirror, *, said_s: int) -> Flow:
    """Everything of the feed that lies in the folder."""
    checked = Checked()
    if job.manifest:
        signature = mirror.raw(f"{job.manifest}{SIGNATURE_SUFFIX}")
        checked = check_manifest(job, mirror.raw(job.manifest), signature)
    raw = ((place, checked.passed(place, one)) for place, one in mirror.files(job.name))
    found = list(unpacked(raw, limits=job.limits))
    problems: list[str] = []
    match job.name:
        case "OSV" | "GHSA":
            files = _advisories(job, found, problems)
        case "NVD":
            files, page_s = _pages(found, problems)
            said_s = said_s or page_s
        case "EPSS":
            files = _newest_scores(found, problems)
        case _:
            files = {f"{FOLDERS[job.name]}/{place}": content for place, content in found}
    return Flow(
        files=files,
        how="full",
        bytes_read=mirror.bytes_read,
        said_s=said_s,
        problems=tuple(problems),
        checked_by=checked.by,
    )


def _advisories(job: Job, found: list[tuple[str, bytes]], problems: list[str]) -> dict[str, bytes]:
    folders: dict[str, dict[str, bytes]] = defaultdict(dict)
    for place, content in found:
        path = PurePosixPath(place)
        folder = "" if path.parent == PurePosixPath() else path.parent.as_posix()
        named = folders[folder]
        # The same file loose and in an archive: `by_id` weighs both.
        name = path.name if path.name not in named else f"{len(named)}/{path.name}"
        named[name] = content
    files: dict[str, bytes] = {}
    for folder, members in folders.items():
        if job.ecosystems and folder not in job.ecosystems:
            continue
        kept, wrong = by_id(members, where=folder or job.name)
        problems += wrong
        files |= {advisory_place(job.name, folder, one): text for one, text in kept.items()}
    return files


def advisory_place(name: str, folder: str, advisory: str) -> str:
    """Where a snapshot has an advisory, whichever way it came."""
    middle = f"{folder}/" if folder else ""
    return f"{FOLDERS[name]}/{middle}{advisory}.json"


def _pages(found: list[tuple[str, bytes]], problems: list[str]) -> tuple[dict[str, bytes], int]:
    cves: dict[str, bytes] = {}
    broken: dict[str, bytes] = {}
    said_us = 0
    for place, content in found:
        try:
            page = read_page(content, where=place)
        except Malformed:
            broken[f"{FOLDERS['NVD']}/{place}"] = content  # said by the census
            continue
        merge(cves, page)
        said_us = max(said_us, page.said_us)
    return {**nvd_places(cves), **broken}, said_us // _SECOND_US


def merge(cves: dict[str, bytes], page: Page) -> None:
    """Take the CVEs of a page in; of one that is there already the newer state counts."""
    for name, content in page.cves.items():
        known = cves.get(name)
        if known is None or last_modified_us(content) >= last_modified_us(known):
            cves[name] = content


def nvd_places(cves: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{FOLDERS['NVD']}/{name}.json": content for name, content in cves.items()}


def _newest_scores(found: list[tuple[str, bytes]], problems: list[str]) -> dict[str, bytes]:
    """Scores of two days do not mix: those of the newest day are the feed."""
    dated = sorted((scored_us(content, where=place), place, content) for place, content in found)
    problems += [f"{place}: older scores than {dated[-1][1]}" for _, place, _ in dated[:-1]]
    return {f"{FOLDERS['EPSS']}/epss_scores.csv": dated[-1][2]}
