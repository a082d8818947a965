"""Promotions requested, and everything that people do to a run, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, File, Header, Request, UploadFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt

from data.codec import to_document
from engine.api.documents.base import says
from engine.api.documents.runs import DoneDoc, RunDoc
from engine.api.documents.ways import PreviewDoc
from engine.api.once import Once, OnceOnly, run_then
from engine.api.runs import asker
from engine.api.shapes import event_shape, run_shape
from engine.core.commands import Action, Command, Window
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.events import Recorded
from engine.core.heirs import NEW_RUN
from engine.core.overrides import OVERRIDABLE
from engine.core.schedule_events import Timing
from engine.services import Services

TARGETS_MAX: Final = 10_000
Words = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


def _whole(given: object) -> object:
    """JSON tells 84 and 84.0 not apart."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


# As JSON means them: `"1"` is no number, and `0` is not false.
Yes = StrictBool
Count = Annotated[StrictInt, BeforeValidator(_whole)]
Uploads = Annotated[list[UploadFile], File(min_length=1)]
IfMatch = Annotated[
    str,
    Header(
        alias="If-Match",
        max_length=100,
        pattern=r'^(\*|"[0-9]{1,9}(\.[0-9a-f]{1,16})?")?$',
        description="ETag of the run that you looked at; 412 when it has moved on.",
        examples=['"42"'],
    ),
]
BundleText = Annotated[
    str,
    Field(
        pattern=r"^(sha256:)?[0-9a-f]{8,64}$",
        description="digest, or a unique beginning of at least 8 hex digits",
        examples=["sha256:" + "0f" * 32],
    ),
]


LocalTime = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$",
        description="local wall time",
        examples=["2026-12-01T02:00"],
    ),
]
ZoneName = Annotated[
    str, Field(min_length=1, max_length=100, examples=["Europe/Sofia"], description="IANA name")
]
Seconds = Annotated[Count, Field(ge=60, le=604_800, examples=[7_200])]


class PromotionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    bundle: BundleText
    environment: Annotated[Name, Field(examples=["eu-prod"])]
    reason: Words = ""
    ticket: Words = ""
    kind: Literal["PROMOTE", "HOTFIX"] = Field(
        default="PROMOTE",
        description="HOTFIX passes the freezes that let it, with one more approval",
    )


class WindowIn(BaseModel):
    """A window of local time: [at, at + window_s)."""

    model_config = ConfigDict(extra="forbid")
    at: LocalTime
    time_zone: ZoneName
    window_s: Seconds


class ActionIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"action": "pause", "reason": "incident 1234"}]},
    )
    action: Action
    reason: Words = ""
    ticket: Words = ""
    binding: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = Field(
        default=None, description="approve, reject: what you looked at"
    )
    view: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = Field(
        default=None, description="approve, reject: digest of the approval view that you were shown"
    )
    confirm: Words = ""
    scope: Literal["full", "target"] | None = Field(
        default=None, description="rollback: every changed target, or those in `targets`"
    )
    targets: list[Name] = Field(default=[], max_length=TARGETS_MAX)
    plan: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = Field(
        default=None, description="rollback: digest of the preview that you saw, to be compared"
    )
    window: WindowIn | None = Field(
        default=None, description="reschedule, schedule_step: when it may start"
    )
    step: Annotated[str, Field(max_length=200, examples=["full-100"])] = Field(
        default="", description="schedule_step, unschedule_step: which one, before it has begun"
    )
    dry_run: Yes = False
    lift_hold: Yes = Field(
        default=False, description="rerun, rollback_promotion: lift the bundle's hold with it"
    )
    override: Yes = Field(
        default=False, description="continue, resume: ask for, or confirm, what takes two people"
    )
    review: Count = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="review: its number; 0 = the oldest that you may close",
    )


def routes(api: APIRouter, services: Services) -> None:
    @api.post("/promotions", status_code=202, responses=says(RunDoc, status=202))
    def promote(body: PromotionIn, request: Request, once: OnceOnly) -> Any:
        """Request a promotion. The answer is its run, QUEUED for the environment."""
        bundle = services.catalog.find(body.bundle)
        with once.doing(body.model_dump()) as asked:
            run = services.service.promote(
                bundle.digest,
                body.environment,
                asker(request),
                reason=body.reason,
                ticket=body.ticket,
                kind=body.kind,
                command_id=asked.id,
            )
            log = services.store.load(run.run_id)
            return run_shape(run_then(services, run.run_id, log[:1]))

    @api.post("/runs/{run_id}/actions", responses=says(DoneDoc | PreviewDoc))
    def act(
        run_id: str, body: ActionIn, request: Request, once: OnceOnly, match: IfMatch = ""
    ) -> Any:
        """Do something to a run; with `dry_run`, tell what a rollback would do."""
        if body.dry_run:
            return _preview(services, run_id, body)
        return acted(services, run_id, body, request, once, match)


