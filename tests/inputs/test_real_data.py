"""Against real SBOMs, real advisories and recorded answers of another matcher."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.inputs.advisories import Affected, is_affected, read_advisory
from engine.inputs.feeds import FeedFacts
from engine.inputs.match import Match, match_packages
from engine.inputs.packages import Incomparable, Package, identity
from engine.inputs.sbom import read_sbom
from engine.inputs.vex import About, Named, covers
from engine.inputs.vex_reading import read_vex

# The parsing library warns of what older format versions do, which is not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:cyclonedx")


def matches_of(name: str, data: Path, feeds: FeedFacts) -> tuple[Match, ...]:
    path = data / "sbom" / f"{name}.cdx-1.6.json"
    matches, gaps = match_packages(read_sbom(path.read_bytes(), where=path.name).packages, feeds)
    assert gaps == ()
    return matches


def test_every_feed_is_read_whole(real_feeds: FeedFacts) -> None:
    assert {one.id: (one.status, one.detail) for one in real_feeds.scans} == {
        "feed:KEV": ("COMPLETE", "1404 known exploited flaws"),
        "feed:NVD": ("COMPLETE", "22 flaws"),
        "feed:OSV": ("COMPLETE", "2661 advisories"),
    }


@pytest.mark.parametrize(
    ("name", "form", "packages", "gaps"),
    [
        ("laravel-7.12.0.cdx-1.4.json", "CycloneDX 1.4", 63, 0),
        ("legacy-web.cdx-1.6.json", "CycloneDX 1.6", 19, 0),
        ("legacy-web.cdx-1.7.json", "CycloneDX 1.7", 19, 0),
        ("ops-stack.cdx-1.6.json", "CycloneDX 1.6", 14, 0),
        ("examplemaven.spdx-2.3.json", "SPDX 2.3", 5, 5),
        ("examplemaven.spdx-3.0.json", "SPDX 3.0", 5, 5),
    ],
)
def test_real_sboms_are_read(name: str, form: str, packages: int, gaps: int, data: Path) -> None:
    sbom = read_sbom((data / "sbom" / name).read_bytes(), where=name)
    assert (sbom.format, len(sbom.packages), len(sbom.gaps)) == (form, packages, gaps)
    assert sum(one.version != "" and one.identity is not None for one in sbom.packages) == (
        packages - gaps
    )


def test_both_spdx_versions_give_the_same_packages(data: Path) -> None:
    """None of them has a package URL: each is there for its licence, and a gap for its flaws."""
    old, new = (
        read_sbom((data / f"sbom/examplemaven.spdx-{one}.json").read_bytes(), where="t")
        for one in ("2.3", "3.0")
    )
    assert old.packages == new.packages
    assert sorted(old.gaps) == sorted(new.gaps)
    assert [(one.purl, one.licenses) for one in old.packages][-2:] == [
        ("pkg:generic/JUnit@3.8.1", ("CPL-1.0",)),
        ("pkg:generic/SLF4J%20API%20Module", ()),
    ]


def test_an_sbom_without_a_date_does_not_get_the_present_one(data: Path) -> None:
    """The parsing library fills in the time of parsing, which would make every SBOM fresh."""
    sbom = read_sbom((data / "sbom/legacy-web.cdx-1.6.json").read_bytes(), where="t")
    assert sbom.generated_at_s == 0


@pytest.mark.parametrize("name", ["legacy-web", "ops-stack"])
def test_matches_are_those_of_two_other_matchers(
    name: str, data: Path, real_feeds: FeedFacts
) -> None:
    expected = json.loads((data / "osv/expected-matches.json").read_text())[name]
    found: dict[str, set[str]] = {purl: set() for purl in expected}
    for match in matches_of(name, data, real_feeds):
        found[match.package.purl] |= set(match.sources)
    assert {purl: sorted(ids) for purl, ids in found.items()} == {
        purl: sorted(ids) for purl, ids in expected.items()
    }


def test_ops_stack_has_six_known_exploited_flaws(data: Path, real_feeds: FeedFacts) -> None:
    found = [match.key for match in matches_of("ops-stack", data, real_feeds) if match.kev]
    assert found == [
        "CVE-2020-11651 pkg:pypi/salt@3000",
        "CVE-2020-11652 pkg:pypi/salt@3000",
        "CVE-2020-11978 pkg:pypi/apache-airflow@1.10.10",
        "CVE-2020-13927 pkg:pypi/apache-airflow@1.10.10",
        "CVE-2020-16846 pkg:pypi/salt@3000",
        "CVE-2022-33891 pkg:pypi/pyspark@3.1.1",
    ]


def test_most_real_findings_have_no_severity_and_keep_none(
    data: Path, real_feeds: FeedFacts
) -> None:
    found = matches_of("legacy-web", data, real_feeds)
    unknown = [match for match in found if match.severity.word == "UNKNOWN"]
    assert (len(found), len(unknown)) == (61, 53)
    assert all(match.severity.cvss_dt == -1 for match in unknown)


# What the advisory in the snapshot says of these differs from the newer one that answered.
NARROWER_HERE = {
    ("django", "1.11.29", "GHSA-8x94-hmjh-97hq"),
    ("django", "2.2.24", "GHSA-8x94-hmjh-97hq"),
}


def test_recorded_answers_of_osv_dev_are_found(data: Path, real_feeds: FeedFacts) -> None:
    """Every recorded id whose advisory is in the snapshot, by its own name or as an alias.

    Two are known only as an alias of PYSEC-2022-245, which does not list these versions, while
    the advisory of that name, which is not in the snapshot, does.
    """
    rows = json.loads((data / "osv/osv-dev-recorded-querybatch-pypi.json").read_text())
    advisories = {one.id: one for many in real_feeds.advisories.values() for one in many}
    names = {name for one in advisories.values() for name in (one.id, *one.aliases)}
    held = missed = 0
    narrower = set()
    for row in rows:
        package = Package(
            purl=f"pkg:pypi/{row['name']}@{row['version']}",
            name=row["name"],
            version=row["version"],
            identity=identity("PyPI", row["name"]),
        )
        matches, gaps = match_packages([package], real_feeds)
        assert gaps == ()
        found = {name for match in matches for name in match.names}
        for recorded in row["ids"]:
            held += recorded in names
            if recorded in names - found:
                narrower.add((row["name"], row["version"], recorded))
                missed += recorded in advisories
    assert (held, missed) == (46, 0)
    assert narrower == NARROWER_HERE


def test_listed_versions_lie_in_their_ranges(real_feeds: FeedFacts) -> None:
    """`versions` and `ranges` of one advisory agree but for a handful, so ranges are read right."""
    agree = differ = unreadable = 0
    for many in sorted(real_feeds.advisories.items())[:400]:
        for advisory in many[1]:
            for one in advisory.affected:
                if not one.ranges or not one.versions:
                    continue
                ranges = Affected(package=one.package, ranges=one.ranges, versions=frozenset())
                for version in sorted(one.versions)[:20]:
                    try:
                        inside = is_affected(ranges, version)
                    except Incomparable:
                        unreadable += 1
                        continue
                    agree += inside
                    differ += not inside
    assert agree > 10_000
    assert differ <= agree // 5_000
    assert unreadable <= 108  # real version texts that PEP 440 has no place for


def test_real_openvex_is_read(data: Path) -> None:
    document = read_vex((data / "vex/trivy.openvex.json").read_bytes(), where="trivy")
    assert (document.format, document.gaps) == ("OpenVEX", ())
    assert len(document.statements) > 5
    first = document.statements[0]
    assert first.flaws == {"GO-2024-2575", "CVE-2024-26147", "GHSA-r53h-jv2g-vpx6"}
    assert first.about == (
        About(
            named=Named(purl="pkg:golang/helm.sh/helm/v3"),
            whole=Named(purl="pkg:golang/github.com/aquasecurity/trivy"),
        ),
    )
    assert (first.status, first.author) == ("not_affected", "Aqua Security")


def test_real_cyclonedx_vex_is_read_without_a_date_or_an_author(data: Path) -> None:
    document = read_vex((data / "vex/cyclonedx-vex.json").read_bytes(), where="vex")
    (one,) = document.statements
    assert document.gaps == ()
    assert (one.status, one.justification) == ("not_affected", "code_not_reachable")
    assert {"CVE-2020-25649", "SNYK-JAVA-COMFASTERXMLJACKSONCORE-1048302"} == one.flaws
    assert (one.author, one.stated_s) == ("", 0)
    assert covers(
        one.about[0].named.purl,
        "pkg:maven/com.fasterxml.jackson.core/jackson-databind@2.10.0?type=jar",
    )


def test_real_csaf_names_its_products_by_words_and_says_so(data: Path) -> None:
    """None of the published examples has a package URL or a hash, so none can be followed."""
    found = {
        path.name: read_vex(path.read_bytes(), where=path.name)
        for path in sorted((data / "vex/csaf").glob("*.json"))
    }
    assert len(found) == 6
    for name, document in found.items():
        assert document.statements == (), name
        assert document.gaps, name
    assert found["2022-evd-uc-01-na-001.json"].gaps == (
        "CVE-2021-44228: Example Company ABC 4.2 has neither a package URL nor a hash",
    )


def test_what_we_ship_agrees_with_the_sources(data: Path, real_feeds: FeedFacts) -> None:
    """The hand-written advisories say of every version what the real ones say of it."""
    folder = Path(__file__).resolve().parents[2] / "examples/advisories"
    real = {one.id: one for many in real_feeds.advisories.values() for one in many}
    compared = 0
    for path in sorted((folder / "osv/PyPI").glob("*.json")):
        ours = read_advisory(path.read_bytes(), where=path.name)
        theirs = real.get(ours.id)
        if theirs is None:
            continue  # younger than the snapshot
        assert set(ours.aliases) <= set(theirs.aliases)
        assert set(ours.vectors) == set(theirs.vectors)
        (mine,), (other,) = ours.affected, theirs.affected
        for version in sorted(other.versions):
            assert is_affected(mine, version), (ours.id, version)
            compared += 1
        for events in other.ranges:
            for kind, version in events:
                if kind == "fixed":
                    assert is_affected(mine, version) == is_affected(other, version)
    assert compared > 500
    kev = json.loads((folder / "kev/known_exploited_vulnerabilities.json").read_text())
    assert {one["cveID"] for one in kev["vulnerabilities"]} <= real_feeds.kev
    nvd = json.loads((folder / "nvd/nvd-2.0.json").read_text())
    for item in nvd["vulnerabilities"]:
        known = real_feeds.vectors.get(item["cve"]["id"])
        data_ = item["cve"]["metrics"]["cvssMetricV31"][0]["cvssData"]
        assert known is None or data_["vectorString"] in known
