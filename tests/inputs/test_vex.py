"""Who says what of a flaw: which statement fits a finding, and which of several counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.inputs.packages import package_of, parse_purl
from engine.inputs.vex import Statement, Voices, Whole, covers, heard, trusted_vex
from engine.inputs.vex_reading import read_vex
from tests.inputs.documents import CDX_VEX, CSAF, VEX, dump, replaced, without

NOW_S = 1_800_000_000
TRUSTED = frozenset({"psirt@example.com"})
APP = Whole(
    purls=("pkg:oci/app@2",),
    hashes=frozenset({f"sha-256:{'d' * 64}"}),
    names=(("app", "2"), ("api.zip", "")),
)
OTHER = Whole(purls=("pkg:oci/other@2",), names=(("other", "2"),))


def said(
    document: Any,
    purl: str = "pkg:pypi/foo@1.0",
    flaw: str = "CVE-1",
    *,
    whole: Whole = APP,
    now_s: int = NOW_S,
    trusted: frozenset[str] = TRUSTED,
    hashes: tuple[str, ...] = (),
) -> Statement | None:
    statements = read_vex(dump(document), where="f").statements
    voices = Voices(statements=statements, whole=whole, trusted=trusted, now_s=now_s)
    package = package_of(parse_purl(purl, where="t"), hashes=hashes)
    return voices.choose(voices.by_flaw().get(flaw, ()), package)


@pytest.mark.parametrize("document", [VEX, CDX_VEX, CSAF], ids=["openvex", "cyclonedx", "csaf"])
def test_every_format_says_the_same(document: dict[str, Any]) -> None:
    for flaw in ("CVE-1", "GHSA-1"):
        found = said(document, flaw=flaw)
        assert found is not None
        assert (found.status, found.author, found.stated_s) == (
            "not_affected",
            "psirt@example.com",
            1_767_225_600,
        )
        assert found.justification
    assert said(document, "pkg:pypi/foo@1.1") is None
    assert said(document, "pkg:npm/foo@1.0") is None
    assert said(document, flaw="CVE-2") is None
    assert said(document, now_s=1_700_000_000) is None  # dated after the decision


@pytest.mark.parametrize("document", [VEX, CSAF], ids=["openvex", "csaf"])
def test_a_part_of_another_product_is_not_ours(document: dict[str, Any]) -> None:
    """Somebody else's program may not call what ours does call."""
    assert said(document) is not None
    assert said(document, whole=OTHER) is None


def openvex(**product: Any) -> dict[str, Any]:
    return replaced(VEX, ("statements", 0, "products"), [product])


@pytest.mark.parametrize(
    ("product", "fits"),
    [
        ({"@id": "pkg:pypi/foo"}, True),  # no version: every version
        ({"@id": "pkg:pypi/foo@1.0"}, True),
        ({"@id": "pkg:pypi/foo@1.0?arch=x"}, False),  # qualifiers that the package has not
        ({"@id": "pkg:oci/app@2"}, True),  # all that is promoted
        ({"@id": "pkg:oci/app@3"}, False),
        ({"@id": "pkg:generic/app"}, True),  # the bundle by its name
        ({"@id": "api.zip"}, True),
        ({"@id": "x", "identifiers": {"purl": "pkg:pypi/foo@1.0"}}, True),
        ({"@id": "x", "hashes": {"sha-256": "d" * 64}}, True),
        ({"@id": "x", "hashes": {"sha-256": "e" * 64}}, True),  # of the package itself
        ({"@id": "x", "hashes": {"sha-256": "f" * 64}}, False),
        ({"@id": "x", "hashes": {"sha1": "d" * 40}}, False),
    ],
)
def test_a_product_is_known_by_name_or_by_hash(product: dict[str, Any], fits: bool) -> None:
    found = said(openvex(**product), hashes=(f"sha-256:{'e' * 64}",))
    assert (found is not None) is fits


