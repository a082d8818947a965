"""Whole packs of real runs: good ones pass, and every way to bend one is caught and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import keystore
from engine.core.errors import Malformed, Unverified
from engine.evidence import sigstore_bundle
from engine.evidence.trust import parse_trusted_root
from engine.evidence.verify import SUMS, SUMS_BUNDLE, Report, verify_envelope, verify_pack
from tests.evidence.conftest import Played
from tests.evidence.kit import repacked, unpacked, world
from tests.evidence.thief import Files, resummed

pytestmark = pytest.mark.house


def judge(files: Files, played: Played) -> Report:
    return verify_pack(repacked(files), trusted_root=played.trusted)


def failed(report: Report) -> set[tuple[str, str]]:
    assert not report.ok
    return {(check.file, check.check) for check in report.failed}


@pytest.mark.parametrize("kind", ["healthy", "rolled_back", "rejected"])
def test_packs_of_finished_runs_are_good(kind: str, request: pytest.FixtureRequest) -> None:
    played: Played = request.getfixturevalue(kind)
    for content, name in (
        (played.audit, "audit-pack.tar.gz"),
        (played.bundle, "evidence-bundle.zip"),
    ):
        report = verify_pack(content, name=name, trusted_root=played.trusted)
        assert report.ok, report.failed
        assert report.anchored and len(report.checks) > 25
        by_digest = verify_pack(content, trusted_root_sha256=str(played.world.keys.fingerprint))
        assert by_digest.ok and by_digest.anchored
    assert json.loads(unpacked(played.audit)["proof-chain.json"])["outcome"] == str(
        played.run.outcome.value if played.run.outcome else ""
    )


def test_without_an_anchor_the_report_says_so(healthy: Played) -> None:
    report = verify_pack(healthy.audit)
    assert report.ok and not report.anchored
    assert report.fingerprint == healthy.world.keys.fingerprint.hex


def test_the_same_from_a_folder_and_a_file(healthy: Played, tmp_path: Path) -> None:
    (tmp_path / "audit-pack.tar.gz").write_bytes(healthy.audit)
    assert verify_pack(tmp_path / "audit-pack.tar.gz", trusted_root=healthy.trusted).ok
    for name, content in unpacked(healthy.audit).items():
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert verify_pack(tmp_path / "out", trusted_root=healthy.trusted).ok


def test_one_changed_byte_in_any_file_names_it(rejected: Played) -> None:
    files = unpacked(rejected.audit)
    for name, content in files.items():
        changed = bytearray(content)
        changed[len(content) // 2] ^= 1
        report = judge(files | {name: bytes(changed)}, rejected)
        assert any(name in file for file, _ in failed(report)), name


@pytest.mark.long
def test_changed_bytes_at_several_places_of_a_big_pack(healthy: Played) -> None:
    files = unpacked(healthy.audit)
    for name, content in files.items():
        for spot in {0, len(content) // 3, len(content) - 1}:
            changed = bytearray(content)
            changed[spot] ^= 1
            report = judge(files | {name: bytes(changed)}, healthy)
            assert any(name in file for file, _ in failed(report)), (name, spot)


def test_no_byte_of_what_signs_the_list_is_free(rejected: Played) -> None:
    """No digest covers this file: each of its bytes has to matter by itself."""
    content = unpacked(rejected.audit)[SUMS_BUNDLE]
    trusted = parse_trusted_root(rejected.trusted)
    sigstore_bundle.verify_bundle(content, trusted, where="b", exact=True)
    for spot in range(0, len(content), 41):
        changed = bytearray(content)
        changed[spot] ^= 1
        with pytest.raises((Malformed, Unverified)):
            sigstore_bundle.verify_bundle(bytes(changed), trusted, where="b", exact=True)


def test_a_dropped_an_added_and_a_swapped_file(healthy: Played) -> None:
    files = unpacked(healthy.audit)
    for name in (*sorted(files)[::13], SUMS, SUMS_BUNDLE):
        rest = {other: content for other, content in files.items() if other != name}
        assert any(name in file for file, _ in failed(judge(rest, healthy))), name
    added = judge(files | {"steps/03-approval/approval-3.dsse": b"{}"}, healthy)
    assert ("steps/03-approval/approval-3.dsse", "pack.added") in failed(added)
    one, two = "steps/03-approval/approval.dsse", "steps/03-approval/approval-2.dsse"
    swapped = files | {one: files[two], two: files[one]}
    assert {(one, "pack.digest"), (two, "pack.digest")} <= failed(judge(swapped, healthy))


def moved(files: Files, old: str, new: str) -> Files:
    return {name.replace(old, new): content for name, content in files.items()}


@pytest.mark.parametrize(
    ("bend", "check"),
    [
        (lambda f: {n: c for n, c in f.items() if "approval-2" not in n}, "chain.seq"),
        (lambda f: {n: c for n, c in f.items() if "post-verify" not in n}, "chain.count"),
        (lambda f: moved(f, "04-canary-10", "04-canary-11"), "chain.folder"),
        (lambda f: {n: c for n, c in f.items() if not n.startswith("proof-chain")},
         "chain.missing"),
        (lambda f: f | {"steps/01-inputs/extra.json": b"{}"}, "chain.file"),
        (lambda f: {n: c for n, c in f.items() if n != "steps/04-canary-10/ticks.ndjson"},
         "chain.file"),
        (lambda f: f | {"steps/04-canary-10/ticks.ndjson": b""}, "item.reference"),
        (lambda f: f | {"release-bundle.manifest.json": b"{}"}, "item.subject"),
        (lambda f: f | {"proof-chain.json": f["proof-chain.json"].replace(
            b'"SUCCEEDED"', b'"FAILED"')}, "chain.signature"),
        (lambda f: f | {"steps/02-gate-eval/rekor-entry.json":
                        f["steps/01-inputs/rekor-entry.json"]}, "item.receipt"),
        (lambda f: f | {"pack.json": f["pack.json"].replace(
            b'"partial":false', b'"partial":true')}, "pack.manifest"),
        (lambda f: f | {"story.txt": b"PARTIAL" + f["story.txt"]}, "pack.watermark"),
    ],
)  # fmt: skip
def test_even_whoever_can_sign_the_list_cannot_bend_the_evidence(
    healthy: Played, bend: Callable[[Files], Files], check: str
) -> None:
    report = judge(resummed(bend(unpacked(healthy.audit)), healthy), healthy)
    assert check in {name for _, name in failed(report)}


def test_the_untouched_pack_survives_that_treatment(healthy: Played) -> None:
    assert judge(resummed(unpacked(healthy.audit), healthy), healthy).ok


def test_an_approval_of_another_run(healthy: Played, rolled_back: Played, tmp_path: Path) -> None:
    """Same people, same bundle, another home: not even its keys are known."""
    stem = "steps/03-approval/approval"
    foreign = {n: c for n, c in unpacked(rolled_back.audit).items() if n.startswith(f"{stem}.")}
    report = judge(resummed(unpacked(healthy.audit) | foreign, healthy), healthy)
    assert (f"{stem}.sigstore.json", "timestamp.chain") in failed(report) or any(
        file.startswith(stem) for file, _ in failed(report)
    )


def test_another_trusted_root(healthy: Played, tmp_path: Path) -> None:
    other = keystore.create(tmp_path, "x").trusted_root
    report = verify_pack(healthy.audit, trusted_root=other)
    assert ("trust/trusted_root.json", "trust.root") in failed(report)
    by_digest = verify_pack(healthy.audit, trusted_root_sha256="0" * 64)
    assert ("trust/trusted_root.json", "trust.root") in failed(by_digest)


def test_a_name_that_hides_or_claims_a_part(healthy: Played) -> None:
    report = verify_pack(healthy.audit, name="x-PARTIAL.tar.gz", trusted_root=healthy.trusted)
    assert ("x-PARTIAL.tar.gz", "pack.watermark") in failed(report)


@pytest.mark.parametrize("content", [b"", b"x", b"PK", b"\x1f\x8b" + bytes(40)])
def test_what_is_no_pack(content: bytes) -> None:
    report = verify_pack(content, name="p")
    assert failed(report) == {("p", "pack.archive")}
    assert str(report.failed[0]).startswith("FAILED  p: pack.archive: expected a readable pack")


def test_a_partial_pack(tmp_path: Path) -> None:
    one = world(tmp_path)
    one.play(until=lambda run: run.evidence_count == 3)
    name, content = one.sealer.export("run-1", "partial", actor="ana")
    assert "PARTIAL" in name
    trusted = one.keys.trusted_root
    assert verify_pack(content, name=name, trusted_root=trusted).ok
    report = verify_pack(content, name="audit-pack.tar.gz", trusted_root=trusted)
    assert ("audit-pack.tar.gz", "pack.watermark") in failed(report)
    files = unpacked(content)
    played: Any = Played(one, one.run, content, content)
    for bent in (
        files | {"story.txt": files["story.txt"].replace(b"PARTIAL", b"")},
        files | {"pack.json": files["pack.json"].replace(b"PARTIAL", b"")},
        files | {"pack.json": files["pack.json"].replace(b'"partial":true', b'"partial":false')},
        {n: c for n, c in files.items() if "gate-eval" not in n},
    ):
        assert not judge(resummed(bent, played), played).ok
    one.store.close()


def test_a_single_envelope(healthy: Played) -> None:
    files = unpacked(healthy.audit)
    stem = "steps/02-gate-eval/policy-decision"
    bundle, envelope = files[f"{stem}.sigstore.json"], files[f"{stem}.dsse"]
    good = verify_envelope(bundle, trusted_root=healthy.trusted, envelope=envelope)
    assert good.ok and len(good.checks) == 2
    other = files["steps/01-inputs/resolved-inputs.dsse"]
    assert not verify_envelope(bundle, trusted_root=healthy.trusted, envelope=other).ok
    assert not verify_envelope(bundle[:-1], trusted_root=healthy.trusted).ok
