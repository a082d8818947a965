"""How what a decision about a run rests on stands now: feeds and servers, one reading for the view
that an approver sees and for the rule that asks them for a comment."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from engine.core.approval_facts import SourceHealth
from engine.core.data_health import DataHealth
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.feeds import LEVELS, Freshness, standing
from engine.core.run import Run
from engine.outside import Outside
from engine.policy.model import Policy, policy_from_blob

_KEPT: Final = 24
_Part = TypeVar("_Part")


class RestsOn:
    """Feeds by the limits of the policy that judges the run, and what else its environment rests
    on. How the engine itself ticks is not among it: that moves by the second and decides nothing.

    Thread-safe.

    Args:
        sources: the health of everything about an environment.
    """

    def __init__(self, out: Outside, sources: Callable[[str], DataHealth]) -> None:
        self._clock, self._feeds, self._sources = out.clock, out.desk.feeds, sources
        blobs = out.store.blobs
        self._policies = ReadOnce[Policy](
            lambda digest: policy_from_blob(blobs.get(digest), where=f"policy {digest.short}")
        )

    def policy(self, digest: Digest) -> Policy:
        """Raises `NotFound`, `Malformed`."""
        return self._policies.get(digest)

    def __call__(self, run: Run) -> tuple[SourceHealth, ...]:
        others = tuple(
            SourceHealth(name=one.name, level=one.level.value, state=one.kind, as_of_s=None)
            for one in self._sources(run.environment).sources
            if one.kind not in {"engine", "feed"}
        )
        try:
            config = self.policy(run.request.policy_digest).config
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


class ReadOnce(Generic[_Part]):
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
