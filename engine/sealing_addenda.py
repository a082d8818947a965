"""Additions after the seal: signed by their authors, logged, handed out in a pack of their own.

Nothing that was sealed is touched. The pack of addenda is made again only when there is something
new in it, so that two exports of the same addenda are the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.core import addenda
from engine.core.digest import Digest
from engine.core.errors import Refused
from engine.core.event_parts import NamedDigest
from engine.core.exporting import ADDENDA, file_name
from engine.core.fact_events import EvidenceAddendum, EvidenceExported
from engine.core.rows import Row
from engine.core.run import Run
from engine.evidence import chain as proof
from engine.evidence.merkle import Tree
from engine.evidence.predicate_addendum import STEM, addendum, folder, subjects
from engine.outside import Outside
from engine.redact import redact
from engine.sealing_packs import Packer, addenda_of
from engine.sealing_scribe import Moment, Scribe, Writing


class Addenda:
    """Thread-safe, through the scribe."""

    def __init__(self, out: Outside, scribe: Scribe, packer: Packer) -> None:
        self._out, self._scribe, self._packer = out, scribe, packer

    def write(
        self,
        run_id: str,
        text: str,
        files: Mapping[str, bytes],
        *,
        actor: str,
        command_id: str = "",
    ) -> EvidenceAddendum:
        """Raises `NotFound`, `Malformed`, `Refused` as `Sealer.annotate`."""
        # Before it is signed: what is signed cannot be taken back.
        text = redact(addenda.checked(text, files))
        made: list[EvidenceAddendum] = []

        def write(moment: Moment, tree: Tree) -> Writing:
            _sealed(moment.run)
            number = len(addenda_of(moment)) + 1
            event, rows = self._signed(moment, tree, number, text, files, actor)
            made[:] = [event]
            return (event,), rows

        self._scribe.append(run_id, None, write, actor=actor, command_id=command_id)
        return made[0]

    def export(self, run: Run, actor: str) -> tuple[str, bytes]:
        """The pack of all addenda of the run.

        Raises:
            Refused: the run is not sealed, or nothing was added to it.
        """
        _sealed(run)
        made: list[bytes] = []

        def write(moment: Moment, tree: Tree) -> Writing:
            if not addenda_of(moment):
                raise Refused(
                    f"Nothing was added to {run.run_id} after its seal.",
                    hint="kind audit-pack has everything up to the seal",
                )
            standing = _standing(moment)
            if standing is not None:
                made[:] = [self._out.store.blobs.get(standing)]
                return (_exported(standing, made[0]),), ()
            content, rows = self._packer.sign(ADDENDA, moment, tree, "export", 1)
            self._packer.verified(file_name(ADDENDA, moment.run.run_id), content)
            made[:] = [content]
            return (_exported(self._out.store.blobs.put(content), content),), rows

        self._scribe.append(run.run_id, None, write, actor=actor)
        return file_name(ADDENDA, run.run_id), made[0]

    def _signed(
        self,
        moment: Moment,
        tree: Tree,
        number: int,
        text: str,
        files: Mapping[str, bytes],
        actor: str,
    ) -> tuple[EvidenceAddendum, tuple[Row, ...]]:
        run = moment.run
        roles = self._out.settings.roles_of(actor, run.environment)
        draft = addendum(
            run,
            number=number,
            base=self._scribe.base,
            author=self._scribe.person(actor),
            user=actor,
            roles=sorted(role.value for role in roles),
            text=text,
            files=files,
            at_us=moment.now_us,
        )
        wish = self._scribe.wish(
            run,
            draft,
            _before(moment),
            seq=number,
            step="addendum",
            attempt=1,
            subjects=subjects(run),
        )
        (signed,), rows = self._scribe.sign(moment, tree, (wish,))
        place = folder(number)
        written = self._scribe.put(
            {
                **{f"{place}/{name}": content for name, content in draft.files},
                **self._scribe.written(f"{place}/{STEM}", signed),
            }
        )
        name = f"{place}/{STEM}.dsse"
        event = EvidenceAddendum(
            number=number,
            text=text,
            name=name,
            envelope=next(one.digest for one in written if one.name == name),
            payload=Digest.of(signed.payload),
            log_index=signed.receipt.index,
            files=written,
        )
        return event, rows


def _sealed(run: Run) -> None:
    if run.chain is None or not run.terminal:
        raise Refused(f"{run.run_id} has no proof chain yet; there is nothing to add to.")


def _before(moment: Moment) -> NamedDigest:
    """The statement that an addendum is linked to: the addendum before, else the proof chain."""
    earlier = addenda_of(moment)
    if earlier:
        return NamedDigest(name=earlier[-1].name, digest=earlier[-1].payload)
    run = moment.run
    assert run.chain is not None
    return NamedDigest(name=proof.FILE, digest=run.chain)


def _standing(moment: Moment) -> Digest | None:
    """The last pack of addenda, while nothing was recorded since but exports."""
    for recorded in reversed(moment.log):
        match recorded.event:
            case EvidenceExported(kind=kind, digest=digest) if kind == ADDENDA:
                return digest
            case EvidenceExported():
                continue
            case _:
                return None
    return None


def _exported(digest: Digest, content: bytes) -> EvidenceExported:
    return EvidenceExported(kind=ADDENDA, digest=digest, size=len(content), partial=False)
