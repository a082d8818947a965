"""Reads documents that others wrote, and says exactly where one is not what it claims to be.

Unlike our own documents they may hold floats, doubled keys and any Unicode; what is taken from
them is made plain here, and nothing else of them reaches a digest.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.core.errors import Malformed


def read_json(content: bytes, *, where: str) -> Mapping[str, Any]:
    """Read a JSON object. Raises `Malformed` naming the place of the damage."""
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Malformed(f"expected UTF-8 text, found byte {error.start}", where=where) from error
    except json.JSONDecodeError as error:
        raise Malformed(
            f"expected JSON, found {error.msg.lower()} in line {error.lineno}, "
            f"column {error.colno}",
            where=where,
        ) from error
    except (RecursionError, ValueError) as error:
        raise Malformed(f"expected JSON, found {error}", where=where) from error
    if not isinstance(document, dict):
        raise Malformed(f"expected an object, found {kind(document)}", where=where)
    return document


def kind(value: object) -> str:
    """The JSON name of what `value` is, for a sentence."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a truth value"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value[:60]!r}"
        case list():
            return "a list"
        case _:
            return "an object"


def text_of(item: Mapping[str, Any], field: str, where: str) -> str:
    """A text that has to be there and not empty, in Unicode form NFC."""
    value = item.get(field)
    if not isinstance(value, str) or not value.strip():
        raise Malformed(f"expected a non-empty text, found {kind(value)}", where=f"{where}.{field}")
    return nfc(value)


def optional_text(item: Mapping[str, Any], field: str, where: str) -> str:
    """A text that may be missing; then it is empty."""
    value = item.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"expected a text, found {kind(value)}", where=f"{where}.{field}")
    return nfc(value)


def list_of(item: Mapping[str, Any], field: str, where: str) -> list[Any]:
    """A list that may be missing; then it is empty."""
    value = item.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"expected a list, found {kind(value)}", where=f"{where}.{field}")
    return value


def objects_of(
    item: Mapping[str, Any], field: str, where: str
) -> list[tuple[str, Mapping[str, Any]]]:
    """The objects of a list with their places, for example `cve.json: affected[0]`."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for n, value in enumerate(list_of(item, field, where)):
        place = f"{where}.{field}[{n}]"
        if not isinstance(value, dict):
            raise Malformed(f"expected an object, found {kind(value)}", where=place)
        found.append((place, value))
    return found


def texts_of(item: Mapping[str, Any], field: str, where: str) -> list[str]:
    values = list_of(item, field, where)
    for n, value in enumerate(values):
        if not isinstance(value, str):
            raise Malformed(f"expected a text, found {kind(value)}", where=f"{where}.{field}[{n}]")
    return [nfc(value) for value in values]


def object_of(item: Mapping[str, Any], field: str, where: str) -> Mapping[str, Any]:
    """An object that may be missing; then it is empty."""
    value = item.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"expected an object, found {kind(value)}", where=f"{where}.{field}")
    return value


def seconds_of(text: str, where: str) -> int:
    """UTC seconds of an RFC 3339 time; one without an offset is UTC (as NVD writes them)."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(
            f"expected a time like 2026-01-31T12:00:00Z, found {text!r}", where=where
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, int(moment.timestamp()))


def nfc(text: str) -> str:
    """NFC, and without lone surrogates and U+0000, so that it can be hashed and asked about."""
    if text.isascii() and "\0" not in text:
        return text  # most texts are such
    plain = text.encode(errors="replace").decode().replace("\0", "\ufffd")
    return unicodedata.normalize("NFC", plain)
