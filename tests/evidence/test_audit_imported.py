"""What others attest, as an auditor's pages list it: numbered as in the packs, never our own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.audit_imports import imports, judged_now, statement_of
from engine.audit_packets import Packet, packets
from engine.audit_proofs import proof_chain
from engine.core.attestations import Attestation, AttestationImported
from engine.core.digest import Digest
from engine.core.effect_kinds import MaterializeInputs
from engine.core.errors import NotFound, Unverified
from engine.core.fact_events import InputsMaterialized
from engine.evidence.imported import RootAnchor, judge
from engine.packing_imports import imported_files, imports_of
from engine.services import Services
from pages.ui import evidence_import, evidence_packets, evidence_timeline, evidence_words
from tests.core.test_run_imports import attestation
from tests.evidence.foreign_kit import anchor, envelope, statement
from tests.evidence.kit import RUN, World, answer, world


def made(home: World, kind: str, **changes: str) -> Attestation:
    """An attestation whose bytes lie in the store, as importing leaves it."""
    blobs, given = home.store.blobs, envelope(statement(), kind)
    found = judge(given, (anchor(kind),), where="x")
    one = replace(
        attestation(f"{kind}.json"),
        envelope=blobs.put(found.envelope),
        source=blobs.put(given),
        predicate=blobs.put(found.statement.predicate_bytes),
        payload=Digest.of(found.payload),
        signer=found.signer,
    )
    return replace(one, **cast(Any, changes))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for the run before its inputs, which name it and one of the bundle's; one too late."""
    one = world(tmp_path_factory.mktemp("imported"))
    early, of_bundle = made(one, "p256"), made(one, "p384", says="PASSED")
    late = made(one, "ed25519", predicate_type="https://example.com/load/v1",
                signer="https://elsewhere.example/run-engine")  # fmt: skip

    def inputs(now: World, effect: object) -> None:
        if isinstance(effect, MaterializeInputs):
            events = answer(now, now.run, effect)
            now.append(
                replace(e, attestations=(of_bundle, early))
                if isinstance(e, InputsMaterialized)
                else e
                for e in events
            )

    one.before = inputs
    one.request()
    one.append([AttestationImported(bundle=one.run.bundle, attestation=early, authors=())])
    one.play(until=lambda run: run.resolved_inputs is not None)
    one.append([AttestationImported(bundle=one.run.bundle, attestation=late, authors=())])
    one.play(until=lambda run: run.evidence_count >= 2)
    yield one
    one.store.close()


def house_of(one: World, *kinds: str) -> Services:
    settings = SimpleNamespace(trust=tuple(anchor(kind) for kind in kinds))
    return cast(Services, SimpleNamespace(store=one.store, home=one.home, settings=settings))


def others(one: World) -> list[Packet]:
    found = packets(house_of(one), run_id=RUN)
    return sorted((p for p in found if p.what == "imported"), key=lambda p: p.item)


def test_they_are_numbered_and_named_as_in_the_packs(played: World) -> None:
    found = others(played)
    assert [p.envelope for p in found] == [str(a.envelope) for a in imports_of(played.run)]
    files = imported_files(played.run, played.store.blobs.get)
    assert [p.name for p in found] == [name for name in files if name.endswith(".dsse")]
    assert [p.imported.pinned for p in found if p.imported] == [True, True, False]
    assert {p.state for p in found} == {"CAPTURED"}
    assert packets(house_of(played)) == packets(house_of(played), run_id=RUN)
    assert packets(house_of(played), run_id="run-2") == ()


