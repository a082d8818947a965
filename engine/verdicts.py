"""The policy desk: which policy is in force where, compiled once, and what the feeds say now.

A run is judged by the policy that was pinned when it was requested, even when the file has changed
since; so every policy is kept as a blob and can be compiled again from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from engine.core.digest import Digest
from engine.core.errors import NotFound
from engine.inputs.feeds import FeedFacts, FeedMemory
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.model import Policy, policy_from_blob
from engine.ports import BlobStore, Clock, FeedSnapshot, FeedSource


class PolicyDesk:
    """Usable from several threads at once."""

    def __init__(
        self,
        *,
        policies: Mapping[str, Policy],
        feeds: FeedSource,
        blobs: BlobStore,
        clock: Clock,
        in_force: Callable[[str], Digest] | None = None,
    ) -> None:
        """Compile every policy and store it.

        Args:
            policies: by environment name.
            in_force: the digest in force in an environment; None = that of `policies`.

        Raises:
            Malformed: naming every problem that lint finds in a policy.
        """
        self._feeds, self._blobs, self._clock = feeds, blobs, clock
        self._lock = threading.Lock()
        self._compiled: dict[Digest, CompiledPolicy] = {}
        self._in_force, self._ask = dict[str, Digest](), in_force
        self._read = FeedMemory()
        for environment, policy in policies.items():
            digest = policy.digest
            if digest not in self._compiled:
                self._compiled[digest] = compile_policy(policy, where=f"policy {policy.name}")
                blobs.put(policy.blob)
            self._in_force[environment] = digest

    def policy_digest(self, environment: str) -> Digest:
        """Digest of the policy in force. Raises `NotFound`."""
        if self._ask is not None:
            return self._ask(environment)
        if environment not in self._in_force:
            raise NotFound(f"There is no policy for environment {environment!r}.")
        return self._in_force[environment]

    def compiled(self, digest: Digest) -> CompiledPolicy:
        """The policy of this digest, in force or not.

        Raises:
            NotFound, Malformed: it is not kept here, or not sound for the engine of today.
        """
        with self._lock:
            known = self._compiled.get(digest)
            if known is None:
                where = f"policy {digest.short}"
                policy = policy_from_blob(self._blobs.get(digest), where=where)
                known = self._compiled[digest] = compile_policy(policy, where=where)
            return known

    def feeds(self) -> Sequence[FeedSnapshot]:
        """The newest snapshot of each feed, by name. Raises `Malformed` as the source does."""
        return self._feeds.snapshots()

    def feed_facts(self, snapshots: Sequence[FeedSnapshot]) -> FeedFacts:
        """What `snapshots` say; read once for the same bytes."""
        with self._lock:
            return self._read.facts(snapshots)

    def now_s(self) -> int:
        """The clock that the next decision is made by: UTC seconds."""
        return self._clock.now_us() // 1_000_000
