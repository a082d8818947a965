"""The one place where CEL is compiled and evaluated.

cel-cpp gives an evaluation error back as a *value*, whose plain form is a non-empty text and so
counts as true. Whoever evaluated it directly would let a broken rule pass. Therefore `evaluate`
is the only caller of the engine in this house (a test holds every other one out), and it knows
only two endings: a JSON value, or `EvaluationFailed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from cel_expr_python import cel

from engine.policy.syntax import Node
from engine.policy.tree import read_tree

# Comprehension steps that the engine allows in one evaluation; not settable from Python.
ITERATIONS_MAX: Final = 9_999

_SCALARS: Final = frozenset({str, int, bool, type(None)})
_ERROR_LINE: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


class CompileFailed(Exception):
    """`problems` holds (line, column, message) of everything that the compiler says."""

    def __init__(self, problems: tuple[tuple[int, int, str], ...]) -> None:
        super().__init__("; ".join(message for _, _, message in problems))
        self.problems = problems


class EvaluationFailed(Exception):
    """There is no answer. The text is the engine's own and differs between engines, so it may be
    shown to people, but never hashed."""


@dataclass(frozen=True)
class Program:
    """A compiled expression. Usable from several threads at once; does not pickle."""

    text: str
    _expression: Any = field(repr=False)

    @cached_property
    def tree(self) -> Node:
        return read_tree(self._expression.serialize())


class Environment:
    """Compiles expressions that use `names`, all of them of dynamic type."""

    def __init__(self, names: Iterable[str]) -> None:
        self._env = cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))

    def compile(self, text: str) -> Program:
        """Raises `CompileFailed` for a text that is no expression or uses undeclared names."""
        try:
            return Program(text, self._env.compile(text))
        except RuntimeError as error:
            lines = _ERROR_LINE.findall(str(error))
            raise CompileFailed(
                tuple((int(line), int(column), message) for line, column, message in lines)
                or ((1, 1, str(error)),)
            ) from error


def evaluate(program: Program, bindings: Mapping[str, Any]) -> Any:
    """Evaluate and return a plain JSON value.

    Args:
        bindings: a JSON value for every name that the expression uses.

    Raises:
        EvaluationFailed: the engine answered with an error or an unknown, ran out of its budget,
            or gave something that is no JSON value.
    """
    try:
        value = program._expression.eval(data=dict(bindings))
        kind = value.type()
        answer = value.plain_value()
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise EvaluationFailed(str(error)) from error
    if kind in (cel.Type.ERROR, cel.Type.UNKNOWN):
        raise EvaluationFailed(str(answer))
    _require_json(answer)
    return answer


def _require_json(answer: object) -> None:
    """Refuse floats, bytes, types and whatever else a verdict may not rest on."""
    pending = [answer]
    for value in pending:  # it grows on the way
        kind = type(value)
        if kind in _SCALARS:
            continue
        if isinstance(value, list):
            pending += [item for item in value if type(item) not in _SCALARS]
        elif isinstance(value, dict):
            for key in value:
                if type(key) is not str:
                    raise EvaluationFailed(f"a key of type {type(key).__name__}")
            pending += [item for item in value.values() if type(item) not in _SCALARS]
        else:
            raise EvaluationFailed(f"a value of type {kind.__name__}")
