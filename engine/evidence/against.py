"""An older head of the log against a pack: was anything rewritten since (C2SP tlog-checkpoint)?

Whoever holds every key of the log can write it anew and sign it again; only somebody who kept an
older checkpoint, or a pack that shows one, can tell.
"""

from __future__ import annotations

from typing import Final

from engine.core.errors import Malformed, Unverified
from engine.evidence.checkpoint import LogCheckpoint, open_checkpoint
from engine.evidence.history import History, parse_proof
from engine.evidence.merkle import EMPTY_ROOT
from engine.evidence.pack import read_pack
from engine.evidence.report import Ledger
from engine.evidence.sigstore_bundle import verify_bundle
from engine.evidence.trust import TrustedRoot

OLD: Final = "old checkpoint"
SUPPLIED: Final = "consistency proof"
_SUMS_BUNDLE: Final = "SHA256SUMS.sigstore.json"


def check_against(
    old: bytes,
    newest: LogCheckpoint,
    known: History | None,
    trusted: TrustedRoot,
    ledger: Ledger,
    *,
    supplied: bytes | None = None,
) -> None:
    """Prove that the log of a pack still holds everything that `old` shows.

    Args:
        old: a checkpoint note, or an older pack, whose newest head counts.
        newest: the head that the pack's own signature shows.
        known: the pack's proofs.
        supplied: one more file of proofs, for a head that the pack has none for.
    """
    with ledger.judging(OLD, "log.against"):
        head = _head(old, trusted)
        if head.origin != newest.origin:
            raise _no(OLD, f"a checkpoint of {newest.origin}", f"one of {head.origin}")
        found = _root_at(head.size, newest, known)
        if found is None and supplied is not None:
            found = _supplied(supplied, head, newest, known)
        if found is None:
            first, second = sorted((head.size, newest.size))
            raise _no(
                OLD,
                f"a proof from {first} to {second} leaves: have it made by "
                f"`releaseline log consistency {first} {second} --json` and give it with "
                "--consistency",
                "none for this size in the pack",
            )
        leaves = f"{head.size} leaves with root"
        if ledger.equal(
            OLD,
            "log.against",
            expected=f"{leaves} {head.root.hex()}",
            found=f"{leaves} {found.hex()}",
        ):
            ledger.ok(OLD, "log.against", f"the log still begins with its first {head.size} leaves")


def _head(old: bytes, trusted: TrustedRoot) -> LogCheckpoint:
    if old.startswith((b"\x1f\x8b", b"PK")):
        files = read_pack(old, where=OLD).files
        if _SUMS_BUNDLE not in files:
            raise _no(OLD, "a signed pack", "one without a signature")
        verified = verify_bundle(files[_SUMS_BUNDLE], trusted, where=OLD, exact=True)
        log = trusted.log(verified.receipt.log_id, where=OLD)
        return open_checkpoint(verified.receipt.checkpoint, log.key, where=OLD)
    try:
        note = old.decode()
    except UnicodeDecodeError:
        raise Malformed("expected a checkpoint note or a pack", where=OLD) from None
    origin = note.partition("\n")[0]
    for log in trusted.logs:
        if log.key.name == origin:
            return open_checkpoint(note, log.key, where=OLD)
    names = ", ".join(log.key.name for log in trusted.logs)
    raise _no(OLD, f"a checkpoint of a trusted log ({names})", f"one of {origin!r}")


def _root_at(size: int, newest: LogCheckpoint, known: History | None) -> bytes | None:
    """What the pack itself proves its log to have been at `size`."""
    if size == 0:
        return EMPTY_ROOT
    if size == newest.size:
        return newest.root
    return None if known is None else known.root_at(size)


def _supplied(
    content: bytes, head: LogCheckpoint, newest: LogCheckpoint, known: History | None
) -> bytes | None:
    """The root at `head`'s size by a file of proofs that meets the pack's log at some size.

    The old head may be the later one: then the pack's log has to be the beginning of it.
    """
    proofs = parse_proof(content, where=SUPPLIED)
    if proofs.origin != newest.origin:
        raise _no(SUPPLIED, f"proofs of {newest.origin}", f"of {proofs.origin}")
    sizes = [proofs.size, *(one.size for one in proofs.beginnings)]
    # Both have to be beginnings of one tree, and the pack's has to be the later one; or all of its
    # log, where the old head is later still. A meeting below both would prove nothing of either.
    least = min(head.size, newest.size)
    met = [size for size in sizes if least <= size <= newest.size]
    met = [size for size in met if _root_at(size, newest, known) is not None]
    if not met or proofs.root_at(head.size) is None:
        raise _no(
            SUPPLIED,
            f"a proof between {head.size} and {newest.size} leaves",
            f"between {', '.join(str(size) for size in sorted(sizes))}",
        )
    for size in met:
        if proofs.root_at(size) != _root_at(size, newest, known):
            raise _no(SUPPLIED, f"the log of the pack at {size} leaves", "another log")
    return proofs.root_at(head.size)


def _no(file: str, expected: str, found: str) -> Unverified:
    return Unverified(
        f"{file}: expected {expected}, found {found}",
        check="log.against",
        file=file,
        expected=expected,
        found=found,
    )
