"""`keys`: which there are, and making some of them anew on a stopped home."""

from __future__ import annotations

import os

import click

from engine.cli.call import Call, Noun, moment, pass_call, short
from engine.keystore import ROTATABLE, passphrase_of, witness_passphrase_of
from engine.keystore_show import listing


@click.group(cls=Noun)
def keys() -> None:
    """The keys of a home: log, certificate, time-stamping and witness keys."""


@keys.command()
@pass_call
def show(call: Call) -> None:
    """List the keys with their windows. Asks for no passphrase: only open files are read."""
    fingerprint, lines = listing(call.home)
    call.give(
        {
            "trusted_root_sha256": fingerprint.hex,
            "keys": [
                {
                    "kind": one.kind,
                    "name": one.name,
                    "sha256": one.fingerprint.hex,
                    "from_s": one.start_s,
                    "to_s": one.end_s,
                }
                for one in lines
            ],
        }
    )
    call.table(
        ("KEY", "NAME", "SHA-256", "FROM", "TO"),
        (
            (one.kind, one.name, short(one.fingerprint.hex), _at(one.start_s), _at(one.end_s))
            for one in lines
        ),
    )
    if not any(one.kind == "witness" for one in lines):
        call.say("No witness: nothing but the log's own key vouches that it was never rewritten.")
    call.say(f"SHA-256 of trusted_root.json: {fingerprint.hex}")


@keys.command()
@click.option(
    "--what", multiple=True, type=click.Choice((*ROTATABLE, "all")), default=("all",),
    show_default=True, help="What to make anew; may be given more than once.",
)  # fmt: skip
@click.option("--origin", default="", metavar="NAME", help="Of the new log, a host name.")
@pass_call
def rotate(call: Call, what: tuple[str, ...], origin: str) -> None:
    """Make keys anew on a stopped home without open runs.

    What was signed before goes on verifying: the old keys stay in trusted_root.json with the end
    of their window, and what is signed with them after it is refused. A new log key begins a new
    log, whose first entry is the last head of the one before.
    """
    from engine import wiring  # noqa: PLC0415 (brings the whole engine: a second)
    from engine.rotation import rotate as rotated  # noqa: PLC0415
    from engine.settings import read_settings  # noqa: PLC0415

    settings = read_settings(call.home.resolve())
    passphrase, own = passphrase_of(os.environ), witness_passphrase_of(os.environ)
    services = wiring.build(settings, passphrase=passphrase)
    try:
        made = rotated(
            settings.home,
            services.store,
            services.logbook,
            services.clock,
            what,
            passphrase=passphrase,
            issuer=settings.evidence.issuer,
            base=settings.evidence.base_uri,
            origin=origin,
            witness_passphrase=own,
        )
    finally:
        services.stop()
    witness = None if made.witness is None else str(made.witness.public)
    call.give(
        {
            "rotated": list(made.rotated),
            "trusted_root_sha256": made.fingerprint.hex,
            "log": str(made.log),
            "witness": witness,
        }
    )
    call.say(
        f"Made anew: {', '.join(made.rotated)}.",
        f"SHA-256 of {settings.home / 'trusted_root.json'} is now:",
        f"  {made.fingerprint.hex}",
        "Hand the new file, or this, to whoever verifies evidence; what they have of before is",
        "good for what was signed before.",
        f"Log: {made.log}",
        *((f"Witness: {witness}",) if witness else ()),
    )


def _at(at_s: int | None) -> str:
    return moment(None if at_s is None else at_s * 1_000_000)
