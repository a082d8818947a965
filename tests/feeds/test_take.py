"""Every feed from a real mirror: what is fetched, what is counted, what the snapshot holds."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed
from engine.inputs.feeds import read_feeds
from engine.inputs.feeds_unpack import FeedLimits
from engine.ports import FeedSnapshot
from tests.feeds.conftest import Taker
from tests.feeds.mirror import Fault, Mirror, advisory, archive, cve, kev, page, scores

ONE = {"X-1": advisory("X-1"), "X-2": advisory("X-2", "2026-02-02T00:00:00Z")}


def snapshot(name: str, taker: Taker) -> FeedSnapshot:
    content = Path(taker.previous).read_bytes()
    return FeedSnapshot(name=name, digest=Digest.of(content), as_of_s=1, content=content)


def test_advisories_come_whole_and_then_only_what_is_new(mirror: Mirror, sync: Taker) -> None:
    mirror.ecosystem("PyPI", ONE, root="osv")
    first = sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    assert (first.how, first.records, first.added) == ("full", 2, 2)
    assert mirror.paths() == ["osv/PyPI/all.zip"]
    assert first.newest_s == first.said_s == 1769990400

    newer = ONE | {
        "X-2": advisory("X-2", "2026-02-04T00:00:00Z", withdrawn="2026-02-04T00:00:00Z"),
        "X-3": advisory("X-3", "2026-02-03T00:00:00Z"),
    }
    mirror.ecosystem("PyPI", newer, root="osv")
    second = sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    assert mirror.paths() == [
        "osv/PyPI/modified_id.csv",
        "osv/PyPI/X-2.json",
        "osv/PyPI/X-3.json",
    ]
    assert (second.how, second.added, second.changed, second.removed) == ("incremental", 1, 1, 0)
    assert (second.records, second.withdrawn) == (3, 1)

    third = sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    assert mirror.asked == [("osv/PyPI/modified_id.csv", 304)]
    assert third.how == "unchanged" and third.vouched

    facts = read_feeds([snapshot("OSV", sync)])
    assert {one.id for found in facts.advisories.values() for one in found} == {"X-1", "X-3"}


def test_what_is_listed_and_not_there_is_asked_of_the_archive(mirror: Mirror, sync: Taker) -> None:
    mirror.ecosystem("PyPI", ONE, root="osv")
    sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    mirror.ecosystem("PyPI", ONE | {"X-3": advisory("X-3", "2026-02-03T00:00:00Z")}, root="osv")
    del mirror.files["osv/PyPI/X-3.json"]
    taken = sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    assert (taken.how, taken.added) == ("full", 1)
    # The list may be newer than the archive was: it is looked at again, and not by its tag alone.
    mirror.paths()
    assert sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",)).how == "unchanged"
    assert mirror.asked == [("osv/PyPI/modified_id.csv", 200)]


def test_what_is_listed_and_nowhere_to_be_had_is_no_peace(mirror: Mirror, sync: Taker) -> None:
    mirror.ecosystem("PyPI", ONE, root="osv")
    sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    mirror.files["osv/PyPI/modified_id.csv"] = (
        b"2026-02-03T00:00:00Z,X-3\n2026-02-02T00:00:00Z,X-2\n2026-02-01T00:00:00Z,X-1\n"
    )
    with pytest.raises(AdapterFailed, match=r"it lacks 1 that modified_id.csv lists, X-3 first"):
        sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))


def test_what_is_gone_from_the_mirror_is_gone_here(mirror: Mirror, sync: Taker) -> None:
    mirror.ecosystem("PyPI", ONE, root="osv")
    sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    mirror.ecosystem("PyPI", {"X-2": ONE["X-2"]}, root="osv")
    taken = sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    assert (taken.how, taken.removed, list(sync.files())) == (
        "incremental", 1, ["osv/PyPI/X-2.json"]
    )  # fmt: skip


def test_the_newer_state_of_an_advisory_counts_wherever_it_lies(
    mirror: Mirror, sync: Taker
) -> None:
    package = {"package": {"ecosystem": "PyPI", "name": "other"}, "versions": ["2.0"]}
    for older, newer in (("A", "B"), ("B", "A")):
        mirror.ecosystem(older, {"X-1": advisory("X-1")}, root="osv")
        late = advisory("X-1", "2026-02-05T00:00:00Z", affected=[package])
        mirror.ecosystem(newer, {"X-1": late}, root="osv")
        sync.previous = ""
        taken = sync("OSV", f"{mirror.url}/osv", ecosystems=("A", "B"))
        assert taken.records == 1
        facts = read_feeds([snapshot("OSV", sync)])
        assert [one.name for one in facts.advisories] == ["other"]
    gone = advisory("X-1", "2026-02-06T00:00:00Z", withdrawn="2026-02-06T00:00:00Z")
    mirror.ecosystem("A", {"X-1": gone}, root="osv")
    sync("OSV", f"{mirror.url}/osv", ecosystems=("A", "B"))
    assert not read_feeds([snapshot("OSV", sync)]).advisories


def test_a_mirror_with_archives_alone_is_enough(mirror: Mirror, sync: Taker) -> None:
    mirror.files["m/all.zip"] = archive({"X-1.json": json.dumps(ONE["X-1"]).encode()})
    assert sync("GHSA", f"{mirror.url}/m").records == 1
    assert sync("GHSA", f"{mirror.url}/m").how == "unchanged"
    assert mirror.asked[-1] == ("m/all.zip", 304)
    assert list(sync.files()) == ["ghsa/X-1.json"]


def test_one_list_for_all_ecosystems_is_understood(mirror: Mirror, sync: Taker) -> None:
    mirror.ecosystem("PyPI", {"X-1": ONE["X-1"]}, root="osv")
    mirror.ecosystem("Rocky Linux:8", {"R-1": advisory("R-1")}, root="osv")
    mirror.files["osv/ecosystems.txt"] = b"PyPI\nRocky Linux:8\n"
    address = f"{mirror.url}/osv"
    assert sync("OSV", address).records == 2
    mirror.ecosystem("PyPI", ONE, root="osv")
    for folder in ("PyPI", "Rocky Linux:8"):
        del mirror.files[f"osv/{folder}/modified_id.csv"]
    mirror.files["osv/modified_id.csv"] = (
        b"2026-02-02T00:00:00Z,PyPI/X-2\n2026-02-01T00:00:00Z,PyPI/X-1\n"
        b"2026-02-01T00:00:00Z,Rocky Linux:8/R-1\n"
    )
    mirror.paths()
    taken = sync("OSV", address)
    assert (taken.how, taken.added, taken.removed) == ("incremental", 1, 0)
    assert "osv/PyPI/X-2.json" in mirror.paths()
    assert sorted(sync.files()) == [
        "osv/PyPI/X-1.json",
        "osv/PyPI/X-2.json",
        "osv/Rocky Linux:8/R-1.json",
    ]


def test_the_real_bulk_in_its_real_layout(shared: Path, mirror: Mirror, sync: Taker) -> None:
    root = shared / "data" / "osv"
    for path in ("ecosystems.txt", "modified_id.csv", "PyPI/all.zip", "PyPI/modified_id.csv"):
        mirror.files[f"osv/{path}"] = (root / path).read_bytes()
    taken = sync("OSV", f"{mirror.url}/osv")
    assert (taken.records, taken.withdrawn, taken.unreadable) == (2661, 10, 0)
    assert taken.said_s == 1728580920
    assert sync("OSV", f"{mirror.url}/osv").how == "unchanged"
    kept = (shared / "data" / "kev" / "known_exploited_vulnerabilities.json.gz").read_bytes()
    mirror.files["kev.json"] = gzip.decompress(kept)
    sync.previous = ""
    assert sync("KEV", f"{mirror.url}/kev.json").records == 1404


def test_a_folder_gives_the_bytes_that_a_mirror_gives(
    mirror: Mirror, sync: Taker, another: Callable[[], Taker], tmp_path: Path
) -> None:
    mirror.ecosystem("PyPI", ONE, root="osv")
    folder = tmp_path / "copy"
    for path, content in mirror.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    served = sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    copied = another()("OSV", str(folder / "osv"))
    assert copied.digest == served.digest and not copied.vouched
    for path in folder.rglob("*.json"):
        path.unlink()
    assert another()("OSV", str(folder / "osv")).digest == served.digest


def test_known_exploited_flaws(mirror: Mirror, sync: Taker) -> None:
    mirror.files["kev/known_exploited_vulnerabilities.json"] = kev("CVE-1", "CVE-2")
    assert sync("KEV", f"{mirror.url}/kev").records == 2
    assert sync("KEV", f"{mirror.url}/kev").how == "unchanged"
    mirror.files["kev/known_exploited_vulnerabilities.json"] = kev("CVE-1", "CVE-3")
    taken = sync("KEV", f"{mirror.url}/kev/known_exploited_vulnerabilities.json")
    assert (taken.added, taken.removed, taken.changed) == (1, 1, 0)
    assert read_feeds([snapshot("KEV", sync)]).kev == {"CVE-1", "CVE-3"}


def test_scores_are_dated_by_their_own_line(mirror: Mirror, sync: Taker) -> None:
    mirror.files["epss/epss_scores-current.csv.gz"] = gzip.compress(scores(CVE_1="0.25"))
    taken = sync("EPSS", f"{mirror.url}/epss")
    assert (taken.records, taken.said_s) == (1, 1770595200)
    assert read_feeds([snapshot("EPSS", sync)]).epss_ppm == {"CVE-1": 250_000}
    mirror.files["epss/other.csv"] = b"cve,epss,percentile\nCVE-1,0.5,0.9\n"
    with pytest.raises(Malformed, match="expected a date in its files, found none"):
        sync("EPSS", f"{mirror.url}/epss/other.csv")


def test_nvd_is_read_page_by_page_and_then_by_what_was_modified(
    mirror: Mirror, sync: Taker, another: Callable[[], Taker]
) -> None:
    mirror.cves = [cve(f"CVE-{n}", f"2026-02-0{n}T00:00:00.000") for n in range(1, 8)]
    taken = sync("NVD", f"{mirror.url}/nvd", token="a-key")
    assert (taken.how, taken.records, taken.said_s) == ("full", 7, 1772323200)
    assert len(mirror.paths()) == 3
    assert mirror.headers["nvd"]["apikey"] == "a-key"
    mirror.cves[1] = cve("CVE-2", "2026-02-20T00:00:00.000", vulnStatus="Rejected")
    mirror.cves.append(cve("CVE-9", "2026-02-21T00:00:00.000"))
    taken = sync("NVD", f"{mirror.url}/nvd")
    assert (taken.how, taken.added, taken.changed, taken.withdrawn) == ("incremental", 1, 1, 1)
    assert len(mirror.paths()) == 1
    assert another()("NVD", f"{mirror.url}/nvd").digest == taken.digest
    assert sync("NVD", f"{mirror.url}/nvd").how == "unchanged"


def test_pages_that_do_not_fit_together_are_refused(mirror: Mirror, sync: Taker) -> None:
    mirror.files["nvd"] = page([cve("CVE-1")], start=4, total=9, said="2026-02-01T00:00:00.000")
    with pytest.raises(Malformed, match="expected the page from 0, found 1 from 4"):
        sync("NVD", f"{mirror.url}/nvd")
    mirror.files["nvd"] = page([], start=0, total=9, said="2026-02-01T00:00:00.000")
    with pytest.raises(Malformed, match="expected the page from 0, found 0 from 0"):
        sync("NVD", f"{mirror.url}/nvd")


# --- what cannot be read is named -----------------------------------------------------------------


def test_bad_records_are_named_and_stay_a_gap_for_the_gate(mirror: Mirror, sync: Taker) -> None:
    members = {f"{name}.json": json.dumps(one).encode() for name, one in ONE.items()}
    members |= {"X-3.json": b'{"id": "X-3", "affected": 7}', "X-4.json": b"{", "X-5.json": b"\xff{"}
    members["X-6.json"] = json.dumps(advisory("X-7")).encode()
    mirror.files["m/all.zip"] = archive(members)
    taken = sync("OSV", f"{mirror.url}/m")
    assert (taken.records, taken.unreadable) == (3, 4)
    said = " | ".join(taken.problems)
    assert "X-6.json: expected the id X-6, found X-7" in said
    assert "X-5.json: expected UTF-8 text, found byte 0" in said
    assert "X-3.json.affected" in said and "X-4.json: expected JSON" in said
    (scan,) = read_feeds([snapshot("OSV", sync)]).scans
    assert scan.status == "INCOMPLETE" and "X-4" in scan.detail


def test_an_id_that_comes_twice_counts_once_and_is_named(tmp_path: Path, sync: Taker) -> None:
    older, newer = advisory("X-1"), advisory("X-1", "2026-02-09T00:00:00Z")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.zip").write_bytes(archive({"X-1.json": json.dumps(newer).encode()}))
    (tmp_path / "m" / "b.zip").write_bytes(archive({"X-1.json": json.dumps(older).encode()}))
    taken = sync("OSV", str(tmp_path / "m"))
    assert (taken.records, taken.unreadable) == (1, 1)
    assert "expected X-1 once; the newer one is taken" in taken.problems[0]
    assert json.loads(sync.files()["osv/X-1.json"])["modified"] == "2026-02-09T00:00:00Z"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("KEV", kev("CVE-1")[:-20], "expected JSON"),
        ("KEV", kev("CVE-1").replace(b'"count": 1', b'"count": 2'), "count: expected 1"),
        ("EPSS", scores(CVE_1="7"), "expected 0 to 1"),
        ("EPSS", scores(CVE_1="NaN"), "expected a score"),
    ],
)
def test_a_feed_of_which_nothing_can_be_read_is_not_taken(
    name: str, content: bytes, says: str, mirror: Mirror, sync: Taker
) -> None:
    place = {"KEV": "x.json", "EPSS": "x.csv"}[name]
    mirror.files[place] = content
    with pytest.raises(Malformed, match=says):
        sync(name, f"{mirror.url}/{place}")
    assert sync.previous == ""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no archive", "expected a zip archive"),
        (archive({"../X-1.json": b"{}"}), "expected a member inside"),
        (archive({"/etc/X-1.json": b"{}"}), "expected a member inside"),
        (archive({"X-1.json": b" " * 40_000_000}), "at most 1000000 bytes unpacked"),
        (archive({"X-1.json": b"{}", "X-2.json": b"{}", "X-3.json": b"{}"}), "at most 2 members"),
        (archive({"a/X-1.json": b"{}"})[:-30], "expected a zip archive"),
    ],
    # An archive holds the time, so that workers that collect two seconds apart would disagree.
    ids=["no archive", "upwards", "absolute", "bomb", "too many", "cut"],
)
def test_a_hostile_archive_is_refused(
    content: bytes, says: str, mirror: Mirror, sync: Taker
) -> None:
    mirror.files["m/all.zip"] = content
    limits = FeedLimits(unpacked_bytes=1_000_000, files=2, deadline_s=5)
    with pytest.raises(Malformed, match=says):
        sync("OSV", f"{mirror.url}/m", limits=limits)


def test_a_packed_file_that_is_a_bomb_or_cut_is_refused(mirror: Mirror, sync: Taker) -> None:
    limits = FeedLimits(unpacked_bytes=1_000_000, deadline_s=5)
    whole = gzip.compress(scores(CVE_1="0.5"))
    for content, says in (
        (gzip.compress(b"#" * 50_000_000), "at most 1000000 bytes unpacked"),
        (whole[:-9], "expected one whole gzip file"),
        (whole + whole, "expected one whole gzip file"),
        (b"plain", "expected a gzip file"),
    ):
        mirror.files["s.csv.gz"] = content
        with pytest.raises(Malformed, match=says):
            sync("EPSS", f"{mirror.url}/s.csv.gz", limits=limits)


def test_a_cut_list_does_not_drop_advisories(mirror: Mirror, sync: Taker) -> None:
    mirror.ecosystem("PyPI", ONE, root="osv")
    sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    mirror.files["osv/PyPI/modified_id.csv"] = b"2026-02-02T00:00:00Z,X-2\n2026-02-01T00:0"
    with pytest.raises(Malformed, match="expected a line break at the end"):
        sync("OSV", f"{mirror.url}/osv", ecosystems=("PyPI",))
    assert len(sync.files()) == 2


def test_an_absent_feed_is_named(mirror: Mirror, sync: Taker, tmp_path: Path) -> None:
    with pytest.raises(AdapterFailed, match=r"there is no known_exploited_vulnerabilities.json"):
        sync("KEV", f"{mirror.url}/kev")
    with pytest.raises(AdapterFailed, match=r"neither all.zip nor ecosystems.txt"):
        sync("OSV", f"{mirror.url}/osv")
    with pytest.raises(AdapterFailed, match=r"expected a folder, found none"):
        sync("KEV", str(tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(AdapterFailed, match=r"expected files of KEV \(.json or .json.gz\)"):
        sync("KEV", str(tmp_path / "empty"))


def test_a_broken_answer_leaves_nothing_behind(mirror: Mirror, sync: Taker, tmp_path: Path) -> None:
    mirror.files["kev.json"] = kev("CVE-1")
    sync("KEV", f"{mirror.url}/kev.json")
    before = hashlib.sha256(Path(sync.previous).read_bytes()).hexdigest()
    mirror.files["kev.json"] = kev("CVE-1", "CVE-2")
    mirror.faults["kev.json"] = Fault("cut")
    with pytest.raises(AdapterFailed, match="broke off"):
        sync("KEV", f"{mirror.url}/kev.json", limits=FeedLimits(deadline_s=1))
    assert hashlib.sha256(Path(sync.previous).read_bytes()).hexdigest() == before
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["1.snapshot"]