@pytest.mark.parametrize(
    ("versions", "fits"),
    [
        ([{"range": "vers:pypi/>=0.9|<1.1"}], True),
        ([{"range": "vers:pypi/>=1.1"}], False),
        ([{"version": "1.0"}], True),
        ([{"version": "1.1"}], False),
        ([{"version": "1.0", "status": "unaffected"}], False),
        ([{"range": "nonsense"}], False),
    ],
)
def test_a_range_of_versions_is_kept_to(versions: Any, fits: bool) -> None:
    affects = [{"ref": "foo", "versions": versions}]
    document = replaced(CDX_VEX, ("vulnerabilities", 0, "affects"), affects)
    assert (said(document) is not None) is fits


# --- which of several counts ----------------------------------------------------------------------


def stated(status: str, day: int, *, reason: bool = True) -> dict[str, Any]:
    one = VEX["statements"][0] | {"status": status, "timestamp": f"2026-01-{day:02}T00:00:00Z"}
    return one if reason else {k: v for k, v in one.items() if k != "justification"}


def answer(*statements: dict[str, Any], trusted: frozenset[str] = TRUSTED) -> str:
    found = said(VEX | {"statements": list(statements)}, "pkg:pypi/bar@1", trusted=trusted)
    return "" if found is None else f"{found.status} {found.stated_s % 86_400_000 // 86_400}"


def test_the_newest_word_that_counts_is_heard() -> None:
    def word(*statements: dict[str, Any]) -> str:
        return answer(*statements).split()[0] if statements else answer()

    assert word(stated("affected", 1), stated("not_affected", 2)) == "not_affected"
    assert word(stated("affected", 2), stated("not_affected", 1)) == "affected"
    assert word(stated("not_affected", 1), stated("under_investigation", 2)) == (
        "under_investigation"
    )
    # Of one date the less harmless one.
    assert word(stated("affected", 1), stated("fixed", 1)) == "affected"
    assert word(stated("under_investigation", 1), stated("fixed", 1)) == "under_investigation"
    # Harmless without a reason counts for nothing, however new.
    assert word(stated("affected", 1), stated("not_affected", 2, reason=False)) == "affected"
    assert word() == ""


def test_a_stranger_neither_suppresses_nor_drowns_out() -> None:
    ours, theirs = VEX["statements"][0], stated("affected", 9)
    trusted = read_vex(dump(VEX | {"statements": [ours]}), where="f").statements
    stranger = read_vex(
        dump(VEX | {"statements": [theirs], "author": "somebody"}), where="f"
    ).statements
    package = package_of(parse_purl("pkg:pypi/bar@1", where="t"))
    voices = Voices(whole=APP, trusted=TRUSTED, now_s=NOW_S)
    assert voices.choose((*trusted, *stranger), package) == trusted[0]
    assert voices.choose(stranger, package) == stranger[0]  # shown, and the policy ignores it
    assert not voices.counts(stranger[0])


_STATEMENT = st.tuples(
    st.sampled_from(["not_affected", "affected", "fixed", "under_investigation"]),
    st.integers(1, 9),
    st.booleans(),
)


@given(st.lists(_STATEMENT, max_size=5), st.randoms(use_true_random=False))
def test_what_counts_does_not_hang_on_the_order(drawn: list[Any], chance: Any) -> None:
    made = [stated(status, day, reason=reason) for status, day, reason in drawn]
    assert answer(*made) == answer(*chance.sample(made, len(made)))
    for trusted in (TRUSTED, frozenset[str]()):
        found = said(VEX | {"statements": made}, "pkg:pypi/bar@1", trusted=trusted)
        newest = max((day for _, day, _ in drawn), default=0)
        doubt = {"affected", "under_investigation"}
        if trusted and any(day == newest and status in doubt for status, day, _ in drawn):
            assert found is not None
            assert found.status in doubt  # nothing older and nothing reasonless may suppress


