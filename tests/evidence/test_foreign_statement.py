"""What is read of a stranger's statement, and what its predicate says here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.attestations import kind_of, stem, title_of
from engine.core.errors import Malformed
from engine.evidence.foreign_predicate import AUTHORS_MAX, authors_of, result_of
from engine.evidence.foreign_statement import SUBJECTS_MAX, parse_foreign
from engine.evidence.imported import peek
from tests.evidence.foreign_kit import ARTIFACT, PROVENANCE, envelope, provenance, statement

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SUMMARY = "https://slsa.dev/verification_summary/v1"


def changed(**changes: Any) -> bytes:
    document = json.loads(statement()) | changes
    return json.dumps({k: v for k, v in document.items() if v is not ...}).encode()


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (changed(_type="https://in-toto.io/Statement/v2"), r"s\._type: expected one of https"),
        (changed(_type=...), r"s\._type: expected text, found NoneType"),
        (changed(subject=...), r"s\.subject: expected a list with at least one subject"),
        (changed(subject=[]), r"s\.subject: expected a list with at least one subject"),
        (changed(subject="x"), r"s\.subject: expected a list"),
        (changed(subject=[{"name": "x"}]), r"s\.subject\[0\]\.digest: expected at least one"),
        (changed(subject=[{"digest": {"sha256": 5}}]), r"digest\.sha256: expected text"),
        (changed(subject=[{"digest": {"sha256": "A" * 64}}]), "64 lower-case hex digits"),
        (changed(subject=[{"digest": {"sha256": "a" * 63}}]), "64 lower-case hex digits"),
        (changed(subject=[{"digest": {"x": "y"}}] * (SUBJECTS_MAX + 1)), "at most 10000 subjects"),
        (changed(predicateType="no uri"), r"s\.predicateType: expected a URI"),
        (changed(predicateType="x:\u202e"), r"s\.predicateType: expected a URI"),
        (changed(predicate=[1]), r"s\.predicate: expected an object, found list"),
        (b"[]", "expected an object, found list"),
        (b'{"a": NaN}', "found NaN"),
        (b"[" * 100, "nested deeper than 64"),
        (b'{"_type": 1, "_type": 2}', "key '_type' stands twice"),
    ],
)
def test_a_statement_is_what_it_says(payload: bytes, sentence: str) -> None:
    with pytest.raises(Malformed, match=sentence):
        parse_foreign(payload, where="s")


def test_what_the_specification_lets_pass() -> None:
    """Fields that we don't know, digests of other kinds, no name, no predicate."""
    payload = changed(
        predicate=...,
        more={"x": 1},
        subject=[{"digest": {"sha512": "00", "gitCommit": "ab"}, "annotations": {}}],
    )
    read = parse_foreign(payload, where="s")
    assert read.subjects[0].digest is None and read.subjects[0].name == ""
    assert read.predicate_bytes == b"{}"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(
    st.dictionaries(st.text(), VALUES, max_size=4),
    st.sampled_from([None, 0, 3, "\t"]),
    st.booleans(),
)
def test_the_predicate_is_handed_on_as_it_was_signed(
    predicate: dict[str, Any], indent: Any, escaped: bool
) -> None:
    before = json.loads(statement()) | {"predicate": {"predicate": 1}}
    document = {"a": {"predicate": [1]}, **before, "predicate": predicate, "z": 'predicate": {'}
    payload = json.dumps(document, indent=indent, ensure_ascii=escaped)
    read = parse_foreign(payload.encode(errors="surrogatepass"), where="s")
    assert json.loads(read.predicate_bytes) == predicate
    assert read.predicate_bytes.decode() in payload


def test_numbers_with_a_fraction_stay_as_they_are_written() -> None:
    payload = statement(predicate={"score": 9.8}).replace(b"9.8", b"9.80")
    read = parse_foreign(payload, where="s")
    assert read.predicate == {"score": "9.80"}
    assert read.predicate_bytes == b'{"score": 9.80}'


@pytest.mark.parametrize(
    ("predicate_type", "predicate", "result"),
    [
        (TEST_RESULT, {"result": "PASSED"}, "PASSED"),
        (TEST_RESULT, {"result": "FAILED"}, "FAILED"),
        (
            SUMMARY,
            {"verifier": {"id": "v"}, "resourceUri": "r", "verificationResult": "FAILED"},
            "FAILED",
        ),
        (PROVENANCE, provenance(), ""),
        ("https://slsa.dev/provenance/v0.2", {"buildType": "b", "builder": {"id": "i"}}, ""),
        ("https://in-toto.io/attestation/svr/v0.1", {"verifier": {"id": "v"}}, ""),
        ("https://example.com/anything/v7", {"result": 5}, ""),
    ],
)
def test_results(predicate_type: str, predicate: Any, result: str) -> None:
    payload = statement(predicate_type=predicate_type, predicate=predicate)
    assert result_of(parse_foreign(payload, where="s"), where="s") == result


