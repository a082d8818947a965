"""Several hundred packs and bundles that were bent on purpose: not one may be accepted."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.core.jcs import canonical
from engine.evidence import pack
from engine.evidence.drill_copy import sums
from engine.evidence.pack import write_tar_gz, write_zip
from engine.evidence.report import Report
from engine.evidence.verify import SUMS, SUMS_BUNDLE, verify_envelope, verify_pack
from tests.evidence.conftest import Played
from tests.evidence.kit import EMAILS, ENGINE, repacked, unpacked
from tests.evidence.thief import (
    Files,
    items_of,
    real_log,
    resummed,
    signed,
    statement_of,
    with_item,
)

pytestmark = pytest.mark.house

APPROVAL = "steps/03-approval/approval.dsse"
GATE = "steps/02-gate-eval/policy-decision.dsse"


def judge(content: bytes, played: Played) -> Report:
    return verify_pack(content, trusted_root=played.trusted)


def refused(content: bytes, played: Played, what: object) -> set[str]:
    report = judge(content, played)
    assert not report.ok, f"{what} was accepted"
    for check in report.failed:
        assert check.check and check.expected != check.found, (what, check)
    return {check.check for check in report.failed}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(one, (*path, key))
    else:
        yield path


def others(value: Any) -> Iterator[Any]:
    """Other values for a leaf: changed signs, a neighbour, nothing, another type."""
    yield from (None, "")
    if isinstance(value, str):
        for spot in {0, len(value) // 3, len(value) // 2, max(0, len(value) - 3)}:
            sign = "B" if value[spot : spot + 1] == "A" else "A"
            yield value[:spot] + sign + value[spot + 1 :]
        yield value + " "
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        yield type(value)(int(value) + 1)


def test_every_leaf_of_every_bundle(rejected: Played) -> None:
    """Each edit of each leaf of each .sigstore.json, judged alone, with nothing but the root."""
    tried = 0
    files = unpacked(rejected.audit)
    for name in sorted(name for name in files if name.endswith(".sigstore.json")):
        document = json.loads(files[name])
        for path in leaves(document):
            holder: Any = document
            for key in path[:-1]:
                holder = holder[key]
            kept = holder[path[-1]]
            for value in others(kept):
                if value == kept:
                    continue
                holder[path[-1]] = value
                report = verify_envelope(canonical(document), trusted_root=rejected.trusted)
                assert not report.ok, (name, path, value)
                tried += 1
            holder[path[-1]] = kept
            assert canonical(document) == files[name]
    assert tried >= 200


def test_every_spelling_of_a_bundle_but_ours(rejected: Played) -> None:
    content = unpacked(rejected.audit)[SUMS_BUNDLE]
    document = json.loads(content)
    twice = content.replace(b'"mediaType":', b'"mediaType":"x","mediaType":', 1)
    for other in (
        json.dumps(document).encode(),
        json.dumps(document, indent=1).encode(),
        content + b"\n",
        b"\xef\xbb\xbf" + content,
        twice,
        canonical(document | {"more": 1}),
        canonical({**document, "verificationMaterial": {**document["verificationMaterial"],
                                                        "publicKey": {"hint": ""}}}),
    ):  # fmt: skip
        assert not verify_envelope(other, trusted_root=rejected.trusted).ok


def test_every_file_changed_with_a_list_that_fits_again(rejected: Played) -> None:
    files = unpacked(rejected.audit)
    for name in sorted(files.keys() - {SUMS, SUMS_BUNDLE})[::2]:
        content = files[name]
        for bent in (content[:-1], content + b"\n"):
            changed = files | {name: bent}
            refused(repacked(changed | {SUMS: sums(changed)}), rejected, name)
        rest = {other: one for other, one in files.items() if other != name}
        refused(repacked(rest | {SUMS: sums(rest)}), rejected, name)
        refused(repacked(rest), rejected, name)


def test_every_line_of_the_list(rejected: Played) -> None:
    files = unpacked(rejected.audit)
    lines = files[SUMS].splitlines(keepends=True)
    for number, line in enumerate(lines[::6]):
        number *= 6
        for other in (b"", line + line, line.upper(), line.replace(b"  ", b" *")):
            bent = b"".join([*lines[:number], other, *lines[number + 1 :]])
            refused(repacked(files | {SUMS: bent}), rejected, line)
    refused(repacked(files | {SUMS: b"".join(reversed(lines))}), rejected, "order")


@pytest.mark.parametrize("zipped", [False, True])
def test_bits_of_the_container(rejected: Played, zipped: bool) -> None:
    content = rejected.bundle if zipped else rejected.audit
    ends = [*range(0, 60, 7), *(len(content) - spot for spot in range(1, 60, 7))]
    for spot in {*ends, *range(0, len(content), len(content) // 12)}:
        changed = bytearray(content)
        changed[spot] ^= 1 << spot % 8
        refused(bytes(changed), rejected, spot)
    for cut in (1, 8, 22, 600, len(content) // 2):
        refused(content[:-cut], rejected, cut)
    for tail in (b"\0", b"x" * 512, content):
        refused(content + tail, rejected, tail[:3])


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a\\..\\b", "C:x", "C:/x", "steps/../../x", "x\0y", ".hidden", "con",
     "a/AUX.txt", "trailing.", "shA256sums", "README.TXT/x", "sub dir/x", "x" * 201,
     "\u202etxt.exe"],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_a_member_with_a_bad_name(rejected: Played, name: str, zipped: bool) -> None:
    files = unpacked(rejected.audit) | {"README.txt": b"x"}
    refused(archive([*files.items(), (name, b"x")], zipped=zipped), rejected, name)


def archive(members: list[tuple[str, bytes]], *, zipped: bool) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        if zipped:
            with zipfile.ZipFile(out, "w") as archived:
                for name, content in members:
                    archived.writestr(zipfile.ZipInfo(name), content)
            return out.getvalue()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archived_tar:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archived_tar.addfile(info, io.BytesIO(content))
    return pack._gzip(out.getvalue())


def test_archives_that_other_tools_would_make(rejected: Played) -> None:
    """The same files, rightly signed; yet the container is not under any signature."""
    files = unpacked(rejected.audit)
    tar = pack._tar(files)
    comment, deflated, encrypted = io.BytesIO(), io.BytesIO(), bytearray(write_zip(files))
    with zipfile.ZipFile(comment, "w") as archived:
        archived.comment = b"hello"
        for name in sorted(files):
            archived.writestr(zipfile.ZipInfo(name), files[name])
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archived:
        for name in sorted(files):
            archived.writestr(name, files[name])
    encrypted[6] |= 1
    described = bytearray(write_zip(files))
    described[6] |= 8
    two_members = pack._gzip(tar[:1024]) + pack._gzip(tar[1024:])
    for other in (
        archive(list(files.items()), zipped=True),
        archive(sorted(files.items(), reverse=True), zipped=False),
        comment.getvalue(),
        deflated.getvalue(),
        bytes(encrypted),
        bytes(described),
        two_members,
        pack._gzip(tar + bytes(10_240)),
        pack._gzip(tar[:-1024]),
        b"PK" + write_tar_gz(files),
    ):
        refused(other, rejected, other[:20])


def bent_item(
    files: Files, played: Played, path: str, bend: Callable[[Any], object], **how: Any
) -> Files:
    """An item whose statement was changed and signed anew by the home's keys, the list as well."""
    tree = real_log(played)
    statement = statement_of(files[path.replace(".dsse", ".sigstore.json")])
    bend(statement)
    identity = how.pop("identity", ENGINE)
    changed = with_item(files, path, signed(statement, played, tree, identity, **how))
    return resummed(changed, played, tree)