def test_what_is_not_heard_is_said() -> None:
    document = VEX | {
        "statements": [
            VEX["statements"][0],
            stated("fixed", 1, reason=False),
            stated("affected", 1) | {"products": [{"@id": "pkg:oci/else",
                                                   "subcomponents": [{"@id": "pkg:pypi/x"}]}]},
            stated("affected", 1) | {"timestamp": "2039-01-01T00:00:00Z"},
            {k: v for k, v in stated("affected", 1).items() if k != "products"},
        ]
    }  # fmt: skip
    read = read_vex(dump(document), where="f")
    found = heard("vex:1", read, Voices(whole=APP, trusted=TRUSTED, now_s=NOW_S))
    assert found.status == "INCOMPLETE"
    assert found.detail == "CVE-1: f.statements[4] names no product"
    placed = read_vex(dump(document | {"statements": document["statements"][:4]}), where="f")
    whole = heard("vex:1", placed, Voices(whole=APP, trusted=TRUSTED, now_s=NOW_S))
    assert (whole.status, whole.detail) == (
        "COMPLETE",
        "4 statements; ignored: 1 about other products; ignored: 1 dated after the decision; "
        "ignored: 1 that call a flaw harmless without a justification",
    )
    nobody = heard("vex:1", read_vex(dump(VEX), where="f"), Voices(whole=APP, now_s=NOW_S))
    assert nobody.detail == (
        "1 statements; ignored: 1 by psirt@example.com, whom the policy does not trust"
    )


def test_the_authors_of_a_config() -> None:
    assert trusted_vex({"trusted_vex_authors": ["b", "a", "a", 1]}) == ("a", "b")
    assert trusted_vex({}) == trusted_vex({"trusted_vex_authors": "a"}) == ()


# --- what is refused, and what is a gap -----------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (VEX | {"@context": "https://example.com"}, "f: expected OpenVEX"),
        (
            replaced(VEX, ("statements", 0, "status"), "harmless"),
            "f.statements[0].status: expected",
        ),
        (without(VEX, "author"), "f.author: expected a non-empty text"),
        (
            replaced(CDX_VEX, ("vulnerabilities", 0, "analysis", "state"), "fine"),
            "f.vulnerabilities[0].analysis.state: expected one of",
        ),
        (replaced(CSAF, ("document", "csaf_version"), "2.1"), "csaf_version: expected 2.0"),
        (without(CSAF, "document", "publisher"), "f.document.publisher.name: expected"),
    ],
)
def test_a_broken_vex_is_refused_by_place(document: dict[str, Any], says: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_vex(dump(document), where="f")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("document", "gap"),
    [
        (replaced(VEX, ("statements", 0, "justification"), "because"), "justification: expected"),
        (
            replaced(CDX_VEX, ("vulnerabilities", 0, "affects", 0, "ref"), "lost"),
            "CVE-1: f.vulnerabilities[0].affects[0].ref 'lost' is no package URL",
        ),
        (CSAF, "CVE-1: a name alone has neither a package URL nor a hash"),
        (replaced(CSAF, ("document", "tracking", "status"), "draft"), "a draft is nobody's word"),
    ],
)
def test_what_cannot_be_placed_is_a_gap(document: dict[str, Any], gap: str) -> None:
    assert gap in read_vex(dump(document), where="f").gaps[0]


def test_a_flaw_that_nobody_analysed_is_no_statement() -> None:
    listed = without(CDX_VEX, "vulnerabilities", 0, "analysis")
    assert read_vex(dump(listed), where="f").statements == ()


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("false_positive", "not_affected"),
        ("resolved", "fixed"),
        ("resolved_with_pedigree", "fixed"),
        ("exploitable", "affected"),
        ("in_triage", "under_investigation"),
    ],
)
def test_states_of_cyclonedx(state: str, status: str) -> None:
    found = said(replaced(CDX_VEX, ("vulnerabilities", 0, "analysis", "state"), state))
    assert found is not None
    assert found.status == status


def test_package_urls_that_mean_each_other() -> None:
    assert covers("pkg:npm/%40a/b", "pkg:npm/%40a/b@1")
    assert covers("pkg:deb/debian/curl@7?arch=amd64", "pkg:deb/debian/curl@7?arch=amd64&distro=x")
    assert not covers("pkg:deb/debian/curl@7?arch=amd64", "pkg:deb/debian/curl@7?arch=arm64")
    assert not covers("pkg:npm/b", "pkg:npm/%40a/b@1")
    assert not covers("no package URL", "pkg:npm/b@1")
