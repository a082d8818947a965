"""How an answer is described in the OpenAPI document: closed objects, rows of queries, problems.

Descriptions only: nothing is checked or changed on its way out. Tests hold them against what the
server really answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import ConfigDict, Field, WithJsonSchema, with_config
from typing_extensions import TypedDict

from data.queries import columns

T = TypeVar("T")
Responses = dict[int | str, dict[str, Any]]

# An object with these members and no others.
closed = with_config(ConfigDict(extra="forbid"))

DigestText = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Anything = dict[str, Any]

_KINDS: Final[Mapping[str, str]] = {
    "VARCHAR": "string",
    "BIGINT": "integer",
    "INTEGER": "integer",
    "HUGEINT": "integer",
    "DOUBLE": "number",
    "BOOLEAN": "boolean",
}


@with_config(ConfigDict(extra="allow"))
class ProblemDoc(TypedDict):
    """RFC 9457. `code` is stable, `detail` is one sentence for people.

    Some say more: which fields, which version there is now, when it opens.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    hint: str


@closed
class PageOf(TypedDict, Generic[T]):
    """`next` goes into `after` to get the page behind; null on the last one."""

    items: list[T]
    next: str | None


def row_schema(sql: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON Schema of a query's row; every column may be null but those of `more`."""
    properties = {name: _column(kind) for name, kind in columns(sql)} | dict(more or {})
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


def row_of(sql: str, *, whole: bool = True, **more: Any) -> Any:
    """The type of a query's row, for descriptions; not `whole` = others may be beside it."""
    schema = row_schema(sql, more) | ({} if whole else {"additionalProperties": True})
    return Annotated[Anything, WithJsonSchema(schema)]


class Said(dict[str, Any]):
    """What OpenAPI says of an answer, and the type that it has.

    A `model` among the words would have FastAPI make its schema with the route, for a hundred
    routes before the first request; ours is made when somebody asks for the document.
    """

    def __init__(self, model: Any, words: Mapping[str, Any]) -> None:
        super().__init__(words)
        self.model = model


def says(
    model: Any, *, status: int = 200, example: Any = None, or_else: Responses | None = None
) -> Responses:
    """What a route answers when all is well; `or_else`: the same in another form, if asked for."""
    shown = {} if example is None else {"content": {"application/json": {"example": example}}}
    return {status: Said(model, (or_else or {}).get(status, {}) | shown)}


def sends(*media_types: str, told: str) -> Responses:
    """A route that answers with something else than a JSON document of ours."""
    schemas = {m: {} if m == "application/json" else {"type": "string"} for m in media_types}
    return {200: {"description": told, "content": {m: {"schema": s} for m, s in schemas.items()}}}


def problems(codes: Iterable[tuple[int, str]]) -> Responses:
    """The problems that any route may answer with."""
    found: Responses = {}
    for status, told in codes:
        found[status] = {
            "description": told,
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDoc"}}
            },
        }
    return found


def _column(kind: str) -> dict[str, Any]:
    if kind.endswith("[]"):
        inner = kind.removesuffix("[]")
        items = {} if inner.startswith("STRUCT") else {"type": _KINDS[inner]}
        return {"type": ["array", "null"], "items": items}
    if kind.startswith("STRUCT"):
        return {"type": ["object", "null"]}
    return {"type": [_KINDS[kind], "null"]}
