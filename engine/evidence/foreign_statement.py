"""in-toto statements of strangers (v1, and v0.1 of old), read from a payload that was verified.

Fields that we don't know are passed over, as the specification demands; what we do read has to be
exactly what it says. The predicate is handed on as the bytes that were signed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.evidence.strict import parse_object, text

TYPES: Final = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
SUBJECTS_MAX: Final = 10_000
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]{1,500}", re.ASCII)
_WHITE: Final = re.compile(r"[ \t\r\n]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`digest` None: it is named by digests of other kinds only, which nothing here matches."""

    name: str
    digest: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignStatement:
    """Attributes:
    predicate: its values, numbers with a fraction as their text.
    predicate_bytes: the predicate as it stands in the payload; `{}` where there is none.
    """

    statement_type: str
    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]
    predicate_bytes: bytes


def parse_foreign(payload: bytes, *, where: str) -> ForeignStatement:
    """Read a statement.

    Raises:
        Malformed: names the field, expected and found.
    """
    document = parse_object(payload, where=where, fractions=True)
    kind = text(document, "_type", where=where)
    if kind not in TYPES:
        raise Malformed(
            f"expected one of {', '.join(TYPES)}, found {kind!r}", where=f"{where}._type"
        )
    predicate_type = text(document, "predicateType", where=where)
    if not _URI.fullmatch(predicate_type):
        raise Malformed(
            f"expected a URI, found {predicate_type[:80]!r}", where=f"{where}.predicateType"
        )
    predicate = document.get("predicate", {})
    if not isinstance(predicate, Mapping):
        raise Malformed(
            f"expected an object, found {type(predicate).__name__}", where=f"{where}.predicate"
        )
    return ForeignStatement(
        statement_type=kind,
        subjects=_subjects(document.get("subject"), f"{where}.subject"),
        predicate_type=predicate_type,
        predicate=predicate,
        predicate_bytes=_raw(payload.decode(), "predicate").encode(),
    )


def _subjects(value: Any, where: str) -> tuple[Subject, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise Malformed("expected a list with at least one subject", where=where)
    if len(value) > SUBJECTS_MAX:
        raise Malformed(
            f"expected at most {SUBJECTS_MAX} subjects, found {len(value)}", where=where
        )
    return tuple(_subject(one, f"{where}[{number}]") for number, one in enumerate(value))


def _subject(value: Any, where: str) -> Subject:
    if not isinstance(value, Mapping):
        raise Malformed(f"expected an object, found {type(value).__name__}", where=where)
    digests = value.get("digest")
    if not isinstance(digests, Mapping) or not digests:
        raise Malformed("expected at least one digest", where=f"{where}.digest")
    for algorithm in digests:
        text(digests, algorithm, where=f"{where}.digest")
    sha256 = digests.get("sha256")
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise Malformed(
            f"expected 64 lower-case hex digits, found {sha256[:80]!r}",
            where=f"{where}.digest.sha256",
        )
    return Subject(
        name=text(value, "name", where=where) if "name" in value else "",
        digest=None if sha256 is None else Digest(sha256),
    )


def _raw(document: str, key: str) -> str:
    """The text of one value of an object that was read before, so that nothing can go wrong."""
    read = json.JSONDecoder().raw_decode

    def past(at: int, sign: str = "") -> int:
        after = _WHITE.match(document, at)
        assert after is not None
        return after.end() + (1 if sign and document[after.end()] == sign else 0)

    at = past(past(0, "{"))
    while document[at] != "}":
        name, at = read(document, at)
        start = past(past(at, ":"))
        _, end = read(document, start)
        if name == key:
            return document[start:end]
        at = past(past(end, ","))
    return "{}"
