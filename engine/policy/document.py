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

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict

from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.policy.problems import Problem, pointer, refuse, shape_problems
from engine.policy.strictjson import INT_MAX, plain_texts, read_strict, value_problems

CLOCK: Final = "clock"

Seconds = Annotated[int, Field(ge=0, le=INT_MAX, description="UTC, seconds since the epoch")]
Name = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]


# No other fields, no other types: `strict` takes no text for a number.
_part: Final = with_config(ConfigDict(extra="forbid", strict=True))


# Fields stand in the order of their names, as in canonical JSON: a facet that was read is then
# written again in the order of its bytes (`engine.policy.asking`).


@_part
class Clock(TypedDict):
    evaluated_at_s: Seconds


@_part
class PromotedBundle(TypedDict):
    components: Annotated[list[Name], Field(min_length=1)]
    digest: Sha256
    name: Name
    version: Name


@_part
class Target(TypedDict):
    env: Name
    region: str


@_part
class Promotion(TypedDict):
    bundle: PromotedBundle
    kind: Literal["PROMOTE", "ROLLBACK", "HOTFIX"]
    target: Target


@_part
class Baseline(TypedDict):
    """What runs at the target now. Not `known`: every finding counts as new."""

    bundle: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
    known: bool
    label: str


@_part
class InputComponent(TypedDict):
    """One package of the software, whichever parts of the bundle carry it."""

    found_in: list[Name]
    licenses: list[Name]
    name: Name
    purl: Name
    version: str


@_part
class Vex(TypedDict):
    """The exploitability statement that applies; empty texts when there is none."""

    author: str
    justification: str
    status: Literal["", "not_affected", "affected", "fixed", "under_investigation"]


@_part
class Finding(TypedDict):
    """One flaw in one package, after advisories of the same flaw were merged by alias."""

    aliases: list[Name]
    cvss_dt: Annotated[int, Field(ge=-1, le=100, description="ten times the score; -1: none")]
    epss_ppm: Annotated[int, Field(ge=-1, le=1_000_000, description="-1: no score is known")]
    found_in: list[Name]
    id: Name
    kev: bool
    key: Annotated[str, Field(min_length=1, description="`<id> <purl>`, unique")]
    new_since_baseline: bool
    purl: Name
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
    severity: Literal["UNKNOWN", "NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
    sources: Annotated[list[Name], Field(description="ids of the advisories that matched")]
    vex: Vex


@_part
class Sbom(TypedDict):
    component: Name
    components: Annotated[int, Field(ge=0, le=INT_MAX)]
    digest: Sha256
    format: Name
    generated_at_s: Annotated[int, Field(ge=0, le=INT_MAX, description="0: it carries no date")]


@_part
class Feed(TypedDict):
    as_of_s: Seconds
    digest: Sha256
    name: Name


@_part
class Reachability(TypedDict):
    """`runtime_bp` = 10000 x packages seen in use / packages, rounded down."""

    runtime_bp: BasisPoints
    static_bp: BasisPoints


@_part
class Approval(TypedDict):
    approver: Name
    decided_at_s: Seconds
    decision: Literal["APPROVED", "REJECTED"]
    expires_at_s: Seconds


@_part
class FreezeWindow(TypedDict):
    from_s: Seconds
    id: Name
    reason: str
    to_s: Seconds


@_part
class PolicyException(TypedDict):
    """A waiver of one finding of this document, by the names that the finding has here."""

    approved_by: Name
    expires_at_s: Seconds
    finding: Name
    purl: Name
    reason: str
    requested_by: Name
    waiver: Name


@_part
class Scan(TypedDict):
    """How complete one source of facts is; anything but COMPLETE is worth a warning."""

    detail: str
    id: Name
    status: Literal["COMPLETE", "INCOMPLETE", "RUNNING", "FAILED", "DEGRADED", "UNKNOWN"]


@_part
class GateDocument(TypedDict):
    """Input of the release gate policy (releaseline.gate-input/1)."""

    approvals: list[Approval]
    baseline: Baseline
    clock: Clock
    components: list[InputComponent]
    exceptions: list[PolicyException]
    feeds: list[Feed]
    findings: list[Finding]
    freeze_windows: list[FreezeWindow]
    promotion: Promotion
    reachability: Reachability
    sboms: list[Sbom]
    scans: list[Scan]


# Every field but the clock is stored as a blob of its own: facts that did not change between two
# decisions are then stored once.
FACETS: Final = tuple(sorted(set(GateDocument.__annotations__) - {CLOCK}))

# What must not stand twice in a list, so that a result names one thing only.
UNIQUE: Final = {
    "components": "purl",
    "findings": "key",
    "sboms": "component",
    "feeds": "name",
    "scans": "id",
}


_DOCUMENT: Final = TypeAdapter(GateDocument)


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
    blobs = _blobs_of_sound(document)
    if blobs is None:
        problems = value_problems(document)
        if not problems:
            problems = shape_problems(_DOCUMENT, document)
        if not problems:
            assert isinstance(document, Mapping)
            problems = _doubled(document)
        refuse(problems, where=where)
        assert isinstance(document, Mapping)
        blobs = {name: canonical(document[name]) for name in FACETS}
    assert isinstance(document, Mapping)
    refs = {name: Digest.of(blob) for name, blob in blobs.items()}
    return GateInput(
        document=MappingProxyType(dict(document)),
        blobs=MappingProxyType(blobs),
        refs=MappingProxyType(refs),
        digest=input_digest(document[CLOCK], refs),
    )


def _blobs_of_sound(document: object) -> dict[str, bytes] | None:
    """The facets of a document in which there is surely nothing to refuse; None: look closely.

    A document of the right shape holds no number that is not an integer in its bounds, and no key
    but our own. What is left to look for is looked for in each facet's text as a whole.
    """
    try:
        _DOCUMENT.validate_python(document)
        assert isinstance(document, dict)
        blobs = {name: canonical(document[name]) for name in FACETS}
    except ValueError:  # of another shape, or no Unicode text
        return None
    if not all(map(plain_texts, blobs.values())) or _doubled(document):
        return None
    return blobs


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
    schema = _DOCUMENT.json_schema(schema_generator=_Schema)
    schema.pop("title", None)
    for definition in schema["$defs"].values():
        definition.pop("title", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://releaseline.local/schema/gate-input-1.json",
        **schema,
    }