def acted(
    services: Services, run_id: str, body: ActionIn, request: Request, once: Once, match: str
) -> Any:
    """Do what `body` asks for and say what it caused. Raises as `Service.ask`."""
    with once.doing(body.model_dump(mode="json")) as asked:
        command = _command(services, body, match)
        recorded = services.service.ask(run_id, command, asker(request), command_id=asked.id)
        return _done(services, run_id, body.action, recorded)


def _preview(services: Services, run_id: str, body: ActionIn) -> Any:
    if body.action is Action.ROLLBACK_PROMOTION:
        return services.service.promotion_preview(run_id).document()
    if body.action is not Action.ROLLBACK:
        raise Malformed("only rollback has a preview", where="dry_run")
    return services.service.rollback_preview(run_id, _scoped(body)).document()


def _command(services: Services, body: ActionIn, match: str) -> Command:
    return Command(
        action=body.action,
        reason=body.reason,
        ticket=body.ticket,
        binding=Digest.parse(body.binding) if body.binding else None,
        view=_seen(body),
        confirm=body.confirm,
        targets=_scoped(body),
        plan=Digest.parse(body.plan) if body.plan else None,
        override=_overriding(body),
        review=_reviewing(body),
        lift_hold=_lifting(body),
        window=_window(services, body),
        step=_step(body),
        version=None if match in {"", "*"} else int(match.strip('"').partition(".")[0]),
    )


def _done(
    services: Services, run_id: str, action: Action, recorded: tuple[Recorded, ...]
) -> dict[str, Any]:
    """What the events of an action amount to, as the runs were right behind them."""
    made = recorded[0].stream if action in NEW_RUN else ""
    return {
        "run": run_shape(run_then(services, run_id, recorded)),
        "events": [event_shape(one, to_document(one.event)) for one in recorded],
        "new_run": run_shape(run_then(services, made, recorded)) if made else None,
    }


def _scoped(body: ActionIn) -> tuple[str, ...]:
    """The targets of a rollback by name; empty = full. Half a wish is not guessed at."""
    if body.targets and body.action is not Action.ROLLBACK:
        raise Malformed(f"{body.action.value} takes none", where="targets")
    if body.plan and body.action not in {Action.ROLLBACK, Action.RETRY_ROLLBACK}:
        raise Malformed(f"{body.action.value} takes none", where="plan")
    if body.scope == "target" and not body.targets:
        raise Malformed("expected at least one with scope target, found none", where="targets")
    if body.scope == "full" and body.targets:
        raise Malformed(
            f"expected none with scope full, found {len(body.targets)}", where="targets"
        )
    return tuple(sorted(set(body.targets)))


def _seen(body: ActionIn) -> Digest | None:
    if body.view and body.action not in {Action.APPROVE, Action.REJECT}:
        raise Malformed(f"{body.action.value} takes none", where="view")
    return Digest.parse(body.view) if body.view else None


def _overriding(body: ActionIn) -> bool:
    if body.override and body.action not in OVERRIDABLE:
        raise Malformed(f"{body.action.value} cannot be overridden", where="override")
    return body.override


def _reviewing(body: ActionIn) -> int:
    if body.review and body.action is not Action.REVIEW:
        raise Malformed(f"{body.action.value} is about none", where="review")
    return body.review


def _window(services: Services, body: ActionIn) -> Window | None:
    asked = body.window
    if asked is not None and body.action not in {Action.RESCHEDULE, Action.SCHEDULE_STEP}:
        raise Malformed(f"{body.action.value} takes none", where="window")
    if asked is None:
        return None
    date, _, time = asked.at.partition("T")
    return services.scheduling.window(
        Timing(zone=asked.time_zone, first=date, time=time, window_s=asked.window_s)
    )


def _step(body: ActionIn) -> str:
    if body.step and body.action not in {Action.SCHEDULE_STEP, Action.UNSCHEDULE_STEP}:
        raise Malformed(f"{body.action.value} is about none", where="step")
    return body.step


def _lifting(body: ActionIn) -> bool:
    if body.lift_hold and body.action not in NEW_RUN:
        raise Malformed(f"{body.action.value} lifts none", where="lift_hold")
    return body.lift_hold
