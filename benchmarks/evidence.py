"""Evidence: what a seal costs, a verification, and the log's tree at a million leaves.

    python benchmarks/evidence.py [--leaves N] [--rounds N]

A run of 15 items is played over the real store with the real sealer and sealed: an approval is
taken back first, and somebody else's attestation comes with it. Its audit pack is verified by
us, and every bundle in it by unmodified sigstore-python, which judges certificates, receipts and
time stamps only: the pack's chain, approvals, story and log history come on top with us. The tree
stands beside bare hashing of as many pairs.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import AnyOf, Identity

from engine.core.attestations import Attestation, AttestationImported
from engine.core.commands import Action
from engine.core.digest import Digest
from engine.core.effect_kinds import Wait
from engine.core.statemachine import Role, RunStatus
from engine.evidence.imported import judge
from engine.evidence.merkle import Tree, verify_inclusion
from engine.evidence.verify import verify_envelope, verify_pack
from tests.evidence.foreign_kit import anchor, envelope, statement
from tests.evidence.kit import EMAILS, ENGINE, ISSUER, World, open_world, unpacked, world
from tests.evidence.kit_outcomes import ask


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def row(what: str, found_s: float, bar_s: float | None, beside: str = "") -> None:
    bar = "" if bar_s is None else f"{'holds' if found_s < bar_s else 'DOES NOT HOLD'} {bar_s:g} s"
    print(f"{what:<44} {found_s * 1000:>10.2f} ms  {bar:<22} {beside}")


def changing_minds(one: World, effect: object) -> None:
    """bob approves and takes it back; the next two decisions count."""
    run = one.run
    if not isinstance(effect, Wait) or run.status is not RunStatus.AWAITING_APPROVAL:
        return
    given = len(run.approvals)
    if given == 1 and run.counting_approvals:
        ask(one, Action.WITHDRAW, "bob", Role.APPROVER, reason="saw the incident")
        return
    user = "carol" if given == 1 else "bob"
    ask(one, Action.APPROVE, user, Role.APPROVER, binding=run.binding, nonce=f"nonce-{given}")


def imported(one: World) -> AttestationImported:
    """As importing records it: who signed is judged before, the bytes lie in the store."""
    blobs, given = one.store.blobs, envelope(statement(), "p256")
    found = judge(given, (anchor("p256"),), where="provenance.json")
    told = Attestation(
        envelope=blobs.put(found.envelope),
        source=blobs.put(given),
        form=found.form,
        file="provenance.json",
        payload=Digest.of(found.payload),
        statement_type=found.statement.statement_type,
        predicate_type=found.statement.predicate_type,
        predicate=blobs.put(found.statement.predicate_bytes),
        subjects=(),
        says="",
        authors=(),
        trust=found.anchor.name,
        anchor=found.anchor.digest,
        signer=found.signer,
        issuer="",
        signed_s=None,
    )
    return AttestationImported(bundle=one.run.bundle, attestation=told, authors=())


def sealing(folder: Path, rounds: int) -> tuple[bytes, bytes, int]:
    """Seal copies of one run that is about to be sealed; the pack, its root, its items."""
    one = world(folder / "run", before=changing_minds)
    one.request()
    one.append([imported(one)])
    one.play(until=lambda run: run.status is RunStatus.SEALING and run.steps[-1].open)
    at_us = one.clock.at_us
    one.store.close()
    took = []
    for turn in range(rounds):
        home = folder / f"seal-{turn}"
        shutil.copytree(folder / "run", home, ignore=shutil.ignore_patterns("lock"))
        copy = open_world(home, at_us=at_us)
        took.append(seconds(copy.play))
        run, content, root = copy.run, copy.pack(), copy.keys.trusted_root
        assert run.seal_status == "SEALED"
        copy.store.close()
    items = run.evidence_count
    assert items == 15, items
    row(f"seal of a run of {items} items (worst of {rounds})", max(took), 2.0)
    return content, root, items


def verifying(content: bytes, root: bytes, rounds: int) -> None:
    def whole() -> None:
        assert verify_pack(content, name="audit-pack.tar.gz", trusted_root=root).ok

    took = [seconds(whole) for _ in range(rounds)]
    row(f"verify the audit pack (worst of {rounds})", max(took), 3.0)
    bundles = [
        (file, json.loads(file))
        for name, file in unpacked(content).items()
        if name.endswith(".sigstore.json")
    ]
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(root)
        file.flush()
        verifier = Verifier(trusted_root=TrustedRoot.from_file(file.name))

    known = AnyOf([Identity(identity=one, issuer=ISSUER) for one in (ENGINE, *EMAILS.values())])

    def theirs() -> None:
        for bundle, document in bundles:
            _, payload = verifier.verify_dsse(Bundle.from_json(bundle), known)
            assert payload == base64.b64decode(document["dsseEnvelope"]["payload"])

    def ours() -> None:
        for bundle, _ in bundles:
            assert verify_envelope(bundle, trusted_root=root).ok

    of_theirs = statistics.median(seconds(theirs) for _ in range(rounds))
    of_ours = statistics.median(seconds(ours) for _ in range(rounds))
    row(f"its {len(bundles)} bundles by sigstore-python", of_theirs, None)
    row(f"its {len(bundles)} bundles by us", of_ours, None, f"{of_ours / of_theirs:.2f} of theirs")


def trees(count: int) -> None:
    leaves = [hashlib.sha256(n.to_bytes(8, "big")).digest() for n in range(count)]

    def bare() -> None:
        for n in range(1, count):
            hashlib.sha256(b"\x01" + leaves[n - 1] + leaves[n]).digest()

    of_bare = seconds(bare)
    took = seconds(lambda: Tree(leaves))
    row(f"tree of {count:,} leaves rebuilt", took, 3.0, f"{took / of_bare:.2f} of bare hashing")
    tree, chance = Tree(leaves), random.Random(7)  # noqa: S311 (a sample)
    asked = [(chance.randrange(count), chance.randrange(count // 2, count)) for _ in range(500)]
    proofs = []
    for index, size in asked:
        place = min(index, size - 1)
        proof: list[bytes] = []
        proofs.append(seconds(lambda: proof.extend(tree.inclusion(place, size))))  # noqa: B023
        verify_inclusion(leaves[place], index=place, size=size, proof=proof, root=tree.root(size))
    row("inclusion proof (p99 of 500)", sorted(proofs)[-5], 0.005)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaves", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        content, root, _ = sealing(Path(folder), given.rounds)
        verifying(content, root, given.rounds)
    trees(given.leaves)


if __name__ == "__main__":
    main()
