"""The break-it drill on packs of real runs: every broken copy is caught, and a hole would show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine.core.errors import Malformed, Unverified
from engine.evidence import drill as drills
from engine.evidence import pack, sigstore_bundle, verify
from engine.evidence.drill import Drill, Thief, drill, own_root, run_drill
from engine.evidence.drill_copy import read_original
from engine.evidence.drill_forger import forger, perform
from engine.evidence.drill_script import followed, read_script, rewritten
from engine.evidence.trust import parse_trusted_root
from tests.evidence.conftest import Played
from tests.evidence.kit import world

pytestmark = pytest.mark.house


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """A partial pack of a run that two people have approved and that has deployed nothing yet."""
    one = world(tmp_path_factory.mktemp("started"))
    one.play(until=lambda run: run.evidence_count == 4)
    content = one.sealer.export("run-1", "partial", actor="ana")[1]
    yield Played(one, one.run, content, content)
    one.store.close()


@pytest.fixture(scope="module")
def partial(started: Played) -> Drill:
    return run_drill(started.audit, started.trusted)


@pytest.fixture(scope="module")
def sealed(rejected: Played) -> Drill:
    return run_drill(rejected.audit, rejected.trusted)


def names_of(done: Drill) -> set[str]:
    """Names of the cases, after each was found to be caught and told."""
    assert done.ok and done.untouched.ok and not done.missed, done.sentence()
    names = [case.name for case in done.cases]
    assert len(set(names)) == len(names)
    for case in done.cases:
        assert case.caught_by is not None and not case.caught_by.ok
        assert case.what.endswith("."), case
        assert case.caught_by.expected != case.caught_by.found, case
    assert {case.by for case in done.cases} == set(Thief)
    # The forger's own copy of the whole pack is good, or its breaks would prove nothing.
    assert "stolen" not in {one.name for one in done.left_out}, done.left_out
    return set(names)


def test_every_copy_of_a_sealed_pack_is_caught(sealed: Drill) -> None:
    names = names_of(sealed)
    assert len(names) > 55 and {"flip.story", "drop.chain", "claim.outcome"} <= names
    assert {one.name for one in sealed.left_out} >= {"swap.approvals", "approval"}
    assert sealed.sentence() == (
        f"All {len(names)} broken copies were caught; the untouched pack verifies."
    )


def test_every_copy_of_a_partial_pack_is_caught(partial: Drill) -> None:
    names = names_of(partial)
    assert {"partial.as-final", "claim.final", "swap.approvals", "approval.nonce"} <= names
    assert {one.name for one in partial.left_out} == {"drop.chain"}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["audit", "bundle"])
@pytest.mark.parametrize("outcome", ["healthy", "rolled_back"])
def test_every_copy_of_other_packs_is_caught(
    outcome: str, kind: str, request: pytest.FixtureRequest
) -> None:
    played: Played = request.getfixturevalue(outcome)
    done = run_drill(getattr(played, kind), played.trusted)
    names = names_of(done)
    assert len(names) > 70 and ("approval.denied" in names) == (outcome == "healthy")
    assert ("flip.story" in names) == (kind == "audit")


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("flip.payload", "dsse.signature"),
        ("flip.signature", "timestamp.imprint"),
        ("flip.certificate", "certificate.authority"),
        ("flip.proof-hash", "log.inclusion"),
        ("flip.checkpoint", "log.checkpoint"),
        ("flip.story", "pack.digest"),
        ("number.tree-size", "log.checkpoint"),
        ("number.log-index", "log.inclusion"),
        ("swap.receipts", "log.entry"),
        ("swap.token", "timestamp.imprint"),
        ("swap.log-order", "log.inclusion"),
        ("drop.chain", "chain.missing"),
        ("list.unsigned", "pack.signature"),
        ("archive.slip", "pack.member"),
        ("archive.twice", "pack.member"),
        ("archive.tail", "pack.container"),
        ("keys.trust-root", "trust.root"),
        ("rogue.authority", "certificate.authority"),
        ("rogue.ct-log", "certificate.sct"),
        ("rogue.log", "log.key"),
        ("rogue.log-id", "log.checkpoint"),
        ("time.back-dated", "timestamp.order"),
        ("time.late", "certificate.time"),
        ("order.log", "log.order"),
        ("order.split", "log.split"),
        ("order.gap", "chain.seq"),
        ("claim.run", "chain.run"),
        ("claim.subject", "item.subject"),
        ("claim.engine", "certificate.identity"),
        ("claim.issuer", "certificate.issuer"),
        ("claim.partial", "chain.partial"),
        ("claim.outcome", "chain.outcome"),
        ("approval.run", "approval.run"),
        ("approval.bundle", "approval.bundle"),
        ("approval.environment", "approval.environment"),
        ("approval.expired", "approval.expired"),
        ("approval.requester", "approval.requester"),
        ("approval.basis", "approval.basis"),
        ("approval.nonce", "approval.nonce"),
        ("approval.binding", "approval.binding"),
        ("approval.time", "approval.time"),
        ("approval.identity", "approval.identity"),
        ("log.rewritten", "log.against"),
        ("witness.none", "log.witness"),
        ("witness.clock", "timestamp.witness"),
        ("partial.as-final", "pack.manifest"),
    ],
)
def test_the_check_that_is_shown_is_the_telling_one(
    sealed: Drill, partial: Drill, name: str, check: str
) -> None:
    found = [case for done in (sealed, partial) for case in done.cases if case.name == name]
    assert found[0].caught_by is not None and found[0].caught_by.check == check, found[0]


def test_what_no_pack_can_tell_by_itself_is_said(sealed: Drill) -> None:
    notes = {case.name: case.note for case in sealed.cases if case.note}
    assert "only a trust root or a fingerprint from outside" in notes.pop("keys.trust-root")
    assert "Without an older checkpoint" in notes.pop("log.rewritten")
    assert not notes


def test_a_pack_that_is_not_good_is_not_drilled(rejected: Played) -> None:
    other = forger(b"other", parse_trusted_root(rejected.trusted)).trusted_root
    with pytest.raises(Unverified, match="The untouched pack does not verify"):
        drill(rejected.audit, other)
    with pytest.raises(Unverified) as refusal:
        drill(rejected.audit[:-2000], rejected.trusted)
    assert refusal.value.check == "pack.archive"


def test_a_pack_brings_its_own_trust_root(rejected: Played) -> None:
    assert own_root(rejected.audit) == own_root(rejected.bundle) == rejected.trusted
    with pytest.raises(Malformed):
        own_root(b"no pack")
    with pytest.raises(Unverified, match=r"has no trust/trusted_root\.json"):
        own_root(pack.write_zip({"a.txt": b"1"}))


def test_what_follows_from_a_changed_statement_changes_with_it(started: Played) -> None:
    trusted = parse_trusted_root(started.trusted)
    script = read_script(read_original(started.audit, trusted), trusted)
    first, *rest = script.acts
    assert followed(script, first.path, first.payload) == script
    other = rewritten(script, first.path, inputs=7)
    assert all(a.payload != b.payload for a, b in zip(rest, other.acts[1:], strict=True))
    by = forger(b"any", trusted, witness="witness.releaseline.local")
    report = verify.verify_pack(perform(other, by), trusted_root=by.trusted_root)
    assert report.ok, report.failed


# --- a hole in the verifier shows ----------------------------------------------------------------


def holed(played: Played, patch: pytest.MonkeyPatch, name: str, gone: Any, *rooms: str) -> set[str]:
    """Names of the copies of `rooms` that pass once verification's `name` is `gone`."""
    patch.setattr(verify, name, gone)
    for room in {"item_drills", "file_drills", "archive_drills", "forged_drills"} - set(rooms):
        patch.setattr(drills, room, lambda *_: iter(()))
    done = run_drill(played.audit, played.trusted)
    assert not done.ok and not done.document()["ok"]
    assert done.sentence().startswith(f"NOT CAUGHT: {len(done.missed)} of ")
    return {case.name for case in done.missed}


