"""All receipts of a pack against one log: one history, one order, one time that only goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from engine.core.errors import Unverified
from engine.evidence.checkpoint import LogCheckpoint, open_checkpoint
from engine.evidence.cosignature import (
    KnownWitness,
    WitnessKey,
    check_given,
    check_signers,
    parse_witness_vkey,
)
from engine.evidence.history import FILE, History, parse_history, root_before
from engine.evidence.report import Ledger, Vouched, Witnessing
from engine.evidence.sigstore_bundle import Verified
from engine.evidence.tlog_entry import Receipt
from engine.evidence.trust import Log, TrustedRoot
from engine.evidence.wording import moment, worded

VKEY: Final = "log/log.vkey"
HEAD: Final = "log/checkpoint"
WITNESS: Final = "log/witness.vkey"
# As long as a signer's certificate lives; clocks of one house are seconds apart.
_CLOCKS_APART_S: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A verified signature of a pack and the file that it was read from."""

    path: str
    verified: Verified

    @property
    def receipt(self) -> Receipt:
        return self.verified.receipt


def check_one_log(
    places: Sequence[Place],
    export: Place,
    files: Mapping[str, bytes],
    trusted: TrustedRoot,
    ledger: Ledger,
    *,
    given: Sequence[WitnessKey] = (),
    former_allowed: bool,
) -> History | None:
    """Hold every receipt against the tree that the pack's own signature was added to.

    Args:
        places: items and seal, in order of their place in the chain.
        given: witnesses whose keys came from outside; one of them has to have cosigned each head.
        former_allowed: addenda may be written after a rotation of keys, the seal and others of
            them stand in a log before. Items, seal and list of a run are all in one.

    Returns:
        The history with its proofs, to hold older checkpoints against; None without one.
    """
    log = trusted.log(export.receipt.log_id, where=export.path)
    everything = places
    former = [place for place in places if place.receipt.log_id != export.receipt.log_id]
    places = [place for place in places if place.receipt.log_id == export.receipt.log_id]
    for place in former if not former_allowed else ():
        other = trusted.log(place.receipt.log_id, where=place.path)
        ledger.no(
            place.path, "log.key", expected=f"a receipt of {log.key}", found=f"one of {other.key}"
        )
    _check_order((*everything, export), trusted, ledger)
    _check_former(former, trusted, ledger)
    ledger.equal(
        VKEY,
        "log.vkey",
        expected=f"{log.key}\n",
        found=files.get(VKEY, b"").decode("utf-8", "replace"),
    )
    _check_head(places, files, ledger)
    with ledger.judging(WITNESS, "log.witness"):
        _check_witness((*places, export), log, files, ledger)
    if given:
        _check_given((*former, *places, export), given, ledger)
    known: History | None = None
    with ledger.judging(FILE, "log.consistency"):
        known = _history(files)
        ledger.equal(FILE, "log.origin", expected=log.key.name, found=known.origin)
        _check_end(known, export, ledger)
        for place in places:
            head = open_checkpoint(place.receipt.checkpoint, log.key, where=place.path)
            _check_shown(head, known, place, ledger)
        ledger.ok(
            FILE,
            "log.consistency",
            f"{len(known.beginnings)} earlier heads grow into {known.size} leaves",
        )
    return known


def _history(files: Mapping[str, bytes]) -> History:
    if FILE not in files:
        raise Unverified(
            "nothing proves that the receipts are of one history",
            check="log.consistency",
            file=FILE,
            expected="proofs from every head that a receipt shows",
            found="no such file",
        )
    return parse_history(files[FILE])


def _check_order(places: Sequence[Place], trusted: TrustedRoot, ledger: Ledger) -> None:
    """Later in the chain is later in its log, or in a later log, and never earlier in time."""
    shards = [log.key.key_id for log in trusted.logs]
    for before, place in pairwise(places):
        was, is_in = (shards.index(one.receipt.log_id) for one in (before, place))
        if is_in < was:
            ledger.no(
                place.path,
                "log.order",
                expected=f"a receipt of {trusted.logs[was].key.name}, or of a later log",
                found=f"one of {trusted.logs[is_in].key.name}",
            )
        if is_in == was and place.receipt.index <= before.receipt.index:
            ledger.no(
                place.path,
                "log.order",
                expected=f"an index above {before.receipt.index}",
                found=str(place.receipt.index),
            )
        if place.verified.at_s < before.verified.at_s:
            ledger.no(
                place.path,
                "timestamp.order",
                expected=f"not before {moment(before.verified.at_s)}",
                found=moment(place.verified.at_s),
            )


