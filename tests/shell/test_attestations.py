"""Attestations taken in: once, for the right bundle, and what a run makes of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.attestations import Attestations, Given
from engine.catalog import Catalog
from engine.core.attestations import AttestationImported
from engine.core.commands import Action
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused, Unverified
from engine.core.house import ADMIN, BUNDLES, CommandRejected
from engine.core.statemachine import RunStatus
from engine.evidence.pack import read_pack
from engine.evidence.verify import verify_pack
from engine.story import tell
from tests.evidence.foreign_kit import PROVENANCE, anchor, envelope, provenance, statement
from tests.faults.small_house import SmallHouse, session_keys

pytestmark = pytest.mark.house

CYCLONEDX = "https://cyclonedx.org/bom"
OPENVEX = "https://openvex.dev/ns/v0.2.0"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(
        tmp_path, session_keys(), approvals=1, trust=(anchor("p256", "build"), anchor("ed25519"))
    )
    yield house
    house.close()


@pytest.fixture
def desk(house: SmallHouse) -> Attestations:
    return Attestations(store=house.real, settings=house.settings, catalog=house.catalog)


def component(house: SmallHouse) -> Digest:
    return house.catalog.get(house.bundle()).components[0].digest


def given(subject: Digest, kind: str = "p256", name: str = "a.dsse", **more: Any) -> Given:
    return Given(name=name, content=envelope(statement(subject, **more), kind))


def imported(house: SmallHouse, stream: str) -> list[AttestationImported]:
    events = (recorded.event for recorded in house.real.load(stream))
    return [event for event in events if isinstance(event, AttestationImported)]


def denied(house: SmallHouse) -> CommandRejected:
    event = house.real.load(ADMIN)[-1].event
    assert isinstance(event, CommandRejected)
    return event


# --- taking in ----------------------------------------------------------------------------------


def test_one_is_told_and_kept(house: SmallHouse, desk: Attestations) -> None:
    bundle, app = house.bundle(), component(house)
    file = given(app, name="../../etc/build.dsse\n")
    (taken,) = desk.import_for_bundle(bundle, [file], actor="ci")
    one = taken.attestation
    assert taken.new and one.file == "build.dsse"
    assert (one.trust, one.kind, one.title) == ("build", "provenance", "SLSA provenance v1")
    assert one.about == ("app.bin",) and one.subjects[0].digest == app
    assert one.anchor == house.settings.trust[0].digest
    assert house.real.blobs.get(one.source) == file.content
    assert json.loads(house.real.blobs.get(one.predicate)) == provenance()
    assert Digest.of(house.real.blobs.get(one.envelope)) == one.envelope
    (told,) = imported(house, BUNDLES)
    assert (told.bundle, told.attestation) == (bundle, one)
    # The bundle is what it was; another life of the house knows as much.
    assert house.bundle() == bundle
    assert Catalog(house.real).attestations(bundle) == desk.of_bundle(bundle) == (one,)


def test_the_same_envelope_is_the_same_import(house: SmallHouse, desk: Attestations) -> None:
    bundle, file = house.bundle(), given(component(house), "ed25519")
    desk.import_for_bundle(bundle, [file], actor="ci")
    spelled = Given(name="b", content=json.dumps(json.loads(file.content)).encode())
    (again,) = desk.import_for_bundle(bundle, [spelled], actor="ana")
    assert not again.new and again.attestation.file == "a.dsse"
    assert len(imported(house, BUNDLES)) == 1


def test_many_at_once_are_one_import(house: SmallHouse, desk: Attestations) -> None:
    bundle, file = house.bundle(), given(component(house))
    threads = [
        threading.Thread(target=desk.import_for_bundle, args=(bundle, [file]), kwargs={"actor": a})
        for a in ("ci", "ana", "mia", "ci")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(imported(house, BUNDLES)) == 1


def test_the_manifest_is_a_subject_too(house: SmallHouse, desk: Attestations) -> None:
    bundle = house.bundle()
    (taken,) = desk.import_for_bundle(bundle, [given(bundle)], actor="ci")
    assert taken.attestation.about == ("release-bundle.manifest.json",)


def test_about_another_artifact_is_refused_and_on_record(
    house: SmallHouse, desk: Attestations
) -> None:
    bundle, other = house.bundle(), Digest.of(b"another")
    with pytest.raises(Unverified) as caught:
        desk.import_for_bundle(bundle, [given(other)], actor="ci")
    assert caught.value.check == "attestation.subject"
    assert f"expected the manifest {bundle} or one of its 1 components, found {other}" in str(
        caught.value
    )
    assert (denied(house).action, denied(house).code) == ("import_attestation", "unverified")
    assert imported(house, BUNDLES) == []


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_all_of_them_or_none(house: SmallHouse, desk: Attestations, bad: int) -> None:
    bundle, app = house.bundle(), component(house)
    files = [given(app, predicate=provenance(n=n)) for n in range(3)]
    files[bad] = given(app, "p384", name="stranger.dsse")
    with pytest.raises(Unverified, match=r"stranger\.dsse: attestation\.signature: expected"):
        desk.import_for_bundle(bundle, files, actor="ci")
    assert imported(house, BUNDLES) == []
    assert not house.real.blobs.has(Digest.of(files[(bad + 1) % 3].content))


def test_a_file_of_lines_and_too_many_at_once(house: SmallHouse, desk: Attestations) -> None:
    bundle, app = house.bundle(), component(house)
    lines = [
        json.dumps(json.loads(given(app, "ed25519", predicate=provenance(n=n)).content))
        for n in range(65)
    ]
    with pytest.raises(Malformed, match="expected 1 to 64 attestations at once, found 65"):
        desk.import_for_bundle(
            bundle, [Given(name="x", content="\n".join(lines).encode())], actor="ci"
        )
    few = Given(name="many.intoto.jsonl", content="\n".join(lines[:3]).encode())
    taken = desk.import_for_bundle(bundle, [few], actor="ci")
    assert [one.attestation.file for one in taken] == [f"many.intoto.jsonl:{n}" for n in (1, 2, 3)]


@pytest.mark.parametrize("who", ["bob", "eve", "audrey", "root", "stranger"])
def test_only_some_may(house: SmallHouse, desk: Attestations, who: str) -> None:
    bundle, run = house.bundle(), house.promote()
    for attempt in (
        lambda: desk.import_for_bundle(bundle, [given(bundle)], actor=who),
        lambda: desk.import_for_run(run.run_id, [given(bundle)], actor=who),
    ):
        with pytest.raises(Refused, match=f"{who} may not import attestations") as caught:
            attempt()
        assert caught.value.code == "role"
        assert denied(house).reason == str(caught.value)


def test_nobody_knows_that_bundle_or_run(desk: Attestations) -> None:
    with pytest.raises(NotFound):
        desk.import_for_bundle(Digest.of(b"x"), [], actor="ci")
    with pytest.raises(NotFound):
        desk.import_for_run("run-9", [], actor="ci")
    with pytest.raises(NotFound):
        desk.of_bundle(Digest.of(b"x"))


@pytest.mark.parametrize(
    ("predicate_type", "predicate", "sentence"),
    [
        (CYCLONEDX, {"bomFormat": "CycloneDX"}, r"a\.dsse\.predicate"),
        (OPENVEX, {"@context": "x"}, r"a\.dsse\.predicate: expected OpenVEX"),
        (TEST_RESULT, {"result": "FINE"}, r"a\.dsse\.predicate\.result: expected one of PASSED"),
        (PROVENANCE, {}, r"a\.dsse\.predicate\.buildDefinition"),
    ],
)
def test_what_the_gate_could_not_read_is_refused_at_the_door(
    house: SmallHouse, desk: Attestations, predicate_type: str, predicate: Any, sentence: str
) -> None:
    bundle = house.bundle()
    file = given(bundle, predicate_type=predicate_type, predicate=predicate)
    with pytest.raises(Malformed, match=sentence):
        desk.import_for_bundle(bundle, [file], actor="ci")
    assert imported(house, BUNDLES) == []


# --- what a run makes of them -------------------------------------------------------------------

SBOM = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {"timestamp": "2026-01-01T00:00:00Z"},
    "components": [
        {"type": "library", "name": "click", "version": "8.1.8", "purl": "pkg:pypi/click@8.1.8"}
    ],
    "vulnerabilities": [{"id": "CVE-1", "ratings": [{"score": 9.8}]}],
}
VEX = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "@id": "https://example.com/vex/1",
    "author": "psirt@example.com",
    "timestamp": "2026-01-01T00:00:00Z",
    "version": 1,
    "statements": [],
}


def test_a_run_rests_on_what_its_inputs_pin(house: SmallHouse, desk: Attestations) -> None:
    bundle, app = house.bundle(), component(house)
    files = [
        given(app, predicate_type=CYCLONEDX, predicate=SBOM),
        given(bundle, predicate_type=OPENVEX, predicate=VEX),
        given(app, predicate_type=TEST_RESULT, predicate={"result": "FAILED"}),
        given(app),
    ]
    desk.import_for_bundle(bundle, files, actor="ci")
    run = house.drive(house.promote().run_id)
    assert run.status is RunStatus.AWAITING_APPROVAL and run.resolved_inputs is not None
    resolved = json.loads(house.real.blobs.get(run.resolved_inputs))
    assert [one["predicateType"] for one in resolved["attestations"]] == sorted(
        [CYCLONEDX, OPENVEX, TEST_RESULT, PROVENANCE]
    )
    assert resolved["attestations"][0] == {
        "digest": str(run.pinned[0].envelope),
        "predicateType": CYCLONEDX,
        "signer": f"SHA256:{house.settings.trust[0].digest.hex}",
        "trust": "build",
        "about": ["app.bin"],
    }
    assert run.verdict is not None
    capsule = json.loads(house.real.blobs.get(run.verdict.capsule))

    def facet(name: str) -> Any:
        return json.loads(house.real.blobs.get(Digest.parse(capsule["refs"][name])))

    assert [one["purl"] for one in facet("components")] == ["pkg:pypi/click@8.1.8"]
    assert facet("sboms")[0]["digest"] == str(run.pinned[0].predicate)
    assert facet("promotion")["bundle"]["digest"] == str(bundle)
    scans = {one["id"]: (one["status"], one["detail"]) for one in facet("scans")}
    by_type = {one.predicate_type: one for one in run.pinned}
    failed = by_type[TEST_RESULT]
    status, detail = scans[f"attestation:{failed.envelope.short}"]
    assert status == "FAILED" and detail == f"test result FAILED by {failed.signer}"
    assert scans[f"vex:{by_type[OPENVEX].predicate.short}"] == ("COMPLETE", "0 statements")
    for one in run.pinned:
        assert capsule["raw"][f"attestation:{one.envelope.short}"] == str(one.envelope)


def test_what_comes_later_is_on_record_and_waits(house: SmallHouse, desk: Attestations) -> None:
    run = house.drive(house.promote().run_id)
    file = given(run.bundle)
    before = run.binding
    (taken,) = desk.import_for_run(run.run_id, [file], actor="ana")
    assert taken.new and not taken.pinned
    run = house.real.run(run.run_id)
    assert run.attestations == (taken.attestation,) and run.pinned == ()
    assert run.binding == before  # what was looked at for approval has not changed
    (again,) = desk.import_for_run(run.run_id, [file], actor="ana")
    assert not again.new and len(imported(house, run.run_id)) == 1
    assert [one.pinned for one in desk.of_run(run.run_id)] == [False]
    told = [line.text for line in tell(house.real.load(run.run_id)) if "imported" in line.text]
    assert told == [
        "ana imported an attestation (SLSA provenance v1) about release-bundle.manifest.json "
        f"signed by {taken.attestation.signer}, trusted as build: {taken.attestation.envelope}."
    ]


def test_a_closed_run_takes_in_nothing_and_its_pack_holds_all(
    house: SmallHouse, desk: Attestations
) -> None:
    bundle = house.bundle()
    desk.import_for_bundle(bundle, [given(bundle)], actor="ci")
    run = house.drive(house.promote().run_id)
    late = given(bundle, predicate_type=TEST_RESULT, predicate={"result": "PASSED"})
    first = desk.import_for_run(run.run_id, [late], actor="ana", command_id="ana/late")
    house.ask(run.run_id, Action.APPROVE, "bob")
    run = house.drive(run.run_id)
    assert run.terminal
    for kind in ("audit-pack", "bundle"):
        name, pack = house.sealer.export(run.run_id, kind, actor="audrey")
        report = verify_pack(pack, name=name, trusted_root=house.keys.trusted_root)
        assert report.failed == ()
        packed = [path for path in read_pack(pack).files if path.startswith("imported/")]
        assert sorted(packed) == [
            "imported/01-provenance-v1.dsse",
            "imported/01-provenance-v1.verification.json",
            "imported/02-result-v0.1.dsse",
            "imported/02-result-v0.1.verification.json",
        ]
        assert [one.file for one in report.checks if one.check == "imported"] == [
            "imported/01-provenance-v1.dsse"
        ]
    version = house.real.version(run.run_id)
    with pytest.raises(Refused, match="run-1 is SUCCEEDED: what it rests on is closed"):
        desk.import_for_run(run.run_id, [given(bundle)], actor="ana")
    # What was done before the end is told again, under the same command.
    told = desk.import_for_run(run.run_id, [late], actor="ana", command_id="ana/late")
    assert told == first and told[0].new
    assert house.real.version(run.run_id) == version


def test_a_key_that_is_trusted_no_more_vouches_for_nothing_new(
    tmp_path: Path, house: SmallHouse, desk: Attestations
) -> None:
    bundle = house.bundle()
    desk.import_for_bundle(bundle, [given(bundle), given(bundle, "ed25519")], actor="ci")
    house.close()
    later = SmallHouse(tmp_path, session_keys(), trust=(anchor("ed25519"),))
    try:
        run = later.drive(later.promote().run_id, until=lambda run: bool(run.pinned))
        assert [one.trust for one in run.pinned] == ["ed25519"]
        assert [one.trust for one in run.attestations] == ["ed25519"]
        assert run.resolved_inputs is not None
        (refused,) = json.loads(later.real.blobs.get(run.resolved_inputs))["attestationsRefused"]
        assert refused["predicateType"] == PROVENANCE
        assert "expected a signature by ed25519" in refused["reason"]
    finally:
        later.close()


# --- who wrote it may not approve it ------------------------------------------------------------


def by(*authors: str) -> dict[str, Any]:
    return provenance(internalParameters={"commitAuthors": list(authors)})


def test_a_commit_author_may_not_approve(house: SmallHouse, desk: Attestations) -> None:
    bundle = house.bundle()
    file = given(bundle, predicate=by("Bob B. <BOB@test.local>", "nobody@test.local"))
    desk.import_for_bundle(bundle, [file], actor="ci")
    run = house.drive(house.promote().run_id)
    assert run.authors == ("bob",)
    with pytest.raises(Refused, match="bob is a commit author by this bundle's prov") as caught:
        house.ask(run.run_id, Action.APPROVE, "bob")
    assert caught.value.code == "conflict_of_interest"
    house.ask(run.run_id, Action.APPROVE, "carol")
    assert [one.person for one in house.real.run(run.run_id).counting_approvals] == ["carol"]


def test_authors_of_a_provenance_that_nobody_is_trusted_for_still_count(
    tmp_path: Path, house: SmallHouse, desk: Attestations
) -> None:
    bundle = house.bundle()
    desk.import_for_bundle(bundle, [given(bundle, predicate=by("bob"))], actor="ci")
    house.close()
    later = SmallHouse(tmp_path, session_keys(), approvals=1)
    try:
        run = later.drive(later.promote().run_id)
        assert (run.pinned, run.authors) == ((), ("bob",))
    finally:
        later.close()


def test_an_approval_of_somebody_who_turns_out_to_be_an_author(
    tmp_path: Path, house: SmallHouse
) -> None:
    house.close()
    two = SmallHouse(tmp_path, session_keys(), approvals=2, trust=(anchor("p256"),))
    try:
        desk = Attestations(store=two.real, settings=two.settings, catalog=two.catalog)
        run = two.drive(two.promote().run_id)
        two.ask(run.run_id, Action.APPROVE, "bob")
        desk.import_for_run(run.run_id, [given(run.bundle, predicate=by("bob"))], actor="ana")
        run = two.real.run(run.run_id)
        assert [(a.person, a.counts) for a in run.approvals] == [("bob", False)]
        with pytest.raises(Refused):
            two.ask(run.run_id, Action.APPROVE, "bob")
        two.ask(run.run_id, Action.APPROVE, "carol")
        assert two.drive(run.run_id).status is RunStatus.AWAITING_APPROVAL
    finally:
        two.close()
