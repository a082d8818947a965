"""What the server shows now to whoever decides, and what it showed then.

It reads; the document itself is made by `engine.core.approval_view`. What was shown is kept by
whoever records the decision, so that looking alone leaves nothing behind.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Generic, TypeVar

from engine.approving.frozen import frozen_of
from engine.core import approvals
from engine.core.approval_facts import Frozen, LiveRun, PolicyChange, SourceHealth, ViewFacts
from engine.core.approval_view import SCHEMA, View, view
from engine.core.approvals import Actor
from engine.core.commands import Action, Command
from engine.core.data_health import DataHealth
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.feeds import LEVELS, Freshness, standing
from engine.core.run import Run
from engine.core.statemachine import Role, RunStatus
from engine.outside import Outside
from engine.policy.model import Policy, policy_from_blob
from engine.policy.policy_diff import policy_diff

_KEPT: Final = 24
_DECISIONS: Final = frozenset({Action.APPROVE, Action.REJECT})
_Part = TypeVar("_Part")


class Views:
    """Thread-safe.

    Args:
        health: the health of what decisions about an environment rest on.
    """

    def __init__(self, out: Outside, *, health: Callable[[str], DataHealth]) -> None:
        self._store, self._settings, self._clock = out.store, out.settings, out.clock
        self._feeds, self._sources, blobs = out.desk.feeds, health, out.store.blobs
        self._frozen = _Kept[Frozen](lambda digest: frozen_of(blobs, digest))
        self._policies = _Kept[Policy](
            lambda digest: policy_from_blob(blobs.get(digest), where=f"policy {digest.short}")
        )

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
        may, may_not = self._people(run)
        return view(
            ViewFacts(
                run=run,
                frozen=frozen,
                why_not=why_not,
                live=live,
                policy_version=version,
                policy_changes=changes,
                health=self._health(run),
                may=may,
                may_not=may_not,
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
            ours = self._policies.get(run.request.policy_digest)
            before = ours if live is None else self._policies.get(live.policy)
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

    def _people(self, run: Run) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        """Who may approve now, and why the other approvers may not; who has decided is neither."""
        decided = {one.person for one in run.counting_approvals}
        may, may_not = list[str](), list[tuple[str, str]]()
        for user in self._settings.people:
            roles = self._settings.roles_of(user, run.environment)
            if Role.APPROVER not in roles or user in decided:
                continue
            why = approvals.conflict(run, Actor(user=user, roles=roles))
            if why is None:
                may.append(user)
            else:
                may_not.append((user, why))
        return tuple(may), tuple(may_not)

    def _health(self, run: Run) -> tuple[SourceHealth, ...]:
        """Feeds by the limits of the policy that judges the run, and what else it rests on.

        How the engine itself ticks is not among it: that moves by the second and decides nothing.
        """
        others = tuple(
            SourceHealth(name=one.name, level=one.level.value, state=one.kind, as_of_s=None)
            for one in self._sources(run.environment).sources
            if one.kind not in {"engine", "feed"}
        )
        try:
            config = self._policies.get(run.request.policy_digest).config
            as_of_s = {feed.name: feed.as_of_s for feed in self._feeds()}
        except (NotFound, Malformed) as error:
            unknown = LEVELS[Freshness.MISSING]
            broken = SourceHealth(name="feeds", level=unknown, state=str(error), as_of_s=None)
            return (broken, *others)
        now_s = self._clock.now_us() // 1_000_000
        feeds = (
            SourceHealth(name=name, level=LEVELS[word], state=word.value, as_of_s=as_of_s.get(name))
            for name, word in standing(as_of_s, config, now_s=now_s)
        )
        return (*feeds, *others)


class _Kept(Generic[_Part]):
    """What was read under a digest never changes; the newest few are kept."""

    def __init__(self, read: Callable[[Digest], _Part]) -> None:
        self._read, self._lock = read, threading.Lock()
        self._parts: OrderedDict[Digest, _Part] = OrderedDict()

    def get(self, digest: Digest) -> _Part:
        """Raises what reading raises; nothing is kept of a failure."""
        with self._lock:
            if digest in self._parts:
                self._parts.move_to_end(digest)
                return self._parts[digest]
        part = self._read(digest)
        with self._lock:
            self._parts[digest] = part
            while len(self._parts) > _KEPT:
                self._parts.popitem(last=False)
        return part
