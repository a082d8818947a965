"""What the API says of ways back and ways anew: previews of rollbacks, and what differs."""

from __future__ import annotations

from typing_extensions import TypedDict

from engine.api.documents.base import DigestText, closed
from engine.api.documents.runs import RunId

_FromTo = TypedDict("_FromTo", {"from": DigestText | None, "to": DigestText | None})


@closed
class PreviewRowDoc(_FromTo):
    target: str
    action: str
    note: str


@closed
class PreviewDoc(TypedDict):
    """What a rollback would do to each target; `digest` names this plan."""

    run: RunId
    scope: str
    targets: list[str]
    digest: DigestText
    executable: bool
    observed_at_us: int
    source: str
    counts: dict[str, int]
    rows: list[PreviewRowDoc]
    warnings: list[str]


@closed
class DifferenceDoc(TypedDict):
    name: str
    before: str
    after: str


@closed
class DifferencesDoc(TypedDict):
    run: RunId
    before: RunId
    items: list[DifferenceDoc]
