"""What a rollback answers for: what its run touched, and that completely. Nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import going_back
from engine.core.digest import Digest
from engine.core.plan import Observation, TargetObservation
from engine.core.rollback_preview import plan_back
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from engine.ports import StageResult, TargetOutcome, TargetResult
from tests.core.simulated import Book
from tests.core.test_decide import deploying
from tests.faults.small_house import OLD


def seen(**targets: tuple[Digest | None, bool | None]) -> Observation:
    return Observation(
        observed_at_us=1,
        source="test",
        targets=tuple(
            TargetObservation(
                target=t.replace("_", "-"), digest=d, healthy=h, present=(OLD,) if d else ()
            )
            for t, (d, h) in targets.items()
        ),
    )


class TestWhatItAnswersFor:
    """A rollback answers for what its run touched, and for that completely."""

    def rolling(self) -> Run:
        book: Book = deploying()
        run = replace(book.current, status=RunStatus.ROLLING_BACK, cohorts=())
        one, two, three, four = run.targets
        return replace(
            run,
            targets=(
                replace(one, baseline=OLD, current=run.bundle),
                replace(two, baseline=OLD, current=OLD),
                replace(three, baseline=OLD, current=OLD),
                replace(four, baseline=None, current=None),
            ),
        )

    def reverted(self, run: Run, observation: Observation, after: Observation) -> list[str]:
        plan = plan_back(run, observation)
        result = StageResult(
            results=tuple(
                TargetResult(
                    target=c.target, outcome=TargetOutcome.CHANGED, digest=OLD, healthy=True
                )
                for c in plan.plan.changes
            ),
            observation=after,
        )
        done = going_back._Done(plan=plan, op_id="op", result=result)
        return [e.TYPE for e in going_back._reverted(run, done)]

    def test_what_was_never_touched_may_be_sick_or_unknown(self) -> None:
        run = self.rolling()
        before = seen(t_01=(run.bundle, False), t_02=(OLD, True), t_03=(OLD, False))
        after = seen(t_01=(OLD, True), t_02=(OLD, True), t_03=(OLD, False))
        kinds = self.reverted(run, before, after)
        assert kinds[-1] == "rollback.verified/1"
        assert kinds.count("rollback.target_reverted/1") == 1

    @pytest.mark.parametrize("after", [(OLD, False), (None, None), (Digest.of(b"x"), True)])
    def test_what_was_touched_has_to_be_back_and_healthy(
        self, after: tuple[Digest | None, bool | None]
    ) -> None:
        run = self.rolling()
        kinds = self.reverted(run, seen(t_01=(run.bundle, True)), seen(t_01=after))
        assert kinds[-1] == "run.rollback_failed/1"

    def test_a_target_that_does_not_answer_is_tried_all_the_same(self) -> None:
        plan = plan_back(self.rolling(), seen(t_02=(OLD, True)))
        assert [c.target for c in plan.plan.changes] == ["t-01"]
        assert plan.unchanged == ("t-02",)
        assert plan.executable
