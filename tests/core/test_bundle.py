"""Digests and bundles: names that only the bytes decide."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from engine.core.bundle import (
    Attachment,
    Bundle,
    Component,
    manifest_document,
    parse_manifest,
)
from engine.core.digest import Digest
from engine.core.errors import Malformed

APP = Component(name="app.zip", digest=Digest.of(b"app"), size=3, media_type="application/zip")
LIB = replace(APP, name="lib.zip", digest=Digest.of(b"lib"))
SBOM = Attachment(
    kind="sbom", component="", digest=Digest.of(b"s"), size=1, media_type="application/json"
)
BUNDLE = Bundle(name="app", version="1.0", components=(APP, LIB), attachments=(SBOM,))


def test_a_digest_is_the_hash_of_the_bytes() -> None:
    digest = Digest.of(b"abc")
    assert digest.hex == hashlib.sha256(b"abc").hexdigest()
    assert Digest.parse(str(digest)) == digest
    assert str(digest) == f"sha256:{digest.hex}" and digest.hex.startswith(digest.short)


@pytest.mark.parametrize(
    "text",
    ["", "sha256", "sha256:", "sha512:" + "0" * 64, "sha256:" + "0" * 63, "sha256:" + "A" * 64,
     "sha256:" + "0" * 63 + "\n", "0" * 64, "sha256:" + "٠" * 64, " sha256:" + "0" * 64],
)  # fmt: skip
def test_anything_else_is_no_digest(text: str) -> None:
    with pytest.raises(Malformed, match="digest: expected"):
        Digest.parse(text)


def test_the_order_of_the_parts_does_not_change_the_name() -> None:
    other = replace(BUNDLE, components=(LIB, APP))
    assert other.digest == BUNDLE.digest == Digest.of(BUNDLE.manifest())
    assert replace(BUNDLE, created_by="ana").digest == BUNDLE.digest


@pytest.mark.parametrize(
    "changed",
    [
        replace(BUNDLE, name="other"),
        replace(BUNDLE, version="1.1"),
        replace(BUNDLE, components=(APP,)),
        replace(BUNDLE, attachments=()),
        replace(BUNDLE, attachments=(replace(SBOM, kind="vex"),)),
        replace(BUNDLE, components=(APP, replace(LIB, digest=Digest.of(b"x")))),
    ],
)
def test_every_part_of_it_is_in_its_name(changed: Bundle) -> None:
    assert changed.digest != BUNDLE.digest


def test_a_manifest_reads_back() -> None:
    document = json.loads(BUNDLE.manifest())
    assert parse_manifest(document, created_by="ana") == replace(BUNDLE, created_by="ana")
    assert manifest_document(BUNDLE) == document
    assert BUNDLE.label == "app 1.0"


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("schema", "x/1", "manifest.schema"),
        ("name", "", "manifest.name"),
        ("version", 1, "manifest.version"),
        ("components", [], "manifest.components"),
        ("components", {}, "manifest.components"),
        ("components", ["x"], "manifest.components"),
        ("components", [{}], r"manifest.components\[0\].name"),
        ("attachments", [{"kind": "sbom"}], r"manifest.attachments\[0\]"),
    ],
)
def test_a_broken_manifest_names_the_field(field: str, value: Any, where: str) -> None:
    document = json.loads(BUNDLE.manifest()) | {field: value}
    with pytest.raises(Malformed, match=where):
        parse_manifest(document)


@pytest.mark.parametrize("size", [-1, True, "3", None])
def test_a_size_is_a_number_of_bytes(size: Any) -> None:
    document = json.loads(BUNDLE.manifest())
    document["components"][0]["size"] = size
    with pytest.raises(Malformed, match=r"components\[0\]\.size: expected a size in bytes"):
        parse_manifest(document)


def test_names_of_components_do_not_repeat() -> None:
    document = json.loads(replace(BUNDLE, components=(APP, APP)).manifest())
    with pytest.raises(Malformed, match="component names repeat"):
        parse_manifest(document)
