"""Judging a pack offline: no home, no network, no trust in the server that wrote it.

Stricter than the stock Sigstore clients: every byte of a pack is under a signature or has exactly
one spelling, and what belongs together (items, links, log, approvals) has to agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed, Unverified
from engine.core.jcs import canonical
from engine.evidence import dsse
from engine.evidence.items import ENGINE_SUFFIX, Item, check_items, read_item
from engine.evidence.pack import Unpacked, read_folder, read_pack
from engine.evidence.report import Check, Ledger, Report
from engine.evidence.sealed import check_chain
from engine.evidence.sigstore_bundle import Verified, verify_bundle
from engine.evidence.statement import MANIFEST_NAME, Statement, parse_statement
from engine.evidence.strict import integer, parse_object, text
from engine.evidence.trust import TrustedRoot, parse_trusted_root

__all__ = ["Check", "Report", "verify_envelope", "verify_pack"]

SUMS: Final = "SHA256SUMS"
SUMS_BUNDLE: Final = "SHA256SUMS.sigstore.json"
MANIFEST: Final = "pack.json"
STORY: Final = "story.txt"
TRUST: Final = "trust/trusted_root.json"
WATERMARK: Final = "PARTIAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Export:
    """What the signed export statement says of the pack."""

    statement: Statement
    signer: str
    issuer: str
    at_s: int
    run_id: str
    partial: bool
    evidence: int
    outcome: str


def verify_pack(
    content: bytes | Path,
    *,
    name: str = "",
    trusted_root: bytes | None = None,
    trusted_root_sha256: str | None = None,
) -> Report:
    """Judge a pack: its bytes, its file, or the folder that it was unpacked into.

    Args:
        name: the file's name; a partial pack has to say so in it. Taken from a file's path by
            itself; a folder may be called anything.
        trusted_root: trusted_root.json from another source than the pack.
        trusted_root_sha256: or only its digest (64 hex digits); the pack's copy must have it.

    Returns:
        Every check. Without either anchor the pack's own copy of the trusted root is used and the
        report says that it is not anchored.
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
    _check_sums(files, ledger)
    root = _root(files, ledger, trusted_root, trusted_root_sha256)
    anchored = trusted_root is not None or trusted_root_sha256 is not None
    trusted = None
    with ledger.judging(TRUST, "trust.root"):
        trusted = parse_trusted_root(root)
    if trusted is not None:
        _check_signed(files, trusted, ledger, name)
    return _report(ledger, root, anchored=anchored)


def verify_envelope(
    bundle: bytes,
    *,
    trusted_root: bytes,
    envelope: bytes | None = None,
    where: str = "bundle",
) -> Report:
    """Judge one `.sigstore.json`, and with `envelope` that it is about that `.dsse` file."""
    ledger = Ledger()
    with ledger.judging(where, "bundle"):
        verified = verify_bundle(bundle, parse_trusted_root(trusted_root), where=where)
        ledger.ok(where, "bundle", f"signed by {verified.signer.identity}")
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


def _report(ledger: Ledger, root: bytes, *, anchored: bool) -> Report:
    return Report(
        checks=tuple(ledger.checks),
        fingerprint=Digest.of(root).hex if root else "",
        anchored=anchored,
    )


def _unpack(content: bytes | Path, where: str) -> Unpacked:
    if isinstance(content, Path):
        if content.is_dir():
            return read_folder(content)
        content = content.read_bytes()
    return read_pack(content, where=where)


def _check_sums(files: Mapping[str, bytes], ledger: Ledger) -> None:
    """Every file but the list and its signature stands in the list, and nothing else does."""
    listed: dict[str, str] = {}
    lines = files.get(SUMS, b"").decode("ascii", "replace")
    for line in lines.splitlines():
        digest, _, path = line.partition("  ")
        listed[path] = digest
    spelled = "".join(f"{listed[path]}  {path}\n" for path in sorted(listed))
    ledger.equal(
        SUMS,
        "pack.sums",
        expected="sorted lines of digest and path",
        found=("sorted lines of digest and path" if spelled == lines and lines else "others"),
    )
    for path in sorted(listed.keys() - files.keys()):
        ledger.no(path, "pack.missing", expected=f"sha256:{listed[path]}", found="no such file")
    for path in sorted(files.keys() - listed.keys() - {SUMS, SUMS_BUNDLE}):
        ledger.no(path, "pack.added", expected="no such file", found="a file not in SHA256SUMS")
    for path in sorted(files.keys() & listed.keys()):
        found = Digest.of(files[path]).hex
        if ledger.equal(path, "pack.digest", expected=listed[path], found=found):
            ledger.ok(path, "pack.digest", f"sha256:{found}")