def said(**changes: Any) -> Callable[[Any], object]:
    return lambda statement: statement["predicate"].update(changes)


def scoped(**changes: Any) -> Callable[[Any], object]:
    return lambda statement: statement["predicate"]["scope"].update(changes)


BOB = f"mailto:{EMAILS['bob']}"


@pytest.mark.parametrize(
    ("bend", "check"),
    [
        (scoped(runId="run-2"), "approval.run"),
        (scoped(bundle={"sha256": "0" * 64}), "approval.bundle"),
        (scoped(attempt=2), "approval.attempt"),
        (scoped(binding={"sha256": "0" * 64}), "approval.binding"),
        (scoped(environment="EU-West/eu-stage"), "approval.binding"),
        (said(decision="rejected"), "approval.denied"),
        (said(decision="maybe"), "approval.decision"),
        (said(expiresAt="2020-01-01T00:00:00Z"), "approval.expired"),
        (said(decidedAt="2099-01-01T00:00:00Z"), "approval.time"),
        (said(requestedBy="bob"), "approval.requester"),
        (said(nonce="nonce-carol"), "approval.nonce"),
        (said(approver={"id": BOB, "user": "eve", "groups": []}), "approval.standing"),
        (said(approver={"id": "mailto:eve@x.org", "user": "bob", "groups": []}),
         "approval.identity"),
        (said(basis=[{"name": GATE, "digest": {"sha256": "0" * 64}}]), "approval.basis"),
    ],
)  # fmt: skip
def test_an_approval_that_is_not_of_this_run(
    healthy: Played, bend: Callable[[Any], object], check: str
) -> None:
    files = unpacked(healthy.audit)
    bent = bent_item(files, healthy, APPROVAL, bend, identity=BOB)
    assert check in refused(repacked(bent), healthy, check)


