"""New runs from finished ones: what is pinned for them, and how they differ from the old ones.

Whether one may be made is decided in `engine.core.heirs`; this room collects what that needs from
the other runs of the house, and pins the new wish. Old runs are read, never written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from engine.catalog import Catalog
from engine.core import heirs, reviews
from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, NotFound, Refused
from engine.core.event_parts import PinnedChange
from engine.core.events import RunEvent
from engine.core.fact_events import InputsMaterialized
from engine.core.jcs import canonical
from engine.core.plan import Observation
from engine.core.rollback_preview import RollbackPreview, from_record, plan_back, preview
from engine.core.run import Run
from engine.core.run_events import RunRequested
from engine.core.spec import ROLLBACK, ApprovalRule, StepKind, StepSpec
from engine.core.standing import Standing
from engine.core.statemachine import RunStatus
from engine.ports import EventStore
from engine.requests import build_request
from engine.settings import Environment, Settings

WORKFLOW: Final = "rollback-full"


class Again:
    """Thread-safe: it keeps nothing. Arguments as of `engine.service.Service`."""

    def __init__(
        self,
        *,
        store: EventStore,
        settings: Settings,
        catalog: Catalog,
        policy_digest: Callable[[str], Digest],
        policy_authors: Callable[[str], tuple[str, ...]],
        speed: int,
        observe: Callable[[str], Observation],
    ) -> None:
        self._store, self._settings, self._catalog = store, settings, catalog
        self._policy_digest, self._policy_authors = policy_digest, policy_authors
        self._speed, self._observe = speed, observe

    def standing(self, run: Run) -> Standing | None:
        """Where a finished run stands among the others; None for one that has not ended."""
        if not run.terminal:
            return None
        store, before = self._store, None
        if run.status is RunStatus.SUCCEEDED and run.request.kind != ROLLBACK:
            with suppress(Refused):  # then there is no way back, and `heirs.refusal` says so
                before = store.hold(run.environment, heirs.bundle_before(run))
        return Standing(
            hold=store.hold(run.environment, run.bundle),
            overtaken_by=next((r.run_id for r in self._since(run) if _left_a_mark(r)), ""),
            under_way=next((r.run_id for r in store.runs_open() if _bars(r, run)), ""),
            hold_before=before,
        )

    def requested(
        self, run: Run, command: Command, actor: str, number: int
    ) -> tuple[RunEvent, ...]:
        """What a new run begins with. The command has been allowed.

        Raises:
            NotFound: a bundle or the environment is not known here any more.
            Refused: the targets of the environment are not those of the run.
        """
        if command.action is Action.RERUN:
            return (self._rerun(run, command, number),)
        back = self._back(run, command, number)
        what = f"{actor} takes {run.run_id} back: {back.takes_back_label} leaves {run.environment}"
        return (back, reviews.opened("rollback", (actor,), what))

    def check_plan(self, run: Run, command: Command) -> None:
        """Raises `Refused` when the targets are not as the preview showed them."""
        if command.plan is None:
            return
        seen = self._reachable(run, self._observe(run.environment))
        if plan_back(run, seen).digest != command.plan:
            raise Refused(
                "The targets have changed since that preview; look at it again.", code="stale"
            )

    def preview(self, run: Run) -> RollbackPreview:
        """What taking this promotion back would do to each target now."""
        try:
            seen = self._reachable(run, self._observe(run.environment))
            return preview(run, seen, new_run=True)
        except AdapterFailed as failed:
            told = preview(run, self._reachable(run, from_record(run)), new_run=True)
            why = f"The targets cannot be looked at: {failed}. This is what was last on record."
            return replace(told, warnings=(why, *told.warnings))

    def _reachable(self, run: Run, observation: Observation) -> Observation:
        """The observation as a new run meets it: it may bring a bundle to a target anew.

        So a target that has dropped the old bundle can go back all the same, as long as the store
        here has every artifact of it.
        """
        bundle = heirs.bundle_before(run)
        if not self._stored(bundle):
            return observation
        return replace(
            observation,
            targets=tuple(
                one if bundle in one.present else replace(one, present=(*one.present, bundle))
                for one in observation.targets
            ),
        )

    def _stored(self, bundle: Digest) -> bool:
        try:
            components = self._catalog.get(bundle).components
        except (NotFound, Malformed):
            return False
        return all(self._store.blobs.has(one.digest) for one in components)

    def differences(self, before: Run, after: Run) -> tuple[PinnedChange, ...]:
        """What `after` rests on otherwise than `before`: workflow, policy, inputs, feeds.

        Inputs and feeds appear once each run has come that far.
        """
        return heirs.differences(self._rests_on(before), self._rests_on(after))

    # --- the new wish ---------------------------------------------------------------------

    def _rerun(self, run: Run, command: Command, number: int) -> RunRequested:
        fresh = replace(
            self._request(run, run.bundle, command, number, kind=run.request.kind),
            rerun_of=run.run_id,
        )
        was = heirs.pinned(run.request)
        return replace(fresh, differs=heirs.differences(was, heirs.pinned(fresh)))

    def _back(self, run: Run, command: Command, number: int) -> RunRequested:
        bundle = heirs.bundle_before(run)
        env = self._settings.environment(run.environment)
        if set(env.targets) != set(run.request.targets):
            raise Refused(
                f"{run.environment} has other targets than {run.run_id} had: what they ran before "
                "it is not known of all."
            )
        steps = _steps_back(env)
        return replace(
            self._request(run, bundle, command, number),
            workflow=WORKFLOW,
            workflow_digest=_workflow_digest(steps),
            steps=steps,
            approval=ApprovalRule(rule_id=f"{env.name}/rollback", min_approvals=0),
            on_breach="pause",  # the way back of a way back is the bundle that was left
            rolls_back=run.run_id,
            takes_back=run.bundle,
            takes_back_label=run.label,
            vouched_by=self._vouching(run, bundle),
        )

    def _request(
        self, run: Run, bundle: Digest, command: Command, number: int, *, kind: str = ROLLBACK
    ) -> RunRequested:
        return build_request(
            number=number,
            bundle=self._catalog.get(bundle),
            authors=self._catalog.authors(bundle),
            environment=run.environment,
            settings=self._settings,
            policy_digest=self._policy_digest(run.environment),
            policy_authors=self._policy_authors(run.environment),
            speed=self._speed,
            reason=command.reason.strip(),
            ticket=command.ticket.strip(),
            kind=kind,
        )

    # --- the other runs -------------------------------------------------------------------

    def _since(self, run: Run) -> Iterator[Run]:
        """Runs that took the environment after this one, the newest first."""
        started = self._store.runs_started(run.environment)
        later = started[started.index(run.run_id) + 1 :] if run.run_id in started else started
        return (self._store.run(run_id) for run_id in reversed(later))

    def _vouching(self, run: Run, bundle: Digest) -> str:
        """The newest run before this one that brought `bundle` here by a verdict of PASS."""
        started = self._store.runs_started(run.environment)
        for run_id in reversed(started[: started.index(run.run_id)]):
            one = self._store.run(run_id)
            if (
                one.bundle == bundle
                and one.status is RunStatus.SUCCEEDED
                and one.verdict is not None
                and one.verdict.decision == "PASS"
            ):
                return run_id
        return ""

    def _rests_on(self, run: Run) -> dict[str, str]:
        found = heirs.pinned(run.request)
        for recorded in self._store.load(run.run_id):
            if isinstance(recorded.event, InputsMaterialized):
                found |= {
                    f"input:{one.name}": " ".join(
                        part for part in (one.path, one.version, one.value_hmac) if part
                    )
                    for one in recorded.event.inputs
                }
        found |= {f"attestation:{a.envelope.short}": f"{a.title} {a.signer}" for a in run.pinned}
        if run.verdict is not None:
            found |= self._feeds(run.verdict.capsule)
        return found

    def _feeds(self, capsule: Digest) -> dict[str, str]:
        try:
            raw = json.loads(self._store.blobs.get(capsule)).get("raw", {})
        except (NotFound, Malformed, ValueError):
            return {"feeds": "the capsule cannot be read"}
        return {name: str(digest) for name, digest in raw.items() if name.startswith("feed:")}


def _left_a_mark(run: Run) -> bool:
    """The environment is not as it was before this run."""
    return run.status is RunStatus.SUCCEEDED or bool(run.changed_targets)


def _bars(other: Run, run: Run) -> bool:
    if other.environment != run.environment:
        return False
    return other.started_us is not None or other.request.rolls_back == run.run_id


def _steps_back(env: Environment) -> tuple[StepSpec, ...]:
    """No soak and nobody asked: every target at once, then one look that all of them are well."""
    stages = env.workflow.stages
    full = next((s.name for s in reversed(stages) if s.share_bp == 10_000), "full-100")
    verify = next((s.name for s in stages if s.share_bp == 0), "post-verify")
    return (
        StepSpec(id="inputs", kind=StepKind.INPUTS, name="Inputs Materialized"),
        StepSpec(id="gate-eval", kind=StepKind.GATE_EVAL, name="Gate Eval (Policy)"),
        StepSpec(id="approval", kind=StepKind.APPROVAL, name="Approval"),
        StepSpec(id=full, kind=StepKind.DEPLOY, name="Deploy 100%", share_bp=10_000),
        StepSpec(id=verify, kind=StepKind.VERIFY, name="Post-Deploy Verify"),
        StepSpec(id="seal", kind=StepKind.SEAL, name="Seal Evidence"),
    )


def _workflow_digest(steps: tuple[StepSpec, ...]) -> Digest:
    return Digest.of(
        canonical(
            {
                "schema": "releaseline.rollback-workflow/1",
                "steps": [{"id": s.id, "kind": s.kind.value, "shareBp": s.share_bp} for s in steps],
            }
        )
    )
