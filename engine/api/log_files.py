"""The log's files for monitors: C2SP tlog-tiles below `/log/`, read-only.

Heads and hashes are for anybody who reaches the server: that is what a log is for. Entries hold
certificates, and these the e-mail addresses of who approved: for them one signs in, unless the
settings say otherwise.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from engine.api.problems import problem, request_id
from engine.core.errors import Malformed, NotFound
from engine.services import Services

PREFIX: Final = "/log/"
_ENTRIES: Final = "/tile/entries/"
_FOREVER: Final = "max-age=31536000, immutable"


def is_open(path: str, *, public_entries: bool) -> bool:
    """Whether anybody may read it: heads and hashes always, entries only when it was set so."""
    return path.startswith(PREFIX) and (public_entries or _ENTRIES not in path)


def file(request: Request, services: Services) -> Response:
    """`GET /log/checkpoint`, `/log/tile/...`, and the same below `/log/<origin>/`."""
    path = request.path_params["path"]
    try:
        found = services.logbook.file(path)
    except NotFound as error:
        return problem(404, "not_found", str(error), request_id=request_id(request))
    except Malformed as error:
        return problem(400, "malformed", str(error), request_id=request_id(request))
    if not found.final:
        headers = {"Cache-Control": "no-cache", "Content-Type": "text/plain; charset=utf-8"}
    else:
        guarded = _ENTRIES in f"/{path}" and not services.settings.server.public_log
        headers = {
            "Cache-Control": f"{'private' if guarded else 'public'}, {_FOREVER}",
            "Content-Type": "application/octet-stream",
        }
    return Response(found.content, headers=headers)
