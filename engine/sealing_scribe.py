"""Writing evidence down: a statement becomes three files, its leaf and its event, in one append.

`Scribe.append` is the only way in: it holds the log, looks at the newest state of the run, and
records events and log rows together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote, urlsplit

from engine.core.digest import Digest
from engine.core.effect_kinds import Effect
from engine.core.effects import next_effect
from engine.core.errors import Conflict, NotFound
from engine.core.event_parts import NamedDigest
from engine.core.events import Event, Recorded
from engine.core.fact_events import EvidenceCaptured
from engine.core.rows import Row
from engine.core.run import Run, fold
from engine.drafting import Facts
from engine.evidence.items import ENGINE_SUFFIX
from engine.evidence.merkle import Tree
from engine.evidence.predicates import Draft
from engine.evidence.statement import MANIFEST_NAME, Link, Statement
from engine.keystore import Keys
from engine.outside import Outside
from engine.recording import record
from engine.transparency import Log, Signed, Wish

_TRIES: Final = 8
# The only envelope of their steps; elsewhere receipts carry the stem of theirs.
_ALONE: Final = frozenset({"resolved-inputs", "policy-decision"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A run, the log it is folded from, and the time of signing, which no fact is newer than."""

    run: Run
    log: Sequence[Recorded]
    now_us: int


Writing: TypeAlias = tuple[tuple[Event, ...], tuple[Row, ...]]


class Scribe:
    """Thread-safe; one per home, for it is the only writer of the transparency log."""

    def __init__(
        self, out: Outside, keys: Keys, *, base: str, issuer: str, log: Log | None = None
    ) -> None:
        self._out, self.base, self.issuer = out, base, issuer
        self.identity = f"https://{urlsplit(base).netloc}{ENGINE_SUFFIX}"
        self._log = log or Log(out.store, keys, issuer=issuer)

    def sign(
        self, moment: Moment, tree: Tree, wishes: Sequence[Wish]
    ) -> tuple[tuple[Signed, ...], tuple[Row, ...]]:
        """Sign and add to `tree`, anchored in the newest event. Returns the rows to record."""
        return self._log.sign(tree, wishes, now_us=moment.now_us, anchor=moment.log[-1])

    def facts(self, moment: Moment) -> Facts:
        store, run_id = self._out.store, moment.run.run_id
        return Facts(
            run=moment.run,
            log=moment.log,
            base=self.base,
            at_us=moment.now_us,
            blob=store.blobs.get,
            ticks=lambda step, first: store.gate_ticks(run_id, step, first),
            identity=self.person,
            engine=self.identity,
        )

    def person(self, user: str) -> str:
        """The e-mail address of a person; of one who has left, an address under our base."""
        try:
            email = self._out.settings.person(user).email
        except NotFound:
            email = ""
        return f"mailto:{email}" if email else f"{self.base}/users/{quote(user, safe='')}"

    def wish(
        self,
        run: Run,
        draft: Draft,
        prev: NamedDigest | None,
        *,
        seq: int,
        step: str,
        attempt: int,
        subjects: tuple[NamedDigest, ...] = (),
    ) -> Wish:
        statement = Statement(
            subjects=subjects or (NamedDigest(name=MANIFEST_NAME, digest=run.bundle),),
            predicate_type=draft.predicate_type,
            predicate=draft.predicate,
            link=Link(run_id=run.run_id, attempt=attempt, seq=seq, checkpoint=step, prev=prev),
            base=self.base,
        )
        identity = self.person(draft.person) if draft.person else self.identity
        return Wish(payload=statement.to_bytes(), identity=identity)

    def captured(
        self, run: Run, draft: Draft, signed: Signed, *, seq: int, step: str, attempt: int
    ) -> EvidenceCaptured:
        folder = folder_of(run, step, attempt)
        beside = {f"{folder}/{name}": content for name, content in draft.files}
        written = self.written(f"{folder}/{draft.stem}", signed, alone=draft.stem in _ALONE)
        files = self.put({**beside, **written})
        name = f"{folder}/{draft.stem}.dsse"
        return EvidenceCaptured(
            step=step,
            attempt=attempt,
            seq=seq,
            name=name,
            envelope=next(one.digest for one in files if one.name == name),
            payload=Digest.of(signed.payload),
            log_index=signed.receipt.index,
            files=files,
        )

    def written(self, stem: str, signed: Signed, *, alone: bool = False) -> dict[str, bytes]:
        """The three files of a signature: envelope, bundle, receipt."""
        folder = stem.rpartition("/")[0]
        receipt = f"{folder}/rekor-entry.json" if alone else f"{stem}.rekor-entry.json"
        return {
            f"{stem}.dsse": signed.pending.envelope.to_bytes(),
            f"{stem}.sigstore.json": signed.pending.bundle(signed.receipt),
            receipt: signed.receipt.to_bytes(),
        }

    def put(self, files: Mapping[str, bytes]) -> tuple[NamedDigest, ...]:
        blobs = self._out.store.blobs
        return tuple(
            NamedDigest(name=name, digest=blobs.put(files[name])) for name in sorted(files)
        )

    def append(
        self,
        run_id: str,
        due: Effect | None,
        write: Callable[[Moment, Tree], Writing],
        *,
        actor: str = "engine",
        command_id: str = "",
    ) -> None:
        """Append what `write` makes of the newest state; again when somebody was faster.

        Does nothing when `due` is not what is due any more.
        """
        for _ in range(_TRIES):
            try:
                with self._log.writing() as tree:
                    moment = self.moment(run_id)
                    if due is not None and next_effect(moment.run, moment.now_us) != due:
                        return
                    events, rows = write(moment, tree)
                    if not events:
                        return
                    self._out.store.append(
                        run_id,
                        events,
                        after=moment.run.version,
                        actor=actor,
                        command_id=command_id,
                        rows=rows,
                    )
                    return
            except Conflict:
                continue
        raise Conflict(f"{run_id} changed {_TRIES} times while its evidence was being signed")

    def moment(self, run_id: str) -> Moment:
        log = self._out.store.load(run_id)
        if not log:
            raise NotFound(f"There is no run {run_id}.")
        # A clock that was set back must not sign anything before what it signs about.
        now_us = max(self._out.clock.now_us(), max(recorded.ts_us for recorded in log))
        return Moment(run=fold(run_id, log), log=log, now_us=now_us)

    def end(self, run: Run, due: Effect, build: Callable[[Run], Sequence[Event]]) -> None:
        """Record `build`'s events while `due` is still what is due."""
        now_us = self._out.clock.now_us()
        record(
            self._out.store,
            run.run_id,
            lambda now: build(now) if next_effect(now, now_us) == due else (),
        )


def folder_of(run: Run, step: str, attempt: int) -> str:
    number = next(n for n, state in enumerate(run.steps, start=1) if state.id == step)
    later = "" if attempt == 1 else f"/attempt-{attempt}"
    return f"steps/{number:02d}-{step}{later}"


def last_item(log: Sequence[Recorded]) -> NamedDigest | None:
    """The newest statement of the chain, to link to."""
    for recorded in reversed(log):
        if isinstance(recorded.event, EvidenceCaptured):
            return NamedDigest(name=recorded.event.name, digest=recorded.event.payload)
    return None
