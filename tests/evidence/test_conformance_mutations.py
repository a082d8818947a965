"""Every good bundle of sigstore-conformance, changed at any place: what passes means no more.

A changed bundle may be accepted only where nobody signed what was changed and nothing rests on it;
these places are listed here, and the verdict on them has to be the one on the original.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import Malformed, Unverified
from engine.evidence.sigstore_client import (
    Artifact,
    Expected,
    Judged,
    artifact_of,
    verify_any_bundle,
)
from engine.evidence.sigstore_roots import ForeignRoot, parse_foreign_root
from tests.evidence.test_conformance import CASES, SUITE, expectation
from tests.evidence.test_conformance import given as file_of

pytestmark = pytest.mark.skipif(
    not CASES, reason="sigstore-conformance is not beside the project (../shared/vectors)"
)

Place = tuple[str | int, ...]
GOOD: Final = tuple(case for case in CASES if not case.name.endswith("_fail"))

# Hints: which key it may be, and what the digest of the artifact may be (bundle.proto).
HINTS: Final = {"keyid", "hint", "publicKey", "messageDigest"}
# Lines of witnesses whom nobody here knows, which C2SP signed-note has readers pass over; and parts
# of a time stamp that its authority does not sign, such as the certificates that it brings along.
UNSIGNED: Final = {"envelope", "signedTimestamp"}
# Left out, or empty: zero and an empty list are what protobuf's JSON leaves out; a time stamp
# beside a promise of the log, and a proof beside it in v0.1, are more than such a bundle needs.
SPARE: Final = {
    "logIndex", "hashes", "timestampVerificationData", "rfc3161Timestamps", 0, "inclusionProof",
}  # fmt: skip
WILD: Final = (
    '"\\ud800"', "99999999999999999999999", "9007199254740993", '"9007199254740993"', "-1", "-0",
    "1e5", "true", "null", "[]", "{}", '""', "[[]]", '{"a":1}', '"9999999999999999999"', '"0"', "0",
)  # fmt: skip
_MARK: Final = '"@here@"'


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    document: Any
    artifact: Artifact
    expected: Expected
    root: ForeignRoot
    judged: Judged


@cache
def case_of(folder: Path) -> Case:
    document = json.loads((folder / "bundle.sigstore.json").read_bytes())
    artifact = artifact_of(file_of(folder, "artifact", SUITE / "bundle-verify/a.txt").read_bytes())
    trusted = file_of(folder, "trusted_root.json", SUITE / "prod_trusted_root.json")
    root, expected = parse_foreign_root(trusted.read_bytes()), expectation(folder)
    judged = verify_any_bundle(
        json.dumps(document).encode(), artifact, expected, root, where="bundle"
    )
    return Case(folder.name, document, artifact, expected, root, judged)


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    if at:
        yield at
    inner: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inner = list(enumerate(value))[:3]  # of a long proof every hash is like the first
    for key, one in inner:
        yield from places(one, (*at, key))


def held(document: Any, place: Place) -> tuple[Any, Any]:
    """A copy, and what holds the place in it."""
    changed = copy.deepcopy(document)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    return changed, holder


def wild(document: Any, place: Place, text: str) -> bytes:
    changed, holder = held(document, place)
    holder[place[-1]] = json.loads(_MARK)
    return json.dumps(changed).replace(_MARK, text).encode()


def dropped(document: Any, place: Place) -> bytes:
    changed, holder = held(document, place)
    del holder[place[-1]]
    return json.dumps(changed).encode()


def more(document: Any, place: Place) -> bytes | None:
    """One key more, or the first element a second time."""
    changed, holder = held(document, place)
    value = holder[place[-1]]
    if isinstance(value, dict):
        value["more"] = 1
    elif isinstance(value, list) and value:
        value.append(value[0])
    else:
        return None
    return json.dumps(changed).encode()


def signed_over(document: Any, place: Place, spot: int, sign: str) -> bytes | None:
    """One sign of a text replaced, taken out or put in."""
    changed, holder = held(document, place)
    value = holder[place[-1]]
    if not isinstance(value, str) or not value:
        return None
    at = spot % len(value)
    bent = [value[:at] + sign + value[at + 1 :], value[:at] + sign + value[at:]]
    holder[place[-1]] = bent[spot % 2] if sign else value[:at] + value[at + 1 :]
    return None if holder[place[-1]] == value else json.dumps(changed).encode()


def judge(case: Case, content: bytes | None, place: Place) -> bool:
    """Whether it is accepted; and if so, only for what the original says as well."""
    if content is None or content == json.dumps(case.document).encode():
        return False
    try:
        judged = verify_any_bundle(content, case.artifact, case.expected, case.root, where="b")
    except (Malformed, Unverified) as refusal:
        assert str(refusal)
        return False
    good = case.judged
    assert (judged.signer, judged.issuer, judged.payload) == (
        good.signer,
        good.issuer,
        good.payload,
    )
    assert judged.times and set(judged.times) <= set(good.times)
    assert len(judged.times) <= len(good.times)
    if json.loads(content) != case.document:  # otherwise only spelled otherwise
        assert place[-1] in HINTS | UNSIGNED | SPARE, (case.name, place)
    return True


SIGNS: Final = "ABCabc019+/=- \n"


@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_a_change_at_any_place(data: st.DataObject) -> None:
    case = case_of(data.draw(st.sampled_from(GOOD)))
    place = data.draw(st.sampled_from(list(places(case.document))))
    way = data.draw(st.sampled_from(["wild", "drop", "more", "sign"]))
    match way:
        case "wild":
            content: bytes | None = wild(case.document, place, data.draw(st.sampled_from(WILD)))
        case "drop":
            content = dropped(case.document, place)
        case "more":
            content = more(case.document, place)
        case _:
            sign = data.draw(st.sampled_from(["", *SIGNS]))
            content = signed_over(case.document, place, data.draw(st.integers(0, 9_999)), sign)
    judge(case, content, place)


@pytest.mark.long
@pytest.mark.parametrize("folder", GOOD, ids=lambda folder: folder.name)
def test_every_change_at_every_place(folder: Path) -> None:
    case = case_of(folder)
    for place in places(case.document):
        judge(case, dropped(case.document, place), place)
        judge(case, more(case.document, place), place)
        for text in WILD:
            judge(case, wild(case.document, place, text), place)
        for spot, sign in enumerate(["", *SIGNS]):
            judge(case, signed_over(case.document, place, spot * 37, sign), place)


@pytest.mark.parametrize(
    ("name", "place", "change"),
    [
        ("managed-key-happy-path", ("verificationMaterial", "publicKey", "hint"), "[]"),
        ("managed-key-happy-path", ("verificationMaterial", "timestampVerificationData"), '""'),
        ("managed-key-happy-path", ("verificationMaterial", "timestampVerificationData"), "0"),
        ("happy-path-v0.1", ("verificationMaterial", "tlogEntries", 0, "logIndex"), str(2**53 + 1)),
        ("rekor2-dsse-happy-path", ("dsseEnvelope", "payloadType"), '"\\ud800"'),
    ],
)
def test_shapes_that_once_passed_or_broke_the_reader(name: str, place: Place, change: str) -> None:
    case = case_of(SUITE / "bundle-verify" / name)
    assert not judge(case, wild(case.document, place, change), place)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("rekor2-happy-path",
         ("verificationMaterial", "timestampVerificationData", "rfc3161Timestamps")),
        ("happy-path-v0.1", ("verificationMaterial", "x509CertificateChain", "certificates")),
    ],
)  # fmt: skip
def test_nothing_stands_there_twice(name: str, place: Place) -> None:
    """The same time stamp is no second one, and a leaf did not issue itself."""
    case = case_of(SUITE / "bundle-verify" / name)
    assert not judge(case, more(case.document, place), place)
