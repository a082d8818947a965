"""The watch over a deployed stage: read the metrics every poll, ask the gate, record what it says.

The gate thinks (`engine.core.health`), `engine.core.ticks` turns counters into what it sees, and
this room keeps the time, the readings and the records. What is stored rebuilds the gate exactly,
so a restart goes on where the last stored tick was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from engine.core import step_times, ticks
from engine.core.digest import Digest
from engine.core.events import Event
from engine.core.fact_events import GateDecided
from engine.core.gate_answers import gate_decided
from engine.core.health import Criteria, Gate, criteria_from_document
from engine.core.health_evidence import HISTORY_MS_MIN, History
from engine.core.jcs import JsonValue, canonical
from engine.core.metrics import Reading, ReadingStatus
from engine.core.rows import GateTick
from engine.core.run import Run
from engine.core.run_events import RunPaused
from engine.core.spec import StepKind
from engine.core.state import StepState
from engine.core.statemachine import RunStatus, StepStatus
from engine.looking_on import LookingOn, begin, look
from engine.outside import Outside
from engine.recording import record
from engine.redact import redact_record
from engine.steplog import StepLogger
from engine.watch_parts import evidence_document, expected_targets, history_note, old_version

# A read may take this part of a poll, so that a slow source costs a tick and not the rhythm.
_READ_PART: Final = 0.8
_HISTORY_DEADLINE_S: Final = 5.0
# Under speed, a reading may be this many polls old.
_AGE_POLLS_MIN: Final = 3


@dataclass(slots=True, kw_only=True)
class _Watch:
    """One stage under watch, from the first attempt that it goes on from.

    Attributes:
        origin_s: monotonic time of the watch's start; polls fall on whole multiples behind it.
        slot: number of the last poll done.
        base: the last ok reading, which the next one is compared with.
        said: (action, rule, restarts of the clock) as last told by an event.
        looked: the run was paused since the last tick.
    pauses: how often it had been paused when that was last looked at.
    looking: a copy of the gate that looks on while the gate's pause lasts.
        rows: every stored row, oldest first.
    """

    step: str
    first_attempt: int
    attempt: int
    gate: Gate
    cohort: tuple[str, ...]
    poll_ms: int
    origin_s: float
    slot: int
    base: Reading | None
    said: tuple[str, int, int] | None
    looked: bool
    pauses: int
    rows: list[GateTick]
    looking: LookingOn | None = None

    def slot_at(self, now_s: float) -> int:
        return int((now_s - self.origin_s) * 1000 / self.poll_ms + 1e-6)

    def until_next_s(self, now_s: float) -> float:
        return max(0.0, self.origin_s + (self.slot + 1) * self.poll_ms / 1000 - now_s)


class Watcher:
    def __init__(self, out: Outside) -> None:
        self._out = out
        self._watches: dict[str, _Watch] = {}

    def poll(self, run: Run, step: str, attempt: int, *, judge: bool) -> float | None:
        """Do what is due of the watch now: a look at the metrics, and with `judge` a tick.

        Called early it does nothing; called late it skips the polls that were missed.

        Returns:
            Seconds until the next poll.
        """
        clock = self._out.clock
        watch = self._watches.get(run.run_id)
        state = run.step(step)
        if watch is None or (watch.step, watch.first_attempt) != (step, state.watch_from):
            watch = self._open(run, state, attempt)
            self._watches[run.run_id] = watch
        # However short a pause was, the clock starts again behind it.
        watch.looked = watch.looked or not judge or run.pauses != watch.pauses
        watch.pauses = run.pauses
        slot = watch.slot_at(clock.monotonic_s())
        if slot <= watch.slot:
            return watch.until_next_s(clock.monotonic_s())
        watch.slot = slot
        try:
            settled = self._look(run, watch, judge=judge)
        except Exception:
            # The gate may know a tick that is not stored. What is stored is what is true.
            self._watches.pop(run.run_id, None)
            raise
        if not settled:
            self._watches.pop(run.run_id, None)
            return 0.0
        return watch.until_next_s(clock.monotonic_s())

    # --- opening --------------------------------------------------------------------------------

    def _open(self, run: Run, state: StepState, attempt: int) -> _Watch:
        """Go on from the stored rows of the watch, or begin a new one with its start mark."""
        out, spec, first = self._out, state.spec, state.watch_from
        alive = {one.run_id for one in out.store.runs_open()}
        for ended in [run_id for run_id in list(self._watches) if run_id not in alive]:
            self._watches.pop(ended, None)
        rows = list(out.store.gate_ticks(run.run_id, spec.id, first))
        cohort = expected_targets(run, spec.id)
        if not rows:
            mark = self._start_mark(run, state, cohort)
            row = self._row(run, spec.id, attempt, 1, 0, mark)
            row = replace(row, action=ticks.START, reason="the watch begins")
            out.store.record((row,))
            rows.append(row)
        last, said = rows[-1], None
        # A new attempt at the same watch has to be told again what the gate said last.
        for answer in ticks.replay(rows)[-1:] if state.gate is not None else ():
            said = (answer.action, answer.rule, answer.restarts)
        elapsed_ms = last.t_ms + max(0, (out.clock.now_us() - last.ts_us) // 1000)
        watch = _Watch(
            step=spec.id,
            first_attempt=first,
            attempt=attempt,
            gate=ticks.rebuild(rows),
            cohort=cohort,
            poll_ms=spec.poll_ms,
            origin_s=out.clock.monotonic_s() - elapsed_ms / 1000,
            slot=elapsed_ms // spec.poll_ms,
            base=None,
            said=said,
            looked=False,
            pauses=self._pauses_before(run, last),
            rows=rows,
        )
        reading = self._read(run, watch)
        watch.base = reading if reading.status is ReadingStatus.OK else None
        return watch

    def _pauses_before(self, run: Run, row: GateTick) -> int:
        """How often the run had been paused when `row` was stored."""
        log = self._out.store.load(run.run_id) if run.pauses else ()
        return sum(isinstance(r.event, RunPaused) and r.ts_us <= row.ts_us for r in log)

    def _start_mark(self, run: Run, state: StepState, cohort: tuple[str, ...]) -> str:
        criteria = criteria_from_document(json.loads(state.spec.gate))
        if not set(run.request.targets) - set(cohort):
            # Nothing is left on the old version to compare with at the same time.
            criteria = replace(criteria, baseline="history")
        history, note = self._history(run, criteria, state.spec.poll_ms)
        return ticks.start_mark(
            criteria,
            poll_ms=state.spec.poll_ms,
            history=history,
            history_note=note,
            carry=self._carry(run, state, criteria),
        )

    def _history(self, run: Run, criteria: Criteria, poll_ms: int) -> tuple[History, str]:
        """What the old version's traffic was like: taken once per run, before its first change."""
        out = self._out
        first = next(s for s in run.steps if s.spec.kind is StepKind.DEPLOY)
        marks = out.store.gate_ticks(run.run_id, first.id, 1)
        if marks:
            return ticks.history_of(marks[0].tick), f"as taken for {first.id}"
        if not first.attempts:
            return (), "none: no deploy stage was started"
        source, poll_s = out.places[run.environment].metrics, poll_ms / 1000
        since_ms = max(0, out.clock.now_us() - first.attempts[0].started_us) // 1000
        newer = -(-since_ms // poll_ms)
        wanted = criteria.history_ms // poll_ms
        rows = source.history(
            seconds=-(-(wanted + newer) * poll_ms // 1000),
            poll_s=poll_s,
            deadline_s=_HISTORY_DEADLINE_S,
        )
        before = rows[: max(0, len(rows) - newer)][-wanted:]
        if len(before) * poll_ms >= HISTORY_MS_MIN:
            return before, history_note(len(before) * poll_ms, criteria, "before the first change")
        kept = old_version(run, rows)[-wanted:]
        if len(kept) * poll_ms >= HISTORY_MS_MIN:
            return kept, history_note(len(kept) * poll_ms, criteria, "of the unchanged targets")
        return (), "none: less than 30 s are known, so noise is taken as that of coin flips"

    def _carry(self, run: Run, state: StepState, criteria: Criteria) -> dict[str, JsonValue] | None:
        """The evidence of the watched stage before this one, if it was passed."""
        if not criteria.carry_evidence:
            return None
        watched = [s for s in run.steps[: run.steps.index(state)] if s.spec.gate]
        if not watched or watched[-1].status is not StepStatus.SUCCEEDED:
            return None
        rows = self._out.store.gate_ticks(run.run_id, watched[-1].id, watched[-1].watch_from)
        return ticks.rebuild(rows).carry() if rows else None

    # --- one poll -------------------------------------------------------------------------------

    def _look(self, run: Run, watch: _Watch, *, judge: bool) -> bool:
        """Read, store samples and, with `judge`, the tick. False: somebody ended the attempt."""
        out, before = self._out, watch.base
        t_ms = watch.slot * watch.poll_ms
        reading = self._read(run, watch)
        out.store.samples(
            ticks.samples_between(
                before,
                reading,
                run_id=run.run_id,
                step=watch.step,
                attempt=watch.attempt,
                cohort=watch.cohort,
                targets=run.request.targets,
                digests={target.target: target.current for target in run.targets},
            )
        )
        ok = reading.status is ReadingStatus.OK
        if ok:
            watch.base = reading
        if not judge:
            self._look_on(run, watch, before, reading, t_ms)
            return True
        if not _watched(out.store.run(run.run_id), watch):
            return False  # a pause that came during the read stops the clock before this tick
        watch.looking = None
        if watch.looked or watch.gate.action == "pause":
            self._go_on(run, watch, t_ms)
            return True
        if before is None and ok:
            return True  # something to compare the next reading with
        return self._tick(run, watch, before, reading, t_ms)

    def _look_on(
        self, run: Run, watch: _Watch, before: Reading | None, reading: Reading, t_ms: int
    ) -> None:
        """The gate itself stands still. Where it paused the run, its copy sees the tick."""
        if watch.gate.action != "pause":
            return
        if before is None and reading.status is ReadingStatus.OK:
            return  # something to compare the next reading with
        if watch.looking is None:
            watch.looking = begin(watch.rows, t_ms - watch.poll_ms)
        tick = self._seen(run, watch, before, reading, t_ms)
        look(self._out, run, watch.looking, tick, step=watch.step, attempt=watch.attempt)

    def _go_on(self, run: Run, watch: _Watch, t_ms: int) -> None:
        """The run goes on after a pause: the gate's clock starts again from here."""
        why = "the run goes on"
        row = self._row(
            run, watch.step, watch.attempt, _next_n(watch), t_ms, ticks.resume_mark(t_ms, why)
        )
        self._out.store.record((replace(row, action=ticks.RESUME, reason=why),))
        watch.rows.append(replace(row, action=ticks.RESUME, reason=why))
        watch.gate.resume(t_ms / 1000)
        watch.looked = False

    def _tick(
        self, run: Run, watch: _Watch, before: Reading | None, reading: Reading, t_ms: int
    ) -> bool:
        out, gate = self._out, watch.gate
        stored = self._seen(run, watch, before, reading, t_ms)
        gate.observe(ticks.decode(stored))
        row = replace(
            self._row(run, watch.step, watch.attempt, _next_n(watch), t_ms, stored),
            action=gate.action,
            rule=gate.rule,
            reason=gate.reason,
        )
        watch.rows.append(row)
        now_said = (gate.action, gate.rule, len(gate.clock.restarts))
        if now_said == watch.said:
            out.store.record((row,))
            return True
        watch.said = now_said
        return self._decided(run, watch, row, reading)

    def _seen(
        self, run: Run, watch: _Watch, before: Reading | None, reading: Reading, t_ms: int
    ) -> str:
        """The tick between two readings, in its stored form."""
        return ticks.encode(
            ticks.tick_between(
                before,
                reading,
                cohort=watch.cohort,
                targets=run.request.targets,
                t_ms=t_ms,
                age_ms=max(0, self._out.clock.now_us() - reading.at_us) // 1000,
                age_ms_max=self._age_ms_max(run, watch.poll_ms),
                fleet=watch.gate.criteria.fleet_share_bp_min > 0,
                opening=step_times.opening(run, watch.step, self._out.clock.now_us()),
            )
        )

    def _decided(self, run: Run, watch: _Watch, row: GateTick, reading: Reading) -> bool:
        """Record a changed answer and its tick together; its evidence lies in a blob before."""
        out, gate = self._out, watch.gate
        decided = GateDecided(
            step=watch.step,
            attempt=watch.attempt,
            action=gate.action,
            rule=gate.rule,
            reason=gate.reason,
            t_ms=row.t_ms,
            ticks=sum(not ticks.is_mark(one) for one in watch.rows),
            evidence=self._evidence(run, watch, reading),
        )

        def build(now: Run) -> Sequence[Event]:
            # What the gate was told of the next step's time has to be true still.
            told, true = (step_times.opening(r, watch.step, row.ts_us) for r in (run, now))
            return gate_decided(now, decided) if _watched(now, watch) and told == true else ()

        after = record(out.store, run.run_id, build, rows=(row,))
        if after.step(watch.step).gate != decided:
            return False
        log = StepLogger(
            store=out.store,
            clock=out.clock,
            run_id=run.run_id,
            step=watch.step,
            attempt=watch.attempt,
        )
        say = log.info if gate.action in {"continue", "promote"} else log.warn
        say(f"health gate: {gate.action} (rule {gate.rule}), {gate.reason}")
        return True

    def _evidence(self, run: Run, watch: _Watch, reading: Reading) -> Digest:
        document = evidence_document(
            run,
            watch.gate,
            watch.rows,
            poll_ms=watch.poll_ms,
            cohort=watch.cohort,
            source=self._out.places[run.environment].metrics.kind,
            reading=reading,
        )
        return self._out.store.blobs.put(canonical(document))

    # --- outside --------------------------------------------------------------------------------

    def _read(self, run: Run, watch: _Watch) -> Reading:
        timeout_ms = self._out.settings.environment(run.environment).workflow.metrics.timeout_ms
        deadline_s = min(timeout_ms, _READ_PART * watch.poll_ms) / 1000
        return redact_record(self._out.places[run.environment].metrics.read(deadline_s=deadline_s))

    def _age_ms_max(self, run: Run, poll_ms: int) -> int:
        workflow = self._out.settings.environment(run.environment).workflow
        age_ms, speed = workflow.metrics.max_sample_age_ms, run.request.speed
        return age_ms if speed == 1 else max(age_ms // speed, _AGE_POLLS_MIN * poll_ms)

    def _row(self, run: Run, step: str, attempt: int, n: int, t_ms: int, tick: str) -> GateTick:
        return GateTick(
            run_id=run.run_id,
            step=step,
            attempt=attempt,
            n=n,
            t_ms=t_ms,
            ts_us=self._out.clock.now_us(),
            tick=tick,
            action="",
            rule=0,
            reason="",
        )


def _next_n(watch: _Watch) -> int:
    return 1 + sum(row.attempt == watch.attempt for row in watch.rows)


def _watched(run: Run, watch: _Watch) -> bool:
    """The attempt is still open and the run still runs: only then the gate's answer counts."""
    state = run.step(watch.step)
    return (
        run.status is RunStatus.RUNNING
        and state.open
        and state.attempt is not None
        and state.attempt.number == watch.attempt
    )
