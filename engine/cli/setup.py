"""`init`: a home to start with."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from engine.cli.call import Call, Leaf, pass_call
from engine.core.errors import UnsafeConfig
from engine.homes import create_home
from engine.keystore import PASSPHRASE_VARIABLE
from engine.keystore_show import listing


@click.command(cls=Leaf)
@click.argument("folder", metavar="DIR", required=False, type=click.Path(path_type=Path))
@pass_call
def init(call: Call, folder: Path | None) -> None:
    """Write a commented home with new keys into DIR (default: the home of --home).

    The keys are encrypted with a passphrase: from RELEASELINE_KEY_PASSPHRASE, from the file that
    RELEASELINE_KEY_PASSPHRASE_FILE names, or asked for. The key of the witness, which vouches that
    the log was never rewritten, has a file of its own, and a passphrase of its own when
    RELEASELINE_WITNESS_PASSPHRASE, or the same with _FILE, says one.
    """
    home = folder or call.home
    fingerprint = create_home(home, passphrase=_passphrase())
    vkeys = [one for one in listing(home)[1] if one.kind == "witness"]
    call.give(
        {
            "home": str(home),
            "trusted_root_sha256": fingerprint.hex,
            "witness_sha256": [one.fingerprint.hex for one in vkeys],
        }
    )
    call.say(
        f"Made {home}. Every key of {home / 'releaseline.yaml'} is explained in it.",
        f"SHA-256 of {home / 'trusted_root.json'}:",
        f"  {fingerprint.hex}",
        *(f"Witness {one.name}, SHA-256 {one.fingerprint.hex}" for one in vkeys),
        "Hand the file's over to whoever will verify evidence, by another way than the evidence.",
        f"The advisories in {home / 'feeds'} are a small dated set; the gate will",
        "say that they are stale. Put current snapshots there before you trust a verdict.",
        f"Next: releaseline serve --home {home}",
    )


def _passphrase() -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    named = os.environ.get(f"{PASSPHRASE_VARIABLE}_FILE")
    if named:
        try:
            return Path(named).read_text("utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UnsafeConfig(f"{named}: the passphrase cannot be read: {error}") from None
    if not sys.stdin.isatty():
        raise UnsafeConfig(
            "The keys of a home need a passphrase, and nobody is here to be asked for one.",
            hint=f"Set {PASSPHRASE_VARIABLE}, or {PASSPHRASE_VARIABLE}_FILE to a file with it.",
        )
    answer: str = click.prompt(
        "Passphrase for the keys", hide_input=True, confirmation_prompt=True, err=True
    )
    return answer
