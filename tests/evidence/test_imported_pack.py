"""What a pack tells of imports, and that none can be dropped or exchanged behind the list."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.core.attestations import Attestation
from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.core.run import Run
from engine.evidence.imported import judge
from engine.evidence.imported_pack import check_imports
from engine.evidence.report import Ledger
from engine.packing_imports import imported_files, imports_of
from tests.core.test_run_imports import attestation
from tests.evidence.foreign_kit import anchor, envelope, statement

LIST = "steps/01-inputs/resolved-inputs.json"


class Packed:
    """Two imports, of which the inputs pinned the first; the second came as a Sigstore bundle."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        first, second = (self._made(kind) for kind in ("p256", "ed25519"))
        second = replace(
            second, form="sigstore", predicate_type="https://example.com/x/y/v1",
            source=self._put(b"the bundle"),
        )  # fmt: skip
        self.run = cast(Run, SimpleNamespace(attestations=(first, second), pinned=(first,)))
        self.files = imported_files(self.run, self.blobs.__getitem__)
        listed = [
            {
                "digest": str(first.envelope),
                "predicateType": first.predicate_type,
                "signer": first.signer,
                "trust": first.trust,
                "about": ["app"],
            }
        ]
        self.files[LIST] = canonical({"attestations": listed})

    def _put(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        self.blobs[digest] = content
        return digest

    def _made(self, kind: str) -> Attestation:
        content = judge(envelope(statement(), kind), (anchor(kind),), where="x").envelope
        return replace(attestation(kind), envelope=self._put(content))

    def checked(self, **changes: bytes | None) -> Ledger:
        files = {**self.files, **{k: v for k, v in changes.items() if v is not None}}
        for name in [k for k, v in changes.items() if v is None]:
            del files[name]
        ledger = Ledger()
        check_imports(files, ledger)
        return ledger


@pytest.fixture
def packed() -> Packed:
    return Packed()


def failed(ledger: Ledger) -> list[tuple[str, str]]:
    return [(one.file, one.check) for one in ledger.checks if not one.ok]


def test_names_and_records(packed: Packed) -> None:
    assert sorted(packed.files) == [
        "imported/01-provenance-v1.dsse",
        "imported/01-provenance-v1.verification.json",
        "imported/02-y-v1.dsse",
        "imported/02-y-v1.sigstore.json",
        "imported/02-y-v1.verification.json",
        LIST,
    ]
    assert packed.files["imported/02-y-v1.sigstore.json"] == b"the bundle"
    records = [
        json.loads(packed.files[name]) for name in sorted(packed.files) if "verification" in name
    ]
    assert [one["pinnedByInputs"] for one in records] == [True, False]
    assert [one["trust"]["name"] for one in records] == ["build", "build"]
    first = imports_of(packed.run)[0]
    assert Digest.of(packed.files["imported/01-provenance-v1.dsse"]) == first.envelope
    # Whoever has the key can judge the envelope again, straight from the pack.
    again = judge(packed.files["imported/01-provenance-v1.dsse"], (anchor("p256"),), where="p")
    assert again.payload == statement()


def test_a_whole_pack_is_right(packed: Packed) -> None:
    ledger = packed.checked()
    assert failed(ledger) == []
    assert [(one.file, one.check) for one in ledger.checks] == [
        ("imported/01-provenance-v1.dsse", "imported")
    ]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"imported/01-provenance-v1.dsse": None}, [(LIST, "imported.missing")]),
        (
            {"imported/01-provenance-v1.verification.json": None},
            [("imported/01-provenance-v1.verification.json", "imported.record")],
        ),
        (
            {"imported/01-provenance-v1.verification.json": b'{"envelope": 5}'},
            [("imported/01-provenance-v1.verification.json", "imported.record")],
        ),
        (
            {"imported/02-y-v1.dsse": b"{}"},
            [("imported/02-y-v1.dsse", "imported.form")],
        ),
        ({LIST: b"{}x"}, [(LIST, "imported.list")]),
        ({LIST: b'{"attestations": [1]}'}, [(LIST, "imported.list")]),
        ({LIST: b'{"attestations": {}}'}, [(LIST, "imported.list")]),
    ],
)
def test_what_was_dropped_or_exchanged_is_named(
    packed: Packed, changes: Any, found: list[tuple[str, str]]
) -> None:
    assert failed(packed.checked(**changes)) == found


def test_two_envelopes_that_changed_places(packed: Packed) -> None:
    """The record beside an envelope is the record of that envelope."""
    one, two = "imported/01-provenance-v1", "imported/02-y-v1"
    ledger = packed.checked(
        **{f"{one}.dsse": packed.files[f"{two}.dsse"], f"{two}.dsse": packed.files[f"{one}.dsse"]}
    )
    assert (f"{two}.verification.json", "imported.record") in failed(ledger)


def test_packs_from_before_imports_are_right(packed: Packed) -> None:
    ledger = Ledger()
    check_imports({LIST: b'{"schema":"releaseline.resolved-inputs/1"}'}, ledger)
    assert ledger.checks == []
