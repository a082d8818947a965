"""The command line as a whole: every promised command is there, and all take the same options."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from engine.cli.main import releaseline

PROMISED = [
    "init",
    "serve",
    "demo",
    "doctor",
    "admin.link",
    "token.create",
    "token.list",
    "token.revoke",
    "bundle.create",
    "bundle.list",
    "bundle.show",
    "promote",
    "run.list",
    "run.show",
    "run.wait",
    "run.story",
    "run.events",
    "run.approve",
    "run.reject",
    "run.withdraw",
    "run.pause",
    "run.resume",
    "run.continue",
    "run.retry",
    "run.rerun",
    "run.mark-failed",
    "run.rollback",
    "run.cancel",
    "evidence.list",
    "evidence.export",
    "verify",
    "verify-bundle",
    "replay",
    "policy.lint",
    "policy.test",
    "policy.explain",
    "policy.publish",
    "feeds.sync",
    "feeds.status",
    "match",
    "gate",
    "log.checkpoint",
    "log.consistency",
    "log.fsck",
    "fsck",
]


def leaves(
    group: click.Group = releaseline, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield ".".join((*path, name)), command


COMMANDS = dict(leaves())


def test_every_promised_command_is_there() -> None:
    assert set(PROMISED) <= set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_takes_what_all_take(name: str) -> None:
    options = {option for one in COMMANDS[name].params for option in one.opts}
    assert {"--json", "--home", "--server", "--token"} <= options
    assert COMMANDS[name].help, "a command says what it does"


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        ("bundle.create", {"--name", "--version", "--sbom", "--vex", "--provenance"}),
        ("promote", {"--bundle", "--to", "--wait", "--timeout", "--idempotency-key"}),
        ("run.rollback", {"--reason", "--ticket", "--scope", "--target", "--dry-run"}),
        ("evidence.export", {"--kind", "-o"}),
        ("verify", {"--trusted-root", "--trusted-root-sha256", "--against"}),
        ("replay", {"--policy", "--all", "--since", "--jobs", "--report"}),
    ],
)
def test_options_are_as_promised(name: str, promised: set[str]) -> None:
    options = {option for one in COMMANDS[name].params for option in one.opts}
    assert promised <= options
