"""By what somebody was let in when something was recorded. A value; it holds no secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthContext:
    """Attributes:
    method: `session`, `token` or `shell`.
    credential: which session or token that was, by an id that opens nothing; of a shell the
        number of the machine's user.
    request_id: of the request that it came with, as it stands in the answer's X-Request-Id.
    """

    method: str
    credential: str
    request_id: str
