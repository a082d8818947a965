"""A forger: signs a whole pack anew with keys of its own, as well as the real signer could.

The keys are made from a seed, so that a drill needs no randomness and says the same each time. They
are no secret and protect nothing; nobody but a drill ever takes them for trusted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.jcs import canonical
from engine.evidence import certificates, history, timestamp
from engine.evidence.certificates import Authority
from engine.evidence.chain import FILE, STEM, Head, Node, ProofChain
from engine.evidence.checkpoint import LogCheckpoint, NoteKey, sign
from engine.evidence.cosignature import WitnessKey, cosign
from engine.evidence.drill_copy import Files, bundle_of, receipt_of, sums
from engine.evidence.drill_script import Act, Script
from engine.evidence.merkle import Tree, leaf_hash
from engine.evidence.one_log import HEAD, VKEY, WITNESS
from engine.evidence.sigstore_bundle import Chance, Desk, Pending, attest
from engine.evidence.statement import MANIFEST_NAME
from engine.evidence.strict import parse_object
from engine.evidence.timestamp import TimeAuthority
from engine.evidence.tlog_entry import Receipt
from engine.evidence.trust import Chain, CtLog, Log, TrustedRoot, Window
from engine.evidence.verify import MANIFEST, SUMS, SUMS_BUNDLE, TRUST

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_YEARS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Forger:
    """A set of keys as complete as the real one, under the same names.

    Attributes:
        witness: name under which the log's heads are cosigned; empty = they are not.
    """

    seed: bytes
    desk: Desk
    log_key: Ed25519PrivateKey
    origin: str
    witness: str
    witness_key: Ed25519PrivateKey
    trusted_root: bytes

    @property
    def log(self) -> NoteKey:
        return NoteKey(self.origin, self.log_key.public_key())


def forger(seed: bytes, real: TrustedRoot, *, witness: str = "") -> Forger:
    """Make keys that answer to the names in `real`, trusted from the same moment on."""
    log = real.logs[-1]
    window = Window(start_s=min(one.window.start_s for one in real.logs))
    ca_key, ct_key, tsa_root_key, tsa_key = (
        _key(seed, role) for role in ("ca", "ct", "tsa-root", "tsa")
    )
    authority = _root(ca_key, real.authorities[-1].certificates[-1], window, serial=1)
    tsa_root = _root(tsa_root_key, real.time_authorities[-1].certificates[-1], window, serial=2)
    names = _names(real.time_authorities[-1].certificates[0])
    tsa = certificates.make_tsa(
        Authority(certificate=tsa_root, key=tsa_root_key),
        tsa_key.public_key(),
        organization=names[0],
        common_name=names[1],
        serial=3,
    )
    log_key, witness_key = (
        Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed + role).digest())
        for role in (b"log", b"witness")
    )
    trusted = TrustedRoot(
        logs=(Log(key=NoteKey(log.key.name, log_key.public_key()), window=window),),
        authorities=(Chain(certificates=(authority,), window=window),),
        ct_logs=(CtLog(key=ct_key.public_key(), window=window),),
        time_authorities=(Chain(certificates=(tsa, tsa_root), window=window),),
    )
    return Forger(
        seed=seed,
        desk=Desk(
            authority=Authority(certificate=authority, key=ca_key),
            ct_key=ct_key,
            time=TimeAuthority(key=tsa_key, certificate=tsa, root=tsa_root),
        ),
        log_key=log_key,
        origin=log.key.name,
        witness=witness,
        witness_key=witness_key,
        trusted_root=trusted.to_bytes(),
    )


def _key(seed: bytes, role: str) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(hashlib.sha256(seed + role.encode()).digest(), "big")
    return ec.derive_private_key(number % (_P256_ORDER - 1) + 1, ec.SECP256R1())


def _root(
    key: ec.EllipticCurvePrivateKey, real: x509.Certificate, window: Window, *, serial: int
) -> x509.Certificate:
    organization, common_name = _names(real)
    return certificates.make_root(
        key,
        organization=organization,
        common_name=common_name,
        serial=serial,
        now_us=window.start_s * 1_000_000,
        years=_YEARS,
    )


def _names(certificate: x509.Certificate) -> tuple[str, str]:
    names = {one.oid.dotted_string: str(one.value) for one in certificate.subject}
    return names.get("2.5.4.10", ""), names.get("2.5.4.3", "")


def perform(script: Script, by: Forger) -> bytes:
    """Sign everything of `script` anew, in a log that holds nothing else, and pack it."""
    files = _trusting(script, by)
    tree = Tree()
    receipts: list[Receipt] = []
    nodes: dict[str, Node] = {}
    for act in sorted(script.acts, key=lambda one: one.place):
        pending, receipt = _sign(act, by, tree)
        receipt_path = receipt_of(act.path, script.original.files)
        files |= _written(act.path, receipt_path, pending, receipt)
        receipts.append(receipt)
        nodes[act.path] = _node(act, pending, receipt)
    if script.seal is not None and script.chain is not None:
        listed = (act.path for act in script.acts if act.path not in script.unlisted)
        ordered = tuple(nodes[path] for path in listed)
        chain = replace(script.chain, nodes=ordered)
        files |= _sealed(script.seal, chain, by, tree, receipts, files)
    files[MANIFEST] = _of_chain(files[MANIFEST], script, files)
    _tell_log(files, by, tree, receipts)
    lines = "evidence.intoto.jsonl"
    if lines in files:
        files[lines] = b"".join(files[act.path] + b"\n" for act in script.acts)
    return pack_signed(script, by, tree, files)


def _trusting(script: Script, by: Forger) -> dict[str, bytes]:
    """The files, with the forger's trust root wherever the real one is named."""
    files = dict(script.files)
    real, ours = (Digest.of(one).hex.encode() for one in (files[TRUST], by.trusted_root))
    for path, content in files.items():
        if not path.startswith(("steps/", "imported/")):
            files[path] = content.replace(real, ours)
    files[TRUST] = by.trusted_root
    config = "trust/trust_config.json"
    if config in files:
        document = parse_object(files[config], where=config)
        root = parse_object(by.trusted_root, where=TRUST)
        files[config] = canonical({**document, "trustedRoot": root})
    time = by.desk.time
    for path, certificate in (
        ("trust/ca.pem", by.desk.authority.certificate),
        ("trust/tsa_root.pem", time.root),
        ("trust/tsa.pem", time.certificate),
    ):
        if path in files:
            files[path] = certificate.public_bytes(Encoding.PEM)
    return files


