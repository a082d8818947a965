"""Evidence of a run: captured at each checkpoint, sealed at the end, handed out as packs.

Each item is signed, logged and recorded in one append, its blobs before that: a power cut leaves
the whole item or none of it, and calling again does what is still due.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from engine.core.digest import Digest
from engine.core.effect_kinds import CaptureEvidence, CaptureRollback, Seal
from engine.core.effects import RETRIES_MAX
from engine.core.errors import Malformed, NotFound, Refused, Unverified
from engine.core.event_parts import NamedDigest
from engine.core.events import Event
from engine.core.exporting import (
    ADDENDA,
    AUDIT_PACK,
    FILE_NAMES,
    PARTIAL,
    SEALED_KINDS,
    SIGNATURE,
    file_name,
    sealed_name,
    state_refusal,
)
from engine.core.fact_events import (
    EvidenceAddendum,
    EvidenceCaptured,
    EvidenceExported,
    EvidenceMissing,
    EvidenceSealed,
)
from engine.core.rows import Row
from engine.core.run import Run
from engine.core.run_events import RunSealed
from engine.core.state import StepState
from engine.core.statemachine import StepStatus
from engine.core.step_events import StepErrored, StepFailed, StepSucceeded
from engine.drafting import Facts, drafts, record_of, rollback
from engine.evidence import chain as proof
from engine.evidence.chain import Head, LogSpan, ProofChain
from engine.evidence.checkpoint import open_checkpoint
from engine.evidence.items import Item, read_item
from engine.evidence.merkle import Tree
from engine.evidence.predicate_record import STEM
from engine.evidence.predicates import Draft
from engine.evidence.sealed import node_of
from engine.evidence.statement import MANIFEST_NAME
from engine.evidence.trust import parse_trusted_root
from engine.keystore import Keys
from engine.outside import Outside
from engine.packing import StepLogs
from engine.recording import record
from engine.sealing_addenda import Addenda
from engine.sealing_packs import Packer
from engine.sealing_scribe import Moment, Scribe, Writing, folder_of, last_item
from engine.steps import logger
from engine.transparency import Log

# What can be wrong with the material itself. A full disk or a lost race is not among them.
_DAMAGE: Final = (Malformed, NotFound, Unverified, ValueError, TypeError)


class Sealer:
    """Thread-safe; one per home, for it is the only writer of the transparency log."""

    def __init__(
        self,
        out: Outside,
        keys: Keys,
        *,
        base_uri: str = "",
        issuer: str = "",
        step_logs: StepLogs | None = None,
        log: Log | None = None,
    ) -> None:
        """`base_uri` and `issuer` come from the settings unless they are given; `step_logs`
        reads the text of an attempt's log for the audit pack, which has no logs without it.
        `log` is the home's; without it one that has neither witness nor files."""
        self._out, self._keys = out, keys
        self._base = base_uri or out.settings.evidence.base_uri
        self._trusted = parse_trusted_root(keys.trusted_root)
        self._scribe = Scribe(
            out, keys, base=self._base, issuer=issuer or out.settings.evidence.issuer, log=log
        )
        self._packer = Packer(out, keys, self._scribe, step_logs=step_logs)
        self._addenda = Addenda(out, self._scribe, self._packer)

    def capture(self, run: Run, step: str, attempt: int) -> None:
        """Sign what a finished attempt, or the next decision of an approval, left behind.

        What cannot be signed because its material is damaged is recorded as missing.
        """
        due = CaptureEvidence(step, attempt)
        self._capture(run, due, lambda facts: drafts(facts, step, attempt), step, attempt)

    def capture_rollback(self, run: Run, due: CaptureRollback) -> None:
        """Sign what a way back did, failed or not, and what state that left."""
        self._capture(run, due, lambda facts: (rollback(facts, due.number),), due.step, due.attempt)

    def seal(self, run: Run, step: str, attempt: int) -> None:
        """Sign the proof chain, then the packs, verify them, and end the run.

        Trouble ends this attempt as ERRORED, to be tried again; the last attempt ends the run
        as UNSEALED, with the reason.
        """
        log = logger(self._out, run, step, attempt)
        missing = [s.id for s in run.steps for a in s.attempts if a.evidence_missing]
        missing += [f"way back {way.number}" for way in run.ways_back if way.lost]
        if missing:
            reason = f"evidence is missing of {', '.join(sorted(set(missing)))}"
            log.error(reason)
            self._scribe.end(
                run, Seal(step, attempt), lambda now: _incomplete(now, attempt, reason)
            )
            return
        try:
            if run.chain is None:
                self._seal_record(run, Seal(step, attempt))
                self._seal_chain(run, Seal(step, attempt))
            checks = self._seal_packs(run, Seal(step, attempt))
        except _DAMAGE as error:
            reason = f"sealing failed: {error}"
            log.error(reason)
            self._scribe.end(run, Seal(step, attempt), lambda now: _failed(now, attempt, reason))
            return
        if checks:
            log.info(f"verified: {checks} checks, all of them good")

    def export(self, run_id: str, kind: str, *, actor: str) -> tuple[str, bytes]:
        """Return a pack's file name and bytes, and put on record that it was handed out.

        Args:
            kind: `partial`, `bundle`, `audit-pack` or `addenda`. `bundle` and `audit-pack` are
                made once, at the seal: two exports are the same bytes. With `.sigstore.json`
                behind them: the signature of the pack as one file, to lie beside it.

        Raises:
            NotFound: no such run, or a stored pack is gone.
            Malformed: no such kind.
            Refused: the run is not sealed yet, or is sealed and so needs no partial pack.
        """
        run = self._out.store.run(run_id)
        if kind == PARTIAL:
            return self._export_partial(run, actor)
        if kind == ADDENDA:
            return self._addenda.export(run, actor)
        name = sealed_name(kind)
        if not name:
            known = ", ".join((PARTIAL, *reversed(SEALED_KINDS), ADDENDA))
            raise Malformed(f"expected one of {known}, found {kind!r}", where="kind")
        why_not = state_refusal(run, AUDIT_PACK)
        if why_not is not None:
            raise Refused(why_not.sentence, hint="kind partial")
        digest = next((one.digest for one in _outputs(run) if one.name == name), None)
        if digest is None:
            raise NotFound(f"{run_id} was sealed without {name}.")
        content = self._out.store.blobs.get(digest)
        exported = EvidenceExported(kind=kind, digest=digest, size=len(content), partial=False)
        record(self._out.store, run_id, lambda _: (exported,), actor=actor)
        return name, content

    def annotate(
        self,
        run_id: str,
        text: str,
        files: Mapping[str, bytes],
        *,
        actor: str,
        command_id: str = "",
    ) -> EvidenceAddendum:
        """Add to a sealed run: signed by whoever wrote it, logged, and never an edit.

        Whether they may is decided before (`engine.core.addenda.refusal`).

        Raises:
            NotFound: no such run.
            Malformed: the text or an attachment cannot be taken.
            Refused: there is nothing to add to.
        """
        return self._addenda.write(run_id, text, files, actor=actor, command_id=command_id)

    # --- capture --------------------------------------------------------------------------

    def _capture(
        self,
        run: Run,
        due: CaptureEvidence | CaptureRollback,
        build: Callable[[Facts], tuple[Draft, ...]],
        step: str,
        attempt: int,
    ) -> None:
        def write(moment: Moment, tree: Tree) -> Writing:
            found = build(self._scribe.facts(moment))
            return self._write(moment, tree, found, step, attempt)

        try:
            self._scribe.append(run.run_id, due, write)
        except _DAMAGE as error:
            reason = f"{type(error).__name__}: {error}"
            logger(self._out, run, step, attempt).error(f"no evidence: {reason}")
            way = due.number if isinstance(due, CaptureRollback) else 0
            lost = EvidenceMissing(step=step, attempt=attempt, reason=reason, way_back=way)
            self._scribe.end(run, due, lambda _: (lost,))

    def _write(
        self, moment: Moment, tree: Tree, found: Sequence[Draft], step: str, attempt: int
    ) -> Writing:
        """Sign statements as the next items of the chain, each linked to the one before."""
        wishes, link = [], last_item(moment.log)
        for place, draft in enumerate(found, start=moment.run.evidence_count + 1):
            name = f"{folder_of(moment.run, step, attempt)}/{draft.stem}.dsse"
            wish = self._scribe.wish(moment.run, draft, link, seq=place, step=step, attempt=attempt)
            wishes.append(wish)
            link = NamedDigest(name=name, digest=Digest.of(wish.payload))
        signed, rows = self._scribe.sign(moment, tree, wishes)
        events = tuple(
            self._scribe.captured(moment.run, draft, one, seq=place, step=step, attempt=attempt)
            for place, (draft, one) in enumerate(
                zip(found, signed, strict=True), start=moment.run.evidence_count + 1
            )
        )
        return events, rows

    # --- seal -----------------------------------------------------------------------------

    def _seal_record(self, run: Run, due: Seal) -> None:
        """The last item before the chain: every event of the run, once."""

        def write(moment: Moment, tree: Tree) -> Writing:
            name = f"/{STEM}.dsse"
            items = [r.event for r in moment.log if isinstance(r.event, EvidenceCaptured)]
            if any(one.name.endswith(name) for one in items):
                return (), ()  # an earlier attempt of the seal got this far
            draft = record_of(moment.run, self._out.store, base=self._base)
            return self._write(moment, tree, (draft,), due.step, due.attempt)

        self._scribe.append(run.run_id, due, write)

    def _seal_chain(self, run: Run, due: Seal) -> None:
        def write(moment: Moment, tree: Tree) -> Writing:
            files, items = self._items(moment)
            chain = self._chain(moment, items, tree)
            content = chain.to_bytes(self._base)
            named = {proof.FILE: Digest.of(content)} | {n: Digest.of(c) for n, c in files.items()}
            draft = Draft(
                stem=proof.STEM,
                predicate_type=f"{self._base}/proof-chain/v1",
                predicate=chain.predicate(self._base),
            )
            wish = self._scribe.wish(
                moment.run,
                draft,
                last_item(moment.log),
                seq=len(items) + 1,
                step=due.step,
                attempt=due.attempt,
                subjects=(
                    NamedDigest(name=MANIFEST_NAME, digest=moment.run.bundle),
                    *(NamedDigest(name=name, digest=named[name]) for name in sorted(named)),
                ),
            )
            (signed,), rows = self._scribe.sign(moment, tree, (wish,))
            written = self._scribe.put(
                {proof.FILE: content, **self._scribe.written(proof.STEM, signed)}
            )
            sealed = EvidenceSealed(
                count=len(items),
                chain=Digest.of(content),
                log_index=signed.receipt.index,
                files=written,
            )
            return (sealed,), rows

        self._scribe.append(run.run_id, due, write)

    def _items(self, moment: Moment) -> tuple[dict[str, bytes], list[Item]]:
        """Every evidence file of the run, and its items, each verified once more."""
        captured = [r.event for r in moment.log if isinstance(r.event, EvidenceCaptured)]
        blobs = self._out.store.blobs
        files = {one.name: blobs.get(one.digest) for event in captured for one in event.files}
        return files, [read_item(event.name, files, self._trusted) for event in captured]

    def _chain(self, moment: Moment, items: Sequence[Item], tree: Tree) -> ProofChain:
        run, size = moment.run, tree.size
        shown = {
            open_checkpoint(item.verified.receipt.checkpoint, self._keys.log).size for item in items
        }
        start = items[0].verified.receipt.index if items else size

        def head(at: int) -> Head:
            return Head(size=at, root=tree.root(at), consistency=tree.consistency(at))

        assert run.outcome is not None  # decided before a run goes to its seal
        return ProofChain(
            run_id=run.run_id,
            subject=run.bundle,
            environment=f"{run.request.region}/{run.environment}",
            outcome=run.outcome.value,
            outcome_reason=run.outcome_reason,
            nodes=tuple(node_of(item) for item in items),
            standing=tuple(one.person for one in run.counting_approvals),
            log=LogSpan(
                origin=self._keys.log_origin,
                vkey=str(self._keys.log),
                start=head(start),
                heads=tuple(head(at) for at in sorted(shown)),
                size=size,
                root=tree.root(),
            ),
        )

    def _seal_packs(self, run: Run, due: Seal) -> int:
        """Make, verify and store the packs, and end the run. Returns how many checks passed."""
        checks: list[int] = []

        def write(moment: Moment, tree: Tree) -> Writing:
            checks.clear()
            outputs, rows = list[NamedDigest](), list[Row]()
            at = (due.step, due.attempt)
            for kind in SEALED_KINDS:
                # One after the other: each holds proofs up to the log that its own leaf extends.
                content, grown = self._packer.sign(kind, moment, tree, *at)
                rows += grown
                name = FILE_NAMES[kind]
                checks.append(self._packer.verified(name, content))
                beside, grown = self._packer.sign_archive(name, kind, content, moment, tree, at)
                rows += grown
                files = {name: content, f"{name}{SIGNATURE}": beside}
                outputs += self._scribe.put(files)
            done = StepSucceeded(
                step=due.step,
                attempt=due.attempt,
                result="SEALED",
                summary=f"{moment.run.evidence_count} items in the proof chain, packs verified",
                outputs=tuple(outputs),
            )
            return (done, RunSealed(via="sealed", seal_status="SEALED")), tuple(rows)

        self._scribe.append(run.run_id, due, write)
        return sum(checks)

    # --- packs ----------------------------------------------------------------------------

    def _export_partial(self, run: Run, actor: str) -> tuple[str, bytes]:
        why_not = state_refusal(run, PARTIAL)
        if why_not is not None:
            sealed = run.seal_status == "SEALED"
            raise Refused(why_not.sentence, hint="kind audit-pack" if sealed else "")
        made: list[bytes] = []

        def write(moment: Moment, tree: Tree) -> Writing:
            content, rows = self._packer.sign(PARTIAL, moment, tree, "export", 1)
            made[:] = [content]
            exported = EvidenceExported(
                kind=PARTIAL,
                digest=self._out.store.blobs.put(made[0]),
                size=len(made[0]),
                partial=True,
            )
            return (exported,), rows

        self._scribe.append(run.run_id, None, write, actor=actor)
        return file_name(PARTIAL, run.run_id), made[0]


def _outputs(run: Run) -> tuple[NamedDigest, ...]:
    return run.steps[-1].attempts[-1].outputs


def _seal_step(run: Run) -> StepState:
    return run.steps[-1]


def _failed(run: Run, attempt: int, reason: str) -> tuple[Event, ...]:
    """The attempt got no answer; after the last one the run ends without a seal."""
    step = _seal_step(run)
    errored = StepErrored(
        step=step.id, attempt=attempt, cause="adapter", reason=reason, transient=True
    )
    used = 1
    for earlier in reversed(step.attempts[:-1]):
        if earlier.status is not StepStatus.ERRORED:
            break
        used += earlier.cause != "engine_lost"
    if used < RETRIES_MAX:
        return (errored,)
    return (errored, RunSealed(via="sealed", seal_status="UNSEALED", reason=reason))


def _incomplete(run: Run, attempt: int, reason: str) -> tuple[Event, ...]:
    failed = StepFailed(
        step=_seal_step(run).id, attempt=attempt, result="INCOMPLETE", reason=reason
    )
    return (failed, RunSealed(via="sealed", seal_status="UNSEALED", reason=reason))
