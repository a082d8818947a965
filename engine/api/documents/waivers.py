"""What the API says of waivers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from engine.api.documents.base import closed

State = Literal["REQUESTED", "GRANTED", "REFUSED", "REVOKED", "EXPIRED"]


@closed
class WaiverDeedDoc(TypedDict):
    """What somebody did with it, when, and why."""

    by: str
    at_us: int
    reason: str
    ticket: str


@closed
class WaiverDoc(TypedDict):
    """One flaw in one package, accepted for a while.

    `finding`: any of its names. `bundle`: the only one that it is for; empty = every one. `state`
    and `says` are those of this moment. `may_judge`: people who may grant or refuse it by their
    roles; empty while it waits = nobody may, and it will never hold. `runs`: open runs whose
    verdict rests on it.
    """

    id: str
    state: State
    says: str
    finding: str
    purl: str
    environments: list[str]
    bundle: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
    reason: str
    ticket: str
    by: str
    asked_us: int
    expires_us: int
    ends_soon: bool
    granted: WaiverDeedDoc | None
    refused: WaiverDeedDoc | None
    revoked: WaiverDeedDoc | None
    may_judge: list[str]
    runs: list[str]
