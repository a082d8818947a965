"""Replays the verdicts of an exported pack: no home, no server, no network.

What the pack says was decided is taken from its policy decisions. Whether those are signed by whom
one trusts is another question, and `releaseline verify` answers it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import NotFound
from engine.core.replays import Cause, ReplayResult
from engine.evidence.pack import read_file, read_folder
from engine.packing_replay import CAPSULE, FOLDER, part_name
from engine.policy.compile import CompiledPolicy
from engine.policy.evaluate import evaluate_policy
from engine.policy.frozen import frozen_input
from engine.policy.replay import Replay, policy_cause, replay_capsule, verdict_diff

_DECISION: Final = "policy-decision.dsse"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackReplay:
    """One verdict of a pack.

    Attributes:
        result: MATCH, MISMATCH; with a candidate SAME, FLIPPED, UNPROVEN.
        signed: a policy decision in the pack names this very capsule.
    """

    verdict_id: str
    result: str
    cause: str
    facet: str
    sentence: str
    diff: tuple[str, ...]
    signed: bool

    def document(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict_id,
            "mode": "shallow",
            "result": self.result,
            "cause": self.cause,
            "facet": self.facet,
            "sentence": self.sentence,
            "diff": list(self.diff),
            "named_by_decision": self.signed,
        }


def replay_pack(pack: Path, candidate: CompiledPolicy | None = None) -> tuple[PackReplay, ...]:
    """Replay every verdict of the pack, a file or a folder, by its name.

    Raises:
        Unverified, Malformed: it is no pack that can be read safely.
        NotFound: it holds no verdict to replay.
    """
    unpacked = read_folder(pack) if pack.is_dir() else read_file(pack, where=pack.name)
    files = unpacked.files

    def read(digest: Digest) -> bytes:
        content = files.get(part_name(digest))
        if content is None:
            raise NotFound(f"The pack holds no part {digest}.")
        return content

    decisions = _decisions(files)
    found = []
    for name in sorted(files):
        folder, _, rest = name.partition("/")
        verdict_id, _, last = rest.partition("/")
        if folder != FOLDER or last != CAPSULE:
            continue
        capsule, recorded = decisions.get(verdict_id, (None, None))
        blob = files[name]
        if capsule is not None and Digest.of(blob) != capsule:
            found.append(_exchanged(verdict_id, capsule, Digest.of(blob)))
            continue
        replay = replay_capsule(blob, read, recorded=recorded)
        one = _verified(verdict_id, replay, signed=capsule is not None)
        found.append(one if candidate is None else _judged(one, replay, candidate, read))
    if not found:
        raise NotFound(f"{pack}: there is no verdict to replay in it.")
    return tuple(found)


def _decisions(files: Mapping[str, bytes]) -> dict[str, tuple[Digest, Digest]]:
    """(capsule, verdict) by verdict id, as the pack's policy decisions name them."""
    named: dict[str, tuple[Digest, Digest]] = {}
    for name, content in files.items():
        if name.rpartition("/")[2] != _DECISION:
            continue
        try:
            payload = base64.b64decode(json.loads(content)["payload"], validate=True)
            predicate = json.loads(payload)["predicate"]
            for key, said in predicate.items():
                if key.endswith("/policy-decision/v1"):
                    named[said["verdictId"]] = (
                        Digest(said["capsuleDigest"]["sha256"]),
                        Digest(said["decisionDigest"]["sha256"]),
                    )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # what is wrong with an envelope is for `verify` to say
    return named


def _exchanged(verdict_id: str, expected: Digest, found: Digest) -> PackReplay:
    return PackReplay(
        verdict_id=verdict_id,
        result=ReplayResult.MISMATCH,
        cause=Cause.INPUT_TAMPERED,
        facet="capsule",
        sentence=f"the capsule: the policy decision names {expected}, found {found}",
        diff=(),
        signed=True,
    )


def _verified(verdict_id: str, replay: Replay, *, signed: bool) -> PackReplay:
    return PackReplay(
        verdict_id=verdict_id,
        result=replay.result,
        cause="" if replay.cause is None else replay.cause,
        facet=replay.facet,
        sentence=replay.sentence,
        diff=tuple(map(str, replay.diff)),
        signed=signed,
    )


def _judged(
    baseline: PackReplay, replay: Replay, candidate: CompiledPolicy, read: Any
) -> PackReplay:
    """The same facts under the candidate; nothing is said where the baseline does not replay."""
    if not replay.matches:
        return PackReplay(
            verdict_id=baseline.verdict_id,
            result=ReplayResult.UNPROVEN,
            cause=baseline.cause,
            facet=baseline.facet,
            sentence=baseline.sentence,
            diff=baseline.diff,
            signed=baseline.signed,
        )
    now = evaluate_policy(candidate, frozen_input(replay.capsule, read)).verdict
    flipped = now.decision != replay.then["decision"]
    cause = policy_cause(replay, now)
    same = cause is None
    return PackReplay(
        verdict_id=baseline.verdict_id,
        result=ReplayResult.FLIPPED if flipped else ReplayResult.SAME,
        cause="" if cause is None else cause,
        facet="" if same else "policy",
        sentence=f"{replay.then['decision']} then, {now.word} now",
        diff=() if same else tuple(map(str, verdict_diff(replay.then, now.document()))),
        signed=baseline.signed,
    )