@pytest.mark.parametrize(
    ("bend", "check"),
    [
        (lambda s: link_of(s).update(seq=9), "chain.seq"),
        (lambda s: link_of(s).update(runId="run-2"), "chain.run"),
        (lambda s: link_of(s).update(prev=None), "chain.prev"),
        (lambda s: link_of(s).update(checkpoint="inputs"), "chain.folder"),
        (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "item.subject"),
        (lambda s: s["subject"].append(s["subject"][0]), "item.subject"),
        (said(verificationResult="FAILED"), "approval.basis"),
    ],
)
def test_a_statement_that_does_not_fit_its_place(
    healthy: Played, bend: Callable[[Any], object], check: str
) -> None:
    bent = bent_item(unpacked(healthy.audit), healthy, GATE, bend)
    found = refused(repacked(bent), healthy, check)
    assert check in found and "log.order" in found


def link_of(statement: Any) -> Any:
    return next(value for key, value in statement["predicate"].items() if "/link/" in key)


def test_an_item_by_another_person_or_engine(healthy: Played) -> None:
    files = unpacked(healthy.audit)
    for identity in (BOB, "https://elsewhere.example/run-engine"):
        bent = bent_item(files, healthy, GATE, lambda statement: None, identity=identity)
        assert "certificate.identity" in refused(repacked(bent), healthy, identity)


def test_times_that_run_backwards(healthy: Played) -> None:
    early_us = 1_000_000 * 1_600_000_000
    bent = bent_item(unpacked(healthy.audit), healthy, GATE, lambda s: None, now_us=early_us)
    # Before the keys were made, nothing by them can be trusted at all.
    assert {"timestamp.time", "timestamp.window"} & refused(repacked(bent), healthy, "early")


def test_each_item_and_each_file_left_out_and_listed_anew(healthy: Played) -> None:
    files = unpacked(healthy.bundle)
    for path in items_of(files)[::3]:
        stem = path.removesuffix(".dsse")
        rest = {name: one for name, one in files.items() if not name.startswith(stem)}
        bent = resummed(rest, healthy)
        assert {"pack.count", "chain.count"} <= refused(repacked(bent, zipped=True), healthy, path)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"partial": True}, "pack.watermark"),
        ({"outcome": "FAILED"}, "chain.outcome"),
        ({"environment": "EU-West/eu-stage"}, "chain.environment"),
        ({"evidence": 1}, "pack.count"),
        ({"files": 1}, "pack.files"),
        ({"head": None}, "export.head"),
        ({"chain": None}, "pack.chain"),
    ],
)
def test_a_list_that_says_other_things_of_the_pack(
    healthy: Played, changes: dict[str, Any], check: str
) -> None:
    files = unpacked(healthy.audit)
    manifest = json.loads(files["pack.json"]) | changes
    bent = resummed(files | {"pack.json": canonical(manifest)}, healthy, said=changes)
    assert check in refused(repacked(bent), healthy, check)


@pytest.mark.parametrize(
    ("name", "content", "check"),
    [
        ("trust/trust_config.json", b"{}", "trust.config"),
        ("trust/tsa_root.pem", b"-----BEGIN CERTIFICATE-----\n", "trust.pem"),
        ("trust/ca.pem", b"", "trust.pem"),
        ("log/log.vkey", b"log+00000000+AAAA\n", "log.vkey"),
        ("log/witness.vkey", b"", "log.witness"),
        ("evidence.intoto.jsonl", b"{}\n", "pack.envelopes"),
        ("log/consistency.json", None, "log.consistency"),
    ],
)
def test_files_beside_the_evidence(
    healthy: Played, name: str, content: bytes | None, check: str
) -> None:
    files = unpacked(healthy.bundle)
    bent = {other: one for other, one in files.items() if other != name}
    bent = resummed(bent if content is None else bent | {name: content}, healthy)
    assert check in refused(repacked(bent, zipped=True), healthy, name)


@pytest.mark.parametrize("more", [b" ", b"\n", b"0" * 64, b"0" * 64 + b"  \n"])
def test_a_line_of_the_list_without_a_file_is_named(rejected: Played, more: bytes) -> None:
    files = unpacked(rejected.audit)
    report = verify_pack(
        repacked({**files, SUMS: files[SUMS] + more}),
        name="audit-pack.tar.gz",
        trusted_root=rejected.trusted,
    )
    assert not report.ok and all(check.file for check in report.failed)
    assert "pack.sums" in {check.check for check in report.failed}
