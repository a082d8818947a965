"""What the API says of webhooks, of what was sent to them, and of calls from outside."""

from __future__ import annotations

from typing_extensions import TypedDict

from engine.api.documents.base import closed


@closed
class WebhookDoc(TypedDict):
    """`signed_with`: where its secret is, in words. `dead`: given up on, not asked for again."""

    name: str
    id: str
    url: str
    format: str
    signed_with: str
    former_until_us: int | None
    events: list[str]
    environments: list[str]
    from_settings: bool
    by: str
    since_us: int
    waiting: int
    delivered: int
    dead: int
    last_us: int | None
    last_outcome: str | None
    last_status: int | None


@closed
class WebhookMadeDoc(WebhookDoc):
    """`secret` is shown with the first answer only, and when it was made here; else null."""

    secret: str | None


@closed
class WebhookSecretDoc(TypedDict):
    """`secret` is shown with the first answer only; null when the same key asks again."""

    name: str
    secret: str | None


@closed
class WebhookRemovedDoc(TypedDict):
    removed: str


@closed
class WebhookAskedDoc(TypedDict):
    asked: str


@closed
class RedeliveredDoc(TypedDict):
    name: str
    redelivered: int


@closed
class DeliveryDoc(TypedDict):
    """A message and how it stands. `gseq`, `idx` name it; `redelivery`: it was asked for again.

    `status`: of the last answer, null when there was none. `newest`: not asked for again since.
    """

    webhook: str
    removed: bool
    gseq: int
    idx: int
    redelivery: bool
    event: str
    run: str
    since_us: int
    tries: int
    outcome: str
    status: int | None
    note: str
    tried_us: int | None
    next_us: int | None
    took_ms: int
    newest: bool


@closed
class DeliveryTryDoc(TypedDict):
    """One try. `redelivery`: of which wish to send it again, by its gseq; 0 = of none."""

    redelivery: int
    n: int
    ts_us: int
    took_ms: int
    outcome: str
    status: int
    note: str
    next_us: int


@closed
class ReceivedDoc(TypedDict):
    """`ignored`: it is about nothing that this hook acts on. `before`: it was received already."""

    ignored: bool
    hook: str
    what: list[str]
    bundles: list[str]
    runs: list[str]
    before: bool
