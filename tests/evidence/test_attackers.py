"""Packs of runs that ended in every way, attacked without keys, with some, and with other packs.

Not one forged pack may be accepted, whatever it is anchored by.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine import keystore
from engine.core.digest import Digest
from engine.core.effect_kinds import Wait
from engine.core.jcs import canonical
from engine.evidence import checkpoint
from engine.evidence.checkpoint import LogCheckpoint, NoteKey
from engine.evidence.merkle import Tree, leaf_hash
from engine.evidence.sigstore_bundle import Chance, Pending
from engine.evidence.tlog_entry import Receipt
from engine.evidence.verify import MANIFEST, SUMS, SUMS_BUNDLE, verify_envelope, verify_pack
from tests.evidence.attackers import ARCHIVE_ATTACKS, FILE_ATTACKS, Pack, changed
from tests.evidence.conftest import Played
from tests.evidence.kit import EMAILS, World, repacked, unpacked, world
from tests.evidence.kit_outcomes import WAYS
from tests.evidence.test_tampered import APPROVAL, bent_item
from tests.evidence.thief import (
    Files,
    attested,
    items_of,
    resummed,
    statement_of,
    with_item,
)

pytestmark = pytest.mark.house

BOB = f"mailto:{EMAILS['bob']}"


def accepted(content: bytes, pack: Pack) -> bool:
    """By any of the anchors that an auditor may have; with none a pack proves nothing anyway."""
    by_root = verify_pack(content, name=pack.name, trusted_root=pack.root)
    by_digest = verify_pack(content, name=pack.name, trusted_root_sha256=Digest.of(pack.root).hex)
    for report in (by_root, by_digest):
        for check in report.failed:
            assert check.file and check.check and check.expected != check.found, check
            assert str(check).isprintable()
    return by_root.ok or by_digest.ok


def packs_of(played: Played) -> tuple[Pack, Pack]:
    return (
        Pack(played.audit, "audit-pack.tar.gz", played.trusted),
        Pack(played.bundle, "evidence-bundle.zip", played.trusted),
    )


# --- without any key -----------------------------------------------------------------------------


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_whoever_has_no_key(
    healthy: Played, rolled_back: Played, rejected: Played, data: st.DataObject, seed: int
) -> None:
    played = data.draw(st.sampled_from([rejected, rolled_back, healthy]))
    pack = data.draw(st.sampled_from(packs_of(played)))
    attack = data.draw(st.sampled_from([*FILE_ATTACKS, *ARCHIVE_ATTACKS]))
    bent = bend(pack, attack, seed, fits=data.draw(st.booleans()))
    assume(bent != pack.content)
    assert not accepted(bent, pack), attack.__name__


def bend(pack: Pack, attack: Callable[..., Any], seed: int, *, fits: bool) -> bytes:
    chance = Random(seed)
    if attack in ARCHIVE_ATTACKS:
        return bytes(attack(pack, chance))
    return changed(pack, attack, chance, fits)


@pytest.mark.long
@pytest.mark.parametrize("way", sorted(WAYS))
def test_every_attack_on_every_end(way: str, tmp_path: Any) -> None:
    one = world(tmp_path, **WAYS[way][1])
    one.play()
    played = Played(one, one.run, one.pack(), one.pack("bundle"))
    for pack in packs_of(played):
        assert accepted(pack.content, pack)
        for seed, attack in enumerate([*FILE_ATTACKS, *ARCHIVE_ATTACKS] * 2):
            bent = bend(pack, attack, seed, fits=seed % 2 == 0)
            if bent != pack.content:
                assert not accepted(bent, pack), (attack.__name__, seed)
    one.store.close()


# --- with some keys ------------------------------------------------------------------------------


def receipted(pending: Pending, key: Ed25519PrivateKey, origin: str, log_id: bytes) -> bytes:
    """Taken into a log of the thief's own, under whatever id."""
    tree = Tree([leaf_hash(pending.entry)])
    head = LogCheckpoint(origin=origin, size=1, root=tree.root())
    note = checkpoint.sign(head, key)
    receipt = Receipt(
        index=0,
        log_id=log_id,
        body=pending.entry,
        root=head.root,
        size=1,
        hashes=(),
        checkpoint=note,
    )
    return pending.bundle(receipt)


