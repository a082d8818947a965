"""Whether a version has a flaw: every ecosystem's order, and every way to write a range."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from engine.inputs.advisories import Advisory, is_affected, read_advisory
from engine.inputs.feeds import FeedFacts
from engine.inputs.match import match_packages
from engine.inputs.packages import Incomparable, package_of, parse_purl, release_of, version_of
from tests.inputs.documents import dump


def advisory(
    name: str, ecosystem: str, package: str, events: Any = (), versions: Any = (), **more: Any
) -> Advisory:
    part: dict[str, Any] = {"package": {"ecosystem": ecosystem, "name": package}}
    if events:
        part["ranges"] = [{"type": "ECOSYSTEM", "events": list(events)}]
    if versions:
        part["versions"] = list(versions)
    return read_advisory(dump({"id": name, "affected": [part], **more}), where=name)


def ids(purl: str, *advisories: Advisory) -> list[str]:
    """What is found in one package; a gap shows as its sentence."""
    by_package: dict[Any, tuple[Advisory, ...]] = {}
    for one in advisories:
        for affected in one.affected:
            by_package[affected.package] = (*by_package.get(affected.package, ()), one)
    package = package_of(parse_purl(purl, where="t"))
    matches, gaps = match_packages([package], FeedFacts(advisories=by_package))
    return [match.id for match in matches] + list(gaps)


FROM_TO = ({"introduced": "1.0.0"}, {"fixed": "1.2.0"})


@pytest.mark.parametrize(
    ("purl", "ecosystem", "name"),
    [
        ("pkg:pypi/Zope.Interface@{}", "PyPI", "zope-interface"),
        ("pkg:npm/%40babel/traverse@{}", "npm", "@babel/traverse"),
        ("pkg:npm/JSONStream@{}", "npm", "JSONStream"),
        ("pkg:maven/org.apache.logging.log4j/log4j-core@{}?type=jar", "Maven",
         "org.apache.logging.log4j:log4j-core"),
        ("pkg:golang/github.com/Azure/go@v{}", "Go", "github.com/Azure/go"),
        ("pkg:golang/github.com/a/b@v{}+incompatible", "Go", "github.com/a/b"),
        ("pkg:golang/stdlib@{}", "Go", "stdlib"),
        ("pkg:cargo/tokio@{}", "crates.io", "tokio"),
        ("pkg:gem/rails@{}", "RubyGems", "rails"),
        ("pkg:composer/Laravel/Framework@v{}", "Packagist", "laravel/framework"),
        ("pkg:nuget/Newtonsoft.Json@{}", "NuGet", "Newtonsoft.Json"),
        ("pkg:deb/debian/curl@{}?distro=debian-12", "Debian:12", "curl"),
        ("pkg:deb/debian/libssl3@{}?upstream=openssl%401&distro=bookworm", "Debian:12", "openssl"),
        ("pkg:deb/ubuntu/curl@{}?distro=ubuntu-22.04", "Ubuntu:22.04:LTS", "curl"),
        ("pkg:apk/alpine/curl@{}?distro=alpine-3.18.4", "Alpine:v3.18", "curl"),
    ],
)  # fmt: skip
def test_every_ecosystem_orders_its_versions(purl: str, ecosystem: str, name: str) -> None:
    known = advisory("A-1", ecosystem, name, FROM_TO)
    found = {
        at: ids(purl.format(at), known) for at in ("0.9.9", "1.0.0", "1.1.10", "1.2.0", "1.10.0")
    }
    assert found == {"0.9.9": [], "1.0.0": ["A-1"], "1.1.10": ["A-1"], "1.2.0": [], "1.10.0": []}


@pytest.mark.parametrize(
    ("ecosystem", "ordered"),
    [
        ("PyPI", ["1.0.dev1", "1.0a1", "1.0rc2", "1.0", "1.0.post1", "1.1", "1!0.5"]),
        ("npm", ["1.0.0-alpha", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.0.1"]),
        ("Maven", ["1.0-alpha-1", "1.0-rc1", "1.0", "1.0-sp1", "1.0.1", "1.10"]),
        ("Go", ["v0.0.0-20210101000000-abc", "0.0.1", "v1.0.0-rc.1", "1.0.0",
                "2.0.0+incompatible"]),
        ("Debian", ["1.0~rc1-1", "1.0-1", "1.0-1+deb12u1", "1.0-2", "1:0.5-1"]),
        ("Alpine", ["1.2.3_rc1", "1.2.3-r4", "1.2.3-r10", "1.2.4-r0"]),
        ("RubyGems", ["1.0.0.pre", "1.0.0.rc1", "1.0.0", "1.0.0.1", "1.10"]),
        ("NuGet", ["1.0.0-beta", "1.0.0", "1.0.0.1", "1.0.0.2", "1.0.1"]),
        ("Packagist", ["1.0.0-dev", "1.0.0-alpha1", "v1.0.0-beta2", "1.0.0-beta10", "1.0.0RC1",
                       "1.0.0", "1.0.0-p1", "1.0.0.4", "1.0.0.5", "1.0.1"]),
    ],
)  # fmt: skip
def test_versions_are_in_order(ecosystem: str, ordered: list[str]) -> None:
    mixed = random.Random(1).sample(ordered, len(ordered))
    assert sorted(mixed, key=lambda text: version_of(ecosystem, text)) == ordered
    for smaller, larger in pairwise(ordered):
        assert version_of(ecosystem, smaller) < version_of(ecosystem, larger)


@pytest.mark.parametrize(
    ("ecosystem", "version"),
    [("npm", "1.2.3.4"), ("Go", "(devel)"), ("Packagist", "dev-master"), ("Debian", "<unfixed>"),
     ("NuGet", "garbage"), ("PyPI", "2004d-x y"), ("Elsewhere", "1.0")],
)  # fmt: skip
def test_a_version_that_cannot_be_read_is_a_gap(ecosystem: str, version: str) -> None:
    with pytest.raises(Incomparable):
        version_of(ecosystem, version)
    # Unless an advisory lists it by name.
    (listed,) = advisory("A", ecosystem, "x", versions=[version]).affected
    assert is_affected(listed, version)


# --- ranges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "inside", "outside"),
    [
        ([{"introduced": "0"}], "0.0.0.dev1 1 99", ""),
        ([{"introduced": "0"}, {"fixed": "2"}], "0 1.9", "2 3"),
        ([{"introduced": "0", "fixed": "2"}], "0 1.9", "2 3"),
        ([{"fixed": "2"}], "1", "2"),
        ([{"introduced": "1"}, {"last_affected": "2"}], "1 2 2.0", "0.9 2.0.1"),
        ([{"introduced": "1"}, {"last_affected": "1"}], "1", "1.1"),
        ([{"introduced": "0"}, {"limit": "2"}], "1", "2 3"),
        ([{"introduced": "0"}, {"limit": "*"}], "1 3", ""),
        ([{"introduced": "0"}, {"limit": "2"}, {"limit": "4"}], "1 3", "4"),
        ([{"introduced": "1"}, {"fixed": "2"}, {"introduced": "3"}, {"fixed": "4"}], "1 3", "2 4"),
        ([{"fixed": "4"}, {"introduced": "3"}, {"fixed": "2"}, {"introduced": "1"}], "1 3", "2 4"),
        ([{"introduced": "0"}, {"fixed": "3"}, {"introduced": "3"}, {"fixed": "5"}], "1 3 4", "5"),
    ],
)
def test_a_range_is_what_its_events_say(events: Any, inside: str, outside: str) -> None:
    (affected,) = advisory("A", "PyPI", "x", events).affected
    assert all(is_affected(affected, version) for version in inside.split())
    assert not any(is_affected(affected, version) for version in outside.split())


def test_an_advisory_that_names_only_commits_is_a_gap() -> None:
    part = {
        "package": {"ecosystem": "PyPI", "name": "x"},
        "ranges": [{"type": "GIT", "events": [{"introduced": "0"}, {"fixed": "abc"}]}],
    }
    known = read_advisory(dump({"id": "A", "affected": [part]}), where="A")
    assert ids("pkg:pypi/x@1", known) == [
        "pkg:pypi/x@1 against A: no versions, only commits or nothing at all"
    ]
    both = read_advisory(
        dump({"id": "A", "affected": [part, part | {"versions": ["1"]}]}), where="A"
    )
    assert ids("pkg:pypi/x@1", both) == ["A"]  # what one part leaves open, the other answers


def test_releases_of_a_distribution_are_apart() -> None:
    old = advisory("DSA-1", "Debian:11", "vim", [{"introduced": "0"}, {"fixed": "2:8.2"}])
    new = advisory("DSA-2", "Debian:12", "vim", [{"introduced": "0"}, {"fixed": "2:9.0.2"}])
    assert ids("pkg:deb/debian/vim@2%3A9.0.1?distro=debian-12.5", old, new) == ["DSA-2"]
    assert ids("pkg:deb/debian/vim@9.0.1?distro=bookworm&epoch=2", old, new) == ["DSA-2"]
    assert ids("pkg:deb/debian/vim@9.0.3?distro=bookworm&epoch=2", old, new) == []
    # Without the epoch every version would be older than the fixed one.
    assert ids("pkg:deb/debian/vim@9.0.3?distro=bookworm", old, new) == ["DSA-2"]
    assert ids("pkg:deb/debian/vim@2:1.0", old, new) == ["DSA-1", "DSA-2"]  # nobody says for which


@pytest.mark.parametrize(
    ("ecosystem", "release"),
    [("Debian:12", "12"), ("Ubuntu:Pro:18.04:LTS", "18.04"), ("Alpine:v3.18", "3.18"),
     ("Debian", ""), ("npm", ""), ("Packagist:https://packages.drupal.org/8", "")],
)  # fmt: skip
def test_the_release_in_an_ecosystem(ecosystem: str, release: str) -> None:
    assert release_of(ecosystem) == release


# --- names and severities -------------------------------------------------------------------------


def test_an_id_of_a_distribution_is_another_name_of_its_cve() -> None:
    everything = [{"introduced": "0"}]
    one = advisory("DEBIAN-CVE-2024-1", "Debian:12", "x", everything)
    two = advisory("DSA-1", "Debian:12", "x", everything, upstream=["CVE-2024-2"])
    package = package_of(parse_purl("pkg:deb/debian/x@1?distro=debian-12", where="t"))
    known = FeedFacts(
        advisories={one.affected[0].package: (one, two)}, kev=frozenset({"CVE-2024-2"})
    )
    (first, second), gaps = match_packages([package], known)
    assert gaps == ()
    assert (first.id, first.aliases) == ("CVE-2024-1", ("DEBIAN-CVE-2024-1",))
    # It is about that flaw and no other name of it, but as exploited.
    assert (second.id, second.aliases, second.kev) == ("DSA-1", (), True)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"database_specific": {"severity": "MODERATE"}}, "MEDIUM"),
        ({"severity": [{"type": "Ubuntu", "score": "high"}]}, "HIGH"),
        ({"severity": [{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:C/I:C/A:C"}]}, "CRITICAL"),
        (
            {"severity": [
                {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L"},
                {"type": "CVSS_V4",
                 "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"},
            ]},
            "CRITICAL",
        ),
        ({"severity": [{"type": "CVSS_V3", "score": "9.8"}]}, "UNKNOWN"),
        ({"database_specific": {"severity": None}}, "UNKNOWN"),
    ],
)  # fmt: skip
def test_a_severity_is_the_worst_that_is_said(more: dict[str, Any], word: str) -> None:
    known = advisory("A", "PyPI", "x", [{"introduced": "0"}], **more)
    package = package_of(parse_purl("pkg:pypi/x@1", where="t"))
    (match,), _gaps = match_packages(
        [package], FeedFacts(advisories={known.affected[0].package: (known,)})
    )
    assert match.severity.word == word


def test_another_name_of_the_flaw_says_how_bad_it_is_for_other_versions_too() -> None:
    own = advisory("PYSEC-1", "PyPI", "x", versions=["1"], aliases=["CVE-2024-1"])
    other = advisory(
        "GHSA-1", "PyPI", "x", versions=["2"], aliases=["CVE-2024-1"],
        database_specific={"severity": "HIGH"},
    )  # fmt: skip
    package = package_of(parse_purl("pkg:pypi/x@1", where="t"))
    (match,), _gaps = match_packages(
        [package], FeedFacts(advisories={own.affected[0].package: (own, other)})
    )
    assert (match.sources, match.severity.word) == (("PYSEC-1",), "HIGH")


# --- properties -----------------------------------------------------------------------------------

_PEP440 = st.builds(
    lambda release, rest: ".".join(map(str, release)) + rest,
    st.lists(st.integers(0, 12), min_size=1, max_size=4),
    st.sampled_from(["", "a1", "b2", "rc1", ".post1", ".dev3", "+local.1", "rc1.dev2"]),
)


@given(_PEP440, _PEP440)
def test_pep_440_is_ordered_as_the_packaging_library_orders_it(a: str, b: str) -> None:
    mine, theirs = (version_of("PyPI", one) for one in (a, b)), (Version(one) for one in (a, b))
    x, y = mine
    u, v = theirs
    assert (x < y, x == y, x > y) == (u < v, u == v, u > v)


_SMALL = st.integers(0, 6).map(str)
_EVENT = st.tuples(st.sampled_from(["introduced", "fixed", "last_affected"]), _SMALL)
_ADVISORIES = st.lists(
    st.tuples(
        st.lists(_EVENT, max_size=4), st.lists(_SMALL, max_size=2), st.sets(st.integers(0, 5))
    ),
    min_size=1,
    max_size=6,
)


def _made(drawn: list[Any]) -> list[Advisory]:
    return [
        advisory(
            f"A-{n}", "PyPI", "x", [{kind: at} for kind, at in events], versions,
            aliases=[f"CVE-{alias}" for alias in sorted(aliases)],
        )
        for n, (events, versions, aliases) in enumerate(drawn)
    ]  # fmt: skip


@given(_ADVISORIES, _SMALL, st.randoms(use_true_random=False))
def test_one_more_advisory_takes_no_finding_away(drawn: Any, at: str, chance: Any) -> None:
    made = _made(drawn)
    package = package_of(parse_purl(f"pkg:pypi/x@{at}", where="t"))

    def sources(advisories: list[Advisory]) -> set[str]:
        known = FeedFacts(advisories={made[0].affected[0].package: tuple(advisories)})
        matches, _gaps = match_packages([package], known)
        return {name for match in matches for name in match.sources}

    for count in range(len(made)):
        assert sources(made[:count]) <= sources(made[: count + 1])
    mixed = chance.sample(made, len(made))
    assert sources(mixed) == sources(made)


@given(_ADVISORIES, st.lists(_SMALL, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_what_comes_in_changes_nothing(drawn: Any, at: Any, chance: Any) -> None:
    made = _made(drawn)
    packages = [package_of(parse_purl(f"pkg:pypi/x@{one}", where="t")) for one in at]
    known = {made[0].affected[0].package: tuple(made)}
    mixed = {key: tuple(chance.sample(value, len(value))) for key, value in known.items()}
    expected = match_packages(packages, FeedFacts(advisories=known))
    found = match_packages(chance.sample(packages, len(packages)), FeedFacts(advisories=mixed))
    assert found[0] == expected[0]
    assert sorted(found[1]) == sorted(expected[1])
