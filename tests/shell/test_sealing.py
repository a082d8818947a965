"""Sealing over the real store: power cuts, damage, every outcome, and packs that stay the same."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine import keystore
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.fact_events import Commented, EvidenceCaptured, EvidenceMissing, EvidenceSealed
from engine.core.run_events import RunSealed
from engine.core.statemachine import RunStatus
from engine.core.step_events import StepErrored
from engine.evidence.merkle import leaf_hash
from engine.evidence.verify import verify_pack
from tests.evidence.kit import RUN, World, open_world, unpacked, world

pytestmark = pytest.mark.house


class PowerCut(BaseException):
    """Not an Exception: nothing in the engine may catch it."""


class CutAfter:
    """Wraps the store and its blobs and cuts the power around their n-th writing call."""

    def __init__(self, inner: Any, fuse: list[int], *, before: bool) -> None:
        self._inner, self._fuse, self._before = inner, fuse, before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "blobs":
            return CutAfter(found, self._fuse, before=self._before)
        if name not in {"append", "put"}:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse[0] -= 1
            if self._fuse[0] == 0 and self._before:
                raise PowerCut
            result = found(*args, **kwargs)
            if self._fuse[0] == 0:
                raise PowerCut
            return result

        return call


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose run has two items and is about to be asked for approval."""
    home = tmp_path_factory.mktemp("waiting")
    one = world(home)
    one.play(until=lambda run: run.evidence_count == 2)
    one.store.close()
    return home


def copy_of(home: Path, target: Path) -> Path:
    shutil.copytree(home, target / "home")
    return target / "home"


def receipt_of(item: EvidenceCaptured) -> Digest:
    (found,) = (one.digest for one in item.files if one.name.endswith("rekor-entry.json"))
    return found


def log_is_whole(one: World) -> None:
    """Items are numbered without gaps, and in the order of the log.

    The log may hold signatures of tries that were cut off; no item may be missing in it.
    """
    items = [r.event for r in one.store.load(RUN) if isinstance(r.event, EvidenceCaptured)]
    assert [item.seq for item in items] == list(range(1, len(items) + 1))
    indexes, leaves = [item.log_index for item in items], one.store.tlog_leaves()
    assert indexes == sorted(set(indexes))
    for item in items:
        for file in item.files:
            assert one.store.blobs.get(file.digest) is not None
        receipt = json.loads(one.store.blobs.get(receipt_of(item)))
        body = base64.b64decode(receipt["canonicalizedBody"])
        assert leaf_hash(body).hex() == leaves[item.log_index]


@pytest.mark.fault
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_power_cut_around_every_write(waiting: Path, tmp_path: Path, before: bool) -> None:
    """Whatever is cut, the next start goes on, and the run ends sealed with a good pack."""
    home = copy_of(waiting, tmp_path)
    cuts = 0
    for fuse in (1, 2, 3, 5, 8, 13, 21, 34):
        one = open_world(home, wrap=lambda store, n=fuse: CutAfter(store, [n], before=before))
        try:
            one.play()
        except PowerCut:
            cuts += 1
        finally:
            one.store.close()
        again = open_world(home)
        log_is_whole(again)
        ended = again.run.terminal
        again.store.close()
        if ended:
            break
    one = open_world(home)
    run = one.play()
    assert (run.status, run.seal_status) == (RunStatus.SUCCEEDED, "SEALED")
    log_is_whole(one)
    assert cuts >= 4
    assert verify_pack(one.pack(), trusted_root=one.keys.trusted_root).ok
    one.store.close()


@pytest.mark.fault
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_power_cuts_during_the_seal(tmp_path: Path, before: bool) -> None:
    one = world(tmp_path, decision="FAIL")
    one.play(until=lambda run: run.status is RunStatus.SEALING and run.steps[-1].open)
    one.store.close()
    for fuse in (1, 2, 4, 6, 8):
        one = open_world(tmp_path, wrap=lambda store, n=fuse: CutAfter(store, [n], before=before))
        try:
            one.play()
        except PowerCut:
            pass
        finally:
            one.store.close()
    one = open_world(tmp_path)
    run = one.play()
    assert (run.status, run.seal_status) == (RunStatus.REJECTED, "SEALED")
    sealed = [r for r in one.store.load(RUN) if isinstance(r.event, EvidenceSealed)]
    assert len(sealed) == 1
    assert verify_pack(one.pack(), trusted_root=one.keys.trusted_root).ok
    one.store.close()