def test_a_stolen_leaf_key_signs_nothing_else(rejected: Played) -> None:
    """Ten minutes of a leaf are no use: its token and its place in the log are of one signature."""
    chance = Chance(key=ec.generate_private_key(ec.SECP256R1()), leaf_serial=7, token_serial=8)
    files = unpacked(rejected.audit)
    genuine = json.loads(files[SUMS_BUNDLE])
    statement = statement_of(files[SUMS_BUNDLE])
    statement["predicate"]["outcome"] = "SUCCEEDED"
    stranger = keystore.create(rejected.world.home / "stranger", "x")
    by_home = attested(statement, rejected, chance=chance)
    by_stranger = attested(statement, rejected, chance=chance, desk=stranger.desk)
    material = genuine["verificationMaterial"]
    (entry,) = material["tlogEntries"]
    forged = {
        "everything but the envelope is genuine": {
            **genuine,
            "dsseEnvelope": by_home.envelope.document(),
        },
        "a token of one's own": json.loads(
            receipted(by_stranger, stranger.log_key, stranger.log_origin, stranger.log.key_id)
        ),
        "the genuine receipt": {
            **json.loads(
                receipted(by_home, stranger.log_key, stranger.log_origin, stranger.log.key_id)
            )
        },
    }
    forged["the genuine receipt"]["verificationMaterial"]["tlogEntries"] = [entry]
    for what, document in forged.items():
        report = verify_envelope(canonical(document), trusted_root=rejected.trusted)
        assert not report.ok, what


@pytest.mark.parametrize(
    ("log", "check"),
    [("own", "log.key"), ("own, under the real id", "log.checkpoint"), ("genuine", "log.entry")],
)
def test_whoever_has_every_authority_but_the_log(rejected: Played, log: str, check: str) -> None:
    """Certificates, CT log and time stamps by the home's real keys; the log's key is not there."""
    files = unpacked(rejected.audit)
    statement = statement_of(files[SUMS_BUNDLE])
    pending = attested(statement, rejected)
    keys = rejected.world.keys
    key = Ed25519PrivateKey.generate()
    own_id = NoteKey(keys.log_origin, key.public_key()).key_id
    bundle = receipted(pending, key, keys.log_origin, keys.log.key_id if "real" in log else own_id)
    if log == "genuine":
        document = json.loads(bundle)
        genuine = json.loads(files[SUMS_BUNDLE])["verificationMaterial"]["tlogEntries"]
        document["verificationMaterial"]["tlogEntries"] = genuine
        bundle = canonical(document)
    report = verify_pack(repacked(files | {SUMS_BUNDLE: bundle}), trusted_root=rejected.trusted)
    assert [one.check for one in report.failed] == [check]


def test_whoever_has_the_log_but_not_the_witness(rejected: Played) -> None:
    """Any file, listed, signed and logged anew by every real key: the witness has not seen it."""
    files = unpacked(rejected.audit)
    genuine = json.loads(files[SUMS_BUNDLE])["verificationMaterial"]["tlogEntries"][0]
    line = genuine["inclusionProof"]["checkpoint"]["envelope"].rstrip("\n").split("\n")[-1]
    for witness in (None, lambda _text, _at_s: f"{line}\n"):
        for name in ("story.txt", "README.txt", "logs/01-inputs/attempt-1.log"):
            bent = resummed(files | {name: b"as I say\n"}, rejected, witness=witness)
            report = verify_pack(repacked(bent), trusted_root=rejected.trusted)
            assert {one.check for one in report.failed} >= {"log.witness"}, name


# --- with genuine parts of elsewhere -------------------------------------------------------------


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Played, Played, bytes]]:
    """Two runs of one home that both succeeded, and a partial pack from the second's middle."""

    def slowly(one: World, effect: object) -> None:
        if isinstance(effect, Wait):
            one.clock.at_us += 60_000_000  # approvals are minutes apart

    one = world(tmp_path_factory.mktemp("twins"), before=slowly)
    first = Played(one, one.play(), one.pack(), one.pack("bundle"))
    one.run_id = "run-2"
    one.play(until=lambda run: run.evidence_count == 4)
    partial = one.sealer.export(one.run_id, "partial", actor="ana")[1]
    yield first, Played(one, one.play(), one.pack(), one.pack("bundle")), partial
    one.store.close()


