"""`policy` and `gate`: check, test and explain without a server or a home; publish through one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from engine.cli.call import Call, Leaf, Noun, moment, pass_call, short
from engine.cli.door import open_door
from engine.cli.exits import DONE, GATE_FAIL, USAGE, Ended
from engine.cli.match import FEEDS, VEX, snapshots_of
from engine.core.waivers import note
from engine.gate_eval_alone import document_of_sbom
from engine.inputs.exceptions import used
from engine.inputs.feeds import read_feeds
from engine.inputs.sbom import is_sbom
from engine.policy.cases import SUFFIX, read_cases, run_cases, summary, with_inputs
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import GateInput, gate_input, read_gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.explain import RuleExplained, explain_document, explain_policy
from engine.policy.lint import lint as lint_policy
from engine.policy.model import Policy, load_policy
from engine.policy.verdict import Verdict
from engine.policy_book import beside, path_of_tests

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_CONFIG = click.option("--config", required=True, type=_FILE, help="The policy's thresholds.")


@click.group(cls=Noun)
def policy() -> None:
    """Check policies, test them, see why a rule fired, publish a version."""


@policy.command()
@click.argument("policy_file", metavar="POLICY", type=_FILE)
@_CONFIG
@pass_call
def lint(call: Call, policy_file: Path, config: Path) -> None:
    """Say everything that is wrong with a policy, before it judges anything."""
    loaded = load(policy_file, config)
    problems = lint_policy(loaded)
    if problems:
        lines = "\n".join(f"{policy_file}: {problem}" for problem in problems)
        listed = [{"where": p.where, "rule": p.rule, "message": p.message} for p in problems]
        raise Ended(USAGE, lines, document={"problems": listed})
    call.give({"ok": True, "policy": str(loaded.digest), "rules": len(loaded.rules)})
    call.say(f"{policy_file}: {len(loaded.rules)} rules, sound; policy {loaded.digest}")


@policy.command()
@click.argument("policy_file", metavar="POLICY", type=_FILE)
@_CONFIG
@click.option("--tests", type=_FILE, help=f"Default: POLICY{SUFFIX} beside it.")
@pass_call
def test(call: Call, policy_file: Path, config: Path, tests: Path | None) -> int:
    """Ask a policy its own tests: exit code 0 when all are as expected, 10 otherwise."""
    compiled = compiled_of(policy_file, config)
    found = tests or tests_of(policy_file)
    cases = read_cases(found.read_bytes(), beside(found), where=str(found))
    outcomes = run_cases(compiled, cases)
    call.give({"policy": str(compiled.policy.digest), "tests": [o.document() for o in outcomes]})
    for outcome in outcomes:
        call.say(f"{'ok  ' if outcome.ok else 'FAIL'} {outcome.name}: {outcome.found or 'refused'}")
        for problem in outcome.problems:
            call.say(f"       {problem}")
    call.say(summary(outcomes))
    return DONE if all(outcome.ok for outcome in outcomes) else GATE_FAIL


@policy.command()
@click.argument("input_file", metavar="INPUT", type=_FILE)
@click.option("--policy", "policy_file", required=True, type=_FILE)
@_CONFIG
@click.option("--rule", "only", default="", help="Only this rule.")
@pass_call
def explain(call: Call, input_file: Path, policy_file: Path, config: Path, only: str) -> None:
    """Why each rule fired on an input or did not, and what came nearest to firing."""
    compiled = compiled_of(policy_file, config)
    given = read_gate_input(input_file.read_bytes(), where=str(input_file))
    rules = explain_policy(compiled, given)
    if only:
        rules = tuple(one for one in rules if one.rule == only)
        if not rules:
            known = ", ".join(rule.rule.id for rule in compiled.rules)
            raise Ended(USAGE, f"--rule: expected one of {known}, found {only!r}.")
    call.give(explain_document(rules))
    fired = evaluate_policy(compiled, given).verdict.results
    for one in rules:
        call.say(_headline(one))
        for result in fired:
            if result.rule == one.rule:
                call.say(f"    {result.subject}: {result.detail}".rstrip(": "))
        for condition, count in one.stopped_by:
            call.say(f"    {count} stopped by {condition}")
        if one.nearest is not None and not one.fired:
            facts = ", ".join(f"{text} = {value}" for text, value in one.nearest.facts)
            call.say(f"    nearest: {one.nearest.subject or 'the input'}: {facts}")


@policy.command()
@click.argument("policy_file", metavar="POLICY", type=_FILE)
@_CONFIG
@click.option("--tests", type=_FILE, help=f"Default: POLICY{SUFFIX} beside it, when there is one.")
@click.option(
    "--to", "environments", required=True, multiple=True, metavar="ENV", help="Once for each."
)
@click.option("--reason", required=True, help="Why the policy changes.")
@pass_call
def publish(
    call: Call,
    policy_file: Path,
    config: Path,
    tests: Path | None,
    environments: tuple[str, ...],
    reason: str,
) -> None:
    """Bring a policy into force for runs requested from now on; all its tests have to hold."""
    found = tests or path_of_tests(policy_file)
    body = {
        "policy": policy_file.read_text("utf-8"),
        "config": config.read_text("utf-8"),
        "tests": None,
        "environments": list(environments),
        "reason": reason,
    }
    if found.is_file():
        whole = with_inputs(found.read_bytes(), beside(found), where=str(found))
        body["tests"] = json.loads(whole)
    with open_door(call) as door:
        answer = door.post("/policies", body)
    call.give(answer)
    for one in answer["items"]:
        before = "" if one["before"] is None else f", before it {short(one['before'])}"
        call.say(
            f"{one['name']} {one['version']} ({short(one['policy'])}) is in force in "
            f"{one['environment']}{before}; {one['passed']} tests as expected"
        )


@policy.command()
@pass_call
def versions(call: Call) -> None:
    """Every policy that was in force: where, since when, by whom and why."""
    with open_door(call) as door:
        answer = door.whole("/policies")
    call.give(answer)
    call.table(
        ("ENVIRONMENT", "POLICY", "VERSION", "SINCE", "UNTIL", "BY", "WHY"),
        [
            [
                one["environment"],
                short(one["policy"]),
                f"{one['name']} {one['version']}",
                moment(one["since_us"]),
                "now" if one["until_us"] is None else moment(one["until_us"]),
                one["by"],
                one["reason"],
            ]
            for one in answer["items"]
        ],
    )


@policy.command()
@click.argument("run_id", metavar="RUN")
@pass_call
def blockers(call: Call, run_id: str) -> None:
    """The smallest single changes that would have blocked a run, and what else they would stop."""
    with open_door(call) as door:
        answer = door.get(f"/runs/{run_id}/blockers")
    call.give(answer)
    call.say(f"{answer['run']} {answer['verdict']}: {answer['word']}")
    call.table(
        ("CHANGE", "FROM", "TO", "SIZE", "WOULD ALSO STOP", "BECAUSE"),
        [
            [
                f"{one['kind']} {one['where']}",
                one["old"],
                one["new"],
                f"{one['size_bp'] / 100:.2f} %",
                f"{len(one['stops'])} of {answer['good']}",
                "; ".join(f"{b['rule']} {b['subject']}".rstrip() for b in one["because"][:2]),
            ]
            for one in answer["blockers"]
        ],
    )


@click.command(cls=Leaf)
@click.argument("input_file", metavar="SBOM_OR_INPUT", type=_FILE)
@click.option("--policy", "policy_file", required=True, type=_FILE)
@_CONFIG
@FEEDS
@VEX
@pass_call
def gate(
    call: Call,
    input_file: Path,
    policy_file: Path,
    config: Path,
    feeds_dir: Path | None,
    vex_files: tuple[Path, ...],
) -> int:
    """Judge an SBOM, or an input document, by a policy: exit code 0 for PASS, 10 for FAIL."""
    compiled = compiled_of(policy_file, config)
    content = input_file.read_bytes()
    if is_sbom(content):
        given = _input_of_sbom(call, input_file, compiled, feeds_dir, vex_files)
    else:
        given = read_gate_input(content, where=str(input_file))
    evaluation = evaluate_policy(compiled, given)
    verdict = evaluation.verdict
    call.give(verdict.document())
    call.say(f"decision: {verdict.decision}, fail: {verdict.fail}, warn: {verdict.warn}")
    call.say(_waived(given, compiled, verdict))
    for result in verdict.results:
        call.say(
            f"{result.level.value:<5} {result.rule}  {result.subject}  {result.detail}".rstrip()
        )
    for rule, cause in evaluation.causes:
        call.say(f"{rule} could not be evaluated: {cause}")
    return DONE if verdict.decision == "PASS" else GATE_FAIL


def _waived(given: GateInput, compiled: CompiledPolicy, verdict: Verdict) -> str:
    """What it rests on of waivers: a file knows those that stand in it, and an SBOM none."""
    results = verdict.document()["results"]
    notes = [note(one) for one in used(given.document, compiled.policy.config, results)]
    return "\n".join(notes) or "waivers: none used; those of a home are read by its own gate alone"


def _input_of_sbom(
    call: Call,
    sbom_file: Path,
    compiled: CompiledPolicy,
    feeds_dir: Path | None,
    vex_files: tuple[Path, ...],
) -> GateInput:
    snapshots = snapshots_of(call, feeds_dir)
    made = document_of_sbom(
        sbom_file.read_bytes(),
        name=sbom_file.name,
        vex=[path.read_bytes() for path in vex_files],
        snapshots=snapshots,
        feeds=read_feeds(snapshots),
        config=compiled.policy.config,
        now_s=int(time.time()),
    )
    return gate_input(made.document, where=str(sbom_file))


def load(policy_file: Path, config: Path) -> Policy:
    return load_policy(
        policy_file.read_bytes(),
        config.read_bytes(),
        policy_where=str(policy_file),
        config_where=str(config),
    )


def tests_of(policy_file: Path) -> Path:
    """The tests beside a policy. Raises `Ended` when there are none."""
    path = path_of_tests(policy_file)
    if not path.is_file():
        raise Ended(USAGE, f"{policy_file} has no tests: expected {path}, or --tests FILE.")
    return path


def compiled_of(policy_file: Path, config: Path) -> CompiledPolicy:
    return compile_policy(load(policy_file, config), where=str(policy_file))


def _headline(one: RuleExplained) -> str:
    if one.error:
        return f"{one.level:<5}{one.rule}: could not be evaluated, which counts as FAIL"
    fired = f"fired on {one.fired}" if one.fired else "did not fire"
    return f"{one.level:<5}{one.rule}: {fired}, {one.considered} looked at"