def _root(
    files: Mapping[str, bytes], ledger: Ledger, given: bytes | None, sha256: str | None
) -> bytes:
    """The trusted root to judge by, and whether the pack's copy is that one."""
    copy = files.get(TRUST, b"")
    found = Digest.of(copy).hex
    if given is not None:
        sha256 = Digest.of(given).hex
    if sha256 is None:
        ledger.ok(TRUST, "trust.root", f"the pack's own copy, to be compared: sha256:{found}")
        return copy
    expected = sha256.removeprefix("sha256:").lower()
    if ledger.equal(TRUST, "trust.root", expected=expected, found=found):
        ledger.ok(TRUST, "trust.root", f"sha256:{found}")
    return copy if given is None else given


def _check_signed(
    files: Mapping[str, bytes], trusted: TrustedRoot, ledger: Ledger, name: str
) -> None:
    export: _Export | None = None
    with ledger.judging(SUMS_BUNDLE, "pack.signature"):
        export = _export(files, trusted, ledger)
    if export is None:
        return
    ledger.ok(SUMS_BUNDLE, "pack.signature", f"signed by {export.signer}")
    _check_watermark(files, export, ledger, name)
    items: list[Item] = []
    for path in sorted(files):
        if path.startswith("steps/") and path.endswith(".dsse"):
            with ledger.judging(path, "item"):
                items.append(read_item(path, files, trusted))
                ledger.ok(path, "item", f"signed by {items[-1].verified.signer.identity}")
    items.sort(key=lambda item: item.statement.link.seq)
    manifest = Digest.of(files.get(MANIFEST_NAME, b""))
    check_items(items, files, ledger, run_id=export.run_id, manifest=manifest, engine=export.signer)
    ledger.equal(SUMS_BUNDLE, "pack.count", expected=export.evidence, found=len(items))
    for item in items:
        ledger.equal(
            item.path,
            "certificate.issuer",
            expected=export.issuer,
            found=item.verified.signer.issuer,
        )
    with ledger.judging("proof-chain.json", "chain"):
        check_chain(
            items,
            files,
            trusted,
            ledger,
            run_id=export.run_id,
            manifest=manifest,
            engine=export.signer,
            partial=export.partial,
            outcome=export.outcome,
        )


def _export(files: Mapping[str, bytes], trusted: TrustedRoot, ledger: Ledger) -> _Export:
    if SUMS_BUNDLE not in files:
        raise Unverified(
            "the list of files is not signed",
            check="pack.signature",
            file=SUMS_BUNDLE,
            expected="a signature over SHA256SUMS",
            found="none",
        )
    verified = verify_bundle(files[SUMS_BUNDLE], trusted, where=SUMS_BUNDLE, exact=True)
    statement = parse_statement(verified.payload, where=SUMS_BUNDLE)
    said = statement.predicate
    if not statement.predicate_type.endswith("/export/v1"):
        raise Malformed(f"expected an export, found {statement.predicate_type}", where=SUMS_BUNDLE)
    ledger.equal(
        SUMS,
        "pack.signature",
        expected=[(one.name, one.digest.hex) for one in statement.subjects],
        found=[(SUMS, Digest.of(files.get(SUMS, b"")).hex)],
    )
    _check_engine(verified, ledger)
    return _Export(
        statement=statement,
        signer=verified.signer.identity,
        issuer=verified.signer.issuer,
        at_s=verified.at_s,
        run_id=statement.link.run_id,
        partial=said.get("partial") is not False,
        evidence=integer(said, "evidence", where=SUMS_BUNDLE),
        outcome=text(said, "outcome", where=SUMS_BUNDLE),
    )


def _check_engine(verified: Verified, ledger: Ledger) -> None:
    identity = verified.signer.identity
    ledger.equal(
        SUMS_BUNDLE,
        "certificate.identity",
        expected=True,
        found=identity.startswith("https://") and identity.endswith(ENGINE_SUFFIX),
    )


def _check_watermark(
    files: Mapping[str, bytes], export: _Export, ledger: Ledger, name: str
) -> None:
    """A partial pack says so in its signature, its manifest, its story and its name."""
    with ledger.judging(MANIFEST, "pack.manifest"):
        manifest: Mapping[str, Any] = parse_object(files.get(MANIFEST, b""), where=MANIFEST)
        expected = {**export.statement.predicate, "runId": export.run_id}
        found = {
            key: value for key, value in manifest.items() if key not in {"schema", "watermark"}
        }
        ledger.equal(
            MANIFEST,
            "pack.manifest",
            expected=canonical(expected).decode(),
            found=canonical(found).decode(),
        )
        ledger.equal(
            MANIFEST,
            "pack.watermark",
            expected=WATERMARK if export.partial else "",
            found=manifest.get("watermark"),
        )
    if STORY in files or export.partial:
        marked = files.get(STORY, b"").startswith(WATERMARK.encode())
        ledger.equal(STORY, "pack.watermark", expected=export.partial, found=marked)
    if name:
        ledger.equal(name, "pack.watermark", expected=export.partial, found=WATERMARK in name)
