"""`backup` and `restore`: everything that a home is made of, in one file and back."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from engine.cli.call import Call, Leaf, pass_call
from engine.cli.door import open_remote
from engine.cli.exits import BAD_CONFIG, DONE, INVALID_EVIDENCE, Ended


@click.command(cls=Leaf)
@click.option(
    "-o", "--output", required=True, metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the tar file is written; exchanged only when it is whole.",
)  # fmt: skip
@pass_call
def backup(call: Call, output: Path) -> int:
    """Copy the home into one file. A server that runs on it goes on meanwhile.

    The file holds the record, every blob, the settings and the keys, which stay wrapped by the
    passphrase: keep both, and not in one place. Left out is what can be made again, such as the
    database, and the fleet. Of stages that are open the health samples are not in it yet.
    """
    part = output.with_name(f".{output.name}.{secrets.token_hex(4)}")
    try:
        # Made here with its mode, so that nobody else reads it while it is written.
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with open_remote(call) as server:
            if server is not None:
                server.save("/backup", part)
            else:
                from engine.wiring_backup import backup_stopped  # noqa: PLC0415 (brings the store)

                backup_stopped(call.home, part)
        part.replace(output)
    except OSError as error:
        raise Ended(BAD_CONFIG, f"{output}: can't be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    size = output.stat().st_size
    call.give({"file": str(output), "bytes": size})
    call.say(f"{output}: {size:,} bytes.")
    return DONE


@click.command(cls=Leaf)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_call
def restore(call: Call, file: Path) -> int:
    """Make the home (--home) of a backup: a new or an empty folder.

    Every file is compared with the backup's manifest, the database is made again from the journal
    and compared with it. Nothing is left behind when something is not as it was written.

    Never let two homes of one backup run: both would sign the same log.
    """
    from engine.wiring_backup import restore_home  # noqa: PLC0415 (brings the store)

    done = restore_home(file, call.home)
    call.give(
        {
            "home": str(call.home),
            "files": done.files,
            "bytes": done.bytes,
            "line": done.line,
            "digest": done.digest,
            "lost": list(done.lost),
            "findings": list(done.findings),
        }
    )
    call.say(
        f"{call.home}: {done.files:,} files, {done.bytes:,} bytes; the journal ends with line "
        f"{done.line:,}, {done.digest}."
    )
    call.say(*done.lost, *done.findings)
    call.say("Never let two homes of one backup run: both would sign the same log.")
    return INVALID_EVIDENCE if done.findings else DONE
