"""A policy's own tests: read exactly, asked truly, and never green by mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import Malformed
from engine.policy.cases import no_files, read_cases, run_cases, summary, with_inputs
from engine.policy.compile import CompiledPolicy

HEAD = "apiVersion: releaseline/v1\nkind: ReleaseGatePolicyTests\ncases:\n"


def one(examples: Path, compiled: CompiledPolicy, text: str) -> tuple[str, ...]:
    content = (HEAD + text).encode()
    (outcome,) = run_cases(
        compiled, read_cases(content, lambda name: (examples / name).read_bytes())
    )
    return outcome.problems


def case(body: str, expect: str) -> str:
    return f"  - name: c\n    input: release-gate.input.json\n{body}    expect: {expect}\n"


def test_the_shipped_tests_are_as_expected(examples: Path, compiled: CompiledPolicy) -> None:
    content = (examples / "release-gate.tests.yaml").read_bytes()
    outcomes = run_cases(compiled, read_cases(content, lambda name: (examples / name).read_bytes()))
    assert [outcome for outcome in outcomes if not outcome.ok] == []
    assert len(outcomes) >= 13 and summary(outcomes) == f"{len(outcomes)} of {len(outcomes)} " + (
        "tests as expected."
    )


def test_tests_with_their_inputs_in_them_are_the_same_tests(
    examples: Path, compiled: CompiledPolicy
) -> None:
    content = (examples / "release-gate.tests.yaml").read_bytes()

    def read(name: str) -> bytes:
        return (examples / name).read_bytes()

    whole = with_inputs(content, read)
    assert run_cases(compiled, read_cases(whole, no_files)) == run_cases(
        compiled, read_cases(content, read)
    )
    assert with_inputs(whole, no_files) == whole


@pytest.mark.parametrize(
    ("body", "expect", "says"),
    [
        ("", "{decision: FAIL}", "decision: expected FAIL, found PASS"),
        ("", "{decision: PASS, warn: 1}", "warn: expected 1, found 2"),
        ("", "{decision: PASS, fail: 1}", "fail: expected 1, found 0"),
        ("", "{decision: PASS, error: true}", "error: expected true, found false"),
        ("", "{decision: PASS, rules: []}", "rules: expected none, found feed.stale.warn, "),
        ("", "{decision: PASS, results: [{rule: vuln.kev}]}", "found none of this rule"),
        (
            "",
            "{decision: PASS, results: [{rule: feed.stale.warn, subject: OSV}]}",
            "found WARN NVD: feed NVD is 10800 s old",
        ),
        ("    drop: [/feeds]\n", "{decision: PASS}", "the input is refused: input: /feeds"),
        ("    set: {/findings/0/kev: null}\n", "{decision: PASS}", "the input is refused"),
    ],
)
def test_what_is_not_as_expected_is_said(
    body: str, expect: str, says: str, examples: Path, compiled: CompiledPolicy
) -> None:
    (problem,) = one(examples, compiled, case(body, expect))
    assert says in problem


def test_a_place_at_a_lists_end_appends(examples: Path, compiled: CompiledPolicy) -> None:
    kev = '{"name": "X", "digest": "sha256:' + "0" * 64 + '", "as_of_s": 1771403461}'
    body = f"    set: {{/feeds/-: {kev}}}\n"
    assert one(examples, compiled, case(body, "{decision: FAIL, fail: 1}")) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("  []\n", "/cases: expected"),
        (case("", "{}"), "/cases/0/expect/decision: expected this field"),
        (case("", "{decision: OK}"), "/cases/0/expect/decision"),
        (case("", "{decision: PASS, warns: 1}"), "/cases/0/expect/warns: expected no such"),
        (case("    set: {/gone/1: 1}\n", "{decision: PASS}"), "'/gone/1'"),
        (case("    set: {findings: 1}\n", "{decision: PASS}"), "expected a JSON pointer"),
        (case("    drop: [/feeds/9]\n", "{decision: PASS}"), "'/feeds/9'"),
        (case("    drop: [/feeds/-]\n", "{decision: PASS}"), "'/feeds/-'"),
        (case("", "{decision: PASS}") * 2, "expected each name once, found 'c' again"),
    ],
)
def test_a_broken_file_of_tests_is_refused(text: str, says: str, examples: Path) -> None:
    with pytest.raises(Malformed) as refused:
        read_cases(
            (HEAD + text).encode(), lambda name: (examples / name).read_bytes(), where="t.yaml"
        )
    assert "t.yaml" in str(refused.value) and says in str(refused.value)


def test_published_tests_name_no_files(compiled: CompiledPolicy) -> None:
    document: dict[str, Any] = {
        "apiVersion": "releaseline/v1",
        "kind": "ReleaseGatePolicyTests",
        "cases": [{"name": "c", "input": "/etc/passwd", "expect": {"decision": "PASS"}}],
    }
    with pytest.raises(Malformed, match="expected the input itself"):
        read_cases(json.dumps(document).encode(), no_files)
