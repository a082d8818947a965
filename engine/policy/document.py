"""The frozen document that a policy is asked about: its shape, its check and its digest.

Absolute times only, never ages; basis points, ppm and deci-CVSS instead of floats; arrays
wherever order could matter. The JSON Schema that users see is generated from here. How the facts
come about (SBOMs, feeds, matching) is the business of `engine.inputs`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema

from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.policy.problems import Problem, pointer, refuse, shape_problems
from engine.policy.strictjson import INT_MAX, read_strict, value_problems

CLOCK: Final = "clock"

Seconds = Annotated[int, Field(ge=0, le=INT_MAX, description="UTC, seconds since the epoch")]
Name = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Clock(_Part):
    evaluated_at_s: Seconds


class PromotedBundle(_Part):
    name: Name
    version: Name
    digest: Sha256
    components: Annotated[list[Name], Field(min_length=1)]


class Target(_Part):
    env: Name
    region: str


class Promotion(_Part):
    kind: Literal["PROMOTE", "ROLLBACK", "HOTFIX"]
    bundle: PromotedBundle
    target: Target


class Baseline(_Part):
    """What runs at the target now. Not `known`: every finding counts as new."""

    known: bool
    bundle: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
    label: str


class InputComponent(_Part):
    """One package of the software, whichever parts of the bundle carry it."""

    purl: Name
    name: Name
    version: str
    licenses: list[Name]
    found_in: list[Name]


class Vex(_Part):
    """The exploitability statement that applies; empty texts when there is none."""

    status: Literal["", "not_affected", "affected", "fixed", "under_investigation"]
    justification: str
    author: str


class Finding(_Part):
    """One flaw in one package, after advisories of the same flaw were merged by alias."""

    key: Annotated[str, Field(min_length=1, description="`<id> <purl>`, unique")]
    id: Name
    aliases: list[Name]
    sources: Annotated[list[Name], Field(description="ids of the advisories that matched")]
    purl: Name
    found_in: list[Name]
    severity: Literal["UNKNOWN", "NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
    cvss_dt: Annotated[int, Field(ge=-1, le=100, description="ten times the score; -1: none")]
    epss_ppm: Annotated[int, Field(ge=-1, le=1_000_000, description="-1: no score is known")]
    kev: bool
    reach: Literal[
        "UNKNOWN",
        "STATIC_REACHABLE",
        "STATIC_UNREACHABLE",
        "RUNTIME_OBSERVED",
        "RUNTIME_UNOBSERVED",
        "CONFIRMED_REACHABLE",
        "UNREACHABLE",
        "CONTESTED",
    ]
    new_since_baseline: bool
    vex: Vex


class Sbom(_Part):
    component: Name
    digest: Sha256
    format: Name
    generated_at_s: Annotated[int, Field(ge=0, le=INT_MAX, description="0: it carries no date")]
    components: Annotated[int, Field(ge=0, le=INT_MAX)]


class Feed(_Part):
    name: Name
    digest: Sha256
    as_of_s: Seconds


class Reachability(_Part):
    """`runtime_bp` = 10000 x packages seen in use / packages, rounded down."""

    static_bp: BasisPoints
    runtime_bp: BasisPoints


class Approval(_Part):
    approver: Name
    decision: Literal["APPROVED", "REJECTED"]
    decided_at_s: Seconds
    expires_at_s: Seconds


class FreezeWindow(_Part):
    id: Name
    from_s: Seconds
    to_s: Seconds
    reason: str


class PolicyException(_Part):
    finding: Name
    purl: Name
    expires_at_s: Seconds
    approved_by: Name
    reason: str


class Scan(_Part):
    """How complete one source of facts is; anything but COMPLETE is worth a warning."""

    id: Name
    status: Literal["COMPLETE", "INCOMPLETE", "RUNNING", "FAILED", "DEGRADED", "UNKNOWN"]
    detail: str


class GateDocument(_Part):
    """Input of the release gate policy (releaseline.gate-input/1)."""

    clock: Clock
    promotion: Promotion
    baseline: Baseline
    components: list[InputComponent]
    findings: list[Finding]
    sboms: list[Sbom]
    feeds: list[Feed]
    reachability: Reachability
    approvals: list[Approval]
    freeze_windows: list[FreezeWindow]
    exceptions: list[PolicyException]
    scans: list[Scan]


# Every field but the clock is stored as a blob of its own: facts that did not change between two
# decisions are then stored once.
FACETS: Final = tuple(sorted(set(GateDocument.model_fields) - {CLOCK}))

# What must not stand twice in a list, so that a result names one thing only.
UNIQUE: Final = {
    "components": "purl",
    "findings": "key",
    "sboms": "component",
    "feeds": "name",
    "scans": "id",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInput:
    """A checked document. Built by `gate_input` only.

    Attributes:
        document: plain JSON values; not to be changed.
        blobs: the canonical bytes of each facet, by its name.
        refs: their digests.
        digest: over the clock and the refs; the `input` of a verdict.
    """

    document: Mapping[str, Any]
    blobs: Mapping[str, bytes]
    refs: Mapping[str, Digest]
    digest: Digest

    @property
    def now_s(self) -> int:
        now_s: int = self.document[CLOCK]["evaluated_at_s"]
        return now_s


def gate_input(document: object, *, where: str = "gate input") -> GateInput:
    """Check and freeze `document`.

    Raises:
        Malformed: naming every problem with its JSON pointer.
    """
    problems = value_problems(document)
    if not problems:
        problems = shape_problems(GateDocument, document)
    if not problems:
        assert isinstance(document, Mapping)
        problems = _doubled(document)
    refuse(problems, where=where)
    assert isinstance(document, Mapping)
    blobs = {name: canonical(document[name]) for name in FACETS}
    refs = {name: Digest.of(blob) for name, blob in blobs.items()}
    return GateInput(
        document=MappingProxyType(dict(document)),
        blobs=MappingProxyType(blobs),
        refs=MappingProxyType(refs),
        digest=input_digest(document[CLOCK], refs),
    )


def read_gate_input(content: bytes, *, where: str) -> GateInput:
    """As `gate_input`, from JSON text. Doubled keys and floats are refused too."""
    return gate_input(read_strict(content, where=where), where=where)


def input_digest(clock: Mapping[str, Any], refs: Mapping[str, Digest]) -> Digest:
    """The digest of an input by the digests of its facets (the policy is not one of them)."""
    return Digest.of(
        canonical(
            {"clock": dict(clock), "refs": {name: str(refs[name]) for name in FACETS}},
        )
    )


def _doubled(document: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(
            where=pointer(facet),
            rule="doubled",
            message=f"expected each {field} once, found {value!r} {count} times",
        )
        for facet, field in UNIQUE.items()
        for value, count in Counter(item[field] for item in document[facet]).items()
        if count > 1
    ]


class _Schema(GenerateJsonSchema):
    """JSON Schema without the titles that pydantic makes up from names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def input_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the input document, as shipped in examples/."""
    schema = GateDocument.model_json_schema(schema_generator=_Schema)
    schema.pop("title", None)
    for definition in schema["$defs"].values():
        definition.pop("title", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://releaseline.local/schema/gate-input-1.json",
        **schema,
    }