def _sign(act: Act, by: Forger, tree: Tree) -> tuple[Pending, Receipt]:
    desk = by.desk if act.desk is None else act.desk
    serial = int.from_bytes(hashlib.sha256(by.seed + act.path.encode()).digest()[:8], "big") | 1
    pending = attest(
        act.payload,
        identity=act.identity,
        issuer=act.issuer,
        desk=desk,
        chance=Chance(key=_key(by.seed, act.path), leaf_serial=serial, token_serial=serial),
        now_us=act.at_s * 1_000_000,
    )
    if act.stamped_s is not None:
        signature = pending.envelope.signatures[0].value
        token = timestamp.stamp(
            signature, desk.time, serial=serial, now_us=act.stamped_s * 1_000_000
        )
        pending = replace(pending, token=token)
    return pending, _receipt(act, by, tree, pending.entry)


def _receipt(act: Act, by: Forger, tree: Tree, entry: bytes) -> Receipt:
    """Take an entry in, and show the head of the log after it."""
    index = tree.append(leaf_hash(entry))
    log_key = by.log_key if act.log_key is None else act.log_key
    shown = tree
    if act.split:
        shown = Tree([leaf_hash(b"another"), *map(tree.leaf, range(1, tree.size))])
    head = LogCheckpoint(origin=by.origin, size=shown.size, root=shown.root())
    note = sign(head, log_key)
    if by.witness and act.cosigned:
        key = by.witness_key if act.witness_key is None else act.witness_key
        at_s = act.at_s if act.witnessed_s is None else act.witnessed_s
        note += cosign(head.text(), by.witness, key, at_s=at_s)
    return Receipt(
        index=index,
        log_id=act.log_id or NoteKey(by.origin, log_key.public_key()).key_id,
        body=entry,
        root=head.root,
        size=head.size,
        hashes=shown.inclusion(index),
        checkpoint=note,
    )


