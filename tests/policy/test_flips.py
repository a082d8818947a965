"""The report of a policy pull request: baseline first, each flip with its rule, always the same."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine.core.replays import Fired, Flip, ReplayRow
from engine.policy.flips import ROWS_MAX, PullRequest, Turn, causes, markdown, sentence, turn_of

KEV = Fired(rule="vuln.kev", subject="K", detail="K is in CISA KEV")
NVD = Fired(rule="feed.stale.warn", subject="NVD", detail="feed NVD is old")
BUDGET = Fired(rule="vuln.budget", subject="HIGH", detail="11 live HIGH findings")

FLIP = Flip(
    verdict_id="verdict-1",
    run_id="run-1",
    environment="eu-prod",
    bundle="sha256:" + "ab" * 32,
    bundle_label="shop 1.0",
    decided_us=1_771_403_460_000_000,
    decision_then="PASS",
    decision_now="FAIL",
    policy_then="p",
    policy_now="q",
    fails_then=(),
    fails_now=(KEV,),
    warns_then=(NVD,),
    warns_now=(NVD,),
    live=("eu-prod",),
)
ALLOWED = replace(
    FLIP,
    verdict_id="verdict-2",
    run_id="run-2",
    decision_then="FAIL",
    decision_now="PASS",
    fails_then=(BUDGET, KEV),
    fails_now=(),
    live=(),
)
WARNED = replace(
    FLIP,
    verdict_id="verdict-3",
    run_id="run-3",
    decision_now="PASS",
    fails_now=(),
    warns_then=(),
)
QUIETER = replace(WARNED, verdict_id="verdict-4", warns_then=(NVD,), warns_now=())
UNPROVEN = ReplayRow(
    n=1, idx=9, ts_us=0, status="COMPLETED", kind="VERDICT", subject="verdict-9", run_id="run-9",
    environment="eu-prod", mode="WHAT_IF", depth="SHALLOW", result="UNPROVEN",
    cause="INPUT_TAMPERED", facet="feeds", sentence="feeds: expected a, found b", decided_us=0,
    decision_then="PASS", decision_now="", digest_then="", digest_now="", policy="", policy_now="",
    engine="", engine_now="", form="", crosscheck="", took_us=0, detail="",
)  # fmt: skip


def pull(*changed: Flip, unproven: tuple[ReplayRow, ...] = (), asked: int = 10) -> PullRequest:
    return PullRequest(
        name="release-gate",
        version="1.1.0",
        policy="sha256:" + "cd" * 32,
        asked=asked,
        changed=changed,
        unproven=unproven,
        first_us=1_771_000_000_000_000,
        last_us=1_771_403_460_000_000,
    )


def test_each_change_has_its_turn_and_its_causes() -> None:
    assert [turn_of(one) for one in (FLIP, ALLOWED, WARNED, QUIETER)] == [
        Turn.BLOCKS,
        Turn.ALLOWS,
        Turn.WARNS,
        Turn.CHANGES,
    ]
    assert causes(FLIP) == (("now fails", (KEV,)),)
    assert causes(ALLOWED) == (("no longer fails", (BUDGET, KEV)),)
    assert causes(WARNED) == (("now warns", (NVD,)),)
    assert causes(QUIETER) == (("no longer", (NVD,)),)


def test_the_answer_names_the_worst() -> None:
    assert pull().answer == "same"
    assert pull(WARNED).answer == "same"
    assert pull(FLIP).answer == "flips"
    assert pull(FLIP, unproven=(UNPROVEN,)).answer == "unproven"


def test_the_sentence_says_what_a_reviewer_asks() -> None:
    assert sentence(pull(asked=0)).startswith("No verdict is recorded yet")
    assert sentence(pull(WARNED)) == (
        "No decision of 10 recorded verdicts would change, 1 verdict would warn anew."
    )
    assert sentence(pull(FLIP, ALLOWED)) == (
        "2 of 10 recorded verdicts would be decided otherwise: 1 blocked, 1 let through; 1 of them "
        "is live now."
    )
    assert "proves nothing" in sentence(pull(FLIP, unproven=(UNPROVEN,)))


def test_the_report_tells_everything_once() -> None:
    text = markdown(pull(FLIP, ALLOWED, WARNED, QUIETER, unproven=(UNPROVEN,)))
    assert text.startswith("# Policy pull request: release-gate 1.1.0\n")
    assert "| Baseline proven | 9 of 10 |" in text
    assert "| Would be blocked | 1 (1 live now) |" in text
    assert "| Unchanged | 5 |" in text
    assert text.count("run-1 ") == text.count("run-2 ") == 1
    assert "now fails: `vuln.kev` K is in CISA KEV" in text
    assert "| PASS (1 WARN) | FAIL (1 FAIL, 1 WARN) |" in text
    assert "| verdict-9 | run-9 | eu-prod | INPUT_TAMPERED |" in text
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        "## Not proven",
        "## Flips by rule",
        "## Flips",
        "## Would warn anew",
        "## Decided alike, by other rules",
    ]


def test_the_rest_of_a_long_report_is_counted() -> None:
    many = [replace(FLIP, verdict_id=f"verdict-{n}") for n in range(ROWS_MAX + 3)]
    text = markdown(pull(*many, asked=500))
    assert "and 3 more." in text and len(text.splitlines()) < ROWS_MAX + 60


@given(st.text(), st.randoms(use_true_random=False))
def test_no_foreign_text_breaks_a_row_and_no_order_changes_it(
    text: str, chance: random.Random
) -> None:
    foreign = replace(KEV, subject=text, detail=text)
    flips = [
        replace(FLIP, verdict_id=f"v{n}", bundle_label=text, fails_now=(foreign,)) for n in range(3)
    ]
    report = markdown(pull(*flips))
    rows = [line for line in report.splitlines() if line.startswith("| run-1")]
    assert len(rows) == 3
    plain = [row.replace("\\\\", "").replace("\\|", "") for row in rows]
    assert {row.count("|") for row in plain} == {9}
    chance.shuffle(flips)
    assert markdown(pull(*flips)) == report
    assert pull(*flips).document() == pull(*reversed(flips)).document()
