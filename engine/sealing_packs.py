"""Packs that are signed: their list of files inside, and of the sealed ones the archive as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.digest import Digest
from engine.core.errors import Unverified
from engine.core.event_parts import NamedDigest
from engine.core.exporting import ADDENDA
from engine.core.fact_events import EvidenceAddendum
from engine.core.rows import Row
from engine.evidence.merkle import Tree
from engine.evidence.predicates import Draft, rfc3339
from engine.evidence.verify import SUMS, verify_pack
from engine.keystore import Keys
from engine.outside import Outside
from engine.packing import Contents, Maker, StepLogs, contents
from engine.packing_addenda import addenda_contents
from engine.sealing_scribe import Moment, Scribe, last_item
from engine.transparency import Signed


class Packer:
    """Makes packs out of what is stored; whoever calls holds the log."""

    def __init__(
        self, out: Outside, keys: Keys, scribe: Scribe, *, step_logs: StepLogs | None
    ) -> None:
        self._out, self._keys, self._scribe, self._step_logs = out, keys, scribe, step_logs

    def sign(
        self, kind: str, moment: Moment, tree: Tree, step: str, attempt: int
    ) -> tuple[bytes, tuple[Row, ...]]:
        """A pack whose list is signed, and the rows by which the log grows."""
        one = self._contents(kind, moment, tree)
        signed, rows = self._export(moment, tree, SUMS, one.sums, one.said, step, attempt)
        return one.pack(signed.pending.bundle(signed.receipt)), rows

    def sign_archive(
        self, name: str, kind: str, content: bytes, moment: Moment, tree: Tree, due: tuple[str, int]
    ) -> tuple[bytes, tuple[Row, ...]]:
        """The statement about a finished pack as one file, to lie beside it."""
        said = {"kind": kind, "partial": False, "size": len(content)}
        signed, rows = self._export(moment, tree, name, content, said, *due)
        return signed.pending.bundle(signed.receipt), rows

    def verified(self, name: str, content: bytes) -> int:
        """How many checks a pack passes. Raises `Unverified` with the first that it does not."""
        report = verify_pack(content, name=name, trusted_root=self._keys.trusted_root)
        for check in report.failed:
            raise Unverified(
                str(check),
                check=check.check,
                file=check.file,
                expected=check.expected,
                found=check.found,
            )
        return len(report.checks)

    def _contents(self, kind: str, moment: Moment, tree: Tree) -> Contents:
        maker = Maker(
            keys=self._keys,
            identity=self._scribe.identity,
            issuer=self._scribe.issuer,
            base=self._scribe.base,
            created_at=rfc3339(moment.now_us),
        )
        blob, run = self._out.store.blobs.get, moment.run
        if kind == ADDENDA:
            events = self._out.store.texts(run.run_id)
            return addenda_contents(run, moment.log, events, tree=tree, maker=maker, blob=blob)
        return contents(
            kind, run, moment.log, tree=tree, maker=maker, blob=blob, step_logs=self._step_logs
        )

    def _export(
        self,
        moment: Moment,
        tree: Tree,
        name: str,
        content: bytes,
        said: Mapping[str, Any],
        step: str,
        attempt: int,
    ) -> tuple[Signed, tuple[Row, ...]]:
        alone = said["kind"] == ADDENDA  # follows no item of the run
        wish = self._scribe.wish(
            moment.run,
            Draft(stem=name, predicate_type=f"{self._scribe.base}/export/v1", predicate=said),
            None if alone else last_item(moment.log),
            seq=1 if alone else moment.run.evidence_count + 1,
            step=step,
            attempt=attempt,
            subjects=(NamedDigest(name=name, digest=Digest.of(content)),),
        )
        (signed,), rows = self._scribe.sign(moment, tree, (wish,))
        return signed, rows


def addenda_of(moment: Moment) -> list[EvidenceAddendum]:
    return [r.event for r in moment.log if isinstance(r.event, EvidenceAddendum)]
