"""The servers that this home depends on, over HTTP: what they are worth now, and a look at one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from engine.api.documents.base import says
from engine.api.documents.integrations import IntegrationDoc, IntegrationsDoc
from engine.api.pages import Paged, page_of
from engine.api.runs import asker
from engine.core.errors import NotFound
from engine.integrations.read import look
from engine.services import Services

Named = Annotated[str, Path(pattern=r"^[!-.0-~]{1,64}$")]


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/integrations", responses=says(IntegrationsDoc))
    def integrations(page: Paged) -> Any:
        """Every server that this home depends on, as it is known now."""
        rows, following = page_of(look(services), page, "integrations", lambda row: (row.name,))
        return {
            "every_s": services.prober.every_s,
            "items": [asdict(one) for one in rows],
            "next": following,
        }

    @api.get("/integrations/{name}", responses=says(IntegrationDoc))
    def integration(name: Named) -> Any:
        return _named(services, name)

    @api.post(
        "/integrations/{name}/probe", status_code=202, responses=says(IntegrationDoc, status=202)
    )
    def probe(name: Named, request: Request) -> Any:
        """Have it looked at now, in the background; the answer is what is known so far."""
        services.prober.wake(name, asker(request))
        return _named(services, name)


def _named(services: Services, name: str) -> dict[str, Any]:
    for one in look(services):
        if one.name == name:
            return asdict(one)
    raise NotFound(f"There is no integration {name!r}.")
