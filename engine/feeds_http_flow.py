"""The way to take a feed from a mirror over HTTP: only what is not here yet, where one can tell.

Where a list of digests is configured, a change of that list means that everything is fetched anew
and checked against it; single advisories are fetched only where no list has to vouch for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from engine.adapters.feeds_dir import FOLDERS
from engine.adapters.feeds_http import Got, HttpMirror, Tell
from engine.core.errors import AdapterFailed, Malformed
from engine.core.feed_events import Validator
from engine.evidence.foreign_key import parse_key
from engine.feeds_flow import (
    SIGNATURE_SUFFIX,
    Checked,
    Files,
    Flow,
    advisory_place,
    check_manifest,
    checked_by,
    merge,
    nvd_places,
)
from engine.feeds_job import Job
from engine.inputs.feeds_nvd import last_modified_us, read_page
from engine.inputs.feeds_osv import Listed, by_id, modified_us, plan, read_modified
from engine.inputs.feeds_unpack import gunzip, unzip

MODIFIED: Final = "modified_id.csv"
ARCHIVE: Final = "all.zip"
ECOSYSTEMS: Final = "ecosystems.txt"
# Beyond this many the archive, in one request, is kinder to the mirror and quicker.
FETCH_MAX: Final = 500
_FILES: Final = {
    "EPSS": "epss_scores-current.csv.gz",
    "KEV": "known_exploited_vulnerabilities.json",
}
_PAGE: Final = 2_000
# NVD answers no question about a longer time at once.
_NVD_SPAN: Final = timedelta(days=119)
_SECOND_US: Final = 1_000_000


@dataclass(slots=True, kw_only=True)
class _Sync:
    """One sync under way.

    Attributes:
        fresh: what the mirror said of the files that the result rests on, by place.
        lists: lists of modifications that were asked for, by place.
        behind: archives that lack what a list names.
    """

    job: Job
    mirror: HttpMirror
    before: Files
    tell: Tell
    checked: Checked = field(default_factory=Checked)
    fresh: dict[str, Validator] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    lists: dict[str, Got | None] = field(default_factory=dict)
    behind: list[str] = field(default_factory=list)
    unpacked: int = 0

    def known(self, place: str) -> Validator | None:
        return next((one for one in self.job.validators if one.place == place), None)

    def got(self, place: str, *, ask_if_changed: bool) -> Got | None:
        found = self.mirror.get(place, known=self.known(place) if ask_if_changed else None)
        if found is not None and found.validator is not None:
            self.fresh[place] = found.validator
        return found

    def passed(self, place: str, content: bytes) -> bytes:
        return self.checked.passed(place, content)

    def flow(self, files: Files | None, how: str, *, said_s: int = 0) -> Flow:
        return Flow(
            files=files,
            how=how,
            said_s=said_s,
            bytes_read=self.mirror.bytes_read,
            problems=tuple(self.problems),
            checked_by=self.checked.by,
            validators=tuple(self.fresh[place] for place in sorted(self.fresh)),
        )


def http_flow(job: Job, mirror: HttpMirror, before: Files, tell: Tell, *, file: bool) -> Flow:
    """Take the feed from its mirror.

    Args:
        before: the files of the snapshot in force.
        file: the address names the one file of the feed, not the folder that it lies in.
    """
    sync = _Sync(job=job, mirror=mirror, before=before, tell=tell)
    if job.manifest and not _manifest(sync):
        return sync.flow(None, "unchanged")
    if job.name in {"OSV", "GHSA"}:
        return _osv(sync)
    if job.name == "NVD" and not file:
        if job.manifest:
            raise Malformed(
                "expected the address of a file, because a list of digests says nothing of answers",
                where=job.address,
            )
        return _nvd_pages(sync)
    return _one_file(sync, job.address.rpartition("/")[2] if file else _FILES[job.name])


def _manifest(sync: _Sync) -> bool:
    """Read and check the list of digests. False: it has not changed, so nothing has."""
    job = sync.job
    found = sync.got(job.manifest, ask_if_changed=bool(sync.before))
    if found is not None and found.content is None:
        sync.checked = Checked(by=_checked_before(job))
        return False
    content = None if found is None else found.content
    signature = None
    if job.key:
        signed = sync.mirror.get(f"{job.manifest}{SIGNATURE_SUFFIX}")
        signature = None if signed is None else signed.content
    sync.checked = check_manifest(job, content, signature)
    return True


def _checked_before(job: Job) -> str:
    return checked_by(job.manifest, parse_key(job.key.encode(), where="").name if job.key else "")


# --- feeds of one file ----------------------------------------------------------------------------


def _one_file(sync: _Sync, place: str) -> Flow:
    job = sync.job
    found = sync.got(place, ask_if_changed=bool(sync.before) and not job.manifest)
    if found is None:
        raise AdapterFailed(f"{job.address}: there is no {place}", transient=False)
    if found.content is None:
        return sync.flow(None, "unchanged")
    content = sync.passed(place, found.content)
    if place.endswith(".gz"):
        content = gunzip(content, limit=job.limits.unpacked_bytes, where=place)
    if job.name == "NVD":
        page = read_page(content, where=place)
        return sync.flow(nvd_places(page.cves), "full", said_s=page.said_us // _SECOND_US)
    name = "epss_scores.csv" if job.name == "EPSS" else _FILES["KEV"]
    return sync.flow({f"{FOLDERS[job.name]}/{name}": content}, "full")


# --- advisories in OSV's layout -------------------------------------------------------------------


def _osv(sync: _Sync) -> Flow:
    job = sync.job
    if job.ecosystems:
        folders: tuple[str, ...] = job.ecosystems
    else:
        files, how = _ecosystem(sync, "", may_lack=True)
        if files is not None:
            return _whole(sync, files, {how})
        folders = _listed_ecosystems(sync)
    everything: dict[str, bytes] = {}
    ways = set()
    for folder in folders:
        files, how = _ecosystem(sync, folder, may_lack=False)
        assert files is not None  # it may not lack
        everything |= files
        ways.add(how)
    if "full" in ways:
        sync.fresh.pop(MODIFIED, None)  # of all ecosystems: it may be newer than one's archive
    return _whole(sync, everything, ways)


def _whole(sync: _Sync, files: Files, ways: set[str]) -> Flow:
    if sync.behind and files == sync.before:
        # Something is new and cannot be had: that is not a source with nothing new.
        raise AdapterFailed(sync.behind[0], transient=True)
    if ways == {"unchanged"} and files == sync.before:
        return sync.flow(None, "unchanged")
    return sync.flow(files, "full" if "full" in ways else "incremental")


def _listed_ecosystems(sync: _Sync) -> tuple[str, ...]:
    found = sync.mirror.get(ECOSYSTEMS)
    if found is None or found.content is None:
        raise AdapterFailed(
            f"{sync.job.address}: there is neither {ARCHIVE} nor {ECOSYSTEMS}", transient=False
        )
    content = sync.passed(ECOSYSTEMS, found.content)
    names = tuple(dict.fromkeys(content.decode("utf-8", "replace").split("\n")))
    folders = tuple(name.strip() for name in names if name.strip())
    for name in folders:
        if ".." in name or name.startswith("/") or not name.isprintable():
            raise Malformed(f"expected a name, found {name[:60]!r}", where=ECOSYSTEMS)
    if not folders:
        raise Malformed("expected at least one name, found none", where=ECOSYSTEMS)
    return folders


def _ecosystem(sync: _Sync, folder: str, *, may_lack: bool) -> tuple[Files | None, str]:
    """The files of one ecosystem, and how they came; None when the mirror has no such archive."""
    held = _held(sync, folder)
    listed: list[Listed] | str | None = None
    if held and not sync.job.manifest:
        listed = _modified(sync, folder)
        if isinstance(listed, str):
            return held, "unchanged"
        if listed is not None:
            done = _incremental(sync, folder, held, listed)
            if done is not None:
                return done, "incremental"
            # The archive may be older than the list: the list is asked for again next time.
            _forget_lists(sync, folder)
    place = _below(folder, ARCHIVE)
    found = sync.got(place, ask_if_changed=bool(held) and not sync.job.manifest)
    if found is None:
        if may_lack:
            return None, ""
        raise AdapterFailed(f"{sync.job.address}: there is no {place}", transient=False)
    if found.content is None:
        _behind(sync, place, listed, held)
        return held, "unchanged"
    members = unzip(sync.passed(place, found.content), limits=sync.job.limits, where=place)
    sync.unpacked += sum(len(one) for one in members.values())
    if sync.unpacked > sync.job.limits.unpacked_bytes:
        raise Malformed("expected less than the limits allow, found more", where=place)
    kept, problems = by_id(members, where=place)
    sync.problems += problems
    files = {advisory_place(sync.job.name, folder, one): text for one, text in kept.items()}
    _behind(sync, place, listed, files)
    return files, "full"


def _behind(sync: _Sync, place: str, listed: list[Listed] | str | None, files: Files) -> None:
    """Take note when the archive does not have yet what the list says that there is."""
    if isinstance(listed, list):
        lacking = plan(listed, _moments(files)).fetch
        if lacking:
            named = f"{place}: it lacks {len(lacking)} that {MODIFIED} lists, {lacking[0].id} first"
            sync.behind.append(named)
            sync.problems.append(named)


def _held(sync: _Sync, folder: str) -> dict[str, bytes]:
    ahead = f"{FOLDERS[sync.job.name]}/{f'{folder}/' if folder else ''}"
    return {
        place: content
        for place, content in sync.before.items()
        if place.startswith(ahead) and "/" not in place[len(ahead) :]
    }


def _incremental(sync: _Sync, folder: str, held: Files, listed: list[Listed]) -> Files | None:
    """What is held with what is new; None where the archive is the better or the only way."""
    due = plan(listed, _moments(held))
    if len(due.fetch) > FETCH_MAX:
        return None
    gone = set(due.drop)
    files = {place: one for place, one in held.items() if _stem(place) not in gone}
    for number, one in enumerate(due.fetch):
        sync.tell(folder or "all ecosystems", number, len(due.fetch), "advisories")
        found = sync.mirror.get(_below(one.ecosystem or folder, f"{one.id}.json"))
        if found is None or found.content is None:
            return None  # listed and not there: the archive has to say what is
        kept, problems = by_id({f"{one.id}.json": found.content}, where=folder or sync.job.name)
        sync.problems += problems
        files |= {advisory_place(sync.job.name, folder, i): text for i, text in kept.items()}
    return files


def _modified(sync: _Sync, folder: str) -> list[Listed] | str | None:
    """The list of one ecosystem; `unchanged`; or None when the mirror has none for it."""
    for place in _list_places(folder):
        if place not in sync.lists:
            sync.lists[place] = sync.got(place, ask_if_changed=True)
        found = sync.lists[place]
        if found is None:
            continue
        if found.content is None:
            return "unchanged"
        listed = read_modified(found.content, where=place)
        if folder and place == MODIFIED:
            listed = [one for one in listed if one.ecosystem == folder]
        return listed or None
    return None


def _list_places(folder: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((_below(folder, MODIFIED), MODIFIED)))


def _forget_lists(sync: _Sync, folder: str) -> None:
    for place in _list_places(folder):
        sync.fresh.pop(place, None)


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _moments(files: Files) -> dict[str, int | None]:
    return {_stem(place): _when(content) for place, content in files.items()}


def _stem(place: str) -> str:
    return place.rpartition("/")[2].removesuffix(".json")


def _when(content: bytes) -> int | None:
    try:
        return modified_us(content, where="")
    except Malformed:
        return None


# --- the API of NVD -------------------------------------------------------------------------------


def _nvd_pages(sync: _Sync) -> Flow:
    """All pages, or those of what was modified since the newest that is here."""
    held = dict(sync.before)
    newest_us = max((last_modified_us(one) for one in held.values()), default=0)
    since = _since(newest_us, sync.job.asked_s)
    cves: dict[str, bytes] = {}
    said_us, start, total = 0, 0, -1
    while total < 0 or start < total:
        params: dict[str, str | int] = {"startIndex": start, "resultsPerPage": _PAGE, **since}
        found = sync.mirror.get("", params=params)
        if found is None or found.content is None:
            raise AdapterFailed(f"{sync.job.address}: status 404", transient=False)
        page = read_page(found.content, where=f"page from {start}")
        if page.start != start or (page.total > start and not page.cves):
            raise Malformed(
                f"expected the page from {start}, found {len(page.cves)} from {page.start}",
                where=sync.job.address,
            )
        merge(cves, page)
        said_us, total = max(said_us, page.said_us), page.total
        start += max(1, len(page.cves))
        sync.tell("pages", min(start, total), total, "flaws")
    if not since:
        return sync.flow(nvd_places(cves), "full", said_s=said_us // _SECOND_US)
    files: Mapping[str, bytes] = {**held, **nvd_places(cves)}
    if files == sync.before:
        return sync.flow(None, "unchanged", said_s=said_us // _SECOND_US)
    return sync.flow(files, "incremental", said_s=said_us // _SECOND_US)


def _since(newest_us: int, now_s: int) -> dict[str, str | int]:
    start, end = datetime.fromtimestamp(newest_us / _SECOND_US, UTC), _moment(now_s)
    if not newest_us or not timedelta() <= end - start <= _NVD_SPAN:
        return {}
    return {"lastModStartDate": _stamp(start), "lastModEndDate": _stamp(end)}


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
