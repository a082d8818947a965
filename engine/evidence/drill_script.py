"""A pre-signature form of a pack: what was said by whom and when, so that it can be signed anew.

Changes are made here, before a forger signs; what depends on a changed statement follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.evidence.chain import FILE, STEM, ProofChain, parse_chain
from engine.evidence.drill_copy import Files, Original, bundle_of, receipt_of, trio
from engine.evidence.items import Item, read_item
from engine.evidence.sigstore_bundle import Desk, verify_bundle
from engine.evidence.statement import Statement, parse_statement
from engine.evidence.strict import parse_object
from engine.evidence.trust import TrustedRoot
from engine.evidence.verify import MANIFEST, SUMS, SUMS_BUNDLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One signature to be made.

    Attributes:
        place: where it goes in the log; acts are logged in this order.
        at_s: UTC seconds, of the certificate and of the time stamp.
        stamped_s: of the time stamp alone, where the two are to differ.
        desk: keys that sign it; None = the forger's own.
        log_key: key of the log that takes it in; None = the forger's own.
        log_id: under which log's id its receipt goes; None = that of the log's key.
        cosigned: the witness signs the head that its receipt shows.
        witness_key: with this key; None = the forger's own.
        witnessed_s: at this time, UTC seconds; None = `at_s`.
        split: its receipt is of another tree than all others are, though of the same log.
    """

    path: str
    payload: bytes
    identity: str
    issuer: str
    at_s: int
    place: int
    stamped_s: int | None = None
    desk: Desk | None = None
    log_key: Ed25519PrivateKey | None = None
    log_id: bytes | None = None
    cosigned: bool = True
    witness_key: Ed25519PrivateKey | None = None
    witnessed_s: int | None = None
    split: bool = False

    @property
    def statement(self) -> Statement:
        return parse_statement(self.payload, where=self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A pack before it is signed.

    Attributes:
        files: everything that no signature makes, the trust root included.
        acts: the items, in order of `seq`.
        seal: the proof chain's; None in a partial pack.
        chain: what the seal is about, as it was.
        export: over SHA256SUMS.
        unlisted: items that the proof chain is to leave out.
    """

    files: Files
    acts: tuple[Act, ...]
    seal: Act | None
    chain: ProofChain | None
    export: Act
    original: Original
    unlisted: frozenset[str] = frozenset()


def read_script(original: Original, trusted: TrustedRoot) -> Script:
    """Take a pack apart, so that it can be signed anew after changes."""
    files = dict(original.files)
    acts = []
    for item in original.items:
        acts.append(_act(item, item.path))
        for name in (item.path, bundle_of(item.path), receipt_of(item.path, original.files)):
            del files[name]
    seal = chain = None
    envelope = f"{STEM}.dsse"
    if envelope in files:
        seal = _act(read_item(envelope, original.files, trusted), envelope)
        chain = parse_chain(files[FILE])
        for name in (envelope, bundle_of(envelope), receipt_of(envelope, original.files), FILE):
            del files[name]
    verified = verify_bundle(files.pop(SUMS_BUNDLE), trusted, where=SUMS_BUNDLE)
    del files[SUMS]
    export = Act(
        path=SUMS,
        payload=verified.payload,
        identity=verified.signer.identity,
        issuer=verified.signer.issuer,
        at_s=verified.at_s,
        place=verified.receipt.index,
    )
    return Script(
        files=files, acts=tuple(acts), seal=seal, chain=chain, export=export, original=original
    )


def _act(item: Item, path: str) -> Act:
    return Act(
        path=path,
        payload=item.verified.payload,
        identity=item.verified.signer.identity,
        issuer=item.verified.signer.issuer,
        at_s=item.verified.at_s,
        place=item.verified.receipt.index,
    )


def rewritten(script: Script, path: str, **said: Any) -> Script:
    """`script` after one item's predicate says something else; what names it by digest follows."""
    act = next(one for one in script.acts if one.path == path)
    statement = act.statement
    payload = replace(statement, predicate={**statement.predicate, **said}).to_bytes()
    return followed(script, path, payload)


def followed(script: Script, path: str, payload: bytes) -> Script:
    """`script` with another payload at `path`; whoever names it by digest changes as well."""
    changes: dict[bytes, bytes] = {}

    def caught_up(content: bytes) -> bytes:
        for old, new in changes.items():
            content = content.replace(old, new)
        return content

    acts = []
    for act in script.acts:  # a statement names earlier ones only
        said = payload if act.path == path else caught_up(act.payload)
        if said != act.payload:
            changes[_hex(act.payload)] = _hex(said)
        acts.append(replace(act, payload=said))
    return replace(
        script,
        acts=tuple(acts),
        seal=None
        if script.seal is None
        else replace(script.seal, payload=caught_up(script.seal.payload)),
        export=replace(script.export, payload=caught_up(script.export.payload)),
        files={**script.files, MANIFEST: caught_up(script.files[MANIFEST])},
    )


def _hex(payload: bytes) -> bytes:
    return Digest.of(payload).hex.encode()


def exported_as(script: Script, **said: Any) -> Script:
    """`script` whose signed list and pack.json say something else of the pack."""
    statement = script.export.statement
    export = replace(statement, predicate={**statement.predicate, **said}).to_bytes()
    manifest: Mapping[str, Any] = parse_object(script.files[MANIFEST], where=MANIFEST)
    return replace(
        script,
        export=replace(script.export, payload=export),
        files={**script.files, MANIFEST: canonical({**manifest, **said})},
    )


def acted(script: Script, path: str, **changes: Any) -> Script:
    """`script` with one act of another signer, log or time."""
    acts = tuple(replace(act, **changes) if act.path == path else act for act in script.acts)
    return replace(script, acts=acts)


def middle(script: Script) -> Act:
    return script.acts[len(script.acts) // 2]


def files_of(script: Script, act: Act) -> tuple[str, str, str]:
    return trio(act.path, script.original.files)
