"""Whose attestations may be imported: the section `trust` of the settings, its files read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from engine.core.errors import Malformed
from engine.core.health_criteria import shown
from engine.evidence.foreign_key import parse_key
from engine.evidence.imported import Anchor, KeyAnchor, root_anchor
from engine.settings_parts import Name, Text
from engine.settings_yaml import KeyPath, Located, Problem, problem_at

_FILE_MAX: Final = 1024 * 1024


class TrustSection(BaseModel):
    """A public key, or a trusted root with the identity and the issuer that are expected."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    key: Annotated[
        Text | None, Field(description="PEM file: P-256, P-384, Ed25519 or RSA from 2048 bits")
    ] = None
    trusted_root: Annotated[Text | None, Field(description="Sigstore TrustedRoot file, JSON")] = (
        None
    )
    identity: Annotated[
        Text | None, Field(description="whom the certificate has to name, exactly")
    ] = None
    identity_matches: Annotated[
        Text | None, Field(description="or a regular expression for the whole of it")
    ] = None
    issuer: Annotated[Text | None, Field(description="what has to vouch for the identity")] = None
    predicate_types: Annotated[
        list[Text] | None,
        Field(min_length=1, description="what it may attest; left out: everything"),
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> TrustSection:
        rest = (self.identity, self.identity_matches, self.issuer)
        named = (self.identity is None) != (self.identity_matches is None)
        if self.key is not None and self.trusted_root is None and not any(rest):
            return self
        if self.key is None and self.trusted_root is not None and named and self.issuer:
            return self
        raise PydanticCustomError(
            "trust",
            "either key alone, or trusted_root with issuer and one of identity and "
            "identity_matches",
        )


def check_trust(document: Located, home: Path) -> list[Problem]:
    """Every file of the section that is not what it should be, and every bad expression."""
    problems: list[Problem] = []
    for path, item in _entries(document):
        for key in ("key", "trusted_root"):
            name = item.get(key)
            if isinstance(name, str):
                problems += _file_problems(document, (*path, key), home / name)
        pattern = item.get("identity_matches")
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except re.error as error:
                message = f"expected a regular expression, found {shown(pattern)} ({error})"
                problems.append(problem_at(document, (*path, "identity_matches"), message))
    return problems


def _file_problems(document: Located, path: KeyPath, file: Path) -> list[Problem]:
    try:
        content = _read(file)
        if path[-1] == "key":
            parse_key(content, where="")
        else:
            root_anchor(content, name="", issuer="", where="")
    except OSError as error:
        message = f"expected a file that can be read, found {file}: {error.strerror}"
    except Malformed as error:
        place, _, said = str(error).partition(": ")
        message = f"{said} in {file}" + (f" at {place.strip('.')}" if place.strip(".") else "")
    else:
        return []
    return [problem_at(document, path, message)]


def anchors_of(home: Path, sections: list[TrustSection]) -> tuple[Anchor, ...]:
    """What imports are judged by. The files have been checked."""
    return tuple(_anchor(home, one) for one in sections)


def _anchor(home: Path, one: TrustSection) -> Anchor:
    types = tuple(one.predicate_types or ())
    if one.key is not None:
        path = home / one.key
        key = parse_key(_read(path), where=str(path))
        return KeyAnchor(name=one.name, key=key, predicate_types=types)
    assert one.trusted_root is not None  # the shape's check
    path = home / one.trusted_root
    return root_anchor(
        _read(path),
        name=one.name,
        issuer=one.issuer or "",
        identity=one.identity or "",
        identity_matches=one.identity_matches or "",
        predicate_types=types,
        where=str(path),
    )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_FILE_MAX + 1)
    if len(content) > _FILE_MAX:
        raise Malformed(f"expected at most {_FILE_MAX} bytes, found more", where="")
    return content


def _entries(document: Located) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    section = document.value.get("trust") if isinstance(document.value, Mapping) else None
    for i, item in enumerate(section if isinstance(section, list) else []):
        if isinstance(item, Mapping):
            yield ("trust", i), item
