"""What every command shares: where it works, as whom, and how it speaks.

With `--json` standard output holds JSON only, one document (or, with `--follow`, one per line),
and sentences for people go to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

DEFAULT_HOME: Final = "var"


@dataclass
class Call:
    """One invocation. `..._given`: it stands on the command line, not only in the environment."""

    home: Path = Path(DEFAULT_HOME)
    server: str = ""
    token: str = ""
    as_json: bool = False
    home_given: bool = False
    server_given: bool = False

    @property
    def remote(self) -> str:
        """The server to talk to; empty to look at the home instead."""
        return "" if self.home_given and not self.server_given else self.server

    def say(self, *lines: str) -> None:
        """Print sentences for people."""
        stream = sys.stderr if self.as_json else sys.stdout
        for line in lines:
            print(line, file=stream, flush=True)

    def give(self, document: Any) -> None:
        """Print what a program wants to read; only with `--json`."""
        if self.as_json:
            print(json.dumps(document, ensure_ascii=False), flush=True)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows under their heads, in columns as wide as needed."""
        lines = [list(heads), *([_cell(value) for value in row] for row in rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
        for line in lines:
            self.say(
                "  ".join(
                    text.ljust(width) for text, width in zip(line, widths, strict=True)
                ).rstrip()
            )


pass_call = click.make_pass_decorator(Call, ensure=True)


class Leaf(click.Command):
    """A command with the options that all of them have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_shared_options()]


class Noun(click.Group):
    """A group of commands about one thing, told on two levels: `run list`, `run show`."""

    command_class = Leaf


def _shared_options() -> list[click.Parameter]:
    def set_home(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            call = ctx.ensure_object(Call)
            call.home = Path(value)
            call.home_given = given(ctx, "home")

    def set_server(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value:
            call = ctx.ensure_object(Call)
            call.server = value
            call.server_given = given(ctx, "server")

    def set_token(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value:
            ctx.ensure_object(Call).token = value.strip()

    def set_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.ensure_object(Call).as_json = True

    return [
        click.Option(
            ["--home"],
            envvar="RELEASELINE_HOME",
            metavar="DIR",
            callback=set_home,
            expose_value=False,
            help=f"The home to work on (default ./{DEFAULT_HOME}).",
        ),
        click.Option(
            ["--server"],
            envvar="RELEASELINE_SERVER",
            metavar="URL",
            callback=set_server,
            expose_value=False,
            help="The running server to talk to; the home's own is found without it.",
        ),
        click.Option(
            ["--token"],
            envvar="RELEASELINE_TOKEN",
            metavar="TOKEN",
            callback=set_token,
            expose_value=False,
            help="The token of the person or program that asks.",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            callback=set_json,
            expose_value=False,
            help="JSON on standard output, sentences on standard error.",
        ),
    ]


def given(ctx: click.Context, name: str) -> bool:
    """True when the option stands on the command line, not only in the environment."""
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def moment(us: object) -> str:
    """Epoch microseconds as UTC text; `-` when there is none."""
    if not isinstance(us, int):
        return "-"
    return f"{datetime.fromtimestamp(us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S}Z"


def short(digest: str | None) -> str | None:
    """The first 12 digits, as pages show them; `--json` has the whole of it."""
    return None if digest is None else digest.removeprefix("sha256:")[:12]


def page(rows: Iterable[Mapping[str, Any]], *keys: str) -> list[list[object]]:
    """The named columns of the rows."""
    return [[row.get(key) for key in keys] for row in rows]


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else str(value)
