"""Who is on call, from what a server answers. Pure.

It reads the answer of PagerDuty's `/oncalls`, and a plain list in the same spirit: entries with a
`user` (a name, or an object with `summary`, `name` or `email`), and `start` and `end`, which may be
missing or null. An entry counts while its time has begun and has not ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from engine.core.errors import Malformed

_NAMES: Final = ("summary", "name", "email")
NAME_MAX: Final = 80


def people(document: object, *, now_us: int) -> tuple[str, ...]:
    """Names of those who are on call now, each once, sorted; empty when nobody is.

    Raises:
        Malformed: naming the field, what is expected, and what was found.
    """
    entries = document.get("oncalls") if isinstance(document, Mapping) else document
    if not isinstance(entries, list):
        raise Malformed("expected a list of who is on call", where="oncalls")
    found = set()
    for number, entry in enumerate(entries):
        where = f"oncalls[{number}]"
        if not isinstance(entry, Mapping):
            raise Malformed(f"expected an object, found {_kind(entry)}", where=where)
        name = _name(entry, where)
        begins_us, ends_us = (_moment(entry, key, where) for key in ("start", "end"))
        begun = begins_us is None or begins_us <= now_us
        if begun and (ends_us is None or now_us < ends_us):
            found.add(name)
    return tuple(sorted(found))


def _name(entry: Mapping[str, Any], where: str) -> str:
    user = entry.get("user", entry)
    if isinstance(user, Mapping):
        user = next((user[key] for key in _NAMES if user.get(key)), None)
    text = " ".join(user.split()) if isinstance(user, str) else ""
    if not text:
        raise Malformed("expected the name of a user, found none", where=f"{where}.user")
    return text[:NAME_MAX]


def _moment(entry: Mapping[str, Any], key: str, where: str) -> int | None:
    text = entry.get(key)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        offset = None if moment is None else moment.utcoffset()
    except ValueError:
        moment = offset = None
    if moment is None or offset is None:
        expected = "expected a time with its offset, such as 2026-02-18T08:00:00Z"
        raise Malformed(f"{expected}, found {text!r:.40}", where=f"{where}.{key}")
    return int(moment.timestamp() * 1_000_000)


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