def test_a_list_that_nobody_compares(rejected: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    missed = holed(rejected, monkeypatch, "check_sums", lambda *_: None, "file_drills")
    assert missed >= {"flip.story", "flip.step-log"}


def test_a_trust_root_that_nobody_compares(
    rejected: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    def own(files: Any, ledger: Any, given: bytes | None, sha256: str | None) -> bytes:
        return bytes(files[verify.TRUST])

    missed = holed(rejected, monkeypatch, "root_of", own, "forged_drills")
    assert missed == {"keys.trust-root"}


def test_a_container_that_nobody_looks_at(
    rejected: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lax(content: bytes, *, where: str = "pack") -> pack.Unpacked:
        return pack.Unpacked(files=pack.read_pack(content, where=where).files, problems=())

    missed = holed(rejected, monkeypatch, "read_pack", lax, "archive_drills")
    assert missed == {"archive.tail", "archive.again", "archive.header"}


def test_an_older_checkpoint_that_nobody_asks_for(
    rejected: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed = holed(rejected, monkeypatch, "check_against", lambda *_, **__: None, "forged_drills")
    assert missed == {"log.rewritten"}


def test_a_log_that_nobody_asks(rejected: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigstore_bundle, "verify_inclusion", lambda *_, **__: None)
    for room in ("file_drills", "archive_drills", "forged_drills"):
        monkeypatch.setattr(drills, room, lambda *_: iter(()))
    done = run_drill(rejected.audit, rejected.trusted)
    # The list of files still sees each; but the check that says most about it is gone.
    assert "log.inclusion" not in {c.caught_by.check for c in done.cases if c.caught_by}


def test_without_any_case_nothing_is_proven(
    rejected: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in ("item_drills", "file_drills", "archive_drills", "forged_drills"):
        monkeypatch.setattr(drills, room, lambda *_: iter(()))
    assert not run_drill(rejected.audit, rejected.trusted).ok


def test_the_document_has_every_case(sealed: Drill) -> None:
    document = sealed.document()
    assert document["ok"] and document["anchored"]
    assert [one["name"] for one in document["cases"]] == [case.name for case in sealed.cases]
    for one in document["cases"]:
        assert one["caught"] and one["caughtBy"].keys() == {
            "file", "check", "ok", "expected", "found",
        }  # fmt: skip
    assert all(one["why"] for one in document["leftOut"])
