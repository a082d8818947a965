"""From packages to findings: one flaw is one finding, and what was not looked at is said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bundle import Attachment, Bundle, Component
from engine.core.digest import Digest
from engine.inputs.advisories import Advisory, read_advisory
from engine.inputs.facts import SbomSource, coverage, packages_of
from engine.inputs.feeds import FeedFacts
from engine.inputs.match import groups_by_name, match_packages
from engine.inputs.packages import Package, identity_of, parse_purl
from engine.inputs.reachability import Runtime, runtime_of
from engine.inputs.sbom import Sbom
from engine.ports_observed import RuntimeFacts
from tests.inputs.documents import OSV, dump


def advisory(name: str, *aliases: str, **more: Any) -> Advisory:
    document = OSV | {"id": name, "aliases": list(aliases), "severity": [], "database_specific": {}}
    return read_advisory(dump(document | more), where=name)


def package(purl: str, *licenses: str) -> Package:
    parsed = parse_purl(purl, where="t")
    return Package(
        purl=parsed.to_string(),
        name=parsed.name,
        version=parsed.version or "",
        identity=identity_of(parsed),
        licenses=licenses,
    )


def feeds(*advisories: Advisory, kev: tuple[str, ...] = (), **vectors: str) -> FeedFacts:
    return FeedFacts(
        advisories={advisories[0].affected[0].package: advisories},
        kev=frozenset(kev),
        vectors={name.replace("_", "-"): (vector,) for name, vector in vectors.items()},
        epss_ppm={"CVE-1": 500_000},
    )


def test_advisories_of_one_flaw_are_one_finding_called_by_its_cve() -> None:
    high = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"
    known = feeds(
        advisory("GHSA-1", "CVE-1", database_specific={"severity": "LOW"}),
        advisory("PYSEC-1", "GHSA-1"),
        advisory("PYSEC-2", "CVE-2"),
        kev=("CVE-1",),
        CVE_1=high,
    )
    (one, other), gaps = match_packages([package("pkg:pypi/foo-bar@1.2")], known)
    assert gaps == ()
    assert (one.key, one.sources, one.aliases) == (
        "CVE-1 pkg:pypi/foo-bar@1.2",
        ("GHSA-1", "PYSEC-1"),
        ("GHSA-1", "PYSEC-1"),
    )
    # Severity, exploitation and probability come by any of the flaw's names.
    assert (one.severity.word, one.severity.cvss_dt, one.kev, one.epss_ppm) == (
        "HIGH",
        75,
        True,
        500_000,
    )
    assert (other.id, other.severity.word, other.kev, other.epss_ppm) == (
        "CVE-2",
        "UNKNOWN",
        False,
        -1,
    )


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3), max_size=8),
    st.randoms(),
)
def test_groups_are_the_connected_ones_whatever_the_order(
    names: list[list[str]], random: Any
) -> None:
    made = [advisory(f"A-{n}", *some) for n, some in enumerate(names)]
    random.shuffle(made)
    groups = [{one.id for one in group} for group in groups_by_name(made)]
    assert sorted(id_ for group in groups for id_ in group) == sorted(one.id for one in made)
    group_of = {id_: n for n, group in enumerate(groups) for id_ in group}
    links = {one.id: {one.id, *one.aliases} for one in made}
    for one in made:
        reached = {one.id}
        while True:  # the slow and plain way: follow shared names until nothing is new
            wider = {b for a in reached for b in links if links[a] & links[b]}
            if wider <= reached:
                break
            reached |= wider
        assert {id_ for id_, n in group_of.items() if n == group_of[one.id]} == reached


def test_what_no_feed_speaks_of_is_not_clean_but_unknown() -> None:
    known = feeds(advisory("PYSEC-1", "CVE-1"))
    asked = [
        package("pkg:npm/left-pad@1"),
        package("pkg:npm/right-pad@1"),
        package("pkg:generic/tool@1"),
        package("pkg:pypi/foo-bar@weird"),
    ]
    found, gaps = match_packages(asked, known)
    assert found == ()
    assert gaps == (
        "pkg:pypi/foo-bar@weird against PYSEC-1: PyPI version 'weird'",
        "1 package of pkg:generic: no feed speaks of generic",
        "2 packages of pkg:npm: no feed speaks of npm",
    )


RUNNING = Runtime(
    reported=frozenset({"pkg:pypi/a", "pkg:pypi/b"}), observed=frozenset({"pkg:pypi/a"})
)


def test_use_is_told_from_what_targets_report() -> None:
    facts = {
        "t-1": RuntimeFacts(
            digest=Digest.of(b"x"), components=("pkg:pypi/a@1", "pkg:pypi/b@1"), observed=()
        ),
        "t-2": RuntimeFacts(
            digest=Digest.of(b"y"), components=("pkg:pypi/a@2",), observed=("pkg:pypi/a@2",)
        ),
    }
    assert runtime_of(facts) == RUNNING
    assert runtime_of({}) == Runtime()
    assert [RUNNING.reach(purl) for purl in ("pkg:pypi/a@3", "pkg:pypi/b@1", "pkg:pypi/c@1")] == [
        "RUNTIME_OBSERVED",
        "RUNTIME_UNOBSERVED",
        "UNKNOWN",
    ]


@pytest.mark.parametrize(
    ("purls", "bp"),
    [([], 0), (["a"], 10_000), (["a", "b"], 5_000), (["a", "b", "c"], 3_333), (["c"], 0)],
)
def test_coverage_is_of_the_packages_of_the_bundle_rounded_down(purls: list[str], bp: int) -> None:
    assert RUNNING.covered_bp(f"pkg:pypi/{one}@9" for one in purls) == bp


def test_thirty_five_percent_are_3500_basis_points() -> None:
    asked = [f"pkg:pypi/p{n}@1" for n in range(20)]
    seen = Runtime(observed=frozenset(f"pkg:pypi/p{n}" for n in range(7)))
    assert seen.covered_bp(asked) == 3_500


# --- which SBOM speaks of which component -------------------------------------------------------


def source(name: str, *packages: Package) -> SbomSource:
    read = Sbom(format="CycloneDX 1.6", generated_at_s=1, packages=packages, gaps=())
    return SbomSource(digest=Digest.of(name.encode()), sbom=read)


def bundle(*attached: tuple[str, SbomSource]) -> Bundle:
    def component(name: str) -> Component:
        return Component(name=name, digest=Digest.of(name.encode()), size=1, media_type="x/y")

    return Bundle(
        name="b",
        version="1",
        components=(component("api"), component("web")),
        attachments=tuple(
            Attachment(kind="sbom", component=at, digest=one.digest, size=1, media_type="x/y")
            for at, one in attached
        ),
    )


def test_an_sbom_without_a_component_covers_the_bundle() -> None:
    whole, own, lost = source("whole"), source("own"), source("lost")
    made = bundle(("", whole), ("api", own), ("gone", lost))
    every = {one.digest: one for one in (whole, own, lost)}
    assert coverage(made, every) == {"api": [whole, own], "web": [whole]}
    assert coverage(made, {own.digest: own}) == {"api": [own], "web": []}


def test_a_package_of_two_sboms_has_the_licences_of_both() -> None:
    one = source("one", package("pkg:pypi/a@1", "MIT"))
    two = source("two", package("pkg:pypi/a@1", "SSPL-1.0"), package("pkg:pypi/b@1"))
    found = packages_of({"api": [one], "web": [two]})
    assert [(p.purl, p.licenses, carriers) for p, carriers in found.items()] == [
        ("pkg:pypi/a@1", ("MIT", "SSPL-1.0"), ["api", "web"]),
        ("pkg:pypi/b@1", (), ["web"]),
    ]
