"""What the server shows now to whoever decides, and what it showed then.

It reads; the document itself is made by `engine.core.approval_view`. What was shown is kept by
whoever records the decision, so that looking alone leaves nothing behind.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final, TypeVar

from engine.approving.frozen import frozen_of
from engine.approving.rests_on import ReadOnce, RestsOn
from engine.core.approval_facts import Frozen, LiveRun, PolicyChange, ViewFacts
from engine.core.approval_view import SCHEMA, View, view
from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.eligibility import may_approve, may_not_approve
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.policy.policy_diff import policy_diff
from engine.ports import EventStore

_KEPT: Final = 24
_DECISIONS: Final = frozenset({Action.APPROVE, Action.REJECT})
_Part = TypeVar("_Part")


class Views:
    """Thread-safe.

    Args:
        rests: how what the decision rests on stands.
    """

    def __init__(self, store: EventStore, rests: RestsOn) -> None:
        self._store, self._rests = store, rests
        self._frozen = ReadOnce[Frozen](lambda digest: frozen_of(store.blobs, digest))

    def now(self, run: Run) -> View:
        """What somebody who decides about the run is shown at this moment.

        Raises:
            Refused: nobody is asked to decide about it now.
        """
        if run.status is not RunStatus.AWAITING_APPROVAL or run.verdict is None:
            raise Refused(f"No approval of {run.run_id} is being asked for now.")
        frozen, why_not = self._read(run.verdict.capsule)
        live = self._live(run)
        version, changes = self._policy(run, live)
        return view(
            ViewFacts(
                run=run,
                frozen=frozen,
                why_not=why_not,
                live=live,
                policy_version=version,
                policy_changes=changes,
                health=self._rests(run),
                may=may_approve(run),
                may_not=may_not_approve(run),
            )
        )

    def shown(self, run: Run, command: Command) -> Command:
        """The command with what would be shown now, when it names what was shown.

        The document is kept before anything is recorded that names it. Its digest stands for the
        binding too, which is a part of it. Raises as `now`.
        """
        if command.view is None or command.action not in _DECISIONS:
            return command
        found = self.now(run)
        if found.digest != command.view:
            return replace(command, view_now=found.digest)
        self._store.blobs.put(found.content)
        return replace(command, view_now=found.digest, binding=command.binding or run.binding)

    def then(self, digest: Digest) -> dict[str, Any]:
        """The document that was shown then, out of its own bytes.

        Raises:
            NotFound: no such document is kept here.
            Malformed: it is damaged, or not one of these.
        """
        where = f"view {digest.short}"
        try:
            document: Any = json.loads(self._store.blobs.get(digest))
        except ValueError as error:
            raise Malformed(f"expected JSON: {error}", where=where) from None
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise Malformed(f"expected a document of schema {SCHEMA!r}", where=where)
        return document

    def _read(self, capsule: Digest) -> tuple[Frozen | None, str]:
        try:
            return self._frozen.get(capsule), ""
        except (NotFound, Malformed) as error:
            return None, str(error)

    def _live(self, run: Run) -> LiveRun | None:
        """The newest promotion that ended well in the environment."""
        for run_id in reversed(self._store.runs_started(run.environment)):
            one = self._store.run(run_id)
            if one.status is RunStatus.SUCCEEDED and one.verdict is not None:
                return LiveRun(
                    run=run_id,
                    bundle=one.bundle,
                    label=one.label,
                    verdict_id=one.verdict.verdict_id,
                    policy=one.request.policy_digest,
                    frozen=self._read(one.verdict.capsule)[0],
                )
        return None

    def _policy(
        self, run: Run, live: LiveRun | None
    ) -> tuple[str, tuple[PolicyChange, ...] | None]:
        """Version of the run's policy, and what differs from that of the live run."""
        try:
            ours = self._rests.policy(run.request.policy_digest)
            before = ours if live is None else self._rests.policy(live.policy)
        except (NotFound, Malformed):
            return "", None
        return ours.version, tuple(
            PolicyChange(
                kind=line.kind,
                what=line.what,
                name=line.name,
                before=line.old,
                after=line.new,
                stricter=line.stricter,
            )
            for line in policy_diff(before, ours)
        )
