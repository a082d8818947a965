"""Judging a pack offline: no home, no network, no trust in the server that wrote it.

Stricter than the stock Sigstore clients: every byte of a pack is under a signature or has exactly
one spelling, and what belongs together (items, links, log, approvals) has to agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.core.digest import Digest
from engine.core.errors import Malformed, Unverified
from engine.evidence import dsse
from engine.evidence.about import About
from engine.evidence.addenda_pack import check_addenda
from engine.evidence.against import check_against
from engine.evidence.anchor import TRUST, check_trust_files, root_of
from engine.evidence.checkpoint import open_checkpoint
from engine.evidence.cosignature import WitnessKey, check_given
from engine.evidence.export import (
    MANIFEST,
    STORY,
    SUMS,
    SUMS_BUNDLE,
    Export,
    check_engine,
    check_export,
    check_sums,
    read_export,
)
from engine.evidence.imported_pack import check_imports
from engine.evidence.items import Item, check_items, read_item
from engine.evidence.one_log import Place, check_one_log
from engine.evidence.pack import Unpacked, read_file, read_folder, read_pack
from engine.evidence.report import Check, Ledger, Report, Vouched, Witnessing
from engine.evidence.run_events import check_record
from engine.evidence.sealed import check_chain
from engine.evidence.sigstore_bundle import Verified, verify_bundle
from engine.evidence.statement import MANIFEST_NAME, parse_statement
from engine.evidence.trust import TrustedRoot, parse_trusted_root

__all__ = [
    "MANIFEST",
    "STORY",
    "SUMS",
    "SUMS_BUNDLE",
    "TRUST",
    "Check",
    "Report",
    "verify_beside",
    "verify_envelope",
    "verify_pack",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked of a pack besides that it is whole. `name`: of its file, or empty."""

    name: str
    against: bytes | None
    consistency: bytes | None
    witnesses: Sequence[WitnessKey]


def verify_pack(
    content: bytes | Path,
    *,
    name: str = "",
    trusted_root: bytes | None = None,
    trusted_root_sha256: str | None = None,
    against: bytes | None = None,
    consistency: bytes | None = None,
    witnesses: Sequence[WitnessKey] = (),
) -> Report:
    """Judge a pack: its bytes, its file, or the folder that it was unpacked into.

    Args:
        name: the file's name; a partial pack has to say so in it. Taken from a file's path by
            itself; a folder may be called anything.
        trusted_root: trusted_root.json from another source than the pack.
        trusted_root_sha256: or only its digest (64 hex digits); the pack's copy must have it.
        against: an older checkpoint of the log, or an older pack: nothing that it shows may have
            been rewritten since.
        consistency: proofs for an older checkpoint that the pack itself has none for.
        witnesses: got from the witnesses themselves; every head that the pack shows has to be
            cosigned by one of them.

    Returns:
        Every check. Without either anchor the pack's own copy of the trusted root is used and the
        report says that it is not anchored: the pack only agrees with itself.
    """
    ledger = Ledger()
    if not name and isinstance(content, Path) and not content.is_dir():
        name = content.name
    where = name or "pack"
    try:
        unpacked = _unpack(content, where)
    except Unverified as error:
        ledger.refused(error, file=where)
        return _report(ledger, b"", anchored=False)
    except Malformed as error:
        ledger.no(where, "pack.archive", expected="a readable pack", found=str(error))
        return _report(ledger, b"", anchored=False)
    for problem in unpacked.problems:
        ledger.refused(problem, file=where)
    files = unpacked.files
    check_sums(files, ledger)
    root = root_of(files, ledger, trusted_root, trusted_root_sha256)
    check_trust_files(files, ledger)
    anchored = trusted_root is not None or trusted_root_sha256 is not None
    trusted = None
    with ledger.judging(TRUST, "trust.root"):
        trusted = parse_trusted_root(root)
    if trusted is not None:
        question = _Question(
            name=name, against=against, consistency=consistency, witnesses=witnesses
        )
        _check_signed(files, trusted, ledger, question)
    return _report(ledger, root, anchored=anchored)


def verify_envelope(
    bundle: bytes,
    *,
    trusted_root: bytes,
    envelope: bytes | None = None,
    witnesses: Sequence[WitnessKey] = (),
    where: str = "bundle",
) -> Report:
    """Judge one `.sigstore.json` of ours, and with `envelope` that it is about that `.dsse` file.

    In its one spelling, as in a pack: a byte that could change unseen is a byte that nobody signed.
    """
    ledger = Ledger()
    with ledger.judging(where, "bundle"):
        verified = verify_bundle(bundle, parse_trusted_root(trusted_root), where=where, exact=True)
        ledger.ok(where, "bundle", f"signed by {verified.signer.identity}")
        _check_witnesses(verified, parse_trusted_root(trusted_root), witnesses, ledger, where)
        if envelope is not None:
            found = dsse.parse_envelope(envelope, where=where).to_bytes()
            if ledger.equal(
                where,
                "dsse.bundle",
                expected=Digest.of(verified.envelope),
                found=Digest.of(found),
            ):
                ledger.ok(where, "dsse.bundle", "the envelope is the bundle's")
    return _report(ledger, trusted_root, anchored=True)


