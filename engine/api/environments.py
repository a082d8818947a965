"""Environments over HTTP: what is live where, who holds it, who is next, and what bars it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from engine.api.documents.base import PageOf, says
from engine.api.documents.environments import EnvironmentDoc
from engine.api.pages import Paged, page_of
from engine.api.shapes import cause_shape, hold_shape
from engine.core.freezes import sentence
from engine.core.queueing import waits_for
from engine.core.run import Run
from engine.environments import EnvironmentNow, look
from engine.services import Services


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/environments", responses=says(PageOf[EnvironmentDoc]))
    def environments(page: Paged) -> Any:
        """Every environment of the settings. What a target really runs is in `/targets`."""
        found = look(services.store, services.settings, services.freezing)
        items, following = page_of(found, page, "environments", lambda one: (one.settings.name,))
        return {"items": [environment_shape(one) for one in items], "next": following}


def environment_shape(one: EnvironmentNow) -> dict[str, Any]:
    last = one.last
    return {
        "environment": one.settings.name,
        "region": one.settings.region,
        "promotes_from": one.settings.promotes_from,
        **_live(one.live),
        "left_by": None if one.left_by is None else one.left_by.run_id,
        **_active(one.holder),
        "queued": len(one.queue),
        "queue_policy": one.settings.queue,
        "queue": [_in_line(run) for run in one.queue],
        "last_run": None if last is None else last.run_id,
        "last_status": None if last is None else last.status.value,
        "last_ended_us": None if last is None else last.ended_us,
        "frozen": one.bar is not None,
        "frozen_by": [] if one.bar is None else [cause_shape(cause) for cause in one.bar.causes],
        "frozen_why": "" if one.bar is None else sentence(one.bar, one.settings.name),
        "opens_us": None if one.bar is None else one.bar.until_us,
        "closes_us": one.closes_us,
        "holds": [hold_shape(hold) for hold in one.holds],
    }


def _live(run: Run | None) -> dict[str, Any]:
    return {
        "live_run": None if run is None else run.run_id,
        "live_bundle": None if run is None else str(run.bundle),
        "live_name": None if run is None else run.request.bundle_name,
        "live_version": None if run is None else run.request.bundle_version,
        "live_since_us": None if run is None else run.ended_us,
        "live_by": None if run is None else run.requested_by,
    }


def _active(run: Run | None) -> dict[str, Any]:
    step = None if run is None else run.current_step
    return {
        "active_run": None if run is None else run.run_id,
        "active_status": None if run is None else run.status.value,
        "active_step": None if step is None else step.id,
        "active_bundle": None if run is None else str(run.bundle),
        "active_name": None if run is None else run.request.bundle_name,
        "active_version": None if run is None else run.request.bundle_version,
        "active_by": None if run is None else run.requested_by,
        "active_since_us": None if run is None else run.started_us,
    }


def _in_line(run: Run) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "kind": run.request.kind,
        "bundle": str(run.bundle),
        "name": run.request.bundle_name,
        "version": run.request.bundle_version,
        "requested_by": run.requested_by,
        "requested_us": run.requested_us,
        "waits_for": waits_for(run),
    }
