"""A policy's own tests: cases in YAML beside it, each an input and what the policy must say to it.

A case takes a whole input document, or a named one with some of its fields set or dropped, so that
a boundary can be written in one line. Reading files is the caller's: inputs come by name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.policy.compile import CompiledPolicy
from engine.policy.document import gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.model import read_yaml
from engine.policy.problems import Problem, pointer, refuse, shape_problems, steps_of
from engine.policy.strictjson import read_strict, value_problems
from engine.policy.verdict import Verdict

KIND: Final = "ReleaseGatePolicyTests"
SUFFIX: Final = ".tests.yaml"
_CASES_MAX: Final = 1_000

Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Result(_Part):
    rule: Text
    level: Literal["FAIL", "WARN"] | None = None
    subject: str | None = None
    detail: str | None = None


class _Expect(_Part):
    decision: Literal["PASS", "FAIL"]
    fail: int | None = None
    warn: int | None = None
    error: bool = False
    rules: list[Text] | None = None
    results: list[_Result] = []


class _Case(_Part):
    name: Text
    input: Text | dict[str, Any]
    set: dict[str, Any] = {}
    drop: list[str] = []
    expect: _Expect


class _Document(_Part):
    apiVersion: Literal["releaseline/v1"]
    kind: Literal["ReleaseGatePolicyTests"]
    cases: Annotated[list[_Case], Field(min_length=1, max_length=_CASES_MAX)]


_SHAPE: Final = TypeAdapter(_Document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Attributes:
    document: the whole input, with its changes made.
    fail, warn: None = any number.
    rules: exactly those that fire, sorted; None = any.
    results: each of them has to be among those of the verdict; absent fields match anything.
    """

    name: str
    document: Mapping[str, Any]
    decision: str
    fail: int | None
    warn: int | None
    error: bool
    rules: tuple[str, ...] | None
    results: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Attributes:
    problems: one sentence each with what was expected and what was found; empty = as expected.
    found: the verdict in words; empty when the input was refused.
    """

    name: str
    found: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ok": self.ok,
            "found": self.found,
            "problems": list(self.problems),
        }


def read_cases(
    content: bytes, read: Callable[[str], bytes], *, where: str = "tests"
) -> tuple[Case, ...]:
    """Read a file of cases.

    Args:
        read: the bytes of an input that a case names.

    Raises:
        Malformed: naming every problem of the file, or the input that cannot be read.
    """
    document = read_yaml(content, where=where)
    problems = value_problems(document) or shape_problems(_SHAPE, document)
    refuse(problems, where=where)
    assert isinstance(document, dict)
    refuse(_doubled(document["cases"]), where=where)
    inputs: dict[str, Any] = {}
    return tuple(_case(case, n, inputs, read, where) for n, case in enumerate(document["cases"]))


def with_inputs(content: bytes, read: Callable[[str], bytes], *, where: str = "tests") -> bytes:
    """The cases as one canonical JSON document that names no file: to publish with a policy."""
    cases = read_cases(content, read, where=where)
    listed = []
    for case in cases:
        expect: dict[str, Any] = {"decision": case.decision, "error": case.error}
        expect |= {"fail": case.fail} if case.fail is not None else {}
        expect |= {"warn": case.warn} if case.warn is not None else {}
        expect |= {"rules": list(case.rules)} if case.rules is not None else {}
        expect["results"] = [dict(one) for one in case.results]
        listed.append({"name": case.name, "input": dict(case.document), "expect": expect})
    document: dict[str, Any] = {"apiVersion": "releaseline/v1", "kind": KIND, "cases": listed}
    return canonical(document)


def no_files(name: str) -> bytes:
    """For cases that hold their inputs themselves."""
    raise Malformed(f"expected the input itself, found the name {name!r}", where="tests")


def run_cases(compiled: CompiledPolicy, cases: Sequence[Case]) -> tuple[Outcome, ...]:
    """Ask `compiled` about every case, in order."""
    return tuple(_run(compiled, case) for case in cases)


def summary(outcomes: Sequence[Outcome]) -> str:
    """`12 of 12 tests as expected.`"""
    good = sum(outcome.ok for outcome in outcomes)
    return f"{good} of {len(outcomes)} {'test' if len(outcomes) == 1 else 'tests'} as expected."


def _run(compiled: CompiledPolicy, case: Case) -> Outcome:
    try:
        given = gate_input(dict(case.document), where="input")
    except Malformed as error:
        return Outcome(name=case.name, found="", problems=(f"the input is refused: {error}",))
    verdict = evaluate_policy(compiled, given).verdict
    return Outcome(name=case.name, found=verdict.word, problems=tuple(_problems(case, verdict)))


def _problems(case: Case, verdict: Verdict) -> list[str]:
    told = []
    for name, expected, found in (
        ("decision", case.decision, verdict.decision),
        ("fail", case.fail, verdict.fail),
        ("warn", case.warn, verdict.warn),
        ("error", case.error, verdict.error),
    ):
        if expected is not None and expected != found:
            told.append(f"{name}: expected {_said(expected)}, found {_said(found)}")
    fired = tuple(sorted({result.rule for result in verdict.results}))
    if case.rules is not None and case.rules != fired:
        told.append(f"rules: expected {_listed(case.rules)}, found {_listed(fired)}")
    documents = [result.document() for result in verdict.results]
    for wanted in case.results:
        if not any(wanted.items() <= document.items() for document in documents):
            alike = [d for d in documents if d["rule"] == wanted["rule"]]
            seen = "; ".join(f"{d['level']} {d['subject']}: {d['detail']}" for d in alike)
            told.append(f"results: expected {dict(wanted)}, found {seen or 'none of this rule'}")
    return told


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _case(
    case: dict[str, Any], n: int, inputs: dict[str, Any], read: Callable[[str], bytes], where: str
) -> Case:
    named = case["input"]
    if isinstance(named, str):
        if named not in inputs:
            inputs[named] = read_strict(read(named), where=f"{where}: {named}")
        named = inputs[named]
    document = copy.deepcopy(named)
    for place, value in case.get("set", {}).items():
        _change(document, place, value, where=f"{where}{pointer('cases', n, 'set')}")
    for place in case.get("drop", []):
        _change(document, place, _DROPPED, where=f"{where}{pointer('cases', n, 'drop')}")
    expect = case["expect"]
    rules = expect.get("rules")
    return Case(
        name=case["name"],
        document=document,
        decision=expect["decision"],
        fail=expect.get("fail"),
        warn=expect.get("warn"),
        error=expect.get("error", False),
        rules=None if rules is None else tuple(sorted(set(rules))),
        results=tuple(
            {key: value for key, value in one.items() if value is not None}
            for one in expect.get("results", [])
        ),
    )


_DROPPED: Final = object()


def _change(document: Any, place: str, value: object, *, where: str) -> None:
    """Set what the JSON pointer names, or take it away. `-` at a list's end appends."""
    steps = steps_of(place)
    if not place.startswith("/") or not steps:
        raise Malformed(f"expected a JSON pointer, found {place!r}", where=where)
    try:
        for step in steps[:-1]:
            document = document[int(step) if isinstance(document, list) else step]
        last: Any = steps[-1]
        if isinstance(document, list):
            if last == "-" and value is not _DROPPED:
                document.append(value)
                return
            last = int(last)
            document[last]  # beyond the end there is nothing to set
        if value is _DROPPED:
            del document[last]
        else:
            document[last] = value
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise Malformed(f"expected a place of the input, found {place!r}", where=where) from error


def _doubled(cases: Sequence[Mapping[str, Any]]) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for n, case in enumerate(cases):
        if case["name"] in seen:
            problems.append(
                Problem(
                    where=pointer("cases", n, "name"),
                    rule="doubled",
                    message=f"expected each name once, found {case['name']!r} again",
                )
            )
        seen.add(case["name"])
    return problems