@pytest.mark.parametrize(
    ("predicate_type", "predicate", "sentence"),
    [
        (TEST_RESULT, {}, r"predicate\.result: expected one of PASSED, WARNED, FAILED"),
        (TEST_RESULT, {"result": ["PASSED"]}, r"found \"\['PASSED'\]\""),
        (SUMMARY, {"verificationResult": "PASSED"}, r"verifier\.id: expected a URI"),
        (PROVENANCE, {}, r"buildDefinition\.buildType: expected a URI"),
        (PROVENANCE, {"buildDefinition": {"buildType": "b"}}, r"builder\.id: expected a URI"),
        ("https://slsa.dev/provenance/v0.2", {"buildType": "b", "builder": "x"}, r"builder\.id"),
    ],
)
def test_a_predicate_of_a_known_kind_is_whole(
    predicate_type: str, predicate: Any, sentence: str
) -> None:
    payload = statement(predicate_type=predicate_type, predicate=predicate)
    with pytest.raises(Malformed, match=sentence):
        result_of(parse_foreign(payload, where="s"), where="s")


def test_authors_wherever_a_builder_keeps_them() -> None:
    predicate = provenance(
        internalParameters={
            "commit_authors": ["Ana Li <ana.li@example.com>", "dan"],
            "event": {
                "head_commit": {
                    "author": {"name": "Bob", "email": "bob@example.com", "username": "bob-7"},
                    "Committer": {"login": "carol"},
                    "message": "Fix\n\nCo-Authored-By: Eve <eve@example.com>\r\n",
                },
            },
        },
        resolvedDependencies=[{"uri": "git+x", "annotations": {"author": "fay@example.com"}}],
        nobody={"name": "builder", "email": "builder@example.com", "authority": "x"},
    )
    assert authors_of(predicate, where="s") == (
        "Ana Li", "Bob", "Eve", "ana.li@example.com", "bob-7", "bob@example.com", "carol", "dan",
        "eve@example.com", "fay@example.com",
    )  # fmt: skip


def test_what_is_no_name_is_no_author() -> None:
    predicate = {"author": [1, None, " ", "a\u0000b", "\ud800", "x" * 300, {"name": 5}]}
    assert authors_of(predicate, where="s") == ()


def test_more_authors_than_anybody_could_look_at_are_refused() -> None:
    with pytest.raises(Malformed, match="at most 1000 authors, found 1001"):
        authors_of({"authors": [f"a{n}" for n in range(AUTHORS_MAX + 1)]}, where="s")


def test_peeking_needs_no_key() -> None:
    bare, sealed = statement(predicate=provenance(n=1)), envelope(statement(), "p256")
    lines = b"\n".join(json.dumps(json.loads(one)).encode() for one in (bare, sealed))
    assert [one["buildDefinition"].get("n") for one in peek(lines, where="p")] == [1, None]
    wrapped = json.dumps({"mediaType": "x", "dsseEnvelope": json.loads(sealed)}).encode()
    assert peek(wrapped, where="p") == (provenance(),)
    with pytest.raises(Malformed):
        peek(b"{}", where="p")


@pytest.mark.parametrize(
    ("predicate_type", "kind", "title", "name"),
    [
        (PROVENANCE, "provenance", "SLSA provenance v1", "provenance-v1"),
        ("https://cyclonedx.org/bom", "sbom", "CycloneDX", "bom"),
        ("https://cyclonedx.org/bom/v1.6", "sbom", "CycloneDX", "bom-v1.6"),
        ("https://spdx.dev/Document/v2.3", "sbom", "SPDX", "document-v2.3"),
        ("https://openvex.dev/ns/v0.2.0", "vex", "OpenVEX", "ns-v0.2.0"),
        ("https://cyclonedx.org/bomb", "other", "https://cyclonedx.org/bomb", "bomb"),
        ("urn:x", "other", "urn:x", "urn-x"),
        ("x:///..%2f../", "other", "x:///..%2f../", "2f"),
        ("x:\u00e9", "other", "x:\u00e9", "x"),
    ],
)
def test_kinds_and_names_of_files(predicate_type: str, kind: str, title: str, name: str) -> None:
    assert (kind_of(predicate_type), title_of(predicate_type)) == (kind, title)
    assert stem(predicate_type) == name


@given(st.text())
def test_a_file_name_is_always_harmless(predicate_type: str) -> None:
    name = stem(predicate_type)
    assert name and len(name) <= 48 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert not name.startswith(".") and not name.endswith(".")


def test_the_artifact_is_what_the_kit_signs_for() -> None:
    assert parse_foreign(statement(), where="s").subjects[0].digest == ARTIFACT
