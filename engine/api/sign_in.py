"""Signing in by a one-time link, and out again.

The link's secret stands behind `#`, so it reaches no server log and no Referer; the page that
opens posts it once and gets the session cookie.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from engine.api.gate import COOKIE, session_cookie
from engine.api.problems import problem, request_id
from engine.core.errors import Unauthenticated
from engine.identity import SESSION_TTL_US
from engine.services import Services

_STYLE: Final = (
    "<style>body{font:16px/1.5 system-ui,sans-serif;margin:0;display:grid;place-items:center;"
    "min-height:100vh;background:Canvas;color:CanvasText}main{max-width:34rem;padding:2rem}"
    "h1{font-size:1.35rem;margin:0 0 .5rem}code{background:rgba(127,127,127,.18);"
    "padding:.1rem .35rem;border-radius:4px}</style>"
)
_HEAD: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width,initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    f"<title>Releaseline</title>{_STYLE}"
)
_FIRST_RUN: Final = (
    _HEAD + '<main><h1>Signing you in …</h1><p id="said" role="status"></p></main>'
    '<script src="/sign-in/script.js"></script></html>'
)
_SCRIPT: Final = """
const said = document.getElementById("said");
const secret = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
const headers = {"Content-Type": "application/json"};
fetch("/sign-in", {method: "POST", headers, body: JSON.stringify({secret})})
  .then(async (answer) => {
    if (answer.ok) { location.replace("/"); return; }
    document.querySelector("h1").textContent = "This link does not work";
    said.textContent = (await answer.json()).detail;
  })
  .catch(() => { said.textContent = "The server did not answer."; });
"""
_SIGNED_OUT: Final = (
    _HEAD + "<main><h1>You are not signed in</h1><p>Open the one-time link that was printed when "
    "the server started, or make a new one on that machine:</p>"
    "<p><code>./run admin link --user YOUR.NAME</code></p></main></html>"
)


def routes(services: Callable[[], Services]) -> list[Route]:
    """Args:
    services: the open house; asked at every request, since the house opens after the routes.
    """

    async def sign_in(request: Request) -> Response:
        try:
            body = json.loads(await request.body())
            secret = body["secret"]
            if not isinstance(secret, str):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            return problem(
                422, "malformed", 'Expected {"secret": text}.', request_id=request_id(request)
            )
        try:
            session = services().identity.redeem_link(secret)
        except Unauthenticated as error:
            return problem(403, "link_used", str(error), request_id=request_id(request))
        response = JSONResponse({"signed_in": True})
        response.set_cookie(
            COOKIE,
            session,
            max_age=SESSION_TTL_US // 1_000_000,
            httponly=True,
            samesite="strict",
            secure=services().settings.server.behind_proxy,  # TLS ends there
        )
        return response

    async def sign_out(request: Request) -> Response:
        services().identity.revoke_session(
            session_cookie(request.headers.get("cookie", "")), reason="signed out"
        )
        response = RedirectResponse("/signed-out", status_code=303)
        response.delete_cookie(COOKIE)
        return response

    async def first_run(_: Request) -> Response:
        return HTMLResponse(_FIRST_RUN)

    async def script(_: Request) -> Response:
        return Response(_SCRIPT, media_type="text/javascript")

    async def signed_out(_: Request) -> Response:
        return HTMLResponse(_SIGNED_OUT)

    return [
        Route("/first-run", first_run),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-in/script.js", script),
        Route("/sign-out", sign_out, methods=["POST", "GET"]),
        Route("/signed-out", signed_out),
    ]
