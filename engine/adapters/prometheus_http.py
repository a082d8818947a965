"""Questions to the HTTP API of a Prometheus. What comes back is an answer of it, or is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.adapters.http_ask import Question, ask, short
from engine.adapters.references import Secret, header_of
from engine.core.errors import AdapterFailed

ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
_REFUSED: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`warnings` is not empty when the source itself says that its answer is not whole."""

    data: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


class PrometheusHttp:
    """Usable from several threads. `token` is read anew for each question, so it may be rotated."""

    def __init__(self, url: str, *, token: Secret | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token

    def ask(self, path: str, params: Mapping[str, str], *, deadline_s: float) -> Answer:
        """GET `path` of the API.

        Raises:
            AdapterFailed: no whole, readable answer within `deadline_s`; says why in one sentence,
                without the token.
        """
        headers = {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {header_of(self._token(), what='token')}"
        question = Question(url=self._url + path, params=params, headers=headers)
        reply = ask(question, deadline_s=deadline_s, bytes_max=ANSWER_BYTES_MAX)
        return _read(reply.status, reply.content)


def _read(status: int, content: bytes) -> Answer:
    """The data of an answer of the API. Raises `AdapterFailed` for every other one."""
    if 300 <= status < 400:
        raise AdapterFailed(
            f"status {status}: redirects are not followed, so `url` has to be the last address",
            transient=False,
        )
    if status in _REFUSED:
        raise AdapterFailed(f"status {status}: it does not accept the token", transient=False)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("status") not in ("success", "error"):
        start = repr(content[:1000].decode("utf-8", "replace"))
        raise AdapterFailed(
            f"status {status}: expected an answer of the Prometheus API, found {short(start, 60)}",
            transient=status >= 500,
        )
    if document["status"] == "error" or status != 200:
        why = f"{document.get('errorType', 'error')}: {document.get('error', '')}"
        raise AdapterFailed(f"status {status}, {short(why)}", transient=status >= 500)
    data, warnings = document.get("data"), document.get("warnings") or []
    if not isinstance(data, dict) or not isinstance(warnings, list):
        raise AdapterFailed("expected `data` and a list of `warnings`", transient=False)
    return Answer(data=data, warnings=tuple(short(str(one)) for one in warnings))