def test_two_exports_are_the_same_bytes_also_after_a_restart(tmp_path: Path) -> None:
    one = world(tmp_path, decision="FAIL")
    one.play()
    packs = {kind: one.pack(kind) for kind in ("audit-pack", "bundle")}
    assert packs == {kind: one.pack(kind) for kind in packs}
    one.store.close()
    one = open_world(tmp_path)
    assert packs == {kind: one.pack(kind) for kind in packs}
    one.store.close()


def test_the_files_of_a_good_run(waiting: Path, tmp_path: Path) -> None:
    one = open_world(copy_of(waiting, tmp_path))
    one.play()
    files = unpacked(one.pack())
    canary = "steps/04-canary-10"
    ticks = [json.loads(line) for line in files[f"{canary}/ticks.ndjson"].splitlines()]
    assert [tick["action"] for tick in ticks] == ["hold", "hold", "promote"]
    assert {
        "steps/01-inputs/resolved-inputs.json",
        "steps/01-inputs/rekor-entry.json",
        "steps/02-gate-eval/policy-decision.dsse",
        "steps/02-gate-eval/rekor-entry.json",
        "steps/02-gate-eval/verdict.json",
        "steps/03-approval/approval.dsse",
        "steps/03-approval/approval-2.dsse",
        f"{canary}/deploy-attestation.dsse",
        f"{canary}/health-gate.rekor-entry.json",
        "steps/06-post-verify/runtime-snapshot.json",
        "logs/04-canary-10/attempt-1.log",
        "proof-chain.json",
        "proof-chain.sigstore.json",
        "trust/trusted_root.json",
        "story.txt",
        "README.txt",
    } <= files.keys()
    assert b"SUCCEEDED" in files["story.txt"] and b"PARTIAL" not in files["story.txt"]
    one.store.close()


def test_a_second_attempt_keeps_the_first(tmp_path: Path) -> None:
    """The engine is lost in the canary; both attempts have their packet."""

    def lose(one: World, effect: object) -> None:
        step = one.run.step("canary-10")
        if len(step.attempts) == 1 and step.open and step.attempt and step.attempt.applied:
            lost = StepErrored(
                step=step.id, attempt=1, cause="engine_lost", reason="lost", transient=True
            )
            one.append((lost,))

    one = world(tmp_path, before=lose)
    run = one.play()
    files = unpacked(one.pack())
    assert "steps/04-canary-10/deploy-attestation.dsse" in files
    assert "steps/04-canary-10/attempt-2/deploy-attestation.dsse" in files
    assert "steps/04-canary-10/attempt-2/health-gate.dsse" in files
    assert verify_pack(one.pack(), trusted_root=one.keys.trusted_root).ok
    assert run.seal_status == "SEALED"
    one.store.close()


def damage(one: World, name: str) -> None:
    """Flip a byte of the blob behind an evidence file."""
    for recorded in one.store.load(RUN):
        for file in getattr(recorded.event, "files", ()):
            if file.name == name:
                path = one.store.blobs.path(file.digest)
                path.chmod(0o644)
                content = bytearray(path.read_bytes())
                content[3] ^= 1
                path.write_bytes(bytes(content))


def test_a_damaged_item_is_never_sealed(tmp_path: Path) -> None:
    """Three attempts, then the run ends as what it was, UNSEALED, with the reason."""
    name = "steps/02-gate-eval/policy-decision.dsse"
    one = world(tmp_path, decision="FAIL")
    one.play(until=lambda run: run.status is RunStatus.SEALING and run.evidence_count == 2)
    damage(one, name)
    run = one.play()
    assert (run.status, run.seal_status) == (RunStatus.REJECTED, "UNSEALED")
    errored = [r.event for r in one.store.load(RUN) if isinstance(r.event, StepErrored)]
    assert len(errored) == 3 and all(event.transient for event in errored)
    (ended,) = [r.event for r in one.store.load(RUN) if isinstance(r.event, RunSealed)]
    assert "sealing failed" in ended.reason
    with pytest.raises(Refused, match="not sealed"):
        one.pack()
    one.store.close()


