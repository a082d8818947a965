"""Webhooks and deliveries as documents, for the API and the pages: without what is secret. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.errors import Malformed
from engine.core.hook_book import Hook
from engine.core.hook_events import WebhookSet
from engine.core.outbound import Allowed, read_address
from engine.hooks.desk import HOME
from engine.hooks.letters import MADE, SLACK, is_reference


def shown_url(asked: WebhookSet) -> str:
    """The address for people. Of a chat only the host: who knows all of it may write there."""
    if is_reference(asked.url):
        return asked.url
    try:
        # Whether it may be asked is not the question here.
        host = asked.url.partition("://")[2].partition("/")[0].lower()
        address = read_address(asked.url, Allowed(hosts=frozenset({host})), where="")
    except Malformed:
        scheme, _, rest = asked.url.partition("://")  # a path, or what precedes @, may be a secret
        return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2].partition('?')[0]}/…"
    return address.shown(whole=asked.format != SLACK)


def secret_told(asked: WebhookSet) -> str:
    """Where the secret is, in words; never the secret."""
    if not asked.secret:
        return "not signed"
    return "made here" if asked.secret.startswith(f"{MADE}:") else asked.secret


def hook_document(hook: Hook, counts: Mapping[str, Any] | None) -> dict[str, Any]:
    asked, given = hook.asked, counts or {}
    return {
        "name": hook.name,
        "id": hook.id,
        "url": shown_url(asked),
        "format": asked.format,
        "signed_with": secret_told(asked),
        "former_until_us": asked.former_until_us or None,
        "events": list(asked.events),
        "environments": list(asked.environments),
        "from_settings": asked.source == HOME,
        "by": hook.by,
        "since_us": hook.since_us,
        "waiting": given.get("waiting", 0),
        "delivered": given.get("delivered", 0),
        "dead": given.get("dead", 0),
        "last_us": given.get("last_us"),
        "last_outcome": given.get("last_outcome"),
        "last_status": given.get("last_status"),
    }


def delivery_document(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "webhook": row["hook_name"],
        "removed": row["removed"],
        "gseq": row["gseq"],
        "idx": row["idx"],
        "redelivery": row["wave"] > 0,
        "event": row["name"],
        "run": row["stream"] if str(row["stream"]).startswith("run-") else "",
        "since_us": row["ts_us"],
        "tries": row["tries"],
        "outcome": row["outcome"],
        "status": row["status"] or None,
        "note": row["note"],
        "tried_us": row["tried_us"],
        "next_us": row["next_us"] or None,
        "took_ms": row["took_ms"],
        "newest": row["newest"],
    }