def test_both_twins_are_good(twins: tuple[Played, Played, bytes]) -> None:
    for played in twins[:2]:
        assert verify_pack(played.audit, trusted_root=played.trusted).ok
    assert verify_pack(twins[2], name="x-PARTIAL.tar.gz", trusted_root=twins[0].trusted).ok


def test_a_file_of_another_run(twins: tuple[Played, Played, bytes]) -> None:
    first, second, _ = twins
    ours, theirs = unpacked(second.audit), unpacked(first.audit)
    differing = [name for name in sorted(ours) if theirs.get(name, ours[name]) != ours[name]]
    assert len(differing) > 40
    for name in differing[::4]:
        report = verify_pack(repacked(ours | {name: theirs[name]}), trusted_root=second.trusted)
        assert not report.ok, name
    # The other run's whole list, signature and log over our items, and the other way round.
    tops = {name for name in differing if not name.startswith("steps/")}
    for one, other in ((ours, theirs), (theirs, ours)):
        mixed = one | {name: other[name] for name in tops}
        assert not verify_pack(repacked(mixed), trusted_root=second.trusted).ok


def test_an_item_of_another_run_by_whoever_has_every_key(
    twins: tuple[Played, Played, bytes],
) -> None:
    """Genuine in every part, of the same home, people, bundle and log; and listed anew."""
    first, second, _ = twins
    ours, theirs = unpacked(second.audit), unpacked(first.audit)
    for path in items_of(ours):
        foreign = with_item(ours, path, theirs[path.replace(".dsse", ".sigstore.json")])
        report = verify_pack(repacked(resummed(foreign, second)), trusted_root=second.trusted)
        found = {check.check for check in report.failed}
        assert "chain.run" in found, path
        assert "approval.run" in found or "/approval" not in path, path


def test_an_older_export_over_a_newer_one(twins: tuple[Played, Played, bytes]) -> None:
    """A partial pack of the same run is genuine too; it is no whole one, in part or by name."""
    _, second, partial = twins
    newer, older = unpacked(second.audit), unpacked(partial)
    marks = [SUMS, SUMS_BUNDLE, MANIFEST, "story.txt", "story.json", "README.txt",
             *(name for name in older if name.startswith("log/"))]  # fmt: skip
    for count in (2, 3, len(marks)):
        for under, over in ((newer, older), (older, newer)):
            mixed = under | {name: over[name] for name in marks[:count]}
            assert not verify_pack(repacked(mixed), trusted_root=second.trusted).ok
    report = verify_pack(partial, name="audit-pack.tar.gz", trusted_root=second.trusted)
    assert {check.check for check in report.failed} == {"pack.watermark"}
    assert verify_pack(
        second.audit, trusted_root=second.trusted, against=older["log/checkpoint"]
    ).ok


def consistently(statement: Any, **scope: Any) -> None:
    """An approval for something else, with all that follows from it: no part tells another tale."""
    said = statement["predicate"]["scope"]
    said.update(scope)
    bound = said["bound"]
    bound["environment"] = said["environment"].rpartition("/")[2]
    bound["run"] = said["runId"]
    said["binding"] = {"sha256": Digest.of(canonical(bound)).hex}


def lapsed(statement: Any) -> None:
    """It stood when it was given, and no longer when the second person approved."""
    said = statement["predicate"]
    decided = datetime.fromisoformat(said["decidedAt"])
    said["expiresAt"] = (decided + timedelta(seconds=30)).isoformat()


@pytest.mark.parametrize(
    ("bend_it", "check"),
    [
        (lambda s: consistently(s, environment="EU-West/eu-stage"), "approval.environment"),
        (lambda s: consistently(s, runId="run-1"), "approval.run"),
        (lapsed, "approval.expired"),
        (lambda s: s["predicate"].update(decidedAt="2026-01-01T00:00:00"), "approval"),
    ],
    ids=["environment", "run", "expired", "no zone"],
)
def test_an_approval_for_something_else_by_whoever_has_every_key(
    twins: tuple[Played, Played, bytes], bend_it: Callable[[Any], object], check: str
) -> None:
    _, second, _ = twins
    files: Files = unpacked(second.audit)
    bent = bent_item(files, second, APPROVAL, bend_it, identity=BOB)
    report = verify_pack(repacked(bent), trusted_root=second.trusted)
    assert check in {one.check for one in report.failed}