def _check_former(former: Sequence[Place], trusted: TrustedRoot, ledger: Ledger) -> None:
    """A closed log showed one tree at each size; its growth is proven in the packs of its time."""
    roots: dict[tuple[bytes, int], bytes] = {}
    for place in former:
        log = trusted.log(place.receipt.log_id, where=place.path)
        head = open_checkpoint(place.receipt.checkpoint, log.key, where=place.path)
        first = roots.setdefault((log.key.key_id, head.size), head.root)
        leaves = f"{head.size} leaves with root"
        ledger.equal(
            place.path,
            "log.split",
            expected=f"{leaves} {first.hex()}",
            found=f"{leaves} {head.root.hex()}",
        )


def _check_witness(
    places: Sequence[Place], log: Log, files: Mapping[str, bytes], ledger: Ledger
) -> None:
    """Beside the log's own signature, the witness' of this log and nobody else's.

    A witness counts time by itself: a token that is dated far from it is not of that time.
    """
    named = files.get(WITNESS, b"").decode("utf-8", "replace").splitlines()
    stated = [KnownWitness(key=parse_witness_vkey(line, where=WITNESS)) for line in named]
    trusted = [str(one.key) for one in log.witnesses]
    if trusted and not (named and {str(one.key) for one in stated} <= set(trusted)):
        ledger.no(
            WITNESS, "log.witness", expected=f"keys among {', '.join(trusted)}", found=worded(named)
        )
    witnesses = log.witnesses or stated
    vouched = Vouched.ROOT if trusted else Vouched.PACK if stated else Vouched.NOBODY
    ledger.witness = Witnessing(vouched=vouched, keys=tuple(str(one.key) for one in witnesses))
    for place in places:
        with ledger.judging(place.path, "log.witness"):
            cosignatures = check_signers(
                place.receipt.checkpoint,
                (log.key.name, log.key.key_id[:4]),
                witnesses,
                where=place.path,
            )
            for seen in cosignatures:
                _check_clocks(place, seen.at_s, ledger)
    if witnesses:
        who = ", ".join(str(one.key) for one in witnesses)
        ledger.ok(WITNESS, "log.witness", f"{len(places)} heads to be cosigned by {who}")


def _check_given(places: Sequence[Place], given: Sequence[WitnessKey], ledger: Ledger) -> None:
    """Every head that the pack shows was seen by a witness that we know from elsewhere."""
    seen = 0
    for place in places:
        with ledger.judging(place.path, "log.witness"):
            check_given(place.receipt.checkpoint, given, where=place.path)
            seen += 1
    ledger.witness = Witnessing(vouched=Vouched.GIVEN, keys=tuple(map(str, given)))
    if seen == len(places):
        who = " or ".join(map(str, given))
        ledger.ok(WITNESS, "log.witness", f"{seen} heads cosigned by {who}, which was given")


def _check_clocks(place: Place, witness_s: int, ledger: Ledger) -> None:
    if abs(witness_s - place.verified.at_s) > _CLOCKS_APART_S:
        ledger.no(
            place.path,
            "timestamp.witness",
            expected=f"within {_CLOCKS_APART_S} s of the witness' {moment(witness_s)}",
            found=moment(place.verified.at_s),
        )


def _check_head(places: Sequence[Place], files: Mapping[str, bytes], ledger: Ledger) -> None:
    """`log/checkpoint` is the newest head that a receipt in the pack shows, as it was issued."""
    newest = max((place.receipt for place in places), key=lambda one: one.size, default=None)
    ledger.equal(
        HEAD,
        "log.checkpoint",
        expected="" if newest is None else newest.checkpoint,
        found=files.get(HEAD, b"").decode("utf-8", "replace"),
    )


def _check_end(known: History, export: Place, ledger: Ledger) -> None:
    receipt = export.receipt
    before = root_before(receipt.index, receipt.size, receipt.hashes)
    ledger.equal(
        FILE,
        "log.end",
        expected=f"{receipt.index} leaves with root {before.hex()}",
        found=f"{known.size} leaves with root {known.root.hex()}",
    )


def _check_shown(head: LogCheckpoint, known: History, place: Place, ledger: Ledger) -> None:
    root = known.root_at(head.size)
    if root is None:
        ledger.no(
            place.path,
            "log.consistency",
            expected=f"a proof from {head.size} to {known.size} leaves in {FILE}",
            found="none",
        )
    else:
        leaves = f"{head.size} leaves with root"
        ledger.equal(
            place.path,
            "log.split",
            expected=f"{leaves} {root.hex()}",
            found=f"{leaves} {head.root.hex()}",
        )