def test_who_signed_is_told_in_their_words_and_is_never_our_engine(played: World) -> None:
    first, second, late = others(played)
    assert evidence_words.signer_of(first).startswith("key ")
    assert evidence_words.signer_of(late) == "https://elsewhere.example/run-engine"
    assert not any(evidence_words.by_person(p) for p in (first, second, late))
    assert evidence_words.signer_note(late) == "trusted as build"
    assert evidence_words.type_of(late) == "load/v1"
    assert evidence_words.type_of(first) == "SLSA provenance v1"
    assert "says PASSED" in evidence_words.import_note(second)
    assert "not pinned" in evidence_words.import_note(late)
    found = packets(house_of(played))
    shown = evidence_packets.matching(
        found, run="Any", kind="Any", signer="Any", state="Any", text="example.com/load"
    )
    assert [p.item for p in shown] == [late.item]
    assert "3 imported" in evidence_packets.summary(found)


def test_they_are_no_part_of_the_chain_nor_of_what_is_counted(played: World) -> None:
    found = packets(house_of(played), run_id=RUN)
    chain = proof_chain(house_of(played), played.run)
    assert len(chain.proofs) == played.run.evidence_count and chain.broken == ()
    told = evidence_timeline.summary(played.run, found)
    assert "2 logged" in told and "3 imported attestations" in told
    rows = evidence_timeline.rows(played.run, found)
    at = [n for n, row in enumerate(rows) if "imported" in row["cells"][1].get("sub", "")]
    assert len(at) == 3
    assert {rows[n]["cells"][0]["text"] for n in at} == {"Inputs Materialized"}


def test_they_are_judged_by_whom_the_settings_trust_today(played: World) -> None:
    first = imports(house_of(played), run_id=RUN, limit=9)[-1]
    assert first.number == 1
    good, head, _ = evidence_import.judged(first, judged_now(house_of(played, "p256"), first))
    assert good and "trusted as" in head
    for kinds in ((), ("ed25519",)):
        with pytest.raises(Unverified):
            judged_now(house_of(played, *kinds), first)
    assert "predicate" in statement_of(house_of(played), first)


def test_bytes_that_are_gone_are_said_and_never_shown_as_captured(
    played: World, tmp_path: Path
) -> None:
    class Gone:
        def get(self, digest: Digest) -> bytes:
            if digest == one.envelope:
                raise NotFound(f"{digest} is gone")
            return cast(bytes, played.store.blobs.get(digest))

    one = played.run.attestations[0]
    store = SimpleNamespace(blobs=Gone(), cursor=played.store.cursor)
    house = cast(Services, SimpleNamespace(store=store, home=tmp_path))
    bad = [p for p in packets(house, run_id=RUN) if p.state == "INVALID"]
    assert [(p.what, p.item) for p in bad] == [("imported", 1)]
    assert "is gone" in bad[0].note


def test_how_to_check_one_by_hand_is_said_only_for_who_vouched(played: World) -> None:
    found = {one.file: one for one in imports(house_of(played), run_id=RUN, limit=10)}
    one = found["p256.json"]
    trusted = (anchor("p384"), anchor("p256"))
    one = replace(one, trust="p256", anchor=str(trusted[1].digest))
    (command,) = evidence_import.commands(one, trusted)
    files = imported_files(played.run, played.store.blobs.get)
    start = f"imported/{one.number:02d}-"
    (path,) = (name for name in files if name.startswith(start) and name.endswith(".dsse"))
    assert f"E={path}\n" in command.text and "-verify ../p256.pem " in command.text
    for others in ((), (anchor("p384"),), (anchor("p384", name="p256"),)):
        assert evidence_import.commands(one, others) == ()


@pytest.mark.parametrize("signer", ["a@b.c", "a'; rm -rf ~; '", 'x"', "$(id)", "a b", ""])
def test_what_strangers_call_themselves_is_never_run(played: World, signer: str) -> None:
    root = RootAnchor(
        name="release", root=cast(Any, None), digest=Digest.of(b"root"), issuer="https://i.example"
    )
    one = next(iter(imports(house_of(played), run_id=RUN, limit=1)))
    one = replace(one, trust="release", anchor=str(root.digest), signer=signer,
                  issuer="https://i.example")  # fmt: skip
    told = evidence_import.commands(one, (root,))
    assert bool(told) is (signer == "a@b.c")
    if told:
        assert 'read("../release/trusted_root.json")' in told[0].text
