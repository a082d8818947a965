"""`verify` and `fsck`: is it still what it was."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from engine.cli.call import Call, Leaf, moment, pass_call
from engine.cli.door import open_door
from engine.cli.exits import DONE, INVALID_EVIDENCE, NOT_FOUND, USAGE, Ended
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.evidence.chain import FILE
from engine.evidence.cosignature import WitnessKey, parse_witness_file
from engine.evidence.pack import read_folder, read_pack
from engine.evidence.report import Check, Report
from engine.evidence.strict import parse_object
from engine.evidence.verify import MANIFEST, TRUST, verify_beside, verify_envelope, verify_pack

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
@click.option(
    "--against", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An older checkpoint of the log, or an older pack: nothing may be rewritten since.",
)  # fmt: skip
@click.option(
    "--consistency", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `log consistency --json` printed, when the pack has no proof of its own.",
)  # fmt: skip
@click.option(
    "--witness", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keys of witnesses, one a line, got from themselves: one has to have seen every head.",
)  # fmt: skip
@click.option(
    "--self-consistent", is_flag=True,
    help="Be content when a pack agrees with itself: it may be forged as a whole.",
)  # fmt: skip
@pass_call
def verify(
    call: Call,
    files: tuple[Path, ...],
    trusted_root: Path | None,
    trusted_root_sha256: str | None,
    against: Path | None,
    consistency: Path | None,
    witness: Path | None,
    self_consistent: bool,
) -> int:
    """Check packs, unpacked packs or single .sigstore.json bundles, offline.

    Every failed check is named with its file, what was expected and what was found.

    Trust has to come from outside the pack: --trusted-root, or its SHA-256 as `init` printed it,
    or the home this command works on, when its trusted root is the pack's. A pack that is judged
    by its own copy only agrees with itself: that ends with 21, unless --self-consistent says
    that no more is asked.

    Whether the log was rewritten only its witness can tell. The key that the trusted root names
    was written by the maker of the pack; --witness has the one that you got from the witness.
    """
    question = _Question(
        root=None if trusted_root is None else trusted_root.read_bytes(),
        sha256=_digest(trusted_root_sha256),
        against=None if against is None else against.read_bytes(),
        consistency=None if consistency is None else consistency.read_bytes(),
        witnesses=() if witness is None else _witnesses(witness),
        home_root=_home_root(call.home),
        self_consistent=self_consistent,
    )
    reports = _of_one_seal([(path, _verified(path, question)) for path in files])
    documents = [{"path": str(path), **report.document()} for path, report in reports]
    call.give(
        documents[0]
        if len(documents) == 1
        else {"ok": all(report.ok for _, report in reports), "files": documents}
    )
    for path, report in reports:
        _tell(call, path, report)
    return DONE if all(report.ok for _, report in reports) else INVALID_EVIDENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What the command line asks for. `home_root`: the trusted root of the home, if any."""

    root: bytes | None
    sha256: str | None
    against: bytes | None
    consistency: bytes | None
    witnesses: tuple[WitnessKey, ...]
    home_root: bytes | None
    self_consistent: bool


def _of_one_seal(reports: list[tuple[Path, Report]]) -> list[tuple[Path, Report]]:
    """Packs of one run that are given together have to hold the same proof chain."""
    seen: dict[str, tuple[Path, Digest]] = {}
    judged = []
    for path, report in reports:
        run, chain = _seal(path) if report.fingerprint and path.suffix != ".json" else ("", None)
        if chain is not None:
            first, expected = seen.setdefault(run, (path, chain))
            if chain != expected:
                report = report.with_check(
                    Check(
                        file=FILE,
                        check="chain.same",
                        ok=False,
                        expected=f"{expected} as in {first}",
                        found=str(chain),
                    )
                )
        judged.append((path, report))
    return judged


def _seal(path: Path) -> tuple[str, Digest | None]:
    """The run of a readable pack, and the digest of its proof chain; None without one."""
    files = (read_folder(path) if path.is_dir() else read_pack(path.read_bytes())).files
    content = files.get(FILE)
    try:
        run = str(parse_object(files.get(MANIFEST, b""), where=MANIFEST).get("runId"))
    except Malformed:
        return "", None  # said in the report already
    return run, None if content is None else Digest.of(content)


def _verified(path: Path, asked: _Question) -> Report:
    if not path.exists():
        raise Ended(NOT_FOUND, f"{path}: there is no such file.")
    if path.name.endswith(_SUFFIX_BUNDLE) and path.is_file():
        root = asked.root or asked.home_root
        if root is None:
            raise Ended(USAGE, f"{path}: a bundle alone needs --trusted-root to be judged by.")
        if asked.against is not None:
            raise Ended(USAGE, f"{path}: a bundle alone shows no history; --against needs a pack.")
        return verify_envelope(
            path.read_bytes(), trusted_root=root, witnesses=asked.witnesses, where=str(path)
        )
    report = _judged(path, asked, asked.root, asked.sha256)
    if report.anchored or not report.fingerprint:
        return report
    if asked.home_root is not None and Digest.of(asked.home_root).hex == report.fingerprint:
        return _judged(path, asked, asked.home_root, None)
    return report if asked.self_consistent else report.with_check(_unanchored(report))


