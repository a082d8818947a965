"""The signed statement over a pack's list of files: what the pack is, and what it may not hide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed, Unverified
from engine.core.event_parts import NamedDigest
from engine.core.exporting import ADDENDA, WATERMARK
from engine.core.jcs import canonical
from engine.evidence.chain import FILE as CHAIN
from engine.evidence.items import ENGINE_SUFFIX, Item
from engine.evidence.report import Ledger
from engine.evidence.sigstore_bundle import Verified, verify_bundle
from engine.evidence.statement import Statement, parse_statement
from engine.evidence.strict import integer, parse_object, text
from engine.evidence.trust import TrustedRoot

SUMS: Final = "SHA256SUMS"
SUMS_BUNDLE: Final = "SHA256SUMS.sigstore.json"
MANIFEST: Final = "pack.json"
_SCHEMA: Final = "releaseline.pack/1"
STORY: Final = "story.txt"
ENVELOPES: Final = "evidence.intoto.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What the signed export statement says of the pack."""

    statement: Statement
    verified: Verified
    partial: bool
    evidence: int
    outcome: str

    @property
    def addenda(self) -> bool:
        """The pack holds what came after the seal, and none of the run's own items."""
        return self.statement.predicate.get("kind") == ADDENDA

    @property
    def signer(self) -> str:
        return self.verified.signer.identity

    @property
    def run_id(self) -> str:
        return self.statement.link.run_id


def check_sums(files: Mapping[str, bytes], ledger: Ledger) -> None:
    """Every file but the list and its signature stands in the list, and nothing else does."""
    listed: dict[str, str] = {}
    lines = files.get(SUMS, b"").decode("ascii", "replace")
    for line in lines.splitlines():
        digest, _, path = line.partition("  ")
        if path:  # a line that names no file is no line of this list, which the spelling shows
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
        found = str(Digest.of(files[path]))
        if ledger.equal(path, "pack.digest", expected=f"sha256:{listed[path]}", found=found):
            ledger.ok(path, "pack.digest", found)


def read_export(files: Mapping[str, bytes], trusted: TrustedRoot, ledger: Ledger) -> Export:
    """Verify the signature over the list.

    Raises:
        Malformed, Unverified: there is none, or it can't be verified.
    """
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
    if statement.predicate_type != f"{statement.base}/export/v1":
        raise Malformed(f"expected an export, found {statement.predicate_type}", where=SUMS_BUNDLE)
    ledger.equal(
        SUMS,
        "pack.signature",
        expected=statement.subjects,
        found=(NamedDigest(name=SUMS, digest=Digest.of(files.get(SUMS, b""))),),
    )
    check_engine(verified, ledger, SUMS_BUNDLE)
    return Export(
        statement=statement,
        verified=verified,
        partial=said.get("partial") is not False,
        evidence=integer(said, "evidence", where=SUMS_BUNDLE),
        outcome=text(said, "outcome", where=SUMS_BUNDLE),
    )


def check_engine(verified: Verified, ledger: Ledger, where: str) -> None:
    """Lists and packs are signed by the engine, and by no person."""
    identity = verified.signer.identity
    if not (identity.startswith("https://") and identity.endswith(ENGINE_SUFFIX)):
        ledger.no(
            where,
            "certificate.identity",
            expected=f"an engine, https://...{ENGINE_SUFFIX}",
            found=identity,
        )


def check_export(
    export: Export,
    items: Sequence[Item],
    files: Mapping[str, bytes],
    ledger: Ledger,
    name: str,
) -> None:
    """Hold the statement against the items that are there, and the pack's looks against it."""
    head = items[-1] if items else None
    link = export.statement.link
    ledger.equal(SUMS_BUNDLE, "pack.count", expected=export.evidence, found=len(items))
    said = export.statement.predicate
    ledger.equal(
        SUMS_BUNDLE,
        "pack.files",
        expected=said.get("files"),
        found=len(files.keys() - {SUMS, SUMS_BUNDLE}),
    )
    if not export.partial:
        ledger.equal(
            SUMS_BUNDLE,
            "pack.chain",
            expected=said.get("chain"),
            found={"sha256": Digest.of(files.get(CHAIN, b"")).hex},
        )
    ledger.equal(SUMS_BUNDLE, "export.seq", expected=len(items) + 1, found=link.seq)
    ledger.equal(
        SUMS_BUNDLE,
        "export.prev",
        expected=None if head is None else NamedDigest(name=head.path, digest=head.payload),
        found=link.prev,
    )
    ledger.equal(
        SUMS_BUNDLE,
        "export.head",
        expected=None if head is None else {"sha256": head.payload.hex},
        found=said.get("head"),
    )
    for item in items:
        ledger.equal(
            item.path,
            "certificate.issuer",
            expected=export.verified.signer.issuer,
            found=item.verified.signer.issuer,
        )
        ledger.equal(
            item.path, "item.base", expected=export.statement.base, found=item.statement.base
        )
    if ENVELOPES in files:
        ledger.equal(
            ENVELOPES,
            "pack.envelopes",
            expected=Digest.of(b"".join(files[item.path] + b"\n" for item in items)),
            found=Digest.of(files[ENVELOPES]),
        )
    _check_watermark(files, export, ledger, name)


def _check_watermark(files: Mapping[str, bytes], export: Export, ledger: Ledger, name: str) -> None:
    """A partial pack says so in its signature, its manifest, its story and its name."""
    with ledger.judging(MANIFEST, "pack.manifest"):
        content = files.get(MANIFEST, b"")
        manifest: Mapping[str, Any] = parse_object(content, where=MANIFEST)
        expected = {
            **export.statement.predicate,
            "runId": export.run_id,
            "schema": _SCHEMA,
            "watermark": manifest.get("watermark"),
        }
        ledger.same(MANIFEST, "pack.manifest", expected=expected, found=manifest)
        if canonical(dict(manifest)) != content:
            ledger.no(
                MANIFEST, "pack.manifest", expected="canonical JSON", found="another spelling"
            )
        ledger.equal(
            MANIFEST,
            "pack.watermark",
            expected=WATERMARK if export.partial else "",
            found=manifest.get("watermark"),
        )
    word = f"the word {WATERMARK}" if export.partial else f"no word {WATERMARK}"
    if STORY in files or export.partial:
        told = files.get(STORY, b"")
        if told.startswith(WATERMARK.encode()) != export.partial:
            first = told.decode("utf-8", "replace").partition("\n")[0]
            ledger.no(
                STORY, "pack.watermark", expected=f"{word} at its beginning", found=repr(first)
            )
    if name and (WATERMARK in name) != export.partial:
        ledger.no(name, "pack.watermark", expected=f"{word} in the name", found=name)