def verify_beside(
    pack: bytes,
    bundle: bytes,
    *,
    trusted_root: bytes,
    witnesses: Sequence[WitnessKey] = (),
    where: str,
) -> tuple[Check, ...]:
    """The checks of the signature that lies beside a pack: by the engine, over these very bytes."""
    ledger = Ledger()
    with ledger.judging(where, "pack.beside"):
        verified = verify_bundle(bundle, parse_trusted_root(trusted_root), where=where, exact=True)
        statement = parse_statement(verified.payload, where=where)
        ledger.equal(
            where,
            "pack.beside",
            expected=f"{statement.base}/export/v1",
            found=statement.predicate_type,
        )
        check_engine(verified, ledger, where)
        if witnesses:
            check_given(verified.receipt.checkpoint, witnesses, where=where)
        digests = [one.digest for one in statement.subjects]
        if ledger.equal(where, "pack.beside", expected=[Digest.of(pack)], found=digests):
            ledger.ok(where, "pack.beside", f"signed by {verified.signer.identity}")
    return tuple(ledger.checks)


def _check_witnesses(
    verified: Verified,
    trusted: TrustedRoot,
    given: Sequence[WitnessKey],
    ledger: Ledger,
    where: str,
) -> None:
    """Who saw the one head that a single bundle shows."""
    known = [one.key for one in trusted.log(verified.receipt.log_id, where=where).witnesses]
    vouched = Vouched.GIVEN if given else Vouched.ROOT if known else Vouched.NOBODY
    ledger.witness = Witnessing(vouched=vouched, keys=tuple(map(str, given or known)))
    if given:
        check_given(verified.receipt.checkpoint, given, where=where)


def _report(ledger: Ledger, root: bytes, *, anchored: bool) -> Report:
    return Report(
        checks=tuple(ledger.checks),
        fingerprint=Digest.of(root).hex if root else "",
        anchored=anchored,
        witness=ledger.witness,
    )


def _unpack(content: bytes | Path, where: str) -> Unpacked:
    if isinstance(content, Path):
        if content.is_dir():
            return read_folder(content)
        return read_file(content, where=where)
    return read_pack(content, where=where)


def _check_signed(
    files: Mapping[str, bytes], trusted: TrustedRoot, ledger: Ledger, question: _Question
) -> None:
    export: Export | None = None
    with ledger.judging(SUMS_BUNDLE, "pack.signature"):
        export = read_export(files, trusted, ledger)
    if export is None:
        return
    ledger.ok(SUMS_BUNDLE, "pack.signature", f"signed by {export.signer}")
    items: list[Item] = []
    for path in sorted(files):
        if path.startswith("steps/") and path.endswith(".dsse"):
            with ledger.judging(path, "item"):
                items.append(read_item(path, files, trusted))
                ledger.ok(path, "item", f"signed by {items[-1].verified.signer.identity}")
    items.sort(key=lambda item: item.statement.link.seq)
    about = About(
        run_id=export.run_id,
        manifest=Digest.of(files.get(MANIFEST_NAME, b"")),
        engine=export.signer,
        said=export.statement.predicate,
    )
    check_items(items, files, about, ledger)
    check_export(export, items, files, ledger, question.name)
    check_record(files, ledger, run_id=export.run_id)
    check_imports(files, ledger)
    with ledger.judging("proof-chain.json", "chain"):
        items += _after(export, items, files, about, trusted, ledger)
    _check_log(export, items, files, trusted, ledger, question)


def _after(
    export: Export,
    items: Sequence[Item],
    files: Mapping[str, bytes],
    about: About,
    trusted: TrustedRoot,
    ledger: Ledger,
) -> tuple[Item, ...]:
    """What stands behind the items of a run: its seal, and in a pack of addenda those."""
    if export.addenda:
        return check_addenda(files, about, trusted, ledger)
    seal = check_chain(items, files, about, trusted, ledger, partial=export.partial)
    return () if seal is None else (seal,)


def _check_log(
    export: Export,
    items: Sequence[Item],
    files: Mapping[str, bytes],
    trusted: TrustedRoot,
    ledger: Ledger,
    question: _Question,
) -> None:
    with ledger.judging(SUMS_BUNDLE, "log.consistency"):
        own = Place(path=SUMS_BUNDLE, verified=export.verified)
        places = [Place(path=item.path, verified=item.verified) for item in items]
        known = check_one_log(
            places,
            own,
            files,
            trusted,
            ledger,
            given=question.witnesses,
            former_allowed=export.addenda,
        )
        if question.against is not None:
            log = trusted.log(own.receipt.log_id, where=SUMS_BUNDLE)
            newest = open_checkpoint(own.receipt.checkpoint, log.key, where=SUMS_BUNDLE)
            check_against(
                question.against,
                newest,
                known,
                trusted,
                ledger,
                supplied=question.consistency,
            )
