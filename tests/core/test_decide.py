"""What people may ask for: roles, guards, sentences, and the button matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.core import effects
from engine.core.approvals import Actor
from engine.core.commands import Action, Command, Now
from engine.core.decide import allowed, decide, refusal, via_of
from engine.core.errors import Refused
from engine.core.fact_events import GateDecided, RollbackVerified, StageApplied
from engine.core.offers import Phase, offered, phase
from engine.core.run import evolve
from engine.core.run_events import RollbackFailed, RollbackStarted, RunFailed, RunPaused
from engine.core.state import Run
from engine.core.statemachine import TERMINAL, TRANSITIONS, Role, RunStatus, StepStatus
from engine.core.step_events import StepErrored, StepFailed, StepInconclusive, StepStarted
from tests.core.book import knows
from tests.core.simulated import NEW, PEOPLE, Book, D, Walk, command, request, steps

ALL_ROLES = Actor(user="all", roles=frozenset(Role))

# The matrix as published: o = shown, blank = hidden. Columns as in `Phase`, CANCELLING left out
# (it lasts a minute at most and offers only a comment).
COLUMNS = [p for p in Phase if p is not Phase.CANCELLING]
MATRIX = """
action            SCH QUE PRE AWA DEP PAU RBK RBF SEA END
pause              .   o   o   o   o   .   o   .   o   .
resume             .   .   .   .   .   o   .   .   .   .
continue           .   .   .   .   o   o   .   .   .   .
retry_step         .   .   o   .   o   o   .   .   o   .
rerun_step         .   .   o   .   o   .   .   .   .   .
mark_step_failed   .   .   o   .   o   .   .   .   .   .
rollback           o   o   o   o   o   o   .   .   o   .
retry_rollback     .   .   .   .   .   .   .   o   .   .
cancel             o   o   o   o   o   o   .   .   .   .
close_failed       .   .   .   .   .   o   .   o   .   .
start_now          o   .   .   .   .   .   .   .   .   .
reschedule         o   .   .   .   .   .   .   .   .   .
schedule_step      o   o   o   o   o   o   .   .   .   .
unschedule_step    .   .   .   .   .   .   .   .   .   .
break_glass        o   .   .   o   .   .   .   .   .   .
approve            .   .   o   o   .   .   .   .   .   .
reject             .   .   o   o   .   .   .   .   .   .
withdraw           .   .   o   o   .   .   .   .   .   .
comment            o   o   o   o   o   o   o   o   o   o
review             .   .   .   .   .   .   .   .   .   .
drop_override      .   .   .   .   .   .   .   .   .   .
rerun              .   .   .   .   .   .   .   .   .   o
rollback_promotion .   .   .   .   .   .   .   .   .   o
"""


# What stands in the table; the other actions move no run and have rules of their own.
MOVES = {t.event for t in TRANSITIONS}


def in_phase(column: Phase) -> Run:
    """A run in this column; what a guard would ask besides does not matter to what is shown."""
    run = Book(request()).current
    if column is Phase.TERMINAL:
        return replace(run, status=RunStatus.SUCCEEDED)
    if column is Phase.BEFORE_DEPLOY:
        return replace(run, status=RunStatus.RUNNING)
    if column is Phase.DEPLOY:
        return deploying().current
    return replace(run, status=RunStatus(column.value))


def deploying(*, gate: str = "", applied: bool = True, **changes: Any) -> Book:
    """A run in its first deploy stage; t-01 runs the new bundle."""
    book = Book(request(**changes))
    run = book.current
    over = [replace(s, status=StepStatus.SUCCEEDED) for s in run.steps[:3]]
    targets = tuple(replace(t, baseline=D, current=D, healthy=True) for t in run.targets)
    book.run = replace(
        run,
        status=RunStatus.RUNNING,
        steps=(*over, *run.steps[3:]),
        targets=(replace(targets[0], current=NEW), *targets[1:]),
        plan=D,
        epoch=1,
        started_us=1,
        started_by="engine",
    )
    book.append((StepStarted(step="canary", attempt=1, op_id="x"),))
    if applied:
        book.append((StageApplied(step="canary", attempt=1, plan=D, changed=1, noop=0),))
    if gate:
        book.append((decision(gate),))
    return book


def decision(action: str, reason: str = "insufficient 118/300 requests") -> GateDecided:
    return GateDecided(
        step="canary", attempt=1, action=action, rule=9, reason=reason, t_ms=1, ticks=1, evidence=D
    )


def why(run: Run, action: Action, who: str, **changes: Any) -> str:
    refused = refusal(run, replace(command(run, action), **changes), PEOPLE[who])
    return "" if refused is None else refused.sentence


@pytest.mark.parametrize("column", COLUMNS)
def test_the_button_matrix(column: Phase) -> None:
    header, *lines = MATRIX.strip().splitlines()
    assert len(header.split()) - 1 == len(COLUMNS)
    at = 1 + COLUMNS.index(column)
    rows = {line.split()[0]: line.split()[at] == "o" for line in lines}
    run = in_phase(column)
    assert phase(run) is column
    assert {a.value: offered(run, a) for a in Action} == rows
    for state in allowed(run, ALL_ROLES):
        # What may be done is also shown; only the way back has one button for two words.
        if state.ok and state.action is not Action.ROLLBACK:
            assert state.shown, state.action
    assert {s.action.value: s.shown for s in allowed(run, PEOPLE["eve"])} == rows


@pytest.mark.parametrize("status", RunStatus)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", [a for a in Action if a.value in MOVES])
def test_roles_are_those_of_the_table(status: RunStatus, role: Role, action: Action) -> None:
    run = replace(Book(request()).current, status=status)
    via = via_of(run, action)
    actors = {a for t in TRANSITIONS if (t.source, t.event) == (status, via) for a in t.actors}
    found = refusal(run, command(run, action), Actor(user="x", roles=frozenset({role})))
    if not actors:
        assert found is not None and found.code == "state"
    elif role.value not in actors:
        assert found is not None and found.code == "role"
        assert found.sentence.startswith("This needs the role ")
    else:
        assert found is None or found.code != "role"


@pytest.mark.parametrize("status", RunStatus)
def test_whoever_takes_part_in_a_release_may_comment_at_any_time(status: RunStatus) -> None:
    run = replace(Book(request()).current, status=status)
    for role in Role:
        actor = Actor(user="x", roles=frozenset({role}))
        found = refusal(run, command(run, Action.COMMENT), actor)
        takes_part = role in {Role.RELEASE_MANAGER, Role.SRE, Role.APPROVER}
        assert (found is None) == takes_part
        assert takes_part or (found is not None and found.code == "role")
    needs = "This needs the role approver or release manager or sre in prod; nobody has none."
    assert why(run, Action.COMMENT, "nobody") == needs
    assert why(run, Action.COMMENT, "bob", reason=" ") == "Say what."


def test_what_goes_on_record_needs_a_reason() -> None:
    """Everywhere that a walk gets to: with a reason allowed, without one refused for its lack."""
    silent: dict[Action, set[str]] = {action: set() for action in Action}
    for seed in range(24):
        run: Run | None = None
        for recorded in Walk(seed).play().log:
            run = evolve(run, recorded)
            for actor in PEOPLE.values():
                for action in Action:
                    now = knows(run, run.updated_us + 1)
                    if refusal(run, command(run, action), actor, now) is None:
                        found = refusal(run, command(run, action, reason="  "), actor, now)
                        silent[action].add("" if found is None else found.code)
    free = {Action.RESUME, Action.CONTINUE, Action.RETRY_ROLLBACK, Action.WITHDRAW}
    free |= {Action.START_NOW, Action.RESCHEDULE}  # schedules are rare here
    free |= {Action.SCHEDULE_STEP, Action.UNSCHEDULE_STEP}
    for action in Action:
        if action is Action.APPROVE:  # a comment is needed when the verdict has warnings
            assert silent[action] == {"", "reason"}
        else:
            expected = {""} if action in free else {"reason"}
            assert silent[action] in (expected, set()), action
            seldom = action in {Action.START_NOW, Action.RESCHEDULE} or action.value not in MOVES
            assert silent[action] or seldom, action


class TestContinue:
    def test_closed_until_the_gate_has_nothing_against_it(self) -> None:
        assert why(deploying(applied=False).current, Action.CONTINUE, "ana") == (
            "Opens when the targets of Deploy canary are set and its health criteria are met."
        )
        assert "has not answered yet" in why(deploying().current, Action.CONTINUE, "ana")
        # Without the newest evidence the gate's last sentence stands, whatever its action was.
        for action in ("hold", "pause", "rollback", "continue"):
            assert why(deploying(gate=action).current, Action.CONTINUE, "sam") == (
                "Criteria of Deploy canary are not met: insufficient 118/300 requests."
            )

    def test_says_exactly_what_is_missing(self) -> None:
        run = deploying(gate="hold").current
        lacks = Now(unmet=("118 of 300 requests in 5m", "held 2:10 of 5:00"))
        found = refusal(run, command(run, Action.CONTINUE), PEOPLE["sam"], lacks)
        assert found is not None and found.overridable
        assert found.sentence == (
            "Criteria of Deploy canary are not met: 118 of 300 requests in 5m; held 2:10 of 5:00."
        )

    def test_passes_the_stage_on_record(self) -> None:
        book = deploying(gate="continue")
        wish = command(book.current, Action.CONTINUE)
        events = decide(book.current, wish, PEOPLE["sam"], Now(unmet=()))
        assert [e.TYPE for e in events] == ["run.continued/1", "step.succeeded/1"]
        book.append(events, actor="sam")
        assert book.current.status is RunStatus.RUNNING
        step = book.current.step("canary")
        assert step.status is StepStatus.SUCCEEDED
        assert step.summary == "continued by sam: because"

    def test_not_while_paused_nor_before_deploy(self) -> None:
        paused = deploying(gate="continue")
        paused.append((RunPaused(via="pause", pause_reason="manual", reason="r"),))
        assert "resume it first" in why(paused.current, Action.CONTINUE, "ana")
        before = in_phase(Phase.BEFORE_DEPLOY)
        assert why(before, Action.CONTINUE, "ana") == "No deploy stage is running."
        assert why(in_phase(Phase.SEALING), Action.CONTINUE, "ana").startswith("Not possible")


class TestRetryAndResume:
    def paused(self, cause: str, via: str = "pause") -> Book:
        book = deploying()
        book.append((RunPaused(via=via, pause_reason=cause, reason="r"),))
        return book

    def test_a_manual_pause_is_resumed_not_retried(self) -> None:
        run = self.paused("manual").current
        assert why(run, Action.RESUME, "sam") == ""
        assert "No attempt failed" in why(run, Action.RETRY_STEP, "sam")

    def test_an_attempt_that_failed_during_a_manual_pause_may_be_retried(self) -> None:
        book = self.paused("manual")
        book.append((StepFailed(step="canary", attempt=1, result="NOT_SET", reason="r"),))
        assert why(book.current, Action.RETRY_STEP, "sam") == ""
        book.append(decide(book.current, command(book.current, Action.RETRY_STEP), PEOPLE["sam"]))
        assert book.current.status is RunStatus.RUNNING
        assert len(book.current.step("canary").attempts) == 2

    @pytest.mark.parametrize("cause", ["health_breach", "health_inconclusive"])
    def test_a_stage_that_its_gate_paused_stays_open_until_it_is_retried(self, cause: str) -> None:
        via = "health_breach_hold" if cause == "health_breach" else cause
        book = self.paused(cause, via)
        assert book.current.step("canary").status is StepStatus.RUNNING
        events = decide(book.current, command(book.current, Action.RETRY_STEP), PEOPLE["sam"])
        assert isinstance(events[0], StepInconclusive)
        book.append(events)
        first, second = book.current.step("canary").attempts
        assert (first.status, second.status) == (StepStatus.INCONCLUSIVE, StepStatus.RUNNING)

    def test_a_breach_is_not_simply_resumed(self) -> None:
        run = self.paused("health_breach", "health_breach_hold").current
        assert "breached its health gate" in why(run, Action.RESUME, "ana")
        run = self.paused("health_inconclusive", "health_inconclusive").current
        assert why(run, Action.RESUME, "ana") == ""

    def test_a_step_lost_with_the_engine_that_may_not_start_twice_is_retried_by_people(
        self,
    ) -> None:
        book = deploying(specs=steps(idempotent=False))
        book.append(effects.engine_lost(book.current))
        effect = effects.next_effect(book.current, 0)
        if not isinstance(effect, effects.Record):  # what it left behind is sealed first
            book.run = replace(
                book.current,
                steps=tuple(
                    replace(s, attempts=tuple(replace(a, evidence=("e",)) for a in s.attempts))
                    for s in book.current.steps
                ),
            )
            effect = effects.next_effect(book.current, 0)
        assert isinstance(effect, effects.Record)
        book.append(effect.events)
        assert book.current.pause_reason == "engine_restart"
        # Resuming would only pause it again: the sentence says what to do instead.
        assert "then retry it" in why(book.current, Action.RESUME, "ana")
        assert why(book.current, Action.RETRY_STEP, "ana") == ""

    def test_a_step_that_may_not_start_twice_is_not_run_again(self) -> None:
        assert why(deploying().current, Action.RERUN_STEP, "sam") == ""
        run = deploying(specs=steps(idempotent=False)).current
        assert "may not be started twice" in why(run, Action.RERUN_STEP, "sam")

    def test_an_errored_step_waiting_for_its_retry_is_not_marked(self) -> None:
        book = deploying()
        book.append(
            (StepErrored(step="canary", attempt=1, cause="adapter", reason="r", transient=True),)
        )
        assert why(book.current, Action.MARK_STEP_FAILED, "sam") == "No step is running."


class TestGoingBack:
    def failed(self, by: str = "ana") -> Book:
        book = deploying()
        book.append(
            decide(book.current, command(book.current, Action.ROLLBACK), PEOPLE[by]), actor=by
        )
        assert book.current.status is RunStatus.ROLLING_BACK
        assert book.current.step("canary").status is StepStatus.CANCELLED
        book.append((RollbackFailed(via="revert_error", reason="t-01", targets=("t-01",)),))
        return book

    def test_only_when_a_target_changed(self) -> None:
        run = in_phase(Phase.BEFORE_DEPLOY)
        assert why(run, Action.ROLLBACK, "ana") == "No target has changed: nothing to roll back."
        run = deploying().current
        assert why(run, Action.CANCEL, "ana") == "1 target has changed: roll back instead."

    @pytest.mark.parametrize("action", [Action.ROLLBACK, Action.RETRY_ROLLBACK])
    def test_from_a_failed_rollback_it_is_tried_again(self, action: Action) -> None:
        book = self.failed()
        # Also when every target was last seen on its bundle: it may be sick still.
        book.run = replace(
            book.current,
            targets=tuple(replace(t, current=t.baseline) for t in book.current.targets),
        )
        (event,) = decide(book.current, command(book.current, action), PEOPLE["sam"])
        assert isinstance(event, RollbackStarted)
        assert (event.via, event.trigger) == ("retry_rollback", "retry")
        book.append((event,), actor="sam")
        assert book.current.status is RunStatus.ROLLING_BACK
        assert book.current.rollback_by == "ana"

    def test_a_second_person_closes_it(self) -> None:
        run = self.failed(by="ana").current
        assert why(run, Action.CLOSE_FAILED, "ana") == (
            "ana began the rollback; a second person has to close it as failed."
        )
        asked = replace(run, requested_by="mia")
        assert why(asked, Action.CLOSE_FAILED, "mia").startswith("mia requested this run;")
        assert why(run, Action.CLOSE_FAILED, "mia") == ""
        assert why(run, Action.CLOSE_FAILED, "mia", confirm="run-2").startswith("Type run-1")
        failed = decide(run, command(run, Action.CLOSE_FAILED), PEOPLE["mia"])[0]
        assert isinstance(failed, RunFailed) and failed.failure_class == "rollback"

    def test_closing_a_paused_run_leaves_its_stage_inconclusive(self) -> None:
        book = deploying()
        paused = RunPaused(
            via="health_inconclusive", pause_reason="health_inconclusive", reason="r"
        )
        book.append((paused,))
        assert why(book.current, Action.CLOSE_FAILED, "ana") == ""  # one person is enough here
        book.append(decide(book.current, command(book.current, Action.CLOSE_FAILED), PEOPLE["ana"]))
        assert book.current.status is RunStatus.SEALING
        assert book.current.outcome is RunStatus.FAILED
        assert book.current.step("canary").status is StepStatus.INCONCLUSIVE
        assert book.current.step("full").status is StepStatus.SKIPPED

    @pytest.mark.parametrize(
        ("ticket", "reason", "found"),
        [
            ("incident #12", "slow", ""),
            ("", "incident #12: slow", ""),
            ("", "slow", "found none"),
            ("INC-1", "slow", "found 'INC-1'"),
            ("INC-1", "incident #12: slow", "found 'INC-1'"),
        ],
    )
    def test_a_ticket_where_the_environment_wants_one(
        self, ticket: str, reason: str, found: str
    ) -> None:
        run = deploying().current
        run = replace(run, request=replace(run.request, ticket_pattern=r"incident #\d+"))
        wish = command(run, Action.ROLLBACK)
        wish = replace(wish, ticket=ticket, reason=reason)
        assert refusal(run, wish, PEOPLE["ana"]) is None  # the form is open, and asks for it
        if found:
            with pytest.raises(Refused, match=r"needs a ticket that matches incident") as refused:
                decide(run, wish, PEOPLE["ana"])
            assert found in str(refused.value) and refused.value.code == "ticket"
        else:
            assert decide(run, wish, PEOPLE["ana"])
        by_name = replace(wish, targets=("t-01",), ticket="", reason="slow")
        with pytest.raises(Refused, match="found none"):
            decide(run, by_name, PEOPLE["ana"])
        assert decide(run, command(run, Action.PAUSE), PEOPLE["ana"])

    def test_verified_again_after_a_retry(self) -> None:
        book = self.failed()
        book.append(decide(book.current, command(book.current, Action.ROLLBACK), PEOPLE["sam"]))
        assert not book.current.rollback_verified
        book.append((RollbackVerified(targets=("t-01",), plan=D),))
        assert book.current.rollback_verified


def test_decide_raises_what_refusal_says() -> None:
    run = in_phase(Phase.TERMINAL)
    with pytest.raises(Refused, match="Not possible while the run is succeeded") as refused:
        decide(run, Command(action=Action.PAUSE, reason="x"), PEOPLE["ana"])
    assert refused.value.code == "state"
    assert run.status in TERMINAL
