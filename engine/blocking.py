"""What would have blocked a run: the question put together, asked in a process, kept for a while.

The run's frozen input is asked under changed limits, and each change about the runs of the same
environment that ended well (`engine.policy.blockers`). Approvals are no matter of the policy, so
that rule is looked at here, from what the runs have on record.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from data import queries, queries_replays
from engine.core.approval_blockers import one_more
from engine.core.errors import AdapterFailed, Malformed, NotFound
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.statemachine import RunStatus
from engine.own_module import command, environment
from engine.replaying_scope import ReplayStore

SCHEMA: Final = "releaseline.blockers/1"
APPROVALS: Final = "approvals"

# The newest runs that ended well in the same environment.
GOOD_MAX: Final = 200
_VERDICTS_MAX: Final = 2_000
_DEADLINE_S: Final = 120
_KEPT: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Good:
    """A run that ended well: its capsule, and how many approvals it had."""

    run: str
    capsule: str
    approvals: int


class Blocking:
    """Thread-safe. One search at a time; the same question is answered from memory.

    Args:
        blobs: folder of the home's blobs.
    """

    def __init__(self, store: ReplayStore, blobs: Path) -> None:
        self._store, self._blobs = store, blobs
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def why_not(self, run: Run) -> str:
        """Why nothing can be said about the run yet; empty when something can."""
        if run.verdict is None:
            return f"The policy gate has not judged {run.run_id} yet."
        return ""

    def document(self, run_id: str) -> dict[str, Any]:
        """The answer (releaseline.blockers/1), smallest change first.

        Raises:
            NotFound: no such run, or no verdict of it.
            Malformed: what the verdict rests on is damaged.
            AdapterFailed: the process gave no answer in time.
        """
        run = self._store.run(run_id)
        if run.verdict is None:
            raise NotFound(self.why_not(run))
        good = self._good(run)
        question = {
            "capsule": str(run.verdict.capsule),
            "good": [[one.run, one.capsule] for one in good],
        }
        found = self._answer(json.dumps(question, sort_keys=True))
        blockers = list(found["blockers"])
        more = _approvals(run, good)
        if more is not None:
            blockers.append(more)
        blockers.sort(key=lambda one: (one["size_bp"], len(one["stops"]), one["where"]))
        return {
            "schema": SCHEMA,
            "run": run_id,
            "environment": run.environment,
            "verdict": run.verdict.verdict_id,
            "policy": str(run.verdict.policy),
            **found,
            "good": len(good),
            "blockers": blockers,
        }

    def _good(self, run: Run) -> list[_Good]:
        cursor = self._store.cursor()
        ended = queries.runs_list(
            cursor,
            environment=run.environment,
            status=RunStatus.SUCCEEDED.value,
            limit=GOOD_MAX + 1,
        ).to_dicts()
        approvals = {one["run_id"]: int(one["approvals_given"] or 0) for one in ended}
        verdicts = queries_replays.verdicts(
            self._store.cursor(), environment=run.environment, limit=_VERDICTS_MAX
        ).to_dicts()
        newest = {one["run_id"]: one["capsule"] for one in reversed(verdicts)}
        return [
            _Good(run=name, capsule=newest[name], approvals=given)
            for name, given in approvals.items()
            if name != run.run_id and name in newest
        ][:GOOD_MAX]

    def _answer(self, question: str) -> dict[str, Any]:
        with self._lock:
            if question not in self._kept:
                found = _ask(question, self._blobs)
                while len(self._kept) >= _KEPT:
                    self._kept.popitem(last=False)
                self._kept[question] = found
            return self._kept[question]


def _ask(question: str, blobs: Path) -> dict[str, Any]:
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and module)
            command("engine.blocking_work", str(blobs)),
            input=question.encode(),
            capture_output=True,
            timeout=_DEADLINE_S,
            env=environment(),
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        raise AdapterFailed(
            "The search for what would have blocked this gave no answer.", transient=True
        ) from error
    if "error" in found:
        raise Malformed(found["error"], where="frozen verdict")
    return found


def _approvals(run: Run, good: list[_Good]) -> dict[str, Any] | None:
    """One approval more, for a run that people were asked about and let pass."""
    step = run.step_of_kind(StepKind.APPROVAL)
    given = len(run.counting_approvals)
    if step is None or run.verdict is None or run.verdict.decision != "PASS" or not step.attempts:
        return None
    more = one_more(
        run.request.approval.min_approvals, given, [(one.run, one.approvals) for one in good]
    )
    return {
        "kind": APPROVALS,
        "where": run.request.approval.rule_id,
        "old": more.required,
        "new": more.new,
        "size_bp": more.size_bp,
        "because": [],
        "stops": list(more.stops),
    }
