"""What a trace of loaded packages supports, and that it claims no more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.fact_events import VerifySnapshot
from engine.core.jcs import canonical
from engine.core.run import Run
from engine.evidence.predicate_runtime import OPENVEX, VEX_FILE, conclusions
from tests.core.simulated import Book, request
from tests.evidence.conftest import Played
from tests.evidence.kit import unpacked

BASE = "https://releaseline.local/attestation"
A, B = "pkg:pypi/jinja2@3.1.6", "pkg:pypi/idna@3.7"


def a_run() -> Run:
    return Book(request()).current


def finding(purl: str, *, status: str = "", aliases: Sequence[str] = ()) -> dict[str, Any]:
    stated = {"status": status, "justification": "", "author": "maker" if status else ""}
    return {"id": "PYSEC-1", "aliases": list(aliases), "purl": purl, "vex": stated}


def trace(
    run: Run, loaded: Sequence[Sequence[str] | None], ships: Sequence[str], off: int = -1
) -> bytes:
    """A target per entry of `loaded`; None = it said nothing. `off`: one not on the bundle."""
    return canonical(
        {
            "schema": "releaseline.runtime-snapshot/1",
            "observedAtUs": 1_771_403_460_000_000,
            "targets": [
                {
                    "target": f"t-{n}",
                    "digest": str(Digest.of(b"other") if n == off else run.bundle),
                    "healthy": True,
                    "componentsObserved": None if seen is None else list(seen),
                }
                for n, seen in enumerate(loaded)
            ],
            "components": list(ships),
            "observed": sorted({one for seen in loaded for one in seen or ()}),
        }
    )


def concluded(snapshot: bytes, *findings: dict[str, Any]) -> dict[str, Any]:
    run = a_run()
    fact = VerifySnapshot(
        step="post-verify",
        attempt=1,
        on_bundle=2,
        healthy=2,
        total=2,
        observed_components=1,
        components=2,
        snapshot=Digest.of(snapshot),
    )
    draft = conclusions(run, fact, snapshot, findings, base=BASE, author="e", at_us=10**15)
    assert draft is not None and draft.predicate_type == OPENVEX
    ((name, content),) = draft.files
    assert name == VEX_FILE
    return dict(json.loads(content))


def status_of(snapshot: bytes, one: dict[str, Any]) -> dict[str, Any]:
    (said,) = concluded(snapshot, one)["statements"]
    return dict(said)


def test_a_package_that_no_target_has_loaded_is_out_of_the_execute_path() -> None:
    said = status_of(trace(a_run(), [[A], [A]], [A, B]), finding(B))
    assert said["status"] == "not_affected"
    assert said["justification"] == "vulnerable_code_not_in_execute_path"
    assert "2 of 2 targets" in said["impact_statement"]


def test_a_package_that_one_target_has_loaded_is_affected() -> None:
    said = status_of(trace(a_run(), [[A], []], [A, B]), finding(A))
    assert said["status"] == "affected" and said["action_statement"]
    assert "1 have the package loaded" in said["status_notes"]


@pytest.mark.parametrize("status", ["not_affected", "fixed"])
def test_what_the_maker_states_is_neither_confirmed_nor_refuted(status: str) -> None:
    said = status_of(trace(a_run(), [[A], [A]], [A]), finding(A, status=status))
    assert said["status"] == "under_investigation" and "maker states" in said["status_notes"]


@pytest.mark.parametrize(
    ("loaded", "ships", "off"),
    [
        ([[A], None], [A, B], -1),  # one target said nothing
        ([[A], [A]], [A, B], 1),  # one target runs something else
        ([[A], [A]], [A], -1),  # nobody says that the package is shipped at all
        ([], [A, B], -1),  # nobody was looked at
    ],
)
def test_a_trace_with_gaps_supports_no_conclusion(
    loaded: list[list[str] | None], ships: list[str], off: int
) -> None:
    said = status_of(trace(a_run(), loaded, ships, off), finding(B))
    assert said["status"] == "under_investigation" and "justification" not in said


def test_without_findings_there_is_no_document() -> None:
    snapshot = trace(a_run(), [[A]], [A])
    fact = VerifySnapshot(
        step="v", attempt=1, on_bundle=1, healthy=1, total=1, observed_components=1, components=1,
        snapshot=Digest.of(snapshot),
    )  # fmt: skip
    assert conclusions(a_run(), fact, snapshot, (), base=BASE, author="e", at_us=1) is None


@pytest.mark.parametrize("broken", [{}, {"id": "x"}, {"id": "x", "purl": "p", "aliases": []}])
def test_a_finding_in_another_shape_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(Malformed, match="findings"):
        concluded(trace(a_run(), [[A]], [A]), broken)


PURLS = st.sampled_from([A, B, "pkg:pypi/click@8.1.8", "pkg:npm/%40a/b@1"])


@given(
    loaded=st.lists(st.none() | st.lists(PURLS, unique=True), max_size=4),
    ships=st.lists(PURLS, unique=True),
    found=st.lists(
        st.builds(
            finding,
            PURLS,
            status=st.sampled_from(["", "not_affected", "affected", "fixed"]),
            aliases=st.lists(st.sampled_from(["CVE-1", "GHSA-2"])),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda one: one["purl"],  # as the gate has them: each flaw of a package once
    ),
)
def test_every_document_has_the_published_shape(
    shared: Path, loaded: Any, ships: Any, found: Any
) -> None:
    schema = json.loads((shared / "data/vex/openvex_json_schema_0.2.0.json").read_bytes())
    snapshot = trace(a_run(), loaded, ships)
    document = concluded(snapshot, *found)
    jsonschema.Draft202012Validator(schema).validate(document)
    for said in document["statements"]:
        (product,) = said["products"]
        (part,) = product["subcomponents"]
        if said["status"] == "not_affected":
            assert all(seen is not None and part["@id"] not in seen for seen in loaded)


def test_a_sealed_run_carries_it_signed_and_beside(healthy: Played, shared: Path) -> None:
    files = unpacked(healthy.audit)
    (path,) = [name for name in files if name.endswith(VEX_FILE)]
    document = json.loads(files[path])
    schema = json.loads((shared / "data/vex/openvex_json_schema_0.2.0.json").read_bytes())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert [one["status"] for one in document["statements"]] == ["affected", "not_affected"]
    assert path.replace(".openvex.json", "-vex.dsse") in files
