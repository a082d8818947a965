"""What the API says of environments."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from engine.api.documents.base import DigestText, closed
from engine.api.documents.freezes import CauseDoc
from engine.api.documents.runs import HoldDoc, RunId


@closed
class InLineDoc(TypedDict):
    """A run that waits for the environment. `waits_for`: why, as last recorded."""

    run: RunId
    kind: str
    bundle: DigestText
    name: str
    version: str
    requested_by: str
    requested_us: int
    waits_for: str


@closed
class EnvironmentDoc(TypedDict):
    """`live_`: of the run that brought what is live; null when none did. `active_`: of the run that
    holds the environment; null when it is free. `left_by`: a run that ended behind `live_run` and
    left some targets changed. `queue`: in the order of starting; `queue_policy` latest: a newer
    promotion takes the place of those that wait. `opens_us`: of a frozen one, null when somebody
    has to end the freeze; `closes_us`: of an open one, null when no window says so. `last_`: of the
    run that ended last."""

    environment: str
    region: str
    promotes_from: str | None
    live_run: RunId | None
    live_bundle: DigestText | None
    live_name: str | None
    live_version: str | None
    live_since_us: int | None
    live_by: str | None
    left_by: RunId | None
    active_run: RunId | None
    active_status: str | None
    active_step: str | None
    active_bundle: DigestText | None
    active_name: str | None
    active_version: str | None
    active_by: str | None
    active_since_us: int | None
    queued: int
    queue_policy: Literal["fifo", "latest"]
    queue: list[InLineDoc]
    last_run: RunId | None
    last_status: str | None
    last_ended_us: int | None
    frozen: bool
    frozen_by: list[CauseDoc]
    frozen_why: str
    opens_us: int | None
    closes_us: int | None
    holds: list[HoldDoc]
