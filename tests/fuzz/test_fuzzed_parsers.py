"""Readers of what strangers write, fed with seeds that were damaged at random.

Bytes are flipped, cut, doubled and replaced by words that the formats know; whatever comes in, the
reader takes it or refuses it in our words. Every damage follows from the number in the test's name.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.api.pages import cursor_to, place_of
from engine.core.bundle import Bundle, Component, parse_manifest
from engine.core.digest import Digest
from engine.core.errors import Malformed, UnsafeConfig, Unverified
from engine.core.oci import parse_manifest as parse_image
from engine.core.oci import parse_reference
from engine.core.recurrence import days, parse_rule
from engine.evidence.checkpoint import (
    NoteKey,
    open_checkpoint,
    parse_checkpoint,
    parse_vkey,
    sign_note,
)
from engine.evidence.dsse import parse_envelope, seal
from engine.evidence.imported import documents, judge
from engine.evidence.pack import read_pack, write_tar_gz, write_zip
from engine.inputs.sbom import read_sbom
from engine.inputs.vex_reading import read_vex
from engine.policy.model import load_policy
from engine.settings_read import read_settings
from tests.inputs.documents import CDX, CSAF, SPDX, SPDX3, VEX, dump
from tests.oci.images import image, index

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
ROUNDS: Final = 400
SLOW: Final = {"policy": 30}  # YAML is read with its places: a tenth of a second each
LONG_S: Final = 60.0
OURS: Final = (Malformed, Unverified, UnsafeConfig)
WORDS: Final = (
    b'"', b"'", b"{", b"}", b"[", b"]", b":", b",", b"\\", b"\\u0000", b"\\ud800", b"null", b"true",
    b"-1", b"0", b"1e999", b"99999999999999999999999", b"sha256:", b"sha256:" + b"0" * 64, b"\n",
    b"\x00", b"\xff\xfe", b"\xe2\x80\xa8", b"&a ", b"*a", b"<<: ", b"!!python/object:x ", b"- ",
    b"%YAML 1.1\n", b"---\n", b"e\xcc\x81", b"payload", b"signatures", b"keyid", b"components",
    b"purl", b"pkg:pypi/", b"bom-ref", b"relationships", b"30s", b"10%", b"=", b"==", b"AAAA",
)  # fmt: skip

Read = Callable[[bytes], Any]


def _bundle() -> bytes:
    component = Component(
        name="app.zip", digest=Digest.of(b"x"), size=1, media_type="application/octet-stream"
    )
    return Bundle(name="shop", version="1.0.0", components=(component,)).manifest()


def _envelope() -> bytes:
    return seal(b'{"_type": "x"}', ec.derive_private_key(7, ec.SECP256R1())).to_bytes()


def _manifest(content: bytes) -> Any:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise Malformed("expected JSON, found something else", where="manifest") from None
    if not isinstance(document, dict):
        raise Malformed("expected an object", where="manifest")
    return parse_manifest(document)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


_NOTE: Final = b"log.example\n3\n" + b"A" * 43 + b"=\n"
_LOG: Final = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)
_VKEY: Final = str(NoteKey("log.example", _LOG.public_key()))
_SIGNED: Final = sign_note(_NOTE.decode(), "log.example", _LOG).encode()

TARGETS: Final[dict[str, tuple[tuple[bytes, ...], Read]]] = {
    "manifest": ((_bundle(),), _manifest),
    "dsse": ((_envelope(),), parse_envelope),
    "imported": (
        (_envelope(), _envelope() + b"\n" + _envelope()),
        lambda content: [judge(one, (), where="f") for one in documents(content)],
    ),
    "sbom": ((dump(CDX), dump(SPDX), dump(SPDX3)), lambda content: read_sbom(content, where="f")),
    "vex": ((dump(VEX), dump(CSAF)), lambda content: read_vex(content, where="f")),
    "cursor": (
        (cursor_to("runs", (42,)).encode(), cursor_to("x?{}", ("a", 1)).encode()),
        lambda content: place_of("runs", _text(content), (int,)),
    ),
    "oci": (
        (image(b"layer").manifest, index(image(b"layer"), image(b"other"))),
        lambda content: parse_image(content, where="f"),
    ),
    "oci-reference": (
        (b"oci://registry.example.com:5000/team/app:1.0@sha256:" + b"0" * 64,),
        lambda content: parse_reference(_text(content)),
    ),
    "recurrence": (
        (b"FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH", b"FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20301231"),
        lambda content: list(islice(days(parse_rule(_text(content)), 20_000), 20)),
    ),
    "checkpoint": ((_NOTE,), lambda content: parse_checkpoint(_text(content))),
    "note": (
        (_SIGNED,),
        lambda content: open_checkpoint(_text(content), parse_vkey(_VKEY)),
    ),
    "vkey": ((_VKEY.encode(),), lambda content: parse_vkey(_text(content))),
    "pack": (
        (write_tar_gz({"a.txt": b"a", "b/c.json": b"{}"}), write_zip({"a.txt": b"a"})),
        read_pack,
    ),
    "policy": (
        ((EXAMPLES / "release-gate.yaml").read_bytes(),),
        lambda content: load_policy(content, b'{"thresholds": {}}'),
    ),
}


def damaged(chance: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """One to four damages to one of the seeds."""
    content = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(content) + 1)
        end = min(len(content), at + chance.choice((1, 1, 2, 8, 64)))
        match chance.randrange(6):
            case 0 if content:
                content[at - 1] ^= 1 << chance.randrange(8)
            case 1:
                content[at:end] = b""
            case 2:
                content[at:at] = content[at:end] * chance.choice((1, 2, 50))
            case 3:
                content[at:at] = chance.choice(WORDS)
            case 4:
                content[at:end] = chance.choice(WORDS)
            case _:
                start = chance.randrange(len(content) + 1)
                content[at:end] = content[start : start + end - at]
    return bytes(content)


def _feed(
    read: Read, seeds: tuple[bytes, ...], name: str, *, rounds: int, long: bool
) -> dict[str, int]:
    """How often it was taken and refused. Whatever else is raised ends the test."""
    counts = {"taken": 0, "refused": 0}
    until_s = time.monotonic() + LONG_S
    number = 0
    while time.monotonic() < until_s if long else number < rounds:
        content = damaged(random.Random(f"{name}-{number}"), seeds)
        try:
            read(content)
            counts["taken"] += 1
        except OURS as refused:
            assert str(refused).strip(), (name, number)
            counts["refused"] += 1
        except Exception as defect:
            pytest.fail(f"{name}-{number}: {type(defect).__name__}: {defect}\n{content[:2000]!r}")
        number += 1
    return counts


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nothing_gets_out_of_a_reader(
    name: str, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    seeds, read = TARGETS[name]
    for seed in seeds:
        if name not in {"imported", "cursor", "policy"}:
            read(seed)  # a seed that is refused would be damaged for nothing
    long = bool(request.config.getoption("--long"))
    counts = _feed(read, seeds, name, rounds=SLOW.get(name, ROUNDS), long=long)
    record_property("counts", counts)
    print(name, counts)
    assert counts["refused"]


def test_nothing_gets_out_of_the_settings(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "releaseline.yaml"
    for folder in ("policies", "feeds"):
        (tmp_path / folder).mkdir()
    for name in ("release-gate.yaml", "release-gate.config.json"):
        (tmp_path / "policies" / name).write_bytes((EXAMPLES / name).read_bytes())
    text = (EXAMPLES / "releaseline.yaml").read_bytes()
    # Without its comments: a damage in a comment says nothing.
    seed = b"\n".join(line for line in text.splitlines() if not line.lstrip().startswith(b"#"))

    def read(content: bytes) -> Any:
        path.write_bytes(content)
        return read_settings(tmp_path)

    read(seed)
    long = bool(request.config.getoption("--long"))
    counts = _feed(read, (seed,), "settings", rounds=25, long=long)
    print("settings", counts)
    assert counts["refused"]
