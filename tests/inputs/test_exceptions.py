"""Waivers beside findings: each stands for its own flaw in its own package, and for no other."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.waivers import Holding
from engine.inputs.exceptions import exception_approvers, exceptions_of, used
from engine.inputs.match import Match
from engine.inputs.packages import package_of, parse_purl
from engine.inputs.severity import worst

NOW_S = 1_771_403_460
NAMES = ("CVE-2024-1", "CVE-2024-2", "GHSA-aaaa-bbbb-cccc", "PYSEC-2024-7")
PURLS = ("pkg:pypi/idna@3.6", "pkg:pypi/idna@3.7", "pkg:npm/idna@3.6")


def match(purl: str, *names: str) -> Match:
    return Match(
        package=package_of(parse_purl(purl, where="test")),
        id=min(names),
        names=frozenset(names),
        sources=(min(names),),
        severity=worst((), ("HIGH",)),
        kev=False,
        epss_ppm=-1,
    )


holdings = st.builds(
    Holding,
    waiver=st.integers(1, 9).map("waiver-{}".format),
    finding=st.sampled_from([*NAMES, *map(str.lower, NAMES), "CVE-2024-12"]),
    purl=st.sampled_from(PURLS),
    requested_by=st.just("pol"),
    approved_by=st.sampled_from(["bob", "mallory"]),
    expires_at_s=st.integers(NOW_S - 2, NOW_S + 2),
    reason=st.just("r"),
)
matches = st.lists(
    st.tuples(st.sampled_from(PURLS), st.sets(st.sampled_from(NAMES), min_size=1)), max_size=5
)


def plain(waivers: list[Holding], found: list[Match]) -> list[tuple[str, str, str]]:
    """The same, read slowly: (waiver, finding, package)."""
    told = []
    for one in found:
        for waiver in waivers:
            named = [name for name in one.names if name.upper() == waiver.finding.upper()]
            if named and waiver.purl == one.package.purl and waiver.expires_at_s > NOW_S:
                told.append((waiver.waiver, one.id, one.package.purl))
    return told


@settings(max_examples=150)
@given(waivers=st.lists(holdings, max_size=4), found=matches)
def test_only_what_is_named_and_has_not_ended(
    waivers: list[Holding], found: list[tuple[str, set[str]]]
) -> None:
    known = [match(purl, *names) for purl, names in found]
    made = exceptions_of(waivers, known, NOW_S)
    assert [(one["waiver"], one["finding"], one["purl"]) for one in made] == plain(waivers, known)
    # Of what the policy is told, no more is called waived than it follows.
    document: dict[str, Any] = {
        "findings": [{"id": m.id, "purl": m.package.purl, "key": m.key} for m in known],
        "exceptions": made,
    }
    config = {"exception_approvers": ["bob"]}
    waived = used(document, config, [])
    assert all(one.granted_by == "bob" for one in waived)
    assert len(waived) == sum(one["approved_by"] == "bob" for one in made)
    fired = [{"subject": m.key} for m in known[:1]]
    keys = {(one.finding, one.purl) for one in used(document, config, fired)}
    assert not known or (known[0].id, known[0].package.purl) not in keys
    assert used(document, {}, []) == ()


def test_nobody_may_grant_where_the_policy_names_nobody() -> None:
    assert exception_approvers({}) == exception_approvers({"exception_approvers": "bob"}) == ()
    assert exception_approvers({"exception_approvers": ["carol", "bob", "bob", 3]}) == (
        "bob", "carol",
    )  # fmt: skip
