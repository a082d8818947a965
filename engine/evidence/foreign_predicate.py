"""What the predicates of strangers say that matters here: a result, and who wrote the code.

Kinds that we know have to be whole; any other is kept as it is and says nothing to us.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.core.attestations import PROVENANCE, SIMPLE_RESULT, SUMMARY, TEST_RESULT, kind_of
from engine.core.errors import Malformed
from engine.evidence.foreign_statement import ForeignStatement

AUTHORS_MAX: Final = 1_000
# SLSA has no field for the authors of a commit: builders keep them in their own parameters, where
# the names come from git and from the events of its hosts. Compared without case, dash, underscore.
_AUTHOR_KEYS: Final = frozenset(
    {"author", "authors", "coauthors", "commitauthor", "commitauthors", "committer", "committers"}
)
_NAME_KEYS: Final = ("email", "username", "login", "name")
_PERSON: Final = re.compile(r"\s*([^<>]*?)\s*<([^<>\s]+)>\s*")
_TRAILER: Final = re.compile(r"^co-authored-by:([^\r\n]{1,400})", re.IGNORECASE | re.MULTILINE)
_TEXT_MAX: Final = 254  # the longest e-mail address


def result_of(statement: ForeignStatement, *, where: str) -> str:
    """The result that a predicate of a known kind states; empty where its kind has none.

    Raises:
        Malformed: a predicate of a known kind lacks what that kind demands.
    """
    predicate, spot = statement.predicate, f"{where}.predicate"
    match kind_of(statement.predicate_type):
        case kind if kind == TEST_RESULT:
            return _word(predicate, "result", ("PASSED", "WARNED", "FAILED"), spot)
        case kind if kind == SUMMARY:
            _uri(predicate.get("verifier"), "id", f"{spot}.verifier")
            _uri(predicate, "resourceUri", spot)
            return _word(predicate, "verificationResult", ("PASSED", "FAILED"), spot)
        case kind if kind == SIMPLE_RESULT:
            _uri(predicate.get("verifier"), "id", f"{spot}.verifier")
            return ""
        case kind if kind == PROVENANCE:
            _provenance(statement, spot)
            return ""
        case _:
            return ""


def authors_of(predicate: Mapping[str, Any], *, where: str) -> tuple[str, ...]:
    """E-mail addresses and names of everyone whom a provenance calls an author, sorted.

    Rather one too many than one too few: an author may not approve, and loses nothing else.

    Raises:
        Malformed: there are more than anybody could look at.
    """
    found = {name for value in _said(predicate) for name in _names(value)}
    if len(found) > AUTHORS_MAX:
        raise Malformed(
            f"expected at most {AUTHORS_MAX} authors, found {len(found)}",
            where=f"{where}.predicate",
        )
    return tuple(sorted(found))


def _provenance(statement: ForeignStatement, where: str) -> None:
    predicate = statement.predicate
    if statement.predicate_type.endswith("/v1"):
        definition = predicate.get("buildDefinition")
        _uri(definition, "buildType", f"{where}.buildDefinition")
        details = predicate.get("runDetails")
        builder = details.get("builder") if isinstance(details, Mapping) else None
        _uri(builder, "id", f"{where}.runDetails.builder")
        return
    _uri(predicate, "buildType", where)
    _uri(predicate.get("builder"), "id", f"{where}.builder")


def _uri(value: Any, key: str, where: str) -> None:
    found = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(found, str) or not found:
        raise Malformed("expected a URI, found none", where=f"{where}.{key}")


def _word(value: Mapping[str, Any], key: str, words: tuple[str, ...], where: str) -> str:
    found = value.get(key)
    if found not in words:
        raise Malformed(
            f"expected one of {', '.join(words)}, found {str(found)[:80]!r}", where=f"{where}.{key}"
        )
    return str(found)


def _said(value: Any) -> Iterator[Any]:
    """What stands under a key that means authors, at any depth, and the trailers of messages."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, list):
            todo += one
        elif isinstance(one, Mapping):
            for key, inner in one.items():
                plain = key.lower().replace("_", "").replace("-", "")
                if plain in _AUTHOR_KEYS:
                    yield inner
                elif isinstance(inner, str) and plain == "message":
                    yield from _TRAILER.findall(inner)
                todo.append(inner)


def _names(value: Any) -> Iterator[str]:
    match value:
        case str():
            person = _PERSON.fullmatch(value)
            for text in (value,) if person is None else person.groups():
                yield from _plain(text)
        case list():
            for one in value:
                yield from _names(one)
        case Mapping():
            for key in _NAME_KEYS:
                if isinstance(value.get(key), str):
                    yield from _names(value[key])
        case _:
            return


def _plain(text: str) -> Iterator[str]:
    # Lone surrogates can't be recorded, and no name of a person holds one.
    cleaned = text.strip().encode(errors="ignore").decode()
    if 0 < len(cleaned) <= _TEXT_MAX and cleaned.isprintable():
        yield cleaned
