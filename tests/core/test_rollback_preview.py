"""The way back of a run: what a preview shows is what a rollback carries out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.digest import Digest
from engine.core.event_parts import StageCohort
from engine.core.plan import Observation, TargetObservation
from engine.core.rollback_preview import (
    RowAction,
    from_record,
    not_by_itself,
    plan_back,
    preview,
    readiness,
)
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from tests.core.simulated import NEW, OLD, OTHER, TARGETS
from tests.core.test_decide import deploying

quick = settings(max_examples=300, deadline=None, derandomize=True)
COHORTS = (
    StageCohort(step="canary", targets=TARGETS[:2]),
    StageCohort(step="full", targets=TARGETS),
)


def run_in_canary(
    baseline: Mapping[str, Digest | None] | None = None, *, applied: bool = True
) -> Run:
    """t-01 and t-02 are set by the stage at hand; t-03 and t-04 are not touched yet."""
    run = deploying(applied=applied).current
    was = baseline or dict.fromkeys(TARGETS, OLD)
    targets = tuple(
        replace(
            t,
            baseline=was[t.target],
            current=NEW if t.target in TARGETS[:2] else was[t.target],
            reversible=was[t.target] is not None,
        )
        for t in run.targets
    )
    return replace(run, cohorts=COHORTS, targets=targets)


def seen(
    now: Mapping[str, Digest | None], held: Mapping[str, tuple[Digest, ...]] | None = None
) -> Observation:
    return Observation(
        observed_at_us=7,
        source="test",
        targets=tuple(
            TargetObservation(
                target=t,
                digest=d,
                healthy=None if d is None else True,
                present=(OLD,) if held is None else held.get(t, ()),
            )
            for t, d in sorted(now.items())
        ),
    )


SET = {"t-01": NEW, "t-02": NEW, "t-03": OLD, "t-04": OLD}


def test_every_target_has_a_row_that_says_what_becomes_of_it() -> None:
    run = run_in_canary({"t-01": OLD, "t-02": OTHER, "t-03": OLD, "t-04": OLD})
    told = preview(run, seen({**SET, "t-01": None, "t-04": OTHER}))
    assert [(r.target, r.action, r.from_digest, r.to_digest) for r in told.rows] == [
        ("t-01", RowAction.UNKNOWN, None, OLD),
        ("t-02", RowAction.IRREVERSIBLE, NEW, None),
        ("t-03", RowAction.UNCHANGED, OLD, None),
        ("t-04", RowAction.UNCHANGED, OTHER, None),
    ]
    assert told.rows[3].note == "not touched by this run" and told.rows[2].note == ""
    assert told.counts == {
        RowAction.REVERT: 0,
        RowAction.UNCHANGED: 2,
        RowAction.IRREVERSIBLE: 1,
        RowAction.UNKNOWN: 1,
    }
    assert not told.executable
    assert [w.partition(":")[0] for w in told.warnings] == [
        "1 target cannot go back",
        "1 target does not answer",
    ]
    document = told.document()
    assert document["counts"] == {"revert": 0, "unchanged": 2, "irreversible": 1, "unknown": 1}
    assert document["digest"] == str(told.digest) and document["scope"] == "full"


def test_a_target_left_without_traffic_is_in_the_plan_though_it_runs_what_it_ran() -> None:
    run = run_in_canary()
    calm = seen({**SET, "t-01": OLD})
    idle = replace(
        calm,
        targets=tuple(
            replace(one, serving=one.target not in {"t-01", "t-03"}) for one in calm.targets
        ),
    )
    assert [c.target for c in plan_back(run, calm).plan.changes] == ["t-02"]
    assert [c.target for c in plan_back(run, idle).plan.changes] == ["t-01", "t-02"]
    row, *_, other, _last = preview(run, idle).rows
    assert (row.action, row.from_digest, row.to_digest) == (RowAction.REVERT, OLD, OLD)
    assert "traffic" in row.note
    assert other.action is RowAction.UNCHANGED  # never touched by this run: not its to answer for


def test_by_name_only_those_are_planned_and_the_digest_is_another() -> None:
    run = run_in_canary()
    full, one = preview(run, seen(SET)), preview(run, seen(SET), ("t-02",))
    assert [c.target for c in full.plan.plan.changes] == ["t-01", "t-02"]
    assert [c.target for c in one.plan.plan.changes] == ["t-02"]
    assert ([r.target for r in one.rows], one.scope) == (["t-02"], "target")
    assert full.digest != one.digest


def test_who_looks_later_has_to_see_the_same_to_mean_the_same() -> None:
    run = run_in_canary()
    before = preview(run, seen(SET)).digest
    assert preview(run, replace(seen(SET), observed_at_us=99)).digest == before
    assert preview(run, seen({**SET, "t-02": OLD})).digest != before
    assert preview(run, seen({**SET, "t-02": None})).digest != before
    assert preview(run, seen(SET, {"t-01": (OLD,)})).digest != before


def test_a_stage_that_is_setting_targets_and_a_run_that_has_ended_are_said() -> None:
    (setting,) = preview(run_in_canary(applied=False), seen(SET)).warnings
    assert "is setting targets" in setting
    (ended,) = preview(replace(run_in_canary(), status=RunStatus.FAILED), seen(SET)).warnings
    assert ended == "run-1 has ended: nothing goes back in it any more."


def test_what_was_ready_before_the_stage_is_the_plan_after_it() -> None:
    run = run_in_canary()
    before = replace(run, targets=tuple(replace(t, current=t.baseline) for t in run.targets))
    ready = readiness(before, "canary", seen(dict.fromkeys(TARGETS, OLD)))
    assert [one.target for one in ready.targets] == list(TARGETS[:2])
    assert ready.stuck == ()
    assert ready.plan == preview(run, seen(SET, dict.fromkeys(TARGETS, (OLD, NEW)))).digest


def test_bytes_that_went_missing_are_found_before_the_next_stage() -> None:
    run = run_in_canary()
    ready = readiness(run, "full", seen(SET, {"t-01": (NEW,), "t-03": (OLD,), "t-04": (OLD,)}))
    assert [(one.target, one.note) for one in ready.stuck] == [
        ("t-01", f"previous bundle {OLD.short} is no longer on the target"),
        ("t-02", f"previous bundle {OLD.short} is no longer on the target"),
    ]
    # Not a word of the irreversible ones of the first look any more: this one is newer.
    run = replace(run, readiness=ready)
    assert not run.rollback_executable
    assert not_by_itself(run).startswith("2 targets cannot go back (t-01: previous bundle")


def test_an_unknown_bundle_of_before_is_never_ready() -> None:
    run = run_in_canary({**dict.fromkeys(TARGETS, OLD), "t-02": None})
    ready = readiness(run, "canary", seen(SET))
    assert [(one.target, one.to_digest) for one in ready.stuck] == [("t-02", None)]


def test_a_target_that_does_not_answer_is_as_ready_as_it_was() -> None:
    run = run_in_canary()
    silent = seen({**SET, "t-01": None}, {"t-02": (OLD,), "t-03": (OLD,), "t-04": (OLD,)})
    assert readiness(run, "full", silent).stuck == ()
    one, *others = run.targets
    run = replace(run, targets=(replace(one, reversible=False, note="no disk"), *others))
    assert [s.note for s in readiness(run, "full", silent).stuck] == ["no disk"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"plan": None}, "the targets were never looked at, so no way back is known"),
    ],
)
def test_why_it_would_not_go_back_by_itself(changes: dict[str, None], why: str) -> None:
    assert not_by_itself(replace(run_in_canary(), **changes)) == why


def test_on_breach_has_a_say_about_breaches_alone() -> None:
    run = run_in_canary()
    run = replace(run, request=replace(run.request, on_breach="pause"))
    assert not_by_itself(run) == "prod pauses on a breach (on_breach: pause)"
    assert not_by_itself(run, breach=False) == ""


def test_the_record_stands_in_for_a_look() -> None:
    run = run_in_canary()
    told = preview(run, from_record(run))
    assert told.source == "record"
    assert told.counts[RowAction.REVERT] == 2 and told.executable
    ready = readiness(run, "full", seen(SET, {"t-02": (OLD,)}))
    run = replace(run, readiness=ready)
    assert preview(run, from_record(run)).counts[RowAction.IRREVERSIBLE] == 1


digests = st.sampled_from([OLD, NEW, OTHER, None])


@quick
@given(
    baseline=st.fixed_dictionaries(dict.fromkeys(TARGETS, digests)),
    now=st.dictionaries(st.sampled_from(TARGETS), digests),
    held=st.dictionaries(st.sampled_from(TARGETS), st.tuples(st.sampled_from([OLD, NEW, OTHER]))),
    named=st.sets(st.sampled_from(TARGETS)),
)
def test_the_rows_are_the_plan(
    baseline: dict[str, Digest | None],
    now: dict[str, Digest | None],
    held: dict[str, tuple[Digest, ...]],
    named: set[str],
) -> None:
    run = run_in_canary(baseline)
    told = preview(run, seen(now, held), named)
    assert [r.target for r in told.rows] == sorted(named or TARGETS)
    assert sum(told.counts.values()) == len(told.rows)
    assert told.plan == plan_back(run, seen(now, held), named)
    changing = {r.target: r.to_digest for r in told.rows if r.to_digest is not None}
    assert changing == {c.target: c.to_digest for c in told.plan.plan.changes}
    assert all(run.targets[TARGETS.index(t)].baseline == d for t, d in changing.items())
    stuck = {r.target for r in told.rows if r.action is RowAction.IRREVERSIBLE}
    assert stuck == {t for t, _ in told.plan.irreversible}
    assert told.executable == (not stuck)
    # Carrying the changes out leaves nothing to do: the way back ends.
    after = {**now, **changing}
    kept = {t: (*held.get(t, ()), *([d] if d else [])) for t, d in after.items()}
    assert plan_back(run, seen(after, kept), named).plan.changes == ()
