"""The policy that is shipped: its example, and each of its rules fired and not fired."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import gate_input, input_schema, read_gate_input
from engine.policy.evaluate import Form, evaluate_policy
from engine.policy.explain import explain_policy
from engine.policy.model import load_policy

Case = dict[str, Any]
NOW = 1771403460


def test_the_example_passes_with_two_warnings(compiled: CompiledPolicy, examples: Path) -> None:
    content = (examples / "release-gate.input.json").read_bytes()
    verdict = evaluate_policy(compiled, read_gate_input(content, where="example")).verdict
    assert verdict.word == "PASS (2 WARN)"
    assert [result.document() for result in verdict.results] == [
        {
            "rule": "feed.stale.warn",
            "level": "WARN",
            "subject": "NVD",
            "detail": "feed NVD is 10800 s old (limit 7200 s)",
        },
        {
            "rule": "reach.runtime_coverage",
            "level": "WARN",
            "subject": "eu-prod",
            "detail": "runtime reachability covers 3500 bp (want 5000 bp)",
        },
    ]


def test_the_shipped_schema_is_the_one_in_force(examples: Path) -> None:
    shipped = json.loads((examples / "release-gate.input.schema.json").read_text())
    assert shipped == input_schema()
    jsonschema.Draft202012Validator.check_schema(shipped)
    example = json.loads((examples / "release-gate.input.json").read_text())
    jsonschema.validate(example, shipped)
    del example["clock"]
    with pytest.raises(jsonschema.ValidationError, match="clock"):
        jsonschema.validate(example, shipped)


def finding(**change: Any) -> Callable[[Case], None]:
    return lambda case: case["findings"][0].update(change)


def findings(count: int, **change: Any) -> Callable[[Case], None]:
    def apply(case: Case) -> None:
        one = {**case["findings"][0], **change}
        case["findings"] = [{**one, "key": f"F-{n} {one['purl']}"} for n in range(count)]

    return apply


def feed(name: str, age_s: int) -> Callable[[Case], None]:
    def apply(case: Case) -> None:
        for one in case["feeds"]:
            if one["name"] == name:
                one["as_of_s"] = NOW - age_s

    return apply


def sbom(age_s: int) -> Callable[[Case], None]:
    return lambda case: case["sboms"][0].update(generated_at_s=NOW - age_s)


def licenses(*ids: str) -> Callable[[Case], None]:
    return lambda case: case["components"][0].update(licenses=list(ids))


def unlicensed(count: int) -> Callable[[Case], None]:
    def apply(case: Case) -> None:
        one = {**case["components"][0], "licenses": []}
        case["components"] = [{**one, "purl": f"pkg:pypi/p{n}@1"} for n in range(count)]

    return apply


def without(facet: str) -> Callable[[Case], None]:
    return lambda case: case[facet].pop(0)


def nothing(_case: Case) -> None:
    pass


CRITICAL = {"severity": "CRITICAL", "reach": "RUNTIME_OBSERVED", "new_since_baseline": True}
TRUSTED = {
    "status": "not_affected",
    "justification": "vulnerable_code_not_present",
    "author": "psirt@example.com",
}

# rule, level, what makes it fire, what is just not enough
RULES = [
    ("vuln.kev", "FAIL", finding(kev=True), finding(kev=True, vex=TRUSTED)),
    (
        "vuln.critical_reachable",
        "FAIL",
        finding(**CRITICAL),
        finding(**CRITICAL | {"reach": "UNKNOWN"}),
    ),
    (
        "vuln.critical_reachable",
        "FAIL",
        finding(**CRITICAL),
        finding(**CRITICAL | {"severity": "HIGH"}),
    ),
    (
        "vuln.critical_reachable",
        "FAIL",
        finding(**CRITICAL),
        finding(**CRITICAL | {"new_since_baseline": False}),
    ),
    (
        "vuln.high_unproven",
        "WARN",
        finding(severity="HIGH", reach="UNKNOWN"),
        finding(severity="HIGH", reach="RUNTIME_UNOBSERVED"),
    ),
    (
        "vuln.severity_unknown",
        "FAIL",
        findings(11, severity="UNKNOWN"),
        findings(10, severity="UNKNOWN"),
    ),
    ("vuln.epss", "WARN", finding(epss_ppm=200_000), finding(epss_ppm=199_999)),
    (
        "vuln.epss",
        "WARN",
        finding(epss_ppm=200_000),
        finding(epss_ppm=200_000, reach="UNREACHABLE"),
    ),
    ("vuln.budget", "FAIL", findings(11, severity="HIGH"), findings(10, severity="HIGH")),
    ("sbom.missing", "FAIL", without("sboms"), nothing),
    ("sbom.stale.fail", "FAIL", sbom(2_592_001), sbom(2_592_000)),
    ("sbom.stale.warn", "WARN", sbom(604_801), sbom(604_800)),
    ("sbom.stale.warn", "WARN", sbom(2_592_000), sbom(2_592_001)),
    ("sbom.future", "FAIL", sbom(-1), sbom(0)),
    ("feed.missing", "FAIL", without("feeds"), nothing),
    ("feed.stale.fail", "FAIL", feed("NVD", 86_401), feed("NVD", 86_400)),
    ("feed.stale.warn", "WARN", feed("OSV", 3_601), feed("OSV", 3_600)),
    ("feed.stale.warn", "WARN", feed("KEV", 604_800), feed("KEV", 604_801)),
    ("feed.future", "FAIL", feed("KEV", -1), feed("KEV", 0)),
    (
        "reach.runtime_coverage",
        "WARN",
        lambda case: case["reachability"].update(runtime_bp=4_999),
        lambda case: case["reachability"].update(runtime_bp=5_000),
    ),
    ("license.denied", "FAIL", licenses("MIT", "SSPL-1.0"), licenses("MIT", "SSPL-1.1")),
    ("license.unknown", "WARN", unlicensed(6), unlicensed(5)),
    (
        "scan.incomplete",
        "WARN",
        lambda case: case["scans"][0].update(status="INCOMPLETE"),
        nothing,
    ),
]


@pytest.mark.parametrize(("rule", "level", "enough", "short"), RULES)
def test_each_rule_fires_when_it_should_and_only_then(
    rule: str,
    level: str,
    enough: Callable[[Case], None],
    short: Callable[[Case], None],
    compiled: CompiledPolicy,
    case: Case,
) -> None:
    def fired(change: Callable[[Case], None]) -> list[str]:
        document = json.loads(json.dumps(case))
        if rule == "feed.stale.warn":  # its one subject is changed, so the stale NVD is not in it
            feed("NVD", 0)(document)
        change(document)
        given = gate_input(document)
        verdicts = {form: evaluate_policy(compiled, given, form=form).verdict for form in Form}
        assert len({verdict.digest for verdict in verdicts.values()}) == 1
        explained = {one.rule: one for one in explain_policy(compiled, given)}
        results = [r for r in verdicts[Form.COMBINED].results if r.rule == rule]
        assert explained[rule].fired == len(results)
        stopped = sum(count for _, count in explained[rule].stopped_by)
        assert explained[rule].considered == len(results) + stopped
        assert not verdicts[Form.COMBINED].error
        return [result.level.value for result in results]

    assert set(fired(enough)) == {level}
    assert fired(short) == []


def test_every_rule_of_the_policy_is_in_the_table(compiled: CompiledPolicy) -> None:
    # `feed.unlimited` is about the config alone and has a test of its own.
    tested = {row[0] for row in RULES} | {"feed.unlimited"}
    assert tested == {rule.rule.id for rule in compiled.rules}


def test_a_required_feed_without_a_limit_is_never_fresh(examples: Path, case: Case) -> None:
    config = json.loads((examples / "release-gate.config.json").read_text())
    config["required_feeds"].append("GHSA")
    policy = load_policy((examples / "release-gate.yaml").read_bytes(), json.dumps(config).encode())
    case["feeds"].append({**case["feeds"][0], "name": "GHSA", "as_of_s": 0})
    verdict = evaluate_policy(compile_policy(policy), gate_input(case)).verdict
    assert [(one.rule, one.subject) for one in verdict.results if one.level == "FAIL"] == [
        ("feed.unlimited", "GHSA")
    ]


@pytest.mark.parametrize(
    ("vex", "live"),
    [
        (TRUSTED, False),
        (TRUSTED | {"status": "fixed"}, False),
        (TRUSTED | {"author": "somebody@example.org"}, True),
        (TRUSTED | {"justification": ""}, True),
        (TRUSTED | {"status": "under_investigation"}, True),
        (TRUSTED | {"status": "affected"}, True),
    ],
)
def test_only_a_trusted_and_justified_word_quiets_a_finding(
    vex: dict[str, str], live: bool, compiled: CompiledPolicy, case: Case
) -> None:
    finding(kev=True, vex=vex)(case)
    verdict = evaluate_policy(compiled, gate_input(case)).verdict
    assert (verdict.decision == "FAIL") is live


@pytest.mark.parametrize(
    ("change", "live"),
    [
        ({}, False),
        ({"expires_at_s": NOW}, True),
        ({"approved_by": "mallory"}, True),
        ({"purl": "pkg:pypi/other@1"}, True),
        ({"finding": "CVE-2000-1"}, True),
    ],
)
def test_an_exception_holds_for_its_finding_until_it_expires(
    change: dict[str, Any], live: bool, compiled: CompiledPolicy, case: Case
) -> None:
    finding(kev=True)(case)
    granted = {
        "finding": "CVE-2024-3651",
        "purl": "pkg:pypi/idna@3.6",
        "expires_at_s": NOW + 1,
        "approved_by": "bob.smith",
        "reason": "accepted until the update",
        "requested_by": "eva.roth",
        "waiver": "waiver-1",
    }
    case["exceptions"] = [granted | change]
    verdict = evaluate_policy(compiled, gate_input(case)).verdict
    assert (verdict.decision == "FAIL") is live
