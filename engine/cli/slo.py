"""`slo import`: an OpenSLO file as the environment guard of a workflow, without a server."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.call import Call, Noun, pass_call
from engine.cli.exits import USAGE, Ended
from engine.core.burn import span_text, windows_of
from engine.fleet.budget import REACH_S
from engine.settings import Environment, read_settings
from engine.slo import Slo, read_slo

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Noun)
def slo() -> None:
    """Take over SLOs from OpenSLO files."""


@slo.command("import")
@click.argument("file", metavar="FILE", type=_FILE)
@click.option("--name", default="", help="Which SLO, when the file has several.")
@click.option("--environment", default="", metavar="E",
              help="Say where it goes for this environment of the home.")  # fmt: skip
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="PATH",
              help="Write it to this new file instead of printing it.")  # fmt: skip
@pass_call
def import_slo(call: Call, file: Path, name: str, environment: str, output: Path | None) -> None:
    """Read an OpenSLO v1 file and print the `env_guard` that it stands for.

    The piece goes into a gate of a workflow in releaseline.yaml. To have the file itself read at
    every start instead, write `env_guard: {openslo: FILE}` there.
    """
    env = read_settings(call.home.resolve()).environment(environment) if environment else None
    found, problems = read_slo(file.read_bytes(), str(file), name=name)
    if found is None:
        listed = [
            {"file": p.file, "line": p.line, "field": p.key, "message": p.message} for p in problems
        ]
        raise Ended(USAGE, "\n".join(map(str, problems)), document={"problems": listed})
    notes = _notes(found, env)
    text = _piece(found)
    call.give(
        {
            "slo": found.name,
            "service": found.service,
            "digest": str(found.digest),
            "env_guard": found.guard(),
            "queries": {found.numerator: found.query, "total": found.total},
            "notes": notes,
        }
    )
    if output is None:
        call.say(text.rstrip("\n"))
    else:
        _write(output, text)
        call.say(f"Written to {output}.")
    call.say(*(f"# {note}" for note in notes))


def _piece(found: Slo) -> str:
    guard = found.guard()
    # Each line of a query is a comment of its own: no text of the file becomes YAML of ours.
    queries = "".join(
        f"#   {label}: {' '.join(query.split())}\n"
        for label, query in ((found.numerator, found.query), ("total", found.total))
    )
    rules = "".join(
        f"    - {{burn: {rule['burn']:g}, windows: [{', '.join(rule['windows'])}]}}\n"
        for rule in guard["block_start_if"]
    )
    return (
        f"# OpenSLO {' '.join(found.name.split())} of {' '.join(found.service.split())}, "
        f"{found.digest}\n"
        f"# What it counts in Prometheus; `metrics_source.series` of the workflow has to say the "
        f"same:\n{queries}"
        f"env_guard:\n"
        f"  slo: {guard['slo']:g}\n"
        f"  block_start_if:\n{rules}"
    )


def _notes(found: Slo, env: Environment | None) -> list[str]:
    notes = []
    if found.own_rules:
        notes.append(
            "OpenSLO has one window per alert; the second one, a twelfth of it, is added so that "
            "a run goes on soon after the burning ends."
        )
    else:
        notes.append("The file has no burn-rate alerts; the rules are those of the default gate.")
    if env is not None:
        workflow = env.workflow
        notes.append(f"For {env.name} it goes into the gates of workflow {workflow.name}.")
        far = [span_text(w) for w in windows_of(found.rules) if w > REACH_S]
        if far and workflow.metrics.type == "router":
            notes.append(
                f"The router reaches back {span_text(REACH_S)}: windows of {', '.join(far)} will "
                "be recorded as not_enough_history and block nothing; a Prometheus reaches further."
            )
    return notes


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Ended(USAGE, f"{path}: it can't be written: {error.strerror}.") from None
