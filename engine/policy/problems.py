"""What is wrong with a policy or an input document, every problem at once.

A problem says where, what was expected and what was found, in one sentence; `refuse` turns a
list of them into the one error that the door raises. Which rules there are is said in the modules
that check; nothing here judges.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from engine.core.errors import Malformed

_FOUND_MAX: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """Attributes:
    where: a JSON pointer into the document, or `rules[3].detail` in a policy.
    rule: stable word for programs, for example `float` or `map-order`.
    message: one sentence with what was expected and what was found.
    """

    where: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.where or 'document'}: {self.message} [{self.rule}]"


def refuse(problems: Sequence[Problem], *, where: str, hint: str = "") -> None:
    """Raise `Malformed` naming every problem, sorted by place; do nothing when there is none."""
    if not problems:
        return
    lines = [str(problem) for problem in sorted(set(problems))]
    text = lines[0] if len(lines) == 1 else f"{len(lines)} problems\n  " + "\n  ".join(lines)
    raise Malformed(text, where=where, hint=hint)


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901); the empty text is the whole document."""
    text = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    # A lone surrogate cannot be printed; a sentence must survive what it complains about.
    return text.encode(errors="backslashreplace").decode()


def steps_of(where: str) -> list[str]:
    """The parts of a JSON pointer; none of a text that is no pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in where.split("/")[1:]]


def found(value: object) -> str:
    """`value` as short JSON for a sentence; a text that is too long is cut in the middle."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=lambda other: type(other).__name__)
    except (ValueError, TypeError, RecursionError):
        text = type(value).__name__
    if len(text) > _FOUND_MAX:
        half = _FOUND_MAX // 2
        text = f"{text[:half]}...{text[-half:]}"
    return text.encode(errors="backslashreplace").decode()


def shape_problems(shape: TypeAdapter[Any], document: object) -> list[Problem]:
    """Check `document` against `shape`. Empty when it fits; the pointers are sorted."""
    try:
        shape.validate_python(document)
    except ValidationError as error:
        return sorted(_problem(detail) for detail in error.errors(include_url=False))
    return []


def _problem(detail: Any) -> Problem:
    place = pointer(*detail["loc"])
    match detail["type"]:
        case "missing":
            return Problem(
                where=place, rule="missing", message="expected this field, found nothing"
            )
        case "extra_forbidden":
            return Problem(
                where=place,
                rule="unknown-field",
                message=f"expected no such field, found {found(detail['input'])}",
            )
        case kind:
            expected = detail["msg"].removeprefix("Input should be ").removeprefix("a valid ")
            if kind in {"model_type", "dict_type"}:
                expected = "object"
            return Problem(
                where=place,
                rule="shape",
                message=f"expected {expected}, found {found(detail['input'])}",
            )
