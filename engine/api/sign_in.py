"""Signing in by a one-time link or at an OpenID provider, and out again.

The link's secret stands behind `#`, so it reaches no server log and no Referer; the page that
opens posts it once and gets the session cookie.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from engine.api import oidc
from engine.api.cookies import forget_session, session_cookie, set_session
from engine.api.problems import problem, request_id
from engine.api.sign_in_pages import FIRST_RUN, SCRIPT, signed_out_page
from engine.core.errors import Unauthenticated
from engine.services import Services

# A page of another site may send people here, and must not sign them out by that.
_FOREIGN: Final = frozenset({"cross-site", "same-site"})


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
            session = await run_in_threadpool(services().identity.redeem_link, secret)
        except Unauthenticated as error:
            await run_in_threadpool(
                services().trail.sign_ins.note,
                method="link",
                code="link_used",
                reason=str(error),
                secret="",
                address=request.client.host if request.client else "",
            )
            return problem(403, "link_used", str(error), request_id=request_id(request))
        response = JSONResponse({"signed_in": True})
        set_session(response, session, services().settings.server)
        return response

    async def sign_out(request: Request) -> Response:
        if request.method == "GET" and request.headers.get("sec-fetch-site") in _FOREIGN:
            return RedirectResponse("/", status_code=303)
        secret = session_cookie(request.headers.get("cookie", ""))
        await run_in_threadpool(services().identity.revoke_session, secret, reason="signed out")
        response = RedirectResponse("/signed-out?why=signed-out", status_code=303)
        forget_session(response)
        return response

    async def at_provider(request: Request) -> Response:
        configured = services().settings.oidc
        if configured is None:
            return RedirectResponse("/signed-out", status_code=303)
        return oidc.login(request, configured)

    async def first_run(_: Request) -> Response:
        return HTMLResponse(FIRST_RUN)

    async def script(_: Request) -> Response:
        return Response(SCRIPT, media_type="text/javascript")

    async def signed_out(request: Request) -> Response:
        configured = services().settings.oidc
        provider = "" if configured is None else configured.name
        why = request.query_params.get("why", "")
        return HTMLResponse(signed_out_page(provider, why))

    return [
        Route("/first-run", first_run),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-in/script.js", script),
        Route("/sign-in/oidc", at_provider),
        Route("/sign-out", sign_out, methods=["POST", "GET"]),
        Route("/signed-out", signed_out),
    ]
