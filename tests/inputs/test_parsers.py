"""Every reader of foreign documents: what it takes, and how it names what it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.inputs.advisories import is_affected, read_advisory
from engine.inputs.catalogues import read_kev, read_nvd
from engine.inputs.feeds import pack_feed, read_epss, read_feeds, unpack_feed
from engine.inputs.packages import Incomparable, identity, identity_of, parse_purl
from engine.inputs.sbom import read_sbom
from engine.inputs.severity import Severity, score_dt, word_of, worst
from engine.inputs.vex_reading import read_vex
from engine.policy.strictjson import value_problems
from tests.inputs.documents import (
    CDX,
    CDX_VEX,
    CSAF,
    KEV,
    NVD,
    OSV,
    SPDX,
    SPDX3,
    VEX,
    dump,
    replaced,
    without,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:cyclonedx")

Reader = Callable[[bytes], Any]
READERS: dict[str, tuple[dict[str, Any], Reader]] = {
    "cyclonedx": (CDX, lambda content: read_sbom(content, where="f")),
    "spdx": (SPDX, lambda content: read_sbom(content, where="f")),
    "osv": (OSV, lambda content: read_advisory(content, where="f")),
    "kev": (KEV, lambda content: read_kev(content, where="f")),
    "nvd": (NVD, lambda content: read_nvd(content, where="f")),
    "openvex": (VEX, lambda content: read_vex(content, where="f")),
    "cyclonedx vex": (CDX_VEX, lambda content: read_vex(content, where="f")),
    "csaf": (CSAF, lambda content: read_vex(content, where="f")),
    "spdx 3": (SPDX3, lambda content: read_sbom(content, where="f")),
}


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [place for key, item in inner for place in [(*path, key), *places(item, (*path, key))]]


ODD: list[Any] = [
    *(None, True, False, 0, -3, 1 << 70, 1.5, "", "x", "e\u0301", "\ud800"),
    *([], {}, [1], [None], [{}], [[]], {"a": 1}, {"": None}),
]


@pytest.mark.parametrize("name", sorted(READERS))
def test_no_document_crashes_a_reader(name: str) -> None:
    """Anything in any place: it is read, or refused with the file, what was expected and found."""
    document, read = READERS[name]
    refusals = 0
    for place in places(document):
        changes = [replaced(document, place, odd) for odd in ODD]
        for changed in [*changes, replaced(document, place, None, drop=True)]:
            try:
                read(dump(changed))
            except Malformed as refused:
                refusals += 1
                assert str(refused).startswith("f")
                assert "expected" in str(refused) and "found" in str(refused)
    assert refusals > len(ODD)


@pytest.mark.parametrize("name", sorted(READERS))
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 50_000, b"{}"])
def test_what_is_no_such_document_is_refused(name: str, content: bytes) -> None:
    if (name, content) == ("nvd", b"{}"):
        content = b'{"format": "NVD_CVE", "version": "1.0"}'
    with pytest.raises(Malformed, match=r"^f"):
        READERS[name][1](content)


# --- bills of materials ---------------------------------------------------------------------------


def test_cyclonedx_is_read_with_its_inner_parts() -> None:
    sbom = read_sbom(dump(CDX), where="f")
    assert (sbom.format, sbom.generated_at_s) == ("CycloneDX 1.6", 1767225600)
    assert [(one.purl, one.version, one.licenses) for one in sbom.packages] == [
        ("pkg:generic/bare@2", "2", ()),
        ("pkg:npm/%40a/inner@1", "1", ()),
        ("pkg:pypi/choice@1", "1", ("AGPL-3.0-only", "Apache-2.0", "MIT")),
        ("pkg:pypi/jinja2@3.1.6", "3.1.6", ("BSD-3-Clause",)),
        ("pkg:pypi/loose", "", ()),
    ]


def test_what_cannot_be_matched_is_counted_and_not_passed_over() -> None:
    assert read_sbom(dump(CDX), where="f").gaps == (
        "bare 2 has no package URL",
        "pkg:pypi/loose has no version",
    )
    assert read_sbom(dump(SPDX), where="f").gaps == ("bare 2 has no package URL",)


def test_spdx_is_read() -> None:
    sbom = read_sbom(dump(SPDX), where="f")
    assert (sbom.format, sbom.generated_at_s) == ("SPDX 2.3", 1767225600)
    assert [(one.purl, one.licenses) for one in sbom.packages] == [
        ("pkg:generic/bare@2", ()),
        ("pkg:pypi/jinja2@3.1.6", ("BSD-3-Clause",)),
    ]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (CDX | {"specVersion": "1.3"}, "f.specVersion: expected one of 1.4, 1.5, 1.6, 1.7"),
        (CDX | {"components": [{"type": "library"}]}, "f.components[0].name: expected a non-empty"),
        (CDX | {"metadata": {"timestamp": "soon"}}, "f.metadata.timestamp: expected a time"),
        (without(SPDX, "packages", 1, "name"), "f.packages[1].name: expected a non-empty text"),
        (without(SPDX, "creationInfo"), "f.creationInfo.created: expected"),
    ],
)
def test_a_broken_sbom_is_refused_by_place(document: dict[str, Any], says: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_sbom(dump(document), where="f")
    assert says in str(refused.value)


# --- advisories -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("0.9", True),  # by list alone
        ("0.9.0", True),  # the same version, written otherwise
        ("0.9.1", False),
        ("1.0a1", False),
        ("1.0", True),
        ("1.4.99", True),
        ("1.5", False),
        ("1.5rc1", True),
        ("2", False),
    ],
)
def test_versions_and_ranges_are_a_union(version: str, affected: bool) -> None:
    (one,) = read_advisory(dump(OSV), where="f").affected
    assert one.package == identity("PyPI", "foo-bar")
    assert is_affected(one, version) is affected


def ranged(*events: tuple[str, str]) -> dict[str, Any]:
    listed = [{kind: version} for kind, version in events]
    part = {
        "package": {"ecosystem": "PyPI", "name": "x"},
        "ranges": [{"type": "ECOSYSTEM", "events": listed}],
    }
    return {"id": "A", "affected": [part]}


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        # Two stretches that meet: the end of the first comes before the beginning of the second.
        (
            [("introduced", "3.1.1"), ("fixed", "3.1.3"), ("introduced", "0"), ("fixed", "3.1.1")],
            ["0.1", "3.1.0", "3.1.1", "3.1.2"],
            ["3.1.3", "4"],
        ),
        (
            [("introduced", "0"), ("last_affected", "2.0")],
            ["0.0.1", "1", "2.0"],
            ["2.0.post1", "3"],
        ),
        ([("introduced", "2"), ("limit", "3")], ["2", "2.9"], ["1", "3"]),
        ([("introduced", "1")], ["1", "99"], ["0.9"]),
        ([("fixed", "2"), ("introduced", "1")], ["1"], ["0.5", "2"]),
    ],
)
def test_ranges_are_read_as_their_schema_says(
    events: list[tuple[str, str]], inside: list[str], outside: list[str]
) -> None:
    (one,) = read_advisory(dump(ranged(*events)), where="f").affected
    assert {version: is_affected(one, version) for version in [*inside, *outside]} == {
        **dict.fromkeys(inside, True),
        **dict.fromkeys(outside, False),
    }


def test_a_version_that_cannot_be_placed_is_said_and_not_passed_over() -> None:
    (one,) = read_advisory(dump(ranged(("introduced", "1"))), where="f").affected
    with pytest.raises(Incomparable):
        is_affected(one, "not a version")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": ""}, "f.id: expected a non-empty text"),
        ({"aliases": "CVE-1"}, "f.aliases: expected a list, found the text"),
        ({"affected": [{"package": {"name": "x"}}]}, "f.affected[0].package.ecosystem: expected"),
        (
            {"affected": [ranged(("begun", "1"))["affected"][0]]},
            "f.affected[0].ranges[0].events[0]: expected one of introduced, fixed",
        ),
    ],
)
def test_a_broken_advisory_is_refused_by_place(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_advisory(dump(OSV | change), where="f")
    assert says in str(refused.value)


# --- severity -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vector", "dt"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98),
        ("CVSS:3.1/AV:A/AC:H/PR:H/UI:N/S:U/C:H/I:N/A:N", 42),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0),
        ("CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N", 82),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 100),
        ("CVSS:3.1/AV:N", None),
        ("9.8", None),
        ("", None),
    ],
)
def test_scores_come_from_vectors(vector: str, dt: int | None) -> None:
    assert score_dt(vector) == dt


def test_the_words_of_scores_change_where_the_standard_says() -> None:
    words = [word_of(dt) for dt in (0, 1, 39, 40, 69, 70, 89, 90, 100)]
    assert words == [
        "NONE",
        "LOW",
        "LOW",
        "MEDIUM",
        "MEDIUM",
        "HIGH",
        "HIGH",
        "CRITICAL",
        "CRITICAL",
    ]


def test_the_worst_word_counts_and_silence_is_not_harmless() -> None:
    high = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"
    assert worst((high,), ("LOW",)) == Severity("HIGH", 75)
    assert worst((high,), ("CRITICAL",)) == Severity("CRITICAL", 75)
    assert worst((), ("MODERATE",)) == Severity("MEDIUM", -1)
    assert worst(("unreadable",), ("SCARY", "")) == Severity("UNKNOWN", -1)
    assert worst((), ()) == Severity("UNKNOWN", -1)


# --- catalogues -----------------------------------------------------------------------------------


def test_a_catalogue_that_was_cut_is_refused() -> None:
    """Read as it stands it would call every flaw behind the cut "not exploited"."""
    assert read_kev(dump(KEV), where="f") == {"CVE-1"}
    with pytest.raises(Malformed, match=r"f.count: expected 1, found the number 2"):
        read_kev(dump(KEV | {"count": 2}), where="f")
    with pytest.raises(Malformed, match=r"f.vulnerabilities: expected a list"):
        read_kev(b'{"count": 0}', where="f")


def test_nvd_speaks_with_its_own_metric_of_the_newest_kind() -> None:
    assert read_nvd(dump(NVD), where="f") == {"CVE-1": ("CVSS:3.1/first",)}
    only_second = without(NVD, "vulnerabilities", 0, "cve", "metrics", "cvssMetricV31", 1)
    assert read_nvd(dump(only_second), where="f") == {"CVE-1": ("CVSS:3.1/second",)}
    assert read_nvd(dump(without(NVD, "vulnerabilities", 0, "cve", "metrics")), where="f") == {
        "CVE-1": ()
    }


def test_scores_of_epss_are_parts_per_million() -> None:
    text = b"#model:v1\ncve,epss,percentile\nCVE-1,0.123456,0.9\nCVE-2,1,1\n"
    assert read_epss(text, where="f") == {"CVE-1": 123_456, "CVE-2": 1_000_000}
    for bad, says in (
        (b"cve\n", "line 1"),
        (b"cve,epss\nCVE-1,x\n", "row 2"),
        (b"cve,epss\nC,2\n", "0 to 1"),
    ):
        with pytest.raises(Malformed, match=says):
            read_epss(bad, where="f")


# --- packages and feeds ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purl", "ecosystem", "name"),
    [
        ("pkg:pypi/Foo.Bar_baz@1", "PyPI", "foo-bar-baz"),
        ("pkg:npm/%40scope/pkg@1", "npm", "@scope/pkg"),
        ("pkg:maven/org.apache/log4j@2", "Maven", "org.apache:log4j"),
        ("pkg:composer/Laravel/Framework@7", "Packagist", "laravel/framework"),
        ("pkg:golang/github.com/a/b@v1", "Go", "github.com/a/b"),
        ("pkg:deb/debian/curl@7?distro=bookworm", "Debian", "curl"),
    ],
)
def test_package_urls_and_advisories_meet(purl: str, ecosystem: str, name: str) -> None:
    assert identity_of(parse_purl(purl, where="f")) == identity(ecosystem, name)
    assert identity("Debian:12", "curl") == identity("Debian", "curl")
    assert identity_of(parse_purl("pkg:generic/x@1", where="f")) is None


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), st.binary(max_size=9)))
def test_a_packed_feed_unpacks_to_the_same_files(files: dict[str, bytes]) -> None:
    try:
        packed = pack_feed("X", files)
    except Malformed:
        assert any(not _is_text(content) for content in files.values())
        return
    assert unpack_feed(packed, where="f") == files
    assert pack_feed("X", dict(reversed(files.items()))) == packed


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_no_feeds_at_all_are_no_facts() -> None:
    facts = read_feeds([])
    assert (facts.usable, facts.scans, facts.ecosystems) == ((), (), frozenset())
    assert value_problems([one.document() for one in facts.scans]) == []