def _written(path: str, receipt_path: str, pending: Pending, receipt: Receipt) -> dict[str, bytes]:
    return {
        path: pending.envelope.to_bytes(),
        bundle_of(path): pending.bundle(receipt),
        receipt_path: receipt.to_bytes(),
    }


def _node(act: Act, pending: Pending, receipt: Receipt) -> Node:
    statement = act.statement
    return Node(
        seq=statement.link.seq,
        checkpoint=statement.link.checkpoint,
        attempt=statement.link.attempt,
        file=act.path,
        file_digest=Digest.of(pending.envelope.to_bytes()),
        payload=Digest.of(act.payload),
        predicate_type=statement.predicate_type,
        signer=act.identity,
        signed_s=act.at_s if act.stamped_s is None else act.stamped_s,
        log_index=receipt.index,
        leaf=leaf_hash(pending.entry),
    )


def _sealed(
    seal: Act,
    chain: ProofChain,
    by: Forger,
    tree: Tree,
    receipts: list[Receipt],
    files: Files,
) -> dict[str, bytes]:
    """The proof chain over what was signed, and its three files; adds its receipt to `receipts`."""
    size = tree.size
    start = chain.nodes[0].log_index if chain.nodes else size
    log = replace(
        chain.log,
        origin=by.origin,
        vkey=str(by.log),
        start=Head(size=start, root=tree.root(start), consistency=tree.consistency(start)),
        heads=tuple(
            Head(size=one.size, root=one.root, consistency=tree.consistency(one.size))
            for one in receipts
        ),
        size=size,
        root=tree.root(),
    )
    chain = replace(chain, log=log)
    statement = seal.statement
    content = chain.to_bytes(statement.base)
    named = {FILE: Digest.of(content)} | {
        path: Digest.of(one) for path, one in files.items() if path.startswith("steps/")
    }
    subjects = (
        NamedDigest(name=MANIFEST_NAME, digest=Digest.of(files[MANIFEST_NAME])),
        *(NamedDigest(name=name, digest=named[name]) for name in sorted(named)),
    )
    said = replace(statement, subjects=subjects, predicate=chain.predicate(statement.base))
    pending, receipt = _sign(replace(seal, payload=said.to_bytes()), by, tree)
    receipts.append(receipt)
    written = _written(seal.path, f"{STEM}.rekor-entry.json", pending, receipt)
    return {FILE: content, **written}


def _tell_log(files: dict[str, bytes], by: Forger, tree: Tree, receipts: Sequence[Receipt]) -> None:
    """The log as it is before the list of files is signed: its keys, its head, its history."""
    files[VKEY] = f"{by.log}\n".encode()
    if by.witness:
        files[WITNESS] = f"{WitnessKey(by.witness, by.witness_key.public_key())}\n".encode()
    newest = max(receipts, key=lambda one: one.size, default=None)
    files[HEAD] = b"" if newest is None else newest.checkpoint.encode()
    shown = [one.size for one in receipts]
    files[history.FILE] = history.history(tree, shown, origin=by.origin).to_bytes()


def pack_signed(script: Script, by: Forger, tree: Tree, files: Files) -> bytes:
    """Sign the list of `files`, and pack them with it."""
    listed = sums(files)
    act = replace(script.export, payload=_of_chain(script.export.payload, script, files))
    subject = NamedDigest(name=SUMS, digest=Digest.of(listed))
    said = replace(act.statement, subjects=(subject,))
    pending, receipt = _sign(replace(act, payload=said.to_bytes()), by, tree)
    return script.original.pack({**files, SUMS: listed, SUMS_BUNDLE: pending.bundle(receipt)})


def _of_chain(content: bytes, script: Script, files: Files) -> bytes:
    """`content` with the digest of the proof chain in `files` where it names the original's."""
    before, now = script.original.files.get(FILE), files.get(FILE)
    if before is None or now is None:
        return content
    return content.replace(Digest.of(before).hex.encode(), Digest.of(now).hex.encode())
