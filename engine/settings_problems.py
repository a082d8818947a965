"""What pydantic finds wrong with a settings file, as our sentences with file and line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from pydantic import ValidationError

from engine.core.health_criteria import shown
from engine.settings_shape import SettingsFile, json_schema
from engine.settings_yaml import KeyPath, Located, Problem, problem_at

_PATTERNS: Final = {
    r"^[a-z0-9][a-z0-9._-]{0,62}$": (
        "a name of lower-case letters, digits, dots, dashes and underscores"
    ),
    r"^https?://\S+$": "an address that begins with http:// or https://",
    r"^[A-Za-z][A-Za-z0-9_.-]{0,62}$": "a name of letters, digits, dots, dashes and underscores",
    r"^[A-Za-z_:][A-Za-z0-9_:]*$": "the name of a metric",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "the name of a label",
    r"^(env|file):.+$": "env:NAME or file:PATH",
    r"^(env|file|vault|consul):.+$": ("env:NAME, file:PATH, vault:MOUNT/PATH#FIELD or consul:KEY"),
    r"^([1-9][0-9]{0,4}ms|[1-9][0-9]?s)$": "a duration from 1ms to 99s, like 500ms or 5s",
    r"^([5-9]|[1-9][0-9]{1,3})s$": "whole seconds from 5s to 9999s, like 30s",
    r"^\S+@\S+$": "an e-mail address",
    r"^[^\s+]{1,200}$": "a name without spaces and +, up to 200 characters",
    r"^https://\S+[^/]$": "an https:// address without a slash at its end",
}
_REFERENCE: Final = "^(env|file"
_TYPES: Final = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_KEY_PARTS: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]")
_SHAPES: Final = {"object": "a mapping", "array": "a list", "string": "a text"}


def check_shape(document: Located) -> tuple[SettingsFile | None, list[Problem]]:
    """The file as a checked value, or every way in which its shape is wrong."""
    try:
        return SettingsFile.model_validate(document.value), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    return None, [_problem(document, detail) for detail in details]


def _problem(document: Located, detail: Any) -> Problem:
    path: KeyPath = detail["loc"]
    match detail["type"]:
        case "missing":
            # The key is not there; the line is that of the mapping which lacks it.
            message = f"expected {_expected_at(path)}, found nothing"
        case "extra_forbidden":
            message = f"expected no such key, found {shown(path[-1])}{_near(path)}"
        case kind:
            message = f"expected {_expected(kind, detail)}, found {_found(kind, detail)}"
    return problem_at(document, path, message)


def _found(kind: str, detail: Any) -> str:
    """What stands there; not where a reference belongs, since it may be the secret itself."""
    pattern = str(detail.get("ctx", {}).get("pattern", ""))
    if kind == "string_pattern_mismatch" and pattern.startswith(_REFERENCE):
        return "something else, which is not repeated here"
    return shown(detail["input"])


def gate_problems(document: Located, path: KeyPath, text: str) -> list[Problem]:
    """What the judge said about the gate at `path`, one problem per key of it."""
    problems: list[Problem] = []
    for part in text.removeprefix("gate: ").split("; "):
        key, colon, message = part.partition(": ")
        if colon and message.startswith("expected "):
            inner = tuple(int(i) if i else name for name, i in _KEY_PARTS.findall(key))
            problems.append(problem_at(document, (*path, *inner), message))
        elif problems:  # a value with a semicolon in it
            last = problems.pop()
            problems.append(replace(last, message=f"{last.message}; {part}"))
        else:
            problems.append(problem_at(document, path, part))
    return problems


def _expected(kind: str, detail: Any) -> str:
    context: Mapping[str, Any] = detail.get("ctx", {})
    match kind:
        case "string_pattern_mismatch":
            return _PATTERNS.get(context["pattern"], f"a text like {context['pattern']}")
        case "literal_error" | "enum":
            return f"{context['expected']}"
        case "greater_than_equal":
            return f"at least {context['ge']}"
        case "less_than_equal":
            return f"at most {context['le']}"
        case "greater_than":
            return f"more than {context['gt']}"
        case "less_than":
            return f"less than {context['lt']}"
        case "string_too_short":
            return "a text that is not empty"
        case "string_too_long":
            return f"at most {context['max_length']} characters"
        case "too_short":
            return f"at least {context['min_length']} of them"
        case "too_long":
            return f"at most {context['max_length']} of them"
        case _:
            return str(_TYPES.get(kind, detail["msg"]))


def _near(path: KeyPath) -> str:
    known = _properties(path[:-1])
    close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(known)}" if known else ""


def _expected_at(path: KeyPath) -> str:
    part = _schema_at(path)
    values = part.get("enum") or ([part["const"]] if "const" in part else [])
    if values:
        return "one of " + ", ".join(map(str, values)) if len(values) > 1 else str(values[0])
    return _SHAPES.get(part.get("type", ""), "this key")


def _properties(path: KeyPath) -> list[str]:
    return list(_schema_at(path).get("properties", {}))


def _schema_at(path: KeyPath) -> Mapping[str, Any]:
    """The part of our own JSON Schema that describes what stands at `path`."""
    schema = _schema()
    part: Mapping[str, Any] = schema
    for step in (*path, None):
        for option in part.get("anyOf", ()):
            if "$ref" in option or option.get("type") in {"array", "object"}:
                part = option
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].removeprefix("#/$defs/")]
        if step is None:
            break
        part = (
            part.get("items", {})
            if isinstance(step, int)
            else part.get("properties", {}).get(step, {})
        )
    return part


@cache
def _schema() -> Mapping[str, Any]:
    return json_schema()
