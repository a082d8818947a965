"""What pages, API and command line read of replays: progress, details, flips, determinism."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import data.queries_replays as queries
from engine.core.determinism import (
    DECIDED_DAYS,
    REPLAYED_DAYS,
    Coverage,
    Determinism,
    determinism_of,
)
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.replays import (
    Flip,
    ReplayMode,
    ReplayProgress,
    ReplayRow,
    ReplayStatus,
    fired_of,
    replay_name,
)
from engine.core.retirement import DAY_US
from engine.policy.capsule import open_capsule
from engine.policy.flips import PullRequest
from engine.policy.model import policy_from_blob
from engine.ports import Clock
from engine.replaying_scope import ReplayStore, live_in
from engine.replaying_work import part_state

_DAYS: Final = ("decided_day", "replayed_day")


class ReplayReading:
    """The half of `Replaying` that records nothing."""

    def __init__(self, *, store: ReplayStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def progress(self, n: int) -> ReplayProgress:
        """Raises `NotFound`."""
        rows = queries.replay_requests(self._store.cursor(), n=n, limit=1).to_dicts()
        if not rows:
            raise NotFound(f"There is no replay {replay_name(n)}.")
        return _progress(rows[0])

    def newest(self) -> tuple[int, ReplayProgress] | None:
        """When the newest replay was asked for, and how far it has come; None when none was."""
        if not self._store.last_replay():
            return None
        row = queries.replay_requests(self._store.cursor(), limit=1).to_dicts()[0]
        return row["ts_us"], _progress(row)

    def detail(self, n: int, idx: int) -> dict[str, Any]:
        """One outcome with everything that was found: the row, and what its detail holds.

        Raises:
            NotFound: no such outcome.
        """
        key = n * 1_000_000 + idx
        rows = queries.replays(self._store.cursor(), n=n, before=key + 1, limit=1).to_dicts()
        mine = [row for row in rows if row["key"] == key]
        if not mine:
            raise NotFound(f"There is no outcome {idx} of replay {replay_name(n)}.")
        row = mine[0]
        empty: dict[str, Any] = dict.fromkeys(("then", "now", "gate", "attribution"))
        empty |= {name: [] for name in ("diff", "parts", "bisect", "digests_seen", "differs")}
        return {**row, **empty, **(self._detail(row["detail"], row["subject"]) or {})}

    def flips(self, n: int) -> tuple[Flip, ...]:
        """Every outcome of a WHAT_IF or TODAY whose results are others: decision flips first, what
        is live now before what is not, the newest first. Raises `NotFound`."""
        self.progress(n)
        rows = queries.replay_outcomes(self._store.cursor(), n=n, changed=True)
        live = live_in(self._store)
        bundles = self._bundles()
        found = []
        for row in rows.iter_rows(named=True):
            if row["result"] not in {"SAME", "FLIPPED"}:
                continue
            told = self._detail(row["detail"], row["subject"])
            if told is None or not (told["diff"] or row["result"] == "FLIPPED"):
                continue
            bundle, label = bundles.get(row["subject"], ("", ""))
            found.append(
                Flip(
                    verdict_id=row["subject"],
                    run_id=row["run_id"],
                    environment=row["environment"],
                    bundle=bundle,
                    bundle_label=label,
                    decided_us=row["decided_us"],
                    decision_then=row["decision_then"],
                    decision_now=row["decision_now"],
                    policy_then=row["policy"],
                    policy_now=row["policy_now"],
                    fails_then=fired_of(told["then"], "FAIL"),
                    fails_now=fired_of(told["now"], "FAIL"),
                    warns_then=fired_of(told["then"], "WARN"),
                    warns_now=fired_of(told["now"], "WARN"),
                    live=live.get(bundle, ()),
                )
            )
        found.sort(key=lambda one: (not one.flipped, not one.live, -one.decided_us, one.verdict_id))
        return tuple(found)

    def unproven(self, n: int) -> tuple[ReplayRow, ...]:
        """Outcomes of a WHAT_IF or TODAY that say nothing: the baseline does not replay, or the
        question could not be asked. In the order of the decisions. Raises `NotFound`."""
        self.progress(n)
        rows = queries.replay_outcomes(self._store.cursor(), n=n, changed=False)
        return tuple(
            ReplayRow(**row)
            for row in rows.iter_rows(named=True)
            if row["result"] == "UNPROVEN" or row["status"] != "COMPLETED"
        )

    def pull_request(self, n: int) -> PullRequest:
        """A WHAT_IF as the report of a policy pull request.

        Raises:
            NotFound: no such request, or its candidate is not kept here.
            Refused: it is no WHAT_IF, or has not ended.
        """
        progress = self.progress(n)
        (row,) = queries.replay_requests(self._store.cursor(), n=n, limit=1).to_dicts()
        if row["mode"] != ReplayMode.WHAT_IF or not progress.ended:
            raise Refused(f"{row['name']} is {row['mode']} and {progress.status}: no report of it.")
        outcomes = queries.replay_outcomes(self._store.cursor(), n=n, changed=False)
        blob = self._store.blobs.get(Digest.parse(row["policy"]))
        policy = policy_from_blob(blob, where="candidate policy")
        return PullRequest(
            name=policy.name,
            version=policy.version,
            policy=row["policy"],
            asked=row["total"],
            changed=self.flips(n),
            unproven=self.unproven(n),
            first_us=int(outcomes["decided_us"].min() or 0),  # type: ignore[arg-type]  # integers
            last_us=int(outcomes["decided_us"].max() or 0),  # type: ignore[arg-type]  # integers
        )

    def capsule(self, verdict_id: str) -> dict[str, Any]:
        """What a verdict rests on, part by part, each looked at now.

        Raises:
            NotFound: no such verdict, or its capsule is not here.
            Malformed: the capsule is damaged.
        """
        row = self.verdict(verdict_id)
        blobs = self._store.blobs
        blob = blobs.get(Digest.parse(row["capsule"]))
        opened = open_capsule(blob, where=f"capsule of {verdict_id}")
        document: dict[str, Any] = json.loads(blob)
        parts = []
        for name, digest in sorted({**opened.refs, **opened.raw}.items()):
            state = part_state(blobs.get, digest)
            size = blobs.path(digest).stat().st_size if state != "missing" else None
            parts.append(
                {"name": name, "digest": str(digest), "size_bytes": size, "state": state,
                 "raw": name not in opened.refs}
            )  # fmt: skip
        return {**document, "capsule": row["capsule"], "size_bytes": len(blob), "parts": parts}

    def verdict(self, verdict_id: str) -> dict[str, Any]:
        """A row of the query `verdicts`. Raises `NotFound`."""
        rows = queries.verdicts(self._store.cursor(), verdict_id=verdict_id, limit=1).to_dicts()
        if not rows:
            raise NotFound(f"There is no verdict {verdict_id}.")
        return rows[0]

    def determinism(
        self, *, run_id: str = "", environment: str = "", since_us: int = 0
    ) -> Determinism:
        """Do recorded decisions replay? Of a run its whole history counts, whatever `since_us`.

        Args:
            since_us: replays made since the beginning of that UTC day.
        """
        store, now_us = self._store, self._clock.now_us()
        if run_id:
            counts = queries.replay_counts_run(store.cursor(), run_id=run_id)
        else:
            counts = queries.replay_counts(
                store.cursor(), environment=environment, since_day=since_us // DAY_US
            )
        running = queries.replays_open(
            store.cursor(), run_id=run_id, environment=environment, first_n=self._first_open()
        )
        covered = queries.replay_coverage(
            store.cursor(),
            decided_us=now_us - DECIDED_DAYS * DAY_US,
            replayed_us=now_us - REPLAYED_DAYS * DAY_US,
        )

        def of(*days: str) -> Determinism:
            """Without the other days: a row for each of them would be read for nothing."""
            names = [name for name in counts.columns if name not in {*_DAYS, "count"}]
            rows = counts.group_by(*names, *days).agg("count").iter_rows(named=True)
            return determinism_of(
                ({**dict.fromkeys(_DAYS, 0), **row, "count": sum(row["count"])} for row in rows),
                running=running["missing"][0],
                coverage=Coverage(**covered.to_dicts()[0]),
            )

        decided, replayed = of("decided_day"), of("replayed_day")
        return replace(
            of(), by_decided_day=decided.by_decided_day, by_replayed_day=replayed.by_replayed_day
        )

    def _first_open(self) -> int:
        """No request before this one is under way; 0 when that is not known."""
        return 0

    def _bundles(self) -> dict[str, tuple[str, str]]:
        rows = queries.verdicts(self._store.cursor(), limit=None)
        return {
            row["verdict_id"]: (row["bundle"], f"{row['bundle_name']} {row['bundle_version']}")
            for row in rows.iter_rows(named=True)
        }

    def _detail(self, digest: str, subject: str) -> dict[str, Any] | None:
        """What a batch kept about one of its decisions; None when there is nothing, or no more."""
        if not digest:
            return None
        try:
            items = self._read(digest)
        except (NotFound, Malformed):
            return None
        found = items.get(subject)
        return found if isinstance(found, dict) else None

    def _read(self, digest: str) -> dict[str, Any]:
        known = self._kept
        if known is None or known[0] != digest:
            document = json.loads(self._store.blobs.get(Digest.parse(digest)))
            known = self._kept = (digest, document["items"])
        return known[1]

    # The batch that was read last: its outcomes lie side by side.
    _kept: tuple[str, dict[str, Any]] | None = None


def _progress(row: dict[str, Any]) -> ReplayProgress:
    return ReplayProgress(
        n=row["n"],
        total=row["total"],
        done=row["done"],
        matching=row["matching"],
        mismatching=row["mismatching"],
        same=row["same"],
        flipped=row["flipped"],
        unproven=row["unproven"],
        failed=row["failed"],
        status=ReplayStatus(row["status"]),
    )
