"""Signing in at an OpenID provider: Streamlit's own login, exchanged once for a session of ours.

Streamlit talks to the provider (state, nonce, PKCE, signatures) and answers the way back with its
cookies, which are good for 30 days and can't be revoked. They never reach a browser: that answer is
taken here, what it says is judged, and a session of ours, or a sentence, goes out in its place.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine import wiring
from engine.api.cookies import set_session
from engine.api.safe_options import check_options
from engine.core.claims import ClaimRule, NoAccount, judge
from engine.core.errors import Unauthenticated, UnsafeConfig
from engine.services import Services
from engine.settings import OidcConfig, Settings, read_settings
from engine.settings_sign_in import CALLBACK

LOGIN: Final = "/auth/login"
_USER: Final = "_streamlit_user"
_THEIRS: Final = (_USER, "_streamlit_user_tokens")
# Good for one way to the provider and back, so it need not outlive the process.
_COOKIE_SECRET: Final = secrets.token_hex(32)


def streamlit_secrets(env: Mapping[str, str]) -> dict[str, Any] | None:
    """What Streamlit's login needs to know; None when people sign in by links only.

    Raises:
        UnsafeConfig: the settings are not sound, or the client's secret is not where they say.
    """
    settings = _settings_now(env)
    if settings is None or settings.oidc is None:
        return None
    one = settings.oidc
    return {
        "auth": {
            "redirect_uri": one.redirect_uri,
            "cookie_secret": _COOKIE_SECRET,
            "client_id": one.client_id,
            "client_secret": wiring.client_secret(settings, env),
            "server_metadata_url": one.metadata_url,
            "client_kwargs": {
                "scope": one.scope,
                "prompt": one.prompt,
                "code_challenge_method": "S256",
            },
        }
    }


def check_safe(env: Mapping[str, str]) -> None:
    """Raises `UnsafeConfig` when an option of Streamlit undoes what the server promises."""
    from streamlit import config  # noqa: PLC0415 (it reads its settings on import)

    settings = _settings_now(env)
    proxied = settings is not None and settings.server.behind_proxy
    check_options(config.get_option, behind_proxy=proxied)


def _settings_now(env: Mapping[str, str]) -> Settings | None:
    """Of the house that this process has open, or of the home that it is about to open.

    None when these are not sound: whoever opens the home says so, with every problem.
    """
    with suppress(RuntimeError):
        return wiring.running().settings
    try:
        return read_settings(Path(env.get("RELEASELINE_HOME", "var")).resolve())
    except UnsafeConfig:
        return None


def login(request: Request, oidc: OidcConfig) -> Response:
    """The way to the provider, from the address under which it sends people back.

    The state of the login is a cookie, and a cookie of 127.0.0.1 does not come back to localhost.
    """
    from streamlit.auth_util import encode_provider_token  # noqa: PLC0415 (as in `gate`)

    home = urlsplit(oidc.redirect_uri)
    if request.headers.get("host", "").lower() != home.netloc.lower():
        return RedirectResponse(f"{home.scheme}://{home.netloc}/sign-in/oidc", status_code=303)
    return RedirectResponse(f"{LOGIN}?provider={encode_provider_token('default')}", status_code=303)


class Exchange:
    """The way back from the provider. Stands between the gate and Streamlit.

    Args:
        services: the open house; asked at every request, since the house opens after this.
    """

    def __init__(self, app: ASGIApp, *, services: Callable[[], Services]) -> None:
        self._app, self._services = app, services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in {CALLBACK, LOGIN}:
            await self._app(scope, receive, send)
            return
        house = self._services()
        if house.settings.oidc is None:
            await RedirectResponse("/signed-out", status_code=303)(scope, receive, send)
            return
        answer: list[Message] = []

        async def held(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, held)
        start = answer[0]
        if scope["path"] == LOGIN:
            if start["status"] < 400:
                for message in answer:
                    await send(message)
            else:
                await _failed("provider")(scope, receive, send)
            return
        request = Request(scope, receive)
        claims = _claims(start)
        if claims is None:
            denied = request.query_params.get("error") == "access_denied"
            response = _failed("denied" if denied else "provider")
        else:
            response = await run_in_threadpool(_exchanged, house, claims)
        _forget_theirs(response, request, start)
        await response(scope, receive, send)


def _exchanged(house: Services, claims: Mapping[str, object]) -> Response:
    settings, oidc = house.settings, house.settings.oidc
    assert oidc is not None  # asked before
    people = {one.user: one.email for one in settings.people.values()}
    found = judge(claims, _rule(oidc), people, now_s=house.clock.now_us() // 1_000_000)
    if isinstance(found, NoAccount):
        house.service.sign_in_refused(found.who, found.code, found.sentence)
        return _failed(found.code)
    try:
        session = house.identity.open_account(
            found.user, issuer=found.issuer, subject=found.subject, groups=found.groups
        )
    except Unauthenticated as error:
        house.service.sign_in_refused(found.user, "account", str(error))
        return _failed("account")
    response = RedirectResponse("/", status_code=303)
    set_session(response, session, settings.server)
    return response


def _rule(oidc: OidcConfig) -> ClaimRule:
    return ClaimRule(
        user_claim=oidc.user_claim,
        groups_claim=oidc.groups_claim,
        groups=frozenset(oidc.groups),
        domains=frozenset(oidc.allowed_domains),
    )


def _failed(why: str) -> Response:
    return RedirectResponse(f"/signed-out?why={why}", status_code=303)


def _claims(start: Message) -> Mapping[str, object] | None:
    """What Streamlit made of the provider's answer; None when it signed nobody in."""
    from streamlit.auth_util import get_cookie_with_chunks  # noqa: PLC0415
    from streamlit.web.server.starlette.starlette_app_utils import (  # noqa: PLC0415
        decode_signed_value,
    )

    given = _cookies(start)

    def single(name: str) -> bytes | None:
        value = given.get(name)
        return decode_signed_value(_COOKIE_SECRET, name, value) if value else None

    text = get_cookie_with_chunks(single, _USER)
    document = None if text is None else json.loads(text)
    return document if isinstance(document, dict) else None


def _cookies(start: Message) -> dict[str, str]:
    """The cookies that an answer sets, by name."""
    found: dict[str, str] = {}
    for line in Headers(raw=start["headers"]).getlist("set-cookie"):
        try:
            found |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        except CookieError:
            continue
    return found


def _forget_theirs(response: Response, request: Request, start: Message) -> None:
    """Hand on what Streamlit says of the login's state, and take back whatever else it set."""
    for line in Headers(raw=start["headers"]).getlist("set-cookie"):
        if not line.startswith(_THEIRS):
            response.headers.append("set-cookie", line)
    for name in {*_THEIRS, *(one for one in request.cookies if one.startswith(_USER))}:
        response.delete_cookie(name)