def _judged(path: Path, asked: _Question, root: bytes | None, sha256: str | None) -> Report:
    """A pack, and the signature that lies beside its file."""
    report = _pack(path, asked, root, sha256)
    beside = path.with_name(path.name + _SUFFIX_BUNDLE)
    if not report.fingerprint or not path.is_file() or not beside.is_file():
        return report
    content, bundle = path.read_bytes(), beside.read_bytes()
    if root is None:  # the pack's own copy, whose digest is the one that was given, or is said
        root = read_pack(content).files[TRUST]
    checks = verify_beside(
        content, bundle, trusted_root=root, witnesses=asked.witnesses, where=str(beside)
    )
    for check in checks:
        report = report.with_check(check)
    return report


def _pack(path: Path, asked: _Question, root: bytes | None, sha256: str | None) -> Report:
    return verify_pack(
        path,
        trusted_root=root,
        trusted_root_sha256=sha256,
        against=asked.against,
        consistency=asked.consistency,
        witnesses=asked.witnesses,
    )


def _unanchored(report: Report) -> Check:
    return Check(
        file="trust/trusted_root.json",
        check="trust.anchor",
        ok=False,
        expected="a trusted root, or its SHA-256, from outside the pack",
        found=f"only the pack's own, SHA-256 {report.fingerprint}",
    )


def _home_root(home: Path) -> bytes | None:
    try:
        return (home / "trusted_root.json").read_bytes()
    except OSError:
        return None


def _tell(call: Call, path: Path, report: Report) -> None:
    for check in report.failed:
        call.say(str(check))
    passed = f"{len(report.checks) - len(report.failed)} of {len(report.checks)} checks passed"
    seen = [f"  {report.witness_sentence}"] if report.witness_sentence else []
    if report.anchored or not report.fingerprint:
        call.say(f"{path}: {'verified' if report.ok else 'NOT VERIFIED'}, {passed}", *seen)
        return
    agrees = all(check.ok or check.check == "trust.anchor" for check in report.checks)
    word = "agrees with itself, but is NOT VERIFIED against anything" if agrees else "NOT VERIFIED"
    call.say(
        f"{path}: {word}, {passed}",
        f"  It was judged by the trust root inside the pack, SHA-256 {report.fingerprint}.",
        "  Whoever forges a whole pack puts their own in. Compare it with the one that the maker",
        "  of the pack gave you by another way, and give that one: --trusted-root-sha256 HEX",
        *seen,
    )


def _witnesses(path: Path) -> tuple[WitnessKey, ...]:
    try:
        return parse_witness_file(path.read_bytes(), where=str(path))
    except Malformed as error:
        raise Ended(USAGE, f"--witness: {error}") from None


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
    """Rebuild every projection from the journal and compare; read every link of the chains, and
    every stored file bit by bit."""
    with open_door(call) as door:
        report = door.post("/fsck")
    call.give(report)
    for finding in report["findings"]:
        call.say(finding)
    count = len(report["findings"])
    found = "1 finding." if count == 1 else f"{count} findings."
    call.say("No difference found." if report["ok"] else found)
    return DONE if report["ok"] else INVALID_EVIDENCE


@click.command(cls=Leaf)
@pass_call
def integrity(call: Call) -> int:
    """What the sweeps over everything that is stored found, and what may still be done.

    The server sweeps by itself every `integrity.every` of the settings; `fsck` sweeps at once.
    """
    with open_door(call) as door:
        known = door.get("/integrity")
    call.give(known)
    sweep = known["sweep"]
    if sweep is None:
        call.say("Nothing was looked at yet.")
    else:
        call.say(
            f"The last sweep ended {moment(sweep['ended_us'])}: {sweep['runs']} runs, "
            f"{sweep['blobs']} files of {sweep['size_bytes']} bytes, {sweep['leaves']} log leaves."
        )
    say_damaged(call, known["damaged"])
    if known["ok"]:
        call.say("Everything is what it was.")
    return INVALID_EVIDENCE if known["damaged"] else DONE


def say_damaged(call: Call, damaged: Sequence[Mapping[str, Any]]) -> None:
    """What is stored and not what it was, each with whose it is and what may still be done."""
    for one in damaged:
        of = f"  of {', '.join(one['runs'])}" if one["runs"] else "  of no run"
        call.say(f"DAMAGED  {one['sentence']}", f"{of}, since {moment(one['since_us'])}")
        call.say(f"  {one['remedy']}")


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
