"""The view of an approval is a function of its facts: nothing else moves its digest."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.approval_facts import (
    Frozen,
    LiveRun,
    PolicyChange,
    RuleResult,
    SeenFinding,
    SourceHealth,
    ViewFacts,
    compare,
)
from engine.core.approval_view import SCHEMA, view
from engine.core.commands import Action
from engine.core.decide import decide, refusal
from engine.core.digest import Digest
from engine.core.errors import Refused
from engine.core.jcs import canonical
from engine.core.spec import ApprovalGroup
from tests.core.simulated import PEOPLE, command
from tests.core.test_approvals import approve, asking

ASKING = asking(
    min_approvals=2,
    groups=(ApprovalGroup(name="ops", members=("bob", "carol"), required=True),),
).current


def finding(name: str, version: str = "1", **more: Any) -> SeenFinding:
    fields: dict[str, Any] = {
        "id": name,
        "aliases": (),
        "purl": f"pkg:pypi/idna@{version}",
        "package": "pkg:pypi/idna",
        "severity": "HIGH",
        "cvss_dt": 75,
        "kev": False,
        "reach": "UNKNOWN",
        "found_in": ("api", "web"),
        "suppressed": False,
        "rules": (),
    }
    return SeenFinding(**{**fields, **more})


def frozen(*found: SeenFinding) -> Frozen:
    return Frozen(
        results=(
            RuleResult(level="WARN", rule="feed-stale", subject="NVD", detail="NVD is old"),
            RuleResult(level="WARN", rule="severity", subject="", detail="one is HIGH"),
        ),
        findings=found,
        gaps=(("sbom:web", "PARTIAL", "2 of 9 packages"), ("sbom:api", "FAILED", "no JSON")),
        decided_s=1_771_403_460,
    )


FACTS = ViewFacts(
    run=ASKING,
    frozen=frozen(finding("CVE-1"), finding("CVE-2", kev=True)),
    why_not="",
    live=LiveRun(
        run="run-7",
        bundle=Digest.of(b"live"),
        label="app 1",
        verdict_id="verdict-7",
        policy=Digest.of(b"policy"),
        frozen=frozen(finding("CVE-2"), finding("CVE-3")),
    ),
    policy_version="2026.1",
    policy_changes=(
        PolicyChange(
            kind="changed", what="limit", name="feeds.NVD.warn_s", before="1", after="2",
            stricter=None,
        ),
        PolicyChange(
            kind="added", what="rule", name="new", before="", after="WARN", stricter=True
        ),
    ),
    health=(
        SourceHealth(name="NVD", level="WARN", state="STALE", as_of_s=1_771_392_660),
        SourceHealth(name="KEV", level="OK", state="FRESH", as_of_s=1_771_400_000),
    ),
    may=("bob", "carol"),
    may_not=(("dave", "dave made this bundle."),),
)  # fmt: skip


def test_it_is_canonical_and_names_its_schema() -> None:
    shown = view(FACTS)
    assert shown.document["schema"] == SCHEMA
    assert canonical(shown.document) == shown.content
    assert Digest.of(shown.content) == shown.digest
    assert shown.document["binding"] == str(ASKING.binding)


# Every fact that is shown, changed alone: through the run, and through what is read beside it.
RUN_CHANGES: dict[str, Any] = {
    "bundle": lambda run: replace(run, request=replace(run.request, bundle=Digest.of(b"x"))),
    "version": lambda run: replace(run, request=replace(run.request, bundle_version="x")),
    "environment": lambda run: replace(run, request=replace(run.request, environment="x")),
    "inputs": lambda run: replace(run, resolved_inputs=Digest.of(b"x")),
    "plan": lambda run: replace(run, plan=Digest.of(b"x")),
    "rollback plan": lambda run: replace(run, rollback_plan=Digest.of(b"x")),
    "verdict": lambda run: replace(run, verdict=replace(run.verdict, verdict=Digest.of(b"x"))),
    "policy": lambda run: replace(run, verdict=replace(run.verdict, policy=Digest.of(b"x"))),
    "warnings": lambda run: replace(run, verdict=replace(run.verdict, warn=9)),
    "requester": lambda run: replace(run, requested_by="x"),
    "authors": lambda run: replace(run, authors=("x",)),
    "bundle authors": lambda run: replace(run, request=replace(run.request, bundle_authors=())),
    "quorum": lambda run: replace(
        run, request=replace(run.request, approval=replace(run.request.approval, min_approvals=3))
    ),
    "group": lambda run: replace(
        run, request=replace(run.request, approval=replace(run.request.approval, groups=()))
    ),
    "expiry": lambda run: replace(run, approval_expires_us=1),
    "breach": lambda run: replace(run, request=replace(run.request, on_breach="x")),
    "target": lambda run: replace(
        run, targets=(replace(run.targets[0], baseline=Digest.of(b"x")), *run.targets[1:])
    ),
    "way back": lambda run: replace(
        run, targets=(replace(run.targets[0], reversible=False), *run.targets[1:])
    ),
    "cohort": lambda run: replace(
        run, cohorts=(replace(run.cohorts[0], targets=()), *run.cohorts[1:])
    ),
}
READ_CHANGES: dict[str, Any] = {
    "results": lambda f: replace(f, frozen=replace(f.frozen, results=())),
    "a finding": lambda f: replace(f, frozen=replace(f.frozen, findings=())),
    "its severity": lambda f: replace(
        f, frozen=replace(f.frozen, findings=(finding("CVE-1", severity="LOW"), finding("CVE-2")))
    ),
    "gaps": lambda f: replace(f, frozen=replace(f.frozen, gaps=())),
    "facts lost": lambda f: replace(f, frozen=None, why_not="gone"),
    "live run": lambda f: replace(f, live=None),
    "live facts": lambda f: replace(f, live=replace(f.live, frozen=None)),
    "live findings": lambda f: replace(f, live=replace(f.live, frozen=frozen())),
    "policy changes": lambda f: replace(f, policy_changes=f.policy_changes[:1]),
    "policy not read": lambda f: replace(f, policy_changes=None),
    "health": lambda f: replace(f, health=(replace(f.health[0], level="FAIL"), f.health[1])),
    "date of a stale feed": lambda f: replace(
        f, health=(replace(f.health[0], as_of_s=1), f.health[1])
    ),
    "a source more": lambda f: replace(f, health=(*f.health, replace(f.health[1], name="OSV"))),
    "who may": lambda f: replace(f, may=("bob",)),
    "who may not": lambda f: replace(f, may_not=()),
}


@pytest.mark.parametrize("name", RUN_CHANGES)
def test_any_change_of_the_run_is_another_view(name: str) -> None:
    changed = replace(FACTS, run=RUN_CHANGES[name](ASKING))
    assert view(changed).digest != view(FACTS).digest


@pytest.mark.parametrize("name", READ_CHANGES)
def test_any_change_of_what_is_read_is_another_view(name: str) -> None:
    assert view(READ_CHANGES[name](FACTS)).digest != view(FACTS).digest


def some(pool: Sequence[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(pool), unique=True).map(tuple)


FINDINGS = [finding("CVE-1"), finding("CVE-2", kev=True), finding("CVE-2", severity="LOW")]
CHOICES = st.fixed_dictionaries(
    {
        "run": st.sampled_from(["", *RUN_CHANGES]),
        "results": some(frozen().results),
        "gaps": some(frozen().gaps),
        "now": some(FINDINGS),
        "live": some(FINDINGS),
        "changes": st.none() | some(FACTS.policy_changes or ()),
        "health": some([*FACTS.health, replace(FACTS.health[1], level="FAIL")]),
        "may": some(["bob", "carol", "dave"]),
        "may_not": some([("eve", "no"), ("eve", "never"), ("mia", "no")]),
    }
)


def chosen(choice: dict[str, Any]) -> ViewFacts:
    assert FACTS.frozen is not None and FACTS.live is not None
    run = RUN_CHANGES[choice["run"]](ASKING) if choice["run"] else ASKING
    return replace(
        FACTS,
        run=run,
        frozen=replace(
            FACTS.frozen, results=choice["results"], gaps=choice["gaps"], findings=choice["now"]
        ),
        live=replace(FACTS.live, frozen=frozen(*choice["live"])),
        policy_changes=choice["changes"],
        health=choice["health"],
        may=choice["may"],
        may_not=choice["may_not"],
    )


def plainly(choice: dict[str, Any]) -> dict[str, Any]:
    """What a view of it has to tell apart, said without the view: sets, and what is new of them."""
    sets = {k: v if isinstance(v, str) or v is None else frozenset(v) for k, v in choice.items()}
    added, gone, same = compare(choice["now"], choice["live"])
    del sets["now"], sets["live"]
    return {**sets, "added": frozenset(added), "gone": frozenset(gone), "same": same}


@given(CHOICES, CHOICES)
def test_two_views_are_the_same_exactly_when_their_facts_are(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    same = view(chosen(one)).digest == view(chosen(other)).digest
    assert same == (plainly(one) == plainly(other))
    assert view(chosen(one)) == view(chosen(one))


@given(st.randoms(use_true_random=False))
def test_the_order_in_which_facts_come_changes_nothing(rng: random.Random) -> None:
    def mixed(values: Any) -> Any:
        return tuple(rng.sample(list(values), len(values)))

    def shaken(one: Frozen) -> Frozen:
        return replace(
            one,
            results=mixed(one.results),
            gaps=mixed(one.gaps),
            findings=mixed([replace(f, found_in=mixed(f.found_in)) for f in one.findings]),
        )

    assert FACTS.frozen is not None and FACTS.live is not None and FACTS.live.frozen is not None
    assert FACTS.policy_changes is not None
    rule = ASKING.request.approval
    groups = tuple(replace(g, members=mixed(g.members)) for g in mixed(rule.groups))
    run = replace(
        ASKING,
        targets=mixed(ASKING.targets),
        request=replace(ASKING.request, approval=replace(rule, groups=groups)),
    )
    other = replace(
        FACTS,
        run=run,
        frozen=shaken(FACTS.frozen),
        live=replace(FACTS.live, frozen=shaken(FACTS.live.frozen)),
        policy_changes=mixed(FACTS.policy_changes),
        health=mixed(FACTS.health),
        may=mixed(FACTS.may),
    )
    assert view(other).content == view(FACTS).content


def test_a_fresh_feed_that_was_synced_meanwhile_is_the_same_view() -> None:
    nvd, kev = FACTS.health
    synced = replace(FACTS, health=(nvd, replace(kev, as_of_s=1_771_409_999)))
    assert view(synced).content == view(FACTS).content


def test_what_is_not_known_is_not_called_clean() -> None:
    for facts in (
        replace(FACTS, frozen=None, why_not="the capsule is gone"),
        READ_CHANGES["live facts"](FACTS),
    ):
        told = view(facts).document["findings"]
        assert (told["known"], told["added"], told["unchanged"]) == (False, None, None)
        assert told["why"]
    assert view(replace(FACTS, health=())).document["dataHealth"]["level"] == "UNKNOWN"


def test_the_first_promotion_has_only_new_findings() -> None:
    told = view(replace(FACTS, live=None)).document["findings"]
    assert [one["id"] for one in told["added"]] == ["CVE-1", "CVE-2"]
    assert (told["gone"], told["unchanged"], told["against"]) == ([], 0, None)


def test_a_flaw_stays_the_same_under_another_name_and_in_another_version() -> None:
    live = [finding("GHSA-9", version="1", aliases=("CVE-9",)), finding("CVE-3")]
    now = [finding("CVE-9", version="2"), finding("CVE-4")]
    added, gone, same = compare(now, live)
    assert ([f.id for f in added], [f.id for f in gone], same) == (["CVE-4"], ["CVE-3"], 1)


@given(
    st.lists(st.sampled_from("ABCDEF"), unique=True),
    st.lists(st.sampled_from("ABCDEF"), unique=True),
)
def test_added_gone_and_unchanged_are_all_there_is(now: list[str], live: list[str]) -> None:
    added, gone, same = compare([finding(n) for n in now], [finding(n) for n in live])
    assert {f.id for f in added} == set(now) - set(live)
    assert {f.id for f in gone} == set(live) - set(now)
    assert same == len(set(now) & set(live))


def test_a_run_without_a_verdict_has_no_view() -> None:
    with pytest.raises(Refused):
        view(replace(FACTS, run=replace(ASKING, verdict=None)))


def test_a_decision_names_the_view_of_now_or_is_refused() -> None:
    now, then = view(FACTS).digest, Digest.of(b"then")
    for action in (Action.APPROVE, Action.REJECT):
        wish = replace(command(ASKING, action), view=then, view_now=now)
        refused = refusal(ASKING, wish, PEOPLE["bob"])
        assert refused is not None and refused.code == "stale"
        # Nobody made the view of now: then it is not known to be the one that was shown.
        unknown = replace(wish, view_now=None)
        assert (refusal(ASKING, unknown, PEOPLE["bob"]) or refused).code == "stale"
        good = replace(wish, view=now)
        assert refusal(ASKING, good, PEOPLE["bob"]) is None
        assert decide(ASKING, good, PEOPLE["bob"])[0].view == now  # type: ignore[union-attr]


def test_an_approval_by_another_is_another_view() -> None:
    book = asking(min_approvals=2)
    before = view(replace(FACTS, run=book.current))
    approve(book, "bob")
    after = view(replace(FACTS, run=book.current))
    assert before.digest != after.digest
    assert json.loads(after.content)["quorum"]["decisions"][0]["person"] == "bob"
