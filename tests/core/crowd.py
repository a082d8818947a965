"""The people of a walk: they ask for this and that, at any time, through the real `decide`."""

from __future__ import annotations

import random
from dataclasses import replace

from engine.core import reviews
from engine.core.commands import Action, Command, Window
from engine.core.decide import allowed, decide
from engine.core.errors import Refused
from engine.core.fact_events import Commented, EvidenceExported, PolicyEvaluated
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from tests.core.book import OTHER, PEOPLE, TARGETS, Book, D, command, knows


class Crowd(Book):
    """`denied` counts the refusals people got; `timed`: now and then they give a step a time."""

    rng: random.Random
    luck: float
    strict: bool
    timed: bool
    denied: int

    def good(self) -> bool:
        return self.rng.random() < self.luck

    def people(self) -> None:
        run, rng = self.current, self.rng
        if rng.random() < 0.03 and run.status is RunStatus.AWAITING_APPROVAL:
            self.append((replace(self.verdict(run, "gate-eval", 1, good=True), verdict=OTHER),))
            return
        actor = PEOPLE[rng.choice(sorted(PEOPLE))]
        if run.status is RunStatus.ROLLBACK_FAILED and rng.random() < 0.3:
            actor = PEOPLE["mia"]
        if run.override is not None and rng.random() < 0.7:
            actor = PEOPLE[rng.choice(["ana", "mia", "sam"])]
        now = knows(run, self.now_us)
        # Emergencies are rare, or hardly a run would wait for its people.
        seldom = {Action.COMMENT} | (set() if rng.random() < 0.1 else {Action.BREAK_GLASS})
        if not self.timed or rng.random() < 0.8:
            seldom |= {Action.SCHEDULE_STEP, Action.UNSCHEDULE_STEP}
        states = [s for s in allowed(run, actor, now) if s.action not in seldom]
        possible = [s.action for s in states if s.ok]
        possible += [s.action for s in states if s.override is not None and s.override.ok]
        anything = not possible or rng.random() < 0.2
        action = (
            rng.choice([a for a in Action if a not in seldom]) if anything else rng.choice(possible)
        )
        if Action.CONTINUE in possible and rng.random() < 0.5:
            action = Action.CONTINUE  # seldom possible, so taken when it is
        ends = {Action.CANCEL, Action.REJECT, Action.CLOSE_FAILED}
        patient = self.strict and run.status is not RunStatus.ROLLBACK_FAILED
        if action in ends and patient and rng.random() < self.luck:
            return
        wish = command(run, action, reason=rng.choice(["because", "because", "because", ""]))
        wish = replace(wish, override=any(s.action is action and s.override for s in states))
        if action is Action.ROLLBACK and rng.random() < 0.4:
            some = [t for t in TARGETS if rng.random() < 0.4]
            wish = replace(wish, targets=tuple(some), plan=rng.choice([None, None, D]), plan_now=D)
        if action in {Action.SCHEDULE_STEP, Action.UNSCHEDULE_STEP}:
            anyone = rng.choice(run.steps).id
            wish = replace(wish, step=wish.step if rng.random() < 0.5 else anyone)
            wish = replace(wish, window=self._window())
        elif action is Action.RESCHEDULE:
            wish = replace(wish, window=None)  # windows of whole runs have walks of their own
        try:
            events = decide(run, wish, actor, now)
        except Refused:
            self.denied += 1
            return
        self.append(events, actor=actor.user)

    def _window(self) -> Window:
        """Some minutes ahead, now and then in the past."""
        start_us = self.now_us + self.rng.randrange(-60, 600) * 1_000_000
        end_us = start_us + self.rng.choice([60, 600, 7_200]) * 1_000_000
        return Window(start_us=start_us, end_us=end_us, time_zone="UTC", local="then")

    def afterwards(self) -> None:
        """What may still be said of a run that has ended."""
        for _ in range(3):
            if self.current.terminal:
                for who in ("carol", "bob"):
                    wish = Command(action=Action.REVIEW, reason="looked at it")
                    if reviews.refusal(self.current, wish, PEOPLE[who]) is None:
                        self.append(decide(self.current, wish, PEOPLE[who]), actor=who)
                self.append((Commented(text="so it was"),), actor="eve")
                self.append(
                    (EvidenceExported(kind="bundle", digest=D, size=1, partial=False),), actor="ana"
                )

    def verdict(self, run: Run, step: str, n: int, *, good: bool) -> PolicyEvaluated:
        return PolicyEvaluated(
            step=step, attempt=n, verdict_id="verdict-1", decision="PASS" if good else "FAIL",
            warn=self.rng.choice([0, 2]), fail=0 if good else 1, error=False, verdict=D, policy=D,
            policy_input=D, capsule=D, notes=(),
        )  # fmt: skip
