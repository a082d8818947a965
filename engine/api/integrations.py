"""The servers that this home depends on, over HTTP: what they are worth now, and a look at one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict

from engine.api.pages import Paged, page_of
from engine.api.runs import asker
from engine.core.errors import NotFound
from engine.integrations.read import IntegrationRow, look
from engine.services import Services


class LookShape(BaseModel):
    """One look. `latency_ms` null: it got no answer."""

    model_config = ConfigDict(from_attributes=True)

    at_us: int
    level: str
    latency_ms: int | None


class IntegrationShape(BaseModel):
    """An integration as it is known now. Times are UTC, epoch microseconds; null: never.

    `level` is OK, WARN, FAIL or UNKNOWN, since `since_us`; `depends`: what rests on it.
    """

    model_config = ConfigDict(from_attributes=True)

    name: str
    kind: str
    address: str
    level: str
    reason: str
    since_us: int | None
    last_us: int | None
    last_good_us: int | None
    latency_ms: int | None
    looking: bool
    depends: tuple[str, ...]
    course: tuple[LookShape, ...]


class IntegrationsShape(BaseModel):
    """`every_s`: between two looks at each. `next`: of the next page; null on the last one."""

    every_s: int
    items: list[IntegrationShape]
    next: str | None


Named = Annotated[str, Path(pattern=r"^[!-.0-~]{1,64}$")]


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/integrations")
    def integrations(page: Paged) -> IntegrationsShape:
        """Every server that this home depends on, as it is known now."""
        rows, following = page_of(look(services), page, "integrations", lambda row: (row.name,))
        return IntegrationsShape(
            every_s=services.prober.every_s, items=[_shape(one) for one in rows], next=following
        )

    @api.get("/integrations/{name}")
    def integration(name: Named) -> IntegrationShape:
        return _named(services, name)

    @api.post("/integrations/{name}/probe", status_code=202)
    def probe(name: Named, request: Request) -> IntegrationShape:
        """Have it looked at now, in the background; the answer is what is known so far."""
        services.prober.wake(name, asker(request))
        return _named(services, name)


def _named(services: Services, name: str) -> IntegrationShape:
    for one in look(services):
        if one.name == name:
            return _shape(one)
    raise NotFound(f"There is no integration {name!r}.")


def _shape(one: IntegrationRow) -> IntegrationShape:
    shape: Any = IntegrationShape.model_validate(one)
    assert isinstance(shape, IntegrationShape)
    return shape
