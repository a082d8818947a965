"""`policy lint` and `gate`: policies without a server and without a home."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.call import Call, Leaf, Noun, pass_call
from engine.cli.exits import DONE, GATE_FAIL, USAGE, Ended
from engine.policy.compile import compile_policy
from engine.policy.document import read_gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.lint import lint as lint_policy
from engine.policy.model import load_policy

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Noun)
def policy() -> None:
    """Check policies."""


@policy.command()
@click.argument("policy_file", metavar="POLICY", type=_FILE)
@click.option("--config", required=True, type=_FILE, help="The policy's thresholds.")
@pass_call
def lint(call: Call, policy_file: Path, config: Path) -> None:
    """Say everything that is wrong with a policy, before it judges anything."""
    loaded = load_policy(
        policy_file.read_bytes(),
        config.read_bytes(),
        policy_where=str(policy_file),
        config_where=str(config),
    )
    problems = lint_policy(loaded)
    if problems:
        lines = "\n".join(f"{policy_file}: {problem}" for problem in problems)
        listed = [{"where": p.where, "rule": p.rule, "message": p.message} for p in problems]
        raise Ended(USAGE, lines, document={"problems": listed})
    call.give({"ok": True, "policy": str(loaded.digest), "rules": len(loaded.rules)})
    call.say(f"{policy_file}: {len(loaded.rules)} rules, sound; policy {loaded.digest}")


@click.command(cls=Leaf)
@click.argument("input_file", metavar="INPUT", type=_FILE)
@click.option("--policy", "policy_file", required=True, type=_FILE)
@click.option("--config", required=True, type=_FILE, help="The policy's thresholds.")
@pass_call
def gate(call: Call, input_file: Path, policy_file: Path, config: Path) -> int:
    """Judge an input document by a policy: exit code 0 for PASS, 10 for FAIL."""
    loaded = load_policy(
        policy_file.read_bytes(),
        config.read_bytes(),
        policy_where=str(policy_file),
        config_where=str(config),
    )
    given = read_gate_input(input_file.read_bytes(), where=str(input_file))
    evaluation = evaluate_policy(compile_policy(loaded, where=str(policy_file)), given)
    verdict = evaluation.verdict
    call.give(verdict.document())
    call.say(f"decision: {verdict.decision}, fail: {verdict.fail}, warn: {verdict.warn}")
    for result in verdict.results:
        call.say(
            f"{result.level.value:<5} {result.rule}  {result.subject}  {result.detail}".rstrip()
        )
    for rule, cause in evaluation.causes:
        call.say(f"{rule} could not be evaluated: {cause}")
    return DONE if verdict.decision == "PASS" else GATE_FAIL
