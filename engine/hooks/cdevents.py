"""Messages for machines: CDEvents 0.5.1 in CloudEvents 1.0, structured JSON. Pure.

What CDEvents has no type for is sent as one of ours, `dev.releaseline.<name>`, in the same shape.
Every message carries our own words beside it, under `customData.releaseline`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from engine.core.events import Recorded
from engine.core.state import Run
from engine.core.step_events import (
    StepErrored,
    StepFailed,
    StepInconclusive,
    StepMarkedFailed,
    StepStarted,
    StepSucceeded,
)
from engine.hooks.words import Told

CONTENT_TYPE: Final = "application/cloudevents+json"
SPEC: Final = "0.5.1"
_OWN_VERSION: Final = "1.0.0"

# Stable name to (type, version); every other name is one of ours.
TYPES: Final = {
    "environment.modified": "environment.modified.0.3.0",
    "evidence.sealed": "artifact.signed.0.3.0",
    "gate.breached": "incident.detected.0.3.0",
    "run.cancelled": "pipelinerun.finished.0.3.0",
    "run.expired": "pipelinerun.finished.0.3.0",
    "run.failed": "pipelinerun.finished.0.3.0",
    "run.rejected": "pipelinerun.finished.0.3.0",
    "run.requested": "pipelinerun.queued.0.3.0",
    "run.rolled_back": "pipelinerun.finished.0.3.0",
    "run.started": "pipelinerun.started.0.3.0",
    "run.succeeded": "pipelinerun.finished.0.3.0",
    "service.deployed": "service.deployed.0.3.0",
    "service.rolled_back": "service.rolledback.0.3.0",
    "service.upgraded": "service.upgraded.0.3.0",
    "step.errored": "taskrun.finished.0.3.0",
    "step.failed": "taskrun.finished.0.3.0",
    "step.inconclusive": "taskrun.finished.0.3.0",
    "step.started": "taskrun.started.0.3.0",
    "step.succeeded": "taskrun.finished.0.3.0",
    "verify.finished": "testsuiterun.finished.0.3.0",
}
_OUTCOMES: Final = {
    "run.cancelled": "cancel",
    "run.expired": "error",
    "run.failed": "failure",
    "run.rejected": "failure",
    "run.rolled_back": "failure",
    "run.succeeded": "success",
    "step.errored": "error",
    "step.failed": "failure",
    "step.inconclusive": "error",
    "step.succeeded": "success",
}


def type_of(name: str) -> str:
    known = TYPES.get(name)
    return f"dev.releaseline.{name}.{_OWN_VERSION}" if known is None else f"dev.cdevents.{known}"


def cloud_event(
    message_id: str, told: Told, recorded: Recorded, run: Run | None, *, base: str
) -> dict[str, Any]:
    """The whole body of a message."""
    at = timestamp(recorded.ts_us)
    kind = type_of(told.name)
    subject = _subject(told, recorded, run, base)
    context: dict[str, Any] = {
        "specversion": SPEC,
        "id": message_id,
        "source": base,
        "type": kind,
        "timestamp": at,
    }
    if run is not None:
        context["chainId"] = run.run_id
    return {
        "specversion": "1.0",
        "id": message_id,
        "source": base,
        "type": kind,
        "subject": subject["id"],
        "time": at,
        "datacontenttype": "application/json",
        "data": {
            "context": context,
            "subject": subject,
            "customData": {"releaseline": _own(told, recorded, run)},
            "customDataContentType": "application/json",
        },
    }


def timestamp(us: int) -> str:
    """UTC with microseconds, as RFC 3339 has it."""
    moment = datetime.fromtimestamp(us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{us % 1_000_000:06d}Z"


def artifact(run: Run) -> str:
    """The promoted bundle as a package URL with its digest."""
    return f"pkg:oci/{quote(run.request.bundle_name.lower(), safe='')}@sha256%3A{run.bundle.hex}"


def _own(told: Told, recorded: Recorded, run: Run | None) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if run is not None:
        about = {
            "run": run.run_id,
            "kind": run.request.kind,
            "status": run.status.value,
            "environment": run.environment,
            "bundle": str(run.bundle),
            "bundleName": run.request.bundle_name,
            "bundleVersion": run.request.bundle_version,
            "requestedBy": run.requested_by,
        }
    return {
        "event": told.name,
        "eventHash": recorded.hash.hex,
        "head": told.head,
        "text": told.text,
        "waits": told.waits,
        "people": list(told.people),
        "actor": recorded.actor,
        "url": told.url,
        **about,
    }


def _subject(told: Told, recorded: Recorded, run: Run | None, base: str) -> dict[str, Any]:
    if run is None:
        return {"id": told.run or recorded.stream, "source": base, "content": {}}
    family = TYPES.get(told.name, "").partition(".")[0]
    subject, content = _of_family(family, told, recorded, run, base)
    return {"id": subject, "source": base, "content": content}


def _of_family(
    family: str, told: Told, recorded: Recorded, run: Run, base: str
) -> tuple[str, dict[str, Any]]:
    environment = {"id": run.environment, "source": base}
    match family:
        case "pipelinerun":
            content: dict[str, Any] = {"pipelineName": run.request.workflow, "uri": told.url}
            if told.name in _OUTCOMES:
                content["outcome"] = _OUTCOMES[told.name]
            if content.get("outcome") in {"failure", "error"}:
                content["errors"] = told.text
            return run.run_id, content
        case "taskrun":
            return _task(told, recorded, run, base)
        case "service":
            return run.request.bundle_name, {
                "environment": environment,
                "artifactId": artifact(run),
            }
        case "environment":
            return run.environment, {"name": run.environment, "uri": told.url}
        case "incident":
            return f"{run.run_id}/{_step_of(recorded)}", {
                "description": told.text,
                "environment": environment,
                "service": {"id": run.request.bundle_name, "source": base},
                "artifactId": artifact(run),
            }
        case "artifact":
            return artifact(run), {"signature": str(run.chain or recorded.hash)}
        case "testsuiterun":
            succeeded = isinstance(recorded.event, StepSucceeded)
            step = _step_of(recorded)
            return f"{run.run_id}/{step}", {
                "outcome": "success" if succeeded else "failure",
                "environment": environment,
                "testSuite": {"id": step, "name": run.step(step).spec.name},
                "reason": told.text,
            }
        case _:
            step = _step_of(recorded)
            content = {"environment": environment, "artifactId": artifact(run), "uri": told.url}
            return (f"{run.run_id}/{step}" if step else run.run_id), content


def _task(told: Told, recorded: Recorded, run: Run, base: str) -> tuple[str, dict[str, Any]]:
    event = recorded.event
    assert isinstance(
        event,
        StepStarted | StepSucceeded | StepFailed | StepMarkedFailed | StepErrored
        | StepInconclusive,
    )  # fmt: skip
    content: dict[str, Any] = {
        "taskName": run.step(event.step).spec.name,
        "uri": f"{told.url}&step={event.step}",
        "pipelineRun": {"id": run.run_id, "source": base},
    }
    if told.name in _OUTCOMES:
        content["outcome"] = _OUTCOMES[told.name]
    if content.get("outcome") in {"failure", "error"}:
        content["errors"] = told.text
    return f"{run.run_id}/{event.step}/{event.attempt}", content


def _step_of(recorded: Recorded) -> str:
    return str(getattr(recorded.event, "step", ""))
