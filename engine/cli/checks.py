"""`verify` and `fsck`: is it still what it was."""

from __future__ import annotations

import re
from pathlib import Path

import click

from engine.cli.call import Call, Leaf, pass_call
from engine.cli.door import open_door
from engine.cli.exits import DONE, INVALID_EVIDENCE, NOT_FOUND, USAGE, Ended
from engine.evidence.report import Report
from engine.evidence.verify import verify_envelope, verify_pack

_SUFFIX_BUNDLE = ".sigstore.json"


@click.command(cls=Leaf)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--trusted-root", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="trusted_root.json, got by another way than the evidence.",
)  # fmt: skip
@click.option("--trusted-root-sha256", metavar="HEX", help="Or only its SHA-256.")
@pass_call
def verify(
    call: Call,
    files: tuple[Path, ...],
    trusted_root: Path | None,
    trusted_root_sha256: str | None,
) -> int:
    """Check packs, unpacked packs or single .sigstore.json bundles, offline.

    Every failed check is named with its file, what was expected and what was found. Without
    --trusted-root or its SHA-256 a pack only agrees with itself: compare the printed SHA-256 with
    the one that `init` printed.
    """
    digest = _digest(trusted_root_sha256)
    root = None if trusted_root is None else trusted_root.read_bytes()
    reports = [(path, _verified(path, root, digest)) for path in files]
    documents = [{"path": str(path), **report.document()} for path, report in reports]
    call.give(
        documents[0]
        if len(documents) == 1
        else {"ok": all(report.ok for _, report in reports), "files": documents}
    )
    for path, report in reports:
        for check in report.failed:
            call.say(str(check))
        word = "verified" if report.ok else "NOT VERIFIED"
        call.say(
            f"{path}: {word}, {len(report.checks) - len(report.failed)} of "
            f"{len(report.checks)} checks passed"
        )
        if report.fingerprint and not report.anchored:
            call.say(
                f"  by the trust root inside the pack, SHA-256 {report.fingerprint};",
                "  compare it with the one that the maker of the pack gave you.",
            )
    return DONE if all(report.ok for _, report in reports) else INVALID_EVIDENCE


def _verified(path: Path, root: bytes | None, digest: str | None) -> Report:
    if not path.exists():
        raise Ended(NOT_FOUND, f"{path}: there is no such file.")
    if path.name.endswith(_SUFFIX_BUNDLE) and path.is_file():
        if root is None:
            raise Ended(USAGE, f"{path}: a bundle alone needs --trusted-root to be judged by.")
        return verify_envelope(path.read_bytes(), trusted_root=root, where=str(path))
    return verify_pack(path, trusted_root=root, trusted_root_sha256=digest)


def _digest(text: str | None) -> str | None:
    if text is None:
        return None
    digest = text.strip().lower().removeprefix("sha256:")
    if re.fullmatch(r"[0-9a-f]{64}", digest) is None:
        raise Ended(USAGE, f"--trusted-root-sha256: expected 64 hex digits, found {text!r}.")
    return digest


@click.command(cls=Leaf)
@pass_call
def fsck(call: Call) -> int:
    """Rebuild every projection from the journal and compare; read every link of the chains."""
    with open_door(call) as door:
        report = door.post("/fsck")
    call.give(report)
    for finding in report["findings"]:
        call.say(finding)
    call.say("No difference found." if report["ok"] else f"{len(report['findings'])} findings.")
    return DONE if report["ok"] else INVALID_EVIDENCE


@click.command(cls=Leaf)
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@pass_call
def retention(call: Call, dry_run: bool) -> int:
    """Take raw health samples away that are older than `retention.samples` of the settings.

    The server does this once a day by itself. Only samples of ended runs go, and only when their
    archive can be read and their roll-up by the minute, which stays for ever, is equal to them.
    """
    with open_door(call) as door:
        done = door.post("/retention?dry_run=true" if dry_run else "/retention")
    call.give(done)
    call.say(done["said"])
    return DONE
