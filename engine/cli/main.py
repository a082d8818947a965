"""`releaseline`: one entrance, one place where every error becomes a sentence and an exit code."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Final

import click

from engine.cli.call import Call, Leaf, Noun
from engine.cli.exits import DEFECT, DONE, INTERRUPTED, USAGE, Ended, of_error
from engine.core.errors import ReleaselineError
from engine.redact import redact, redact_document

# Where each command lives and what it does. Loaded only when it is used: `--help` stays instant.
_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "init": ("setup:init", "Write a commented home with its keys."),
    "serve": ("serving:serve", "Run engine, console and API on a home."),
    "demo": ("serving:demo", "Play promotions on a real fleet of this machine."),
    "doctor": ("doctor:doctor", "Say what is not in order on this machine and in a home."),
    "admin": ("people:admin", "Sign-in links and sessions."),
    "token": ("people:token", "Tokens for people and programs."),
    "bundle": ("bundle:bundle", "Create, list and show bundles."),
    "attestation": ("attestation:attestation", "Take in what others attest of a bundle or run."),
    "promote": ("promote:promote", "Request a promotion, and wait for it."),
    "schedule": ("schedule:schedule", "Promotions that start later, and again: when, and if."),
    "run": ("run:run", "Look at runs, follow them and act on them."),
    "review": ("review:review", "Reviews after a rollback or an override."),
    "hold": ("hold:hold", "Bundles that may not start again after a rollback."),
    "freeze": ("freeze:freeze", "Windows in which promotions may not start, or may at all."),
    "waiver": ("waiver:waiver", "Findings that two people accept for a while."),
    "evidence": ("evidence:evidence", "List and export the evidence of a run."),
    "verify": ("checks:verify", "Check evidence offline, without any home."),
    "verify-bundle": ("bundle_check:verify_bundle", "Check any Sigstore bundle about a file."),
    "drill": ("drill:drill", "Break scratch copies of a pack, and show which check sees it."),
    "webhook": ("webhook:webhook", "Who is told what happens here, and what became of it."),
    "feeds": ("feeds:feeds", "Advisory feeds: how fresh they are, and syncing them."),
    "rescan": ("rescan:rescan", "Match stored SBOMs again against the feeds in force."),
    "integration": ("integration:integration", "Servers that promotions depend on: do they work?"),
    "orchestrator": ("orchestrator:orchestrator", "What the engine works on now, and is stuck."),
    "audit": ("audit:audit", "Who attempted what; is the record of it whole; exports of it."),
    "export": ("audit:export_table", "A table as Parquet, CSV or JSON lines, columns explained."),
    "log": ("log:log", "The transparency log: its head, proofs, and a check of all of it."),
    "keys": ("keys:keys", "Show the keys of a home, or make some of them anew."),
    "fsck": ("checks:fsck", "Rebuild what the store derives, and compare."),
    "integrity": ("checks:integrity", "What is stored and not what it was, and what may be done."),
    "backup": ("backup:backup", "Copy a home into one file, while it runs or not."),
    "restore": ("backup:restore", "Make a home of a backup again, every file compared."),
    "retention": ("checks:retention", "Take raw samples away that are older than they are kept."),
    "policy": ("policy:policy", "Check, test, explain and publish policies."),
    "slo": ("slo:slo", "Take over SLOs from OpenSLO files."),
    "replay": ("replay:replay", "Ask recorded decisions again: are they the same?"),
    "gate-replay": ("gate:gate_replay", "Judge a run's stored ticks again, and compare."),
    "gate-backtest": ("gate:gate_backtest", "What other limits would have done to past stages."),
    "match": ("match:match", "Which known flaws the packages of an SBOM have."),
    "gate": ("policy:gate", "Judge an input document by a policy, without a server."),
}


class _Releaseline(Noun):
    """Imports a command when it is asked for, and not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(f"engine.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in _COMMANDS.items()])


@click.group(cls=_Releaseline, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version="0.1.0", prog_name="releaseline")
def releaseline() -> None:
    """Runs a release promotion and tells it as one auditable story.

    Every command takes --home, --server, --token and --json.
    """


def main(arguments: list[str] | None = None) -> None:
    """The console script. Never returns."""
    code = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _hush()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code. Whatever was raised is said by then."""
    as_json = "--json" in arguments
    try:
        answer = releaseline.main(args=arguments, prog_name="releaseline", standalone_mode=False)
    except Ended as ended:
        return _said(as_json, ended)
    except ReleaselineError as error:
        return _said(as_json, Ended(of_error(error), str(error), hint=error.hint))
    except click.UsageError as error:
        context = error.ctx
        hint = "" if context is None else f"{context.command_path} --help"
        return _said(as_json, Ended(USAGE, error.format_message(), hint=hint))
    except click.ClickException as error:
        return _said(as_json, Ended(USAGE, error.format_message()))
    except (KeyboardInterrupt, click.Abort):
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        _hush()
        return DONE
    except Exception:
        return _said(as_json, Ended(DEFECT, f"This is a defect of ours: {_kept()}"))
    return answer if isinstance(answer, int) else DONE


def _said(as_json: bool, ended: Ended) -> int:
    if ended.message:
        print(redact(ended.message), file=sys.stderr)
        if ended.hint:
            print(redact(f"  {ended.hint}"), file=sys.stderr)
    if as_json and (ended.message or ended.document):
        document = {
            "exit": ended.code,
            "error": ended.message,
            "hint": ended.hint,
            **({"problem": ended.document} if ended.document else {}),
        }
        print(json.dumps(redact_document(document), ensure_ascii=False))
    return ended.code


def _kept() -> str:
    """The last line of the traceback, and where all of it was written."""
    text = redact(traceback.format_exc())
    path = f"releaseline-error-{os.getpid()}.txt"
    try:
        with open(path, "x", encoding="utf-8", opener=_private) as file:
            file.write(text)
    except OSError:
        print(text, file=sys.stderr)
        return text.strip().splitlines()[-1]
    return f"{text.strip().splitlines()[-1]} (the details are in {path})"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _hush() -> None:
    """Nobody reads us any more: what is still to be flushed goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["Call", "Leaf", "main", "releaseline", "run"]
