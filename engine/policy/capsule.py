"""Everything that a verdict rests on, frozen: enough to ask the same question again in any year.

The capsule itself is small; what it names lies in blobs of their own, so that facts which did not
change between two decisions are stored once. Raw sources (SBOMs, feeds, VEX) stand beside the
facts, so that the findings too can be worked out again and not the decision only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.policy.canonjson import read_canonical
from engine.policy.document import CLOCK, FACETS, GateInput
from engine.policy.evaluate import Evaluation
from engine.policy.identity import Identity
from engine.policy.model import Policy

SCHEMA: Final = "releaseline.capsule/1"
POLICY: Final = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capsule:
    """Attributes:
    document: as in policy.md 4.1; plain JSON values.
    blob: its canonical bytes.
    parts: the bytes of everything in its `refs`, by name.
    """

    document: Mapping[str, Any]
    blob: bytes
    parts: Mapping[str, bytes]


def seal_capsule(
    *,
    verdict_id: str,
    run: str,
    step: str,
    policy: Policy,
    given: GateInput,
    evaluation: Evaluation,
    identity: Identity,
    matcher: str,
    raw: Mapping[str, Digest],
) -> Capsule:
    """Args:
    matcher: name and version of what made the findings out of the raw sources.
    raw: digests of the sources as they came, for example `sbom:api.zip` or `feed:KEV`.
    """
    parts = {POLICY: policy.blob, **given.blobs}
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "verdict_id": verdict_id,
        "run": run,
        "step": step,
        CLOCK: dict(given.document[CLOCK]),
        "refs": {name: str(Digest.of(blob)) for name, blob in parts.items()},
        "raw": {name: str(digest) for name, digest in raw.items()},
        "env": {
            **identity.document(),
            "matcher": matcher,
            "form": evaluation.form.value,
        },
        "verdict": evaluation.verdict.document(),
        "verdict_digest": str(evaluation.verdict.digest),
    }
    return Capsule(document=document, blob=canonical(document), parts=parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCapsule:
    """A capsule read back; its parts are not looked at yet.

    Attributes:
        raw: the sources by name, as they came.
        env: who evaluated: engine, engine_code, crosscheck, python, matcher, form.
    """

    verdict_id: str
    run: str
    step: str
    clock: Mapping[str, Any]
    refs: Mapping[str, Digest]
    raw: Mapping[str, Digest]
    env: Mapping[str, Any]
    verdict: Mapping[str, Any]
    verdict_digest: Digest

    @property
    def engine(self) -> str:
        return str(self.env.get("engine", ""))

    @property
    def policy(self) -> Digest:
        return self.refs[POLICY]


def open_capsule(blob: bytes, *, where: str = "capsule") -> OpenedCapsule:
    """Read a capsule's bytes.

    Raises:
        Malformed: naming the field, expected and found.
    """
    document, _ = read_canonical(blob, where=where)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise Malformed(f"expected a document of schema {SCHEMA!r}", where=where)
    refs = _object(document, "refs", where)
    expected = sorted({POLICY, *FACETS})
    if sorted(refs) != expected:
        raise Malformed(
            f"expected {', '.join(expected)}, found {', '.join(sorted(refs))}",
            where=f"{where}.refs",
        )
    clock = _object(document, CLOCK, where)
    if not isinstance(clock.get("evaluated_at_s"), int):
        raise Malformed("expected evaluated_at_s in seconds", where=f"{where}.{CLOCK}")
    return OpenedCapsule(
        verdict_id=str(document.get("verdict_id", "")),
        run=str(document.get("run", "")),
        step=str(document.get("step", "")),
        clock=clock,
        refs={name: Digest.parse(str(digest)) for name, digest in refs.items()},
        raw={
            name: Digest.parse(str(digest))
            for name, digest in _object(document, "raw", where).items()
        },
        env=_object(document, "env", where),
        verdict=_object(document, "verdict", where),
        verdict_digest=Digest.parse(str(document.get("verdict_digest", ""))),
    )


def _object(document: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = document.get(key)
    if not isinstance(value, dict):
        raise Malformed("expected an object", where=f"{where}.{key}")
    return value
