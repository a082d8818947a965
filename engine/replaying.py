"""The door for replays: records who asks for what, has it done, and records what came of it.

A request is on record before the work begins, each outcome when it is there; one that was under
way when the server died is closed as FAILED at the next start. Nothing here judges: the answers
come from the worker processes and from the health gate's own replay.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import data.queries_replays as queries
from engine.asker import Asker
from engine.core.approvals import Actor
from engine.core.commands import Refusal
from engine.core.digest import Digest
from engine.core.errors import (
    Conflict,
    NotFound,
    StorageFull,
)
from engine.core.house import ADMIN, ReplayFinished, ReplayRequested
from engine.core.jcs import canonical
from engine.core.replays import (
    ReplayAsk,
    ReplayKind,
    ReplayProgress,
    ReplayRequest,
    ReplayResult,
    ReplayStatus,
    check_ask,
    replay_name,
)
from engine.core.scopes import REPLAY
from engine.core.statemachine import Role
from engine.policy.compile import compile_policy
from engine.policy.model import load_policy
from engine.ports import Clock
from engine.recording import append_to
from engine.replaying_batch import answers_of, row_of
from engine.replaying_gates import gate_answers
from engine.replaying_pool import ReplayPool
from engine.replaying_read import ReplayReading
from engine.replaying_scope import (
    ReplayStore,
    Subject,
    environments,
    one_environment,
    one_run,
    subjects,
    watches_by_run,
)
from engine.replaying_work import Answer, Task, failed
from engine.trail.denials import admit
from engine.verdicts import PolicyDesk

_log = logging.getLogger(__name__)

DETAILS_SCHEMA: Final = "releaseline.replay-details/1"
_REQUESTS_AT_ONCE: Final = 4
# Who only looks, and tokens that only ask (decisions 12).
_MAY_NOT: Final = frozenset({Role.VIEWER, Role.CI})


class Replaying(ReplayReading):
    """Thread-safe. Processes are started with the first request only.

    Args:
        actor: who somebody is in an environment; `environments`: names of all of them.
    """

    def __init__(
        self,
        *,
        store: ReplayStore,
        clock: Clock,
        desk: PolicyDesk,
        pool: ReplayPool,
        actor: Callable[[Asker, str], Actor],
        environments: Sequence[str],
    ) -> None:
        super().__init__(store=store, clock=clock)
        self._desk, self._pool = desk, pool
        self._actor, self._environments = actor, tuple(environments)
        self._numbering = threading.Lock()
        self._moved = threading.Condition()
        self._stopping = threading.Event()
        self._recovered = False
        self._mine: set[int] = set()
        self._threads = ThreadPoolExecutor(_REQUESTS_AT_ONCE, thread_name_prefix="replaying")

    def why_not(self, scope: str, asker: Asker) -> Refusal | None:
        """Why this person can't have it replayed now; None when they can. Raises `Malformed`."""
        try:
            names = environments(self._store, scope)
        except NotFound as error:
            return Refusal(sentence=str(error), code="not_found")
        return None if self._may(names, asker) else self._refusal(asker, names)

    def candidate(self, policy: bytes, config: bytes) -> Digest:
        """Check and keep a candidate policy (YAML) with its config (JSON); it is in force nowhere.

        Raises:
            Malformed: naming every problem.
        """
        compiled = compile_policy(load_policy(policy, config), where="candidate policy")
        return self._store.blobs.put(compiled.policy.blob)

    def candidate_of(self, digest: Digest) -> Digest:
        """A policy that is kept already, as a candidate. Raises `NotFound`, `Malformed`."""
        self._desk.compiled(digest)
        return digest

    def request(self, ask: ReplayAsk, asker: Asker, *, command_id: str = "") -> ReplayRequest:
        """Record the request and begin with it. The same `command_id` gives the same request.

        Of scope `all` only decisions about environments are asked again in which this person may.

        Raises:
            NotFound: nothing has this name, or the candidate is not kept here.
            Refused: no role. The attempt is on record.
            Malformed: what does not go together.
        """
        check_ask(ask)
        self.recover()
        earlier = self._store.by_command(command_id) if command_id else ()
        if earlier:
            return self._earlier(earlier[0].event)
        found = subjects(self._store, ask)
        if ask.policy is not None:
            self._desk.compiled(ask.policy)
        names = sorted({one.environment for one in found})
        may = self._may(names, asker)
        if not may:
            about = {"run": one_run(found), "subject": ask.scope, "asked": ask.reason}
            why = self._refusal(asker, names)
            admit(self._store, why, user=asker.user, action=REPLAY, **about)
        allowed = [one for one in found if one.environment in may]
        request = self._record(ask, allowed, asker, command_id)
        self._threads.submit(self._carry_out, request, ask, allowed)
        return request

    def wait(self, n: int, timeout_s: float) -> ReplayProgress:
        """The progress when the request has ended, or after `timeout_s`. Raises `NotFound`."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            with self._moved:
                found = self.progress(n)
                left_s = deadline_s - time.monotonic()
                if found.ended or left_s <= 0:
                    return found
                self._moved.wait(min(left_s, 1.0))

    def recover(self) -> None:
        """Close what another process left open when it died. Does something once only."""
        with self._numbering:
            if self._recovered:
                return
            self._recovered = True
            rows = queries.replays(self._store.cursor(), status="RUNNING", limit=10_000)
            for row in rows.iter_rows(named=True):
                if row["n"] not in self._mine:
                    self._close(row["n"], row["total"], "the server ended before it was done")

    def stop(self) -> None:
        """End what is under way; it is recorded as CANCELLED."""
        self._stopping.set()
        self._pool.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for n in sorted(self._mine):
            progress = self.progress(n)
            if not progress.ended:
                self._close(n, progress.total, "the server was stopped", ReplayStatus.CANCELLED)

    def _first_open(self) -> int:
        with self._numbering:
            if not self._recovered:
                return 0  # another process may have left some
            return min(self._mine, default=self._store.last_replay() + 1)

    # --- within -----------------------------------------------------------------------------

    def _may(self, names: Sequence[str], asker: Asker) -> frozenset[str]:
        """In which of these environments this person may have decisions replayed."""
        actors = {name: self._actor(asker, name) for name in names if name in self._environments}
        return frozenset(
            name
            for name, actor in actors.items()
            if actor.roles - _MAY_NOT and actor.beyond_token(REPLAY, name) is None
        )

    def _refusal(self, asker: Asker, names: Sequence[str]) -> Refusal:
        actors = [(name, self._actor(asker, name)) for name in names if name in self._environments]
        beyond = [actor.beyond_token(REPLAY, name) for name, actor in actors]
        if beyond and beyond[0] is not None and None not in beyond:
            return beyond[0]
        sentence = f"{asker.user} may not replay decisions of {', '.join(names)}."
        return Refusal(sentence=sentence, code="role")

    def _earlier(self, event: object) -> ReplayRequest:
        if not isinstance(event, ReplayRequested):
            raise Conflict("This command id was used for something else already.")
        n = int(event.replay.removeprefix("rr-"))
        rows = queries.replay_requests(self._store.cursor(), n=n, limit=1).to_dicts()
        return ReplayRequest(**{name: rows[0][name] for name in ReplayRequest.__slots__})

    def _record(
        self, ask: ReplayAsk, found: Sequence[Subject], asker: Asker, command_id: str
    ) -> ReplayRequest:
        while True:
            with self._numbering:
                request = ReplayRequest(
                    n=self._store.last_replay() + 1,
                    ts_us=self._clock.now_us(),
                    actor=asker.user,
                    reason=ask.reason,
                    mode=ask.mode.value,
                    depth=ask.depth.value,
                    scope=ask.scope,
                    run_id=one_run(found),
                    environment=one_environment(found),
                    policy="" if ask.policy is None else str(ask.policy),
                    total=len(found),
                )
                event = ReplayRequested(
                    replay=replay_name(request.n),
                    scope=ask.scope,
                    mode=request.mode,
                    depth=request.depth,
                    policy=request.policy,
                    reason=request.reason,
                )
                self._mine.add(request.n)
                try:
                    self._store.append(
                        ADMIN,
                        (event,),
                        after=self._store.version(ADMIN),
                        actor=asker.user,
                        command_id=command_id,
                        rows=(request,),
                    )
                except Conflict:
                    self._mine.discard(request.n)
                    continue  # somebody else wrote to the stream in between
                except StorageFull:
                    self._mine.discard(request.n)
                    raise
                return request

    def _carry_out(self, request: ReplayRequest, ask: ReplayAsk, found: Sequence[Subject]) -> None:
        try:
            places = {one.name: idx for idx, one in enumerate(found, start=1)}
            known = {one.name: one for one in found}
            verdicts = [one for one in found if one.kind is ReplayKind.VERDICT]
            now_s = self._clock.now_us() // 1_000_000
            for task, answers in answers_of(
                self._store, self._desk, self._pool, ask, verdicts, now_s
            ):
                if len(verdicts) == 1 and ask.processes and task is not None:
                    answers = [self._fresh(task, answers[0], ask.processes)]
                self._keep(request, known, places, answers)
            for run_id, watched in watches_by_run(found).items():
                if self._stopping.is_set():
                    return
                answers = gate_answers(self._store, run_id, watched)
                self._keep(request, known, places, answers)
            self._finish(request)
        except StorageFull as full:
            _log.warning("replay %s waits for space: %s", replay_name(request.n), full)
        except Exception:
            if self._stopping.is_set():
                return
            _log.exception("replay failed", extra={"replay": request.n})
            self._close(request.n, request.total, "a defect of ours; the server's log has it")
        else:
            with self._numbering:
                self._mine.discard(request.n)
        finally:
            with self._moved:
                self._moved.notify_all()

    def _fresh(self, task: Task, answer: Answer, processes: int) -> Answer:
        """The answer, unless fresh processes give others."""
        if answer.result not in {ReplayResult.MATCH, ReplayResult.MISMATCH}:
            return answer
        return answer.with_fresh(self._pool.fresh(task, processes))

    def _keep(
        self,
        request: ReplayRequest,
        known: Mapping[str, Subject],
        places: Mapping[str, int],
        answers: Sequence[Answer],
    ) -> None:
        details = {one.subject: one.detail for one in answers if one.detail is not None}
        detail = ""
        if details:
            document: dict[str, Any] = {"schema": DETAILS_SCHEMA, "items": details}
            detail = str(self._store.blobs.put(canonical(document)))
        now_us = self._clock.now_us()
        rows = [
            row_of(
                request,
                known[one.subject],
                one,
                idx=places[one.subject],
                ts_us=now_us,
                detail=detail if one.detail is not None else "",
            )
            for one in answers
        ]
        self._store.record(rows)
        with self._moved:
            self._moved.notify_all()

    def _finish(self, request: ReplayRequest) -> None:
        found = self.progress(request.n)
        event = ReplayFinished(
            replay=replay_name(request.n),
            status=found.status.value,
            matching=found.matching,
            mismatching=found.mismatching,
            same=found.same,
            flipped=found.flipped,
            unproven=found.unproven,
            failed=found.failed,
        )
        append_to(self._store, ADMIN, event, actor="engine")

    def _close(
        self, n: int, total: int, why: str, status: ReplayStatus = ReplayStatus.FAILED
    ) -> None:
        """End a request as a whole. What of it is done stays."""
        rows = queries.replay_requests(self._store.cursor(), n=n, limit=1).to_dicts()
        request = ReplayRequest(**{name: rows[0][name] for name in ReplayRequest.__slots__})
        left = total - rows[0]["done"]
        subject = Subject(
            kind=ReplayKind.VERDICT,
            name=request.scope,
            run_id=request.run_id,
            environment=request.environment,
            decided_us=request.ts_us,
            item=None,
        )
        sentence = f"{why}; {left} of {total} are not answered"
        answer = replace(failed(request.scope, sentence), status=status)
        now_us = self._clock.now_us()
        self._store.record([row_of(request, subject, answer, idx=0, ts_us=now_us, detail="")])
