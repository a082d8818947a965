"""The gate before everything: who may talk to this server at all.

A pure ASGI middleware on HTTP and websocket. It checks Host (DNS rebinding), then Origin with its
port, then the session cookie or the bearer token; it gives each request an id and each answer its
security headers. What a person may do is decided further in, at every action again.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.api.cookies import session_cookie
from engine.api.log_files import is_open
from engine.api.problems import problem
from engine.core.errors import Unauthenticated
from engine.home import is_loopback
from engine.identity import Principal
from engine.services import Services
from engine.settings import ServerConfig
from engine.trail.asking import asking, new_request_id

_OPEN_PATHS: Final = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/first-run",
    "/sign-in",
    "/sign-in/script.js",
    "/sign-in/oidc",
    "/auth/login",
    "/oauth2callback",
    "/signed-out",
)
# Streamlit's own way to drive its pages by programs, and what describes it: not offered here.
_CLOSED_PREFIX: Final = "/_stcore/agent"
_OPEN_PREFIXES: Final = ("/static/", "/app/static/", "/_stcore/health", "/favicon")
_PROVEN_PREFIX: Final = "/api/v1/hooks/"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """Args:
    services: the open house; asked at every request, since the house opens after the gate.
    """

    def __init__(self, app: ASGIApp, *, services: Callable[[], Services]) -> None:
        self._app, self._services = app, services
        self._policy = content_security_policy()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["rl_request_id"] = request_id = new_request_id()
        refused = self._refused(scope, headers, request_id)
        if refused is not None:
            await self._tell(scope, headers, refused)
            await self._refuse(refused, scope, receive, send)
            return
        principal = scope.get("rl_principal")
        answering = self._with_headers(scope, send)
        if principal is None:
            await self._app(scope, receive, answering)
            return
        with asking(principal, request_id):
            await self._app(scope, receive, answering)

    def _refused(self, scope: Scope, headers: Headers, request_id: str) -> Response | None:
        server = self._services().settings.server
        if not server.behind_proxy and not _on_loopback(scope):
            return problem(
                421,
                "wrong_address",
                "This server answers on a loopback address only.",
                request_id=request_id,
                hint="For others to reach it, put a proxy with TLS in front: server.behind_proxy.",
            )
        host, hosts = headers.get("host", "").lower(), own_hosts(server)
        if host not in hosts:
            return problem(
                421,
                "wrong_host",
                f"This server does not answer for host {host!r}.",
                request_id=request_id,
                hint="Add it to server.allowed_hosts in releaseline.yaml when it is yours.",
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() not in hosts:
            return problem(
                403, "wrong_origin", f"Origin {origin!r} is not ours.", request_id=request_id
            )
        path = scope["path"]
        if path.startswith(_CLOSED_PREFIX):
            return problem(404, "not_found", f"There is no {path} here.", request_id=request_id)
        if path in _OPEN_PATHS or path.startswith(_OPEN_PREFIXES):
            return None
        if scope["type"] == "http" and path.startswith(_PROVEN_PREFIX):
            return None  # proven by its own signature, further in
        if is_open(path, public_entries=self._services().settings.server.public_log):
            return None
        try:
            scope["rl_principal"] = self._principal(scope, headers)
        except Unauthenticated as error:
            scope["rl_refused"], scope["rl_refused_why"] = "not_signed_in", str(error)
            if path.startswith("/api/") or scope["type"] == "websocket":
                status = 401 if scope["type"] == "http" else 403
                return problem(
                    status,
                    "not_signed_in",
                    str(error),
                    request_id=request_id,
                    hint="releaseline admin link makes a sign-in link; token create a token.",
                )
            return RedirectResponse("/signed-out", status_code=303)
        if self._forged(scope, headers, origin):
            scope["rl_refused"] = "no_origin"
            scope["rl_refused_why"] = f"{scope['method']} {path} came without an Origin."
            return problem(
                403,
                "no_origin",
                "A change asked for with a cookie must name its Origin.",
                request_id=request_id,
            )
        return None

    def _principal(self, scope: Scope, headers: Headers) -> Principal:
        method, secret = _shown(headers)
        identity = self._services().identity
        if method == "token":
            return identity.token(secret)
        # A stream is opened anew by the page itself: that is nobody's click.
        used = scope["type"] == "http" and "text/event-stream" not in headers.get("accept", "")
        return identity.session(secret, used=used)

    def _forged(self, scope: Scope, headers: Headers, origin: str | None) -> bool:
        """A cookie comes along by itself, so a change needs proof that our own page asked."""
        if scope["type"] == "websocket" or "authorization" in headers:
            return False
        return scope["method"] not in _SAFE_METHODS and origin is None

    async def _tell(self, scope: Scope, headers: Headers, refused: Response) -> None:
        """A proof that is not good goes on record. Whoever opens a page without any is only sent
        to sign in: that is no attempt."""
        method, secret = _shown(headers)
        code = scope.get("rl_refused", "")
        if not code or (method == "none" and refused.status_code == 303):
            return
        client = scope.get("client")
        await run_in_threadpool(
            self._services().trail.sign_ins.note,
            method=method,
            code=code,
            reason=scope["rl_refused_why"],
            secret=secret,
            address=client[0] if client else "",
        )

    async def _refuse(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "not allowed"})
            return
        await response(scope, receive, self._with_headers(scope, send))

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-Request-Id"] = scope["rl_request_id"]
            await send(message)

        return wrapped


def _on_loopback(scope: Scope) -> bool:
    """Whether the connection came in on a loopback address, however the server was started."""
    address, port = scope.get("server") or ("", None)
    return port is None or is_loopback(address)  # without a port it is a socket in the file system


def own_hosts(server: ServerConfig) -> frozenset[str]:
    """Host header values that are ours, lower case: with our port, and bare behind a proxy."""
    names = {server.host, "127.0.0.1", "localhost", *server.allowed_hosts}
    hosts = {f"{name}:{server.port}".lower() for name in names}
    if server.behind_proxy:
        hosts |= {name.lower() for name in server.allowed_hosts}
    return frozenset(hosts)


def _shown(headers: Headers) -> tuple[str, str]:
    """The kind of proof that came with a request, and the secret itself."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return "token", token.strip()
    cookie = session_cookie(headers.get("cookie", ""))
    return ("session", cookie) if cookie else ("none", "")


def content_security_policy() -> str:
    """Strict: nothing from elsewhere, no eval. The one inline script of the page is hashed."""
    # Found, not imported: Streamlit reads its settings on import, from the working folder of then.
    found = find_spec("streamlit")
    assert found is not None
    assert found.origin is not None
    index = Path(found.origin).parent / "static" / "index.html"
    inline = re.findall(r"<script>(.*?)</script>", index.read_text("utf-8"), re.DOTALL)
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
        for code in inline
    )
    return (
        f"default-src 'self'; script-src 'self' blob: {hashes}; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; connect-src 'self' ws: wss:; worker-src 'self' blob:; "
        "frame-ancestors 'none'; base-uri 'self'; object-src 'none'; form-action 'self'"
    )


def principal_of(request: Request) -> Principal:
    """Who was let in. Raises `Unauthenticated` on a path that the gate leaves open."""
    principal = request.scope.get("rl_principal")
    if not isinstance(principal, Principal):
        raise Unauthenticated("Not signed in.")
    return principal
