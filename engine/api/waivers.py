"""The waiver register over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from engine.api.acting import Name, Words
from engine.api.documents.base import PageOf, says
from engine.api.documents.waivers import WaiverDoc
from engine.api.once import OnceOnly
from engine.api.pages import Paged, filtered, page_of
from engine.api.runs import Place, asker
from engine.core.digest import Digest
from engine.core.scopes import GRANT_WAIVER, REFUSE_WAIVER, REVOKE_WAIVER
from engine.core.waiver_rules import WaiverWish
from engine.core.waivers import Deed, Waiver, WaiverState, ends_soon, sentence
from engine.services import Services
from engine.waiving import waiver_of

WaiverId = Annotated[str, Path(pattern=r"^waiver-[1-9][0-9]{0,8}$", examples=["waiver-1"])]
_States = Annotated[WaiverState | None, Query(description="only those that are this now")]
_VERBS: Final = {"grant": GRANT_WAIVER, "refuse": REFUSE_WAIVER, "revoke": REVOKE_WAIVER}
_DAYS_MAX: Final = 99_999


class WaiverIn(BaseModel):
    """It ends so many `days` from now, whatever becomes of it; the settings say how many at most
    (`waivers.longest`)."""

    model_config = ConfigDict(extra="forbid")
    finding: Annotated[Name, Field(examples=["CVE-2024-3651"])]
    purl: Annotated[str, Field(min_length=1, max_length=1_000, examples=["pkg:pypi/idna@3.6"])]
    reason: Words
    days: Annotated[int, Field(ge=1, le=_DAYS_MAX, strict=True)]
    environments: Annotated[list[Name], Field(max_length=500, description="empty = every one")] = []
    bundle: Annotated[
        str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$", description="empty = every one")
    ] = ""
    ticket: Words = ""


class JudgeIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Words
    ticket: Words = ""


def routes(api: APIRouter, services: Services) -> None:
    _reading(api, services)
    _changing(api, services)


def _reading(api: APIRouter, services: Services) -> None:
    @api.get("/waivers", responses=says(PageOf[WaiverDoc]))
    def waivers(page: Paged, environment: Place = "", state: _States = None) -> Any:
        """Every waiver that was ever asked for, the newest first."""
        items, following = page_of(
            [
                one
                for one in services.waiving.all()
                if environment in {"", *one.fact.environments}
                and state in {None, services.waiving.state(one)}
            ],
            page,
            filtered("waivers", environment=environment, state=state),
            lambda one: (one.number,),
            newest_first=True,
        )
        return {"items": [waiver_shape(services, one) for one in items], "next": following}

    @api.get("/waivers/{waiver}", responses=says(WaiverDoc))
    def show(waiver: WaiverId) -> Any:
        """One waiver, as it is now."""
        return waiver_shape(services, services.waiving.waiver(waiver))


def _changing(api: APIRouter, services: Services) -> None:
    @api.post("/waivers", status_code=201, responses=says(WaiverDoc, status=201))
    def request_waiver(body: WaiverIn, request: Request, once: OnceOnly) -> Any:
        """Ask for one flaw in one package to be accepted for a while. It holds once somebody else,
        whom the policy names in `exception_approvers`, has granted it."""
        wish = WaiverWish(
            **body.model_dump(exclude={"environments", "bundle"}),
            environments=tuple(body.environments),
            bundle=Digest.parse(body.bundle) if body.bundle else None,
        )
        with once.doing(body.model_dump()) as asked:
            if asked.again:
                made = waiver_of(asked.earlier[0])
            else:
                made = services.waiving.request(wish, asker(request), command_id=asked.id)
        return waiver_shape(services, made)

    def act(word: str, waiver: str, body: JudgeIn, request: Request, once: OnceOnly) -> Any:
        room = services.waiving
        with once.doing(body.model_dump()) as asked:
            if asked.again:
                return waiver_shape(services, room.waiver(waiver))
            done = room.act(
                _VERBS[word],
                waiver,
                asker(request),
                reason=body.reason,
                ticket=body.ticket,
                command_id=asked.id,
            )
        return waiver_shape(services, done)

    @api.post("/waivers/{waiver}/grant", responses=says(WaiverDoc))
    def grant(waiver: WaiverId, body: JudgeIn, request: Request, once: OnceOnly) -> Any:
        """Agree as the second person: from now on it holds."""
        return act("grant", waiver, body, request, once)

    @api.post("/waivers/{waiver}/refuse", responses=says(WaiverDoc))
    def refuse(waiver: WaiverId, body: JudgeIn, request: Request, once: OnceOnly) -> Any:
        """Say no as the second person."""
        return act("refuse", waiver, body, request, once)

    @api.post("/waivers/{waiver}/revoke", responses=says(WaiverDoc))
    def revoke(waiver: WaiverId, body: JudgeIn, request: Request, once: OnceOnly) -> Any:
        """End it now, or take it back. A run that waits for approval on it is judged anew."""
        return act("revoke", waiver, body, request, once)


def waiver_shape(services: Services, one: Waiver) -> dict[str, Any]:
    fact, now_us = one.fact, services.clock.now_us()
    state = one.state(now_us)
    waits = state is WaiverState.REQUESTED
    return {
        "id": one.id,
        "state": state.value,
        "says": sentence(one, now_us),
        "finding": fact.finding,
        "purl": fact.purl,
        "environments": list(fact.environments),
        "bundle": "" if fact.bundle is None else str(fact.bundle),
        "reason": fact.reason,
        "ticket": fact.ticket,
        "by": one.by,
        "asked_us": one.asked_us,
        "expires_us": fact.expires_us,
        "ends_soon": state is WaiverState.GRANTED and ends_soon(one, now_us),
        "granted": _deed(one.granted),
        "refused": _deed(one.refused),
        "revoked": _deed(one.revoked),
        "may_judge": list(services.waiving.may_judge(one)) if waits else [],
        "runs": list(services.waiving.rests_on(one)),
    }


def _deed(deed: Deed | None) -> dict[str, Any] | None:
    if deed is None:
        return None
    return {"by": deed.by, "at_us": deed.at_us, "reason": deed.reason, "ticket": deed.ticket}
