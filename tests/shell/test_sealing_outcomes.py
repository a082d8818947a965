"""Each way to end: sealed with its outcome, and nothing of weight outside the seal."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from engine.core.digest import Digest
from engine.core.events import Recorded
from engine.core.fact_events import (
    ApprovalApproved,
    ApprovalRejected,
    ApprovalWithdrawn,
    EvidenceCaptured,
    GateDecided,
    PolicyEvaluated,
    TargetReverted,
    TargetSet,
)
from engine.core.jcs import canonical
from engine.core.run import Run
from engine.evidence.verify import verify_envelope, verify_pack
from tests.evidence.kit import BASE, RUN, World, unpacked, world
from tests.evidence.kit_outcomes import WAYS

pytestmark = pytest.mark.house


@dataclass
class Ended:
    world: World
    run: Run
    outcome: str
    log: tuple[Recorded, ...]
    files: dict[str, bytes]

    def statements(self, kind: str) -> list[dict[str, Any]]:
        """The predicates of one kind, in the order of the chain."""
        found = [statement(self.files[name]) for name in self.files if is_item(name)]
        said = [one["predicate"] for one in found if one["predicateType"].endswith(kind)]
        return sorted(said, key=lambda one: one[f"{BASE}/link/v1"]["seq"])


def is_item(name: str) -> bool:
    return name.endswith(".dsse") and not name.startswith("imported/")


def statement(envelope: bytes) -> dict[str, Any]:
    return dict(json.loads(b64decode(json.loads(envelope)["payload"])))


@pytest.fixture(scope="module", params=sorted(WAYS))
def ended(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ended]:
    outcome, changes = WAYS[request.param]
    one = world(tmp_path_factory.mktemp("ended"), **changes)
    run = one.play()
    log = tuple(one.store.load(RUN))
    yield Ended(world=one, run=run, outcome=outcome, log=log, files=unpacked(one.pack()))
    one.store.close()


def test_it_is_sealed_with_its_outcome(ended: Ended) -> None:
    assert (ended.run.status.value, ended.run.seal_status) == (ended.outcome, "SEALED")
    for kind in ("/proof-chain/v1", "/run-record/v1"):
        (said,) = ended.statements(kind)
        assert said["outcome"] == ended.outcome
    export = statement(
        canonical(json.loads(ended.files["SHA256SUMS.sigstore.json"])["dsseEnvelope"])
    )
    assert export["predicate"]["outcome"] == ended.outcome


def test_both_packs_and_their_signatures_verify(ended: Ended) -> None:
    root = ended.world.keys.trusted_root
    for kind, name in (("audit-pack", "audit-pack.tar.gz"), ("bundle", "evidence-bundle.zip")):
        content = ended.world.pack(kind)
        report = verify_pack(content, name=name, trusted_root=root)
        assert report.ok, [str(check) for check in report.failed]
        beside, bundle = ended.world.sealer.export(RUN, f"{kind}.sigstore.json", actor="ana")
        assert beside == f"{name}.sigstore.json"
        assert verify_envelope(bundle, trusted_root=root).ok
        said = statement(canonical(json.loads(bundle)["dsseEnvelope"]))
        assert said["subject"] == [{"name": name, "digest": {"sha256": Digest.of(content).hex}}]
        assert said["predicateType"] == f"{BASE}/export/v1"


def test_every_event_before_the_record_is_in_it(ended: Ended) -> None:
    name = next(n for n in ended.files if n.endswith("/run-events.ndjson"))
    events = [json.loads(line) for line in ended.files[name].splitlines()]
    ends = next(
        r.seq
        for r in ended.log
        if isinstance(r.event, EvidenceCaptured) and r.event.name.endswith("/run-record.dsse")
    )
    assert [(e["seq"], e["hash"]) for e in events] == [
        (r.seq, r.hash.hex) for r in ended.log if r.seq < ends
    ]
    for event in events:
        bare = {key: value for key, value in event.items() if key not in {"hash", "type"}}
        assert Digest.of(canonical(bare)).hex == event["hash"]
    subjects = {one["name"] for one in statement(ended.files["proof-chain.dsse"])["subject"]}
    assert name in subjects


def test_every_decision_of_people_and_gates_has_its_statement(ended: Ended) -> None:
    of = [recorded.event for recorded in ended.log]
    nonces = [e.nonce for e in of if isinstance(e, ApprovalApproved | ApprovalRejected)]
    assert [said["nonce"] for said in ended.statements("/approval/v1")] == nonces
    withdrawn = [e.reason for e in of if isinstance(e, ApprovalWithdrawn)]
    told = [
        one["reason"]
        for said in ended.statements("/approval-outcome/v1")
        for one in said["noLongerCounting"]
    ]
    assert told == withdrawn
    verdicts = [e.verdict_id for e in of if isinstance(e, PolicyEvaluated)]
    assert [
        said[f"{BASE}/policy-decision/v1"]["verdictId"]
        for said in ended.statements("verification_summary/v1")
    ] == verdicts
    decided = {(e.step, e.t_ms, e.action) for e in of if isinstance(e, GateDecided)}
    assert decided == {
        (said[f"{BASE}/health-gate/v1"]["stage"], one["tMs"], one["action"])
        for said in ended.statements("test-result/v0.1")
        for one in said[f"{BASE}/health-gate/v1"]["decisions"]
    }


def test_every_change_of_a_target_has_its_statement(ended: Ended) -> None:
    of = [recorded.event for recorded in ended.log]
    was_set = {(e.step, e.target) for e in of if isinstance(e, TargetSet)}
    assert was_set == {
        (said["stage"]["id"], one["target"])
        for said in ended.statements("/deployment/v1")
        for one in said["targets"]
    }
    went_back = {e.target for e in of if isinstance(e, TargetReverted)}
    assert went_back == {
        one["target"] for said in ended.statements("/rollback/v1") for one in said["reverted"]
    }


def test_an_approval_is_bound_to_everything_it_is_about(ended: Ended) -> None:
    for said in ended.statements("/approval/v1"):
        scope, bound = said["scope"], said["scope"]["bound"]
        assert Digest.of(canonical(bound)).hex == scope["binding"]["sha256"]
        assert bound["run"] == scope["runId"] == RUN
        assert bound["bundle"] == f"sha256:{scope['bundle']['sha256']}" == str(ended.run.bundle)
        assert {"inputs", "policy", "verdict", "plan", "environment", "gateAttempt"} < bound.keys()
        assert scope["view"] and said["nonce"] and said["expiresAt"] > said["decidedAt"]


def test_the_deploy_workflow_has_its_provenance(ended: Ended) -> None:
    begun = bool(ended.run.step("canary-10").attempts)
    provenance = ended.statements("slsa.dev/provenance/v1")
    assert len(provenance) == int(begun)
    for said in provenance:
        names = {one["name"] for one in said["buildDefinition"]["resolvedDependencies"]}
        assert {"release-bundle.manifest.json", "resolved-inputs.json", "rollout-plan"} <= names


def test_no_number_in_evidence_is_a_float(ended: Ended) -> None:
    def refuse(number: str) -> None:
        raise AssertionError(number)

    for name, content in ended.files.items():
        if name.endswith(".json"):
            json.loads(content, parse_float=refuse)
        if is_item(name):
            json.loads(b64decode(json.loads(content)["payload"]), parse_float=refuse)


def test_the_pack_holds_every_name_of_its_kind(ended: Ended) -> None:
    every = {
        "README.txt",
        "SHA256SUMS",
        "SHA256SUMS.sigstore.json",
        "log/checkpoint",
        "log/consistency.json",
        "log/log.vkey",
        "log/witness.vkey",
        "pack.json",
        "proof-chain.dsse",
        "proof-chain.json",
        "proof-chain.sigstore.json",
        "release-bundle.manifest.json",
        "trust/ca.pem",
        "trust/trust_config.json",
        "trust/trusted_root.json",
        "trust/tsa.pem",
        "trust/tsa_root.pem",
        "verify.sh",
    }
    bundle = unpacked(ended.world.pack("bundle"))
    assert every | {"story.txt", "story.json"} <= ended.files.keys()
    assert every | {"evidence.intoto.jsonl"} <= bundle.keys()
    assert not any(name.startswith("logs/") for name in bundle)
    listed = ended.files["SHA256SUMS"].splitlines()
    assert json.loads(ended.files["pack.json"])["files"] == len(listed)
    assert ended.world.keys.fingerprint.hex.encode() in ended.files["README.txt"]