def test_what_cannot_be_captured_is_missing_and_said(tmp_path: Path) -> None:
    def spoil(one: World, effect: object) -> None:
        if type(effect).__name__ == "CaptureEvidence" and one.run.evidence_count == 1:
            one.store.blobs.path(one.run.verdict.capsule).unlink()  # type: ignore[union-attr]

    one = world(tmp_path, decision="FAIL", before=spoil)
    run = one.play()
    (missing,) = [r.event for r in one.store.load(RUN) if isinstance(r.event, EvidenceMissing)]
    assert missing.step == "gate-eval"
    assert (run.status, run.seal_status) == (RunStatus.REJECTED, "UNSEALED")
    name, content = one.sealer.export(RUN, "partial", actor="ana")
    assert verify_pack(content, name=name, trusted_root=one.keys.trusted_root).ok
    one.store.close()


@pytest.mark.parametrize(
    ("kind", "refusal"), [("audit-pack", Refused), ("bundle", Refused), ("everything", Malformed)]
)
def test_what_is_not_exported(
    waiting: Path, tmp_path: Path, kind: str, refusal: type[Exception]
) -> None:
    one = open_world(copy_of(waiting, tmp_path))
    with pytest.raises(refusal):
        one.pack(kind)
    with pytest.raises(NotFound):
        one.sealer.export("run-9", "partial", actor="ana")
    one.store.close()


def test_a_partial_export_goes_into_the_log_and_changes_nothing_else(
    waiting: Path, tmp_path: Path
) -> None:
    one = open_world(copy_of(waiting, tmp_path))
    leaves, status = len(one.store.tlog_leaves()), one.run.status
    name, content = one.sealer.export(RUN, "partial", actor="ana")
    assert name == "run-1-PARTIAL-evidence.tar.gz"
    assert unpacked(content)["story.txt"].startswith(b"PARTIAL")
    assert len(one.store.tlog_leaves()) == leaves + 1 and one.run.status is status
    run = one.play()
    assert run.seal_status == "SEALED"
    with pytest.raises(Refused, match="is sealed"):
        one.pack("partial")
    assert verify_pack(one.pack(), trusted_root=one.keys.trusted_root).ok
    one.store.close()


def test_somebody_is_faster(waiting: Path, tmp_path: Path) -> None:
    """A conflict builds everything anew; the chain keeps no trace of the lost try."""

    class Racing:
        def __init__(self, inner: Any) -> None:
            self.inner, self.raced = inner, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def append(self, stream: str, events: Any, **rest: Any) -> Any:
            if isinstance(events[0], EvidenceCaptured) and self.raced < 2:
                self.raced += 1
                self.inner.append(
                    stream, (Commented(text="hi"),), after=self.inner.version(stream), actor="ana"
                )
            return self.inner.append(stream, events, **rest)

    one = open_world(copy_of(waiting, tmp_path), wrap=Racing)
    one.play()
    assert one.store.raced == 2
    log_is_whole(one)
    assert verify_pack(one.pack(), trusted_root=one.keys.trusted_root).ok
    one.store.close()


def test_a_clock_that_was_set_back_signs_nothing_before_what_it_is_about(
    waiting: Path, tmp_path: Path
) -> None:
    home = copy_of(waiting, tmp_path)
    one = open_world(home)
    now_us = one.clock.at_us
    one.store.close()
    one = open_world(home, at_us=now_us - 100_000_000)
    one.play()
    assert verify_pack(one.pack(), trusted_root=one.keys.trusted_root).ok
    one.store.close()


def test_the_trusted_root_is_the_homes(waiting: Path, tmp_path: Path) -> None:
    one = open_world(copy_of(waiting, tmp_path))
    foreign = keystore.create(tmp_path / "other", "x").trusted_root
    _, content = one.sealer.export(RUN, "partial", actor="ana")
    assert not verify_pack(content, trusted_root=foreign).ok
    one.store.close()
