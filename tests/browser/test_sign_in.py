"""Signing in at a real OpenID provider, in a real browser; and that an end is an end everywhere."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from engine.home import read_server_file
from engine.homes import create_home
from tests.interop.clients import NODE, PACKAGES
from tests.interop.conftest import want
from tests.journeys.product import ROOT, environment, free_port, marked, wait_for

pytestmark = pytest.mark.browser
API = "/api/v1"
SECRET = "the-client-secret-that-nobody-may-find"
CLAIMS = (
    {
        "sub": "a-1",
        "email": "ana.li@example.com",
        "email_verified": True,
        "groups": ["auditors", "everybody"],
    },
    {"sub": "a-2", "email": "ana.li@example.com", "email_verified": True},
    {"sub": "x-1", "email": "stranger@example.com", "email_verified": True},
)
SETTINGS = """
sign_in:
  oidc:
    name: Example SSO
    metadata_url: http://127.0.0.1:{idp}/.well-known/openid-configuration
    client_id: releaseline
    client_secret: env:TEST_CLIENT_SECRET
    redirect_uri: http://localhost:{port}/oauth2callback
    groups:
      - group: auditors
        roles: [{{role: auditor}}]
"""


PROVIDER = Path(__file__).with_name("provider.mjs")
MOCK, CERTIFIED = "oidc-provider-mock", "oidc-provider"


@dataclass
class Place:
    """`provider`: MOCK from PyPI, or CERTIFIED from npm, which requires PKCE."""

    home: Path
    url: str
    log: Path
    idp: str
    provider: str

    def token(self) -> dict[str, str]:
        """Of whoever has a shell on the home."""
        return {"Authorization": f"Bearer {(self.home / 'keys' / 'local-token').read_text()}"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Place]:
    """`a-1` has signed in once, so that account is ana.li's."""
    with served(tmp_path_factory.mktemp("sign-in"), browser, MOCK) as made:
        yield made


@pytest.fixture(scope="module")
def certified(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Place]:
    here = (PACKAGES / "oidc-provider").is_dir()
    want(request, here, "the provider is not in .tools/clients; ./run test --version gets it")
    with served(tmp_path_factory.mktemp("certified"), browser, CERTIFIED) as made:
        yield made


def command_of(provider: str, port: int, redirect: str) -> list[str]:
    if provider == MOCK:
        users = [word for one in CLAIMS for word in ("--user-claims", json.dumps(one))]
        return [sys.executable, "-m", "oidc_provider_mock", "-p", str(port), "-n", "true", *users]
    words = (PROVIDER, PACKAGES, port, redirect, SECRET, json.dumps(CLAIMS))
    return [str(NODE), *map(str, words)]


@contextmanager
def served(folder: Path, browser: Browser, kind: str) -> Iterator[Place]:
    home, log = folder / "home", folder / "out.log"
    create_home(home, passphrase="correct horse")
    port, idp = free_port(), free_port()
    (home / "releaseline.d").mkdir()
    (home / "releaseline.d" / "sign-in.yaml").write_text(SETTINGS.format(idp=idp, port=port))
    provider = command_of(kind, idp, f"http://localhost:{port}/oauth2callback")
    server = ["-m", "engine", "serve", "--home", str(home), "--port", str(port)]
    env = environment(RELEASELINE_KEY_PASSPHRASE="correct horse", TEST_CLIENT_SECRET=SECRET)
    with log.open("w") as out:
        shared: dict[str, Any] = {"stdout": out, "stderr": subprocess.STDOUT, "text": True}
        processes = [
            subprocess.Popen(provider, **shared),
            subprocess.Popen([sys.executable, *server], cwd=ROOT, env=env, **shared),
        ]
    try:
        wait_for("the server", lambda: read_server_file(home), timeout_s=120)
        where = f"http://127.0.0.1:{idp}"
        wait_for(
            "the provider",
            lambda: _answers(f"{where}/.well-known/openid-configuration"),
            timeout_s=60,
        )
        made = Place(home=home, url=f"http://localhost:{port}", log=log, idp=where, provider=kind)
        first = browser.new_context()
        first.set_default_timeout(60_000)
        sign_in(first, made)
        first.close()
        yield made
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in marked(folder):
            os.kill(pid, signal.SIGKILL)


def _answers(url: str) -> bool | None:
    try:
        return httpx.get(url, trust_env=False).is_success or None
    except httpx.TransportError:
        return None


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context()
    made.set_default_timeout(60_000)
    yield made
    made.close()


def at_provider(context: BrowserContext, place: Place, *, host: str = "localhost") -> Page:
    page = context.new_page()
    page.goto(f"{place.url.replace('localhost', host)}/run?run=run-1")
    expect(page.get_by_role("heading")).to_have_text("You are not signed in")
    page.get_by_role("link", name="Sign in with Example SSO").click()
    if place.provider == MOCK:
        expect(page.get_by_role("heading", name="Authorize Client")).to_be_visible()
    return page


def choose_account(page: Page, place: Place, sub: str) -> None:
    if place.provider == MOCK:
        page.get_by_role("button", name=sub, exact=True).click()
        return
    page.get_by_placeholder("Enter any login").fill(sub)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()  # it may read what it asked for


def sign_in(context: BrowserContext, place: Place, sub: str = "a-1", **more: str) -> Page:
    page = at_provider(context, place, **more)
    choose_account(page, place, sub)
    expect(page.get_by_text("Signed in as")).to_be_visible()
    return page


def session_of(context: BrowserContext) -> str:
    return next(c["value"] for c in context.cookies() if c["name"] == "rl_session")  # type: ignore[typeddict-item]


@pytest.mark.parametrize("provider", ["certified", pytest.param("place", marks=pytest.mark.long)])
def test_sign_in_click_sign_out_and_a_copied_cookie_is_worth_nothing(
    context: BrowserContext, browser: Browser, request: pytest.FixtureRequest, provider: str
) -> None:
    place: Place = request.getfixturevalue(provider)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    # From 127.0.0.1, while the provider knows localhost: the way there changes the address first.
    page = sign_in(context, place, host="127.0.0.1")
    assert page.url.startswith(place.url)
    way = next(url for url in asked if url.startswith(place.idp) and "client_id=" in url)
    for part in ("code_challenge_method=S256", "code_challenge=", "nonce=", "prompt=login"):
        assert part in way
    names = {c["name"] for c in context.cookies()}  # type: ignore[typeddict-item]
    assert "rl_session" in names and not any(n.startswith("_streamlit_user") for n in names)
    expect(page.get_by_text("auditor, release manager, sre")).to_be_visible()

    page.get_by_role("link", name="Reviews").click()
    expect(page.get_by_role("heading", name="Reviews")).to_be_visible()
    copied = context.storage_state()
    with context.expect_page() as popup:  # a link button opens a tab of its own
        page.get_by_role("link", name="Sign out").click()
    expect(popup.value.get_by_role("heading")).to_have_text("You are signed out")
    page.get_by_role("link", name="Promotions").click()
    expect(page.get_by_text("You are not signed in")).to_be_visible()

    thief = browser.new_context(storage_state=copied)
    stolen = thief.new_page()
    stolen.goto(place.url)
    expect(stolen.get_by_role("heading")).to_have_text("You are not signed in")
    assert thief.request.get(f"{place.url}{API}/runs").status == 401
    thief.close()


def test_an_ended_session_ends_in_the_open_tab_and_in_its_open_stream(
    context: BrowserContext, place: Place
) -> None:
    page = sign_in(context, place)
    cookie = {"Cookie": f"rl_session={session_of(context)}"}
    mine = httpx.get(f"{place.url}{API}/sessions", headers=cookie, trust_env=False).json()
    (here,) = [one for one in mine["items"] if one["current"]]
    assert (here["method"], here["issuer"]) == ("oidc", place.idp)
    gone = httpx.delete(
        f"{place.url}{API}/sessions/{here['id']}", headers=place.token(), trust_env=False
    )
    assert gone.status_code == 200
    page.get_by_role("link", name="Reviews").click()
    expect(page.get_by_text("You are not signed in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading")).to_have_text("You are not signed in")


@pytest.mark.parametrize(
    ("provider", "choose", "sentence", "code"),
    [
        ("place", "x-1", "your account is no person of the settings", "unknown"),
        ("place", "a-2", "another account signed in under your name", "account"),
        ("place", "Deny", "you, or it, declined", ""),
        ("certified", "x-1", "your account is no person of the settings", "unknown"),
        ("certified", "a-2", "another account signed in under your name", "account"),
    ],
)
def test_who_is_not_let_in_reads_why(
    context: BrowserContext,
    request: pytest.FixtureRequest,
    provider: str,
    choose: str,
    sentence: str,
    code: str,
) -> None:
    place: Place = request.getfixturevalue(provider)
    page = at_provider(context, place)
    choose_account(page, place, choose)
    expect(page.get_by_role("alert")).to_contain_text("The last sign-in failed:")
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    assert not any(c["name"] == "rl_session" for c in context.cookies())  # type: ignore[typeddict-item]
    if code:
        journal = b"".join(p.read_bytes() for p in (place.home / "journal").iterdir())
        assert re.search(rb'"action":"sign_in",[^{}]*"code":"%s"' % code.encode(), journal)


def test_the_way_back_without_having_gone_there_signs_nobody_in(place: Place) -> None:
    with httpx.Client(base_url=place.url, trust_env=False) as client:
        for query in ("", "?code=x&state=y", "?error=<script>", "?error=access_denied&state=1"):
            answer = client.get(f"/oauth2callback{query}")
            assert answer.status_code == 303 and "rl_session=" not in str(answer.headers)
            assert answer.headers["location"].startswith("/signed-out?why=")
        assert "<script>" not in client.get("/signed-out?why=<script>").text


def test_nobody_drives_the_pages_over_http(context: BrowserContext, place: Place) -> None:
    sign_in(context, place)
    cookie = {"Cookie": f"rl_session={session_of(context)}", "Origin": place.url}
    for path in ("interact", "openapi.json", "mcp"):
        url = f"{place.url}/_stcore/agent/{path}"
        for method in ("GET", "POST"):
            answer = httpx.request(method, url, headers=cookie, json={}, trust_env=False)
            assert answer.status_code == 404, path


def test_no_secret_stands_in_the_home_or_in_the_log(context: BrowserContext, place: Place) -> None:
    sign_in(context, place)
    secrets = [session_of(context), SECRET]
    wish = {"user": "ci-demo", "service": True}
    made = httpx.post(
        f"{place.url}{API}/tokens", json=wish, headers=place.token(), trust_env=False
    ).json()
    link = httpx.post(
        f"{place.url}{API}/links", json={"user": "ana.li"}, headers=place.token(), trust_env=False
    ).json()
    secrets += [made["token"], made["token"].split("_")[2], link["secret"]]
    files = [p for p in place.home.rglob("*") if p.is_file()]
    for path in [*files, place.log]:
        content = path.read_bytes()
        assert not [one for one in secrets if one.encode() in content], path


def test_a_revoked_token_ends_its_open_stream(place: Place) -> None:
    """The server has no run here, so the stream of the first one that is made is followed."""

    def ask(method: str, path: str, header: dict[str, str], **more: Any) -> httpx.Response:
        url = f"{place.url}{API}{path}"
        return httpx.request(method, url, headers=header, trust_env=False, timeout=60, **more)

    wish = {"user": "ci-demo", "service": True}
    made = ask("POST", "/tokens", place.token(), json=wish).json()
    ci = {"Authorization": f"Bearer {made['token']}"}
    parts = [("component", ("app.json", b"{}"))]
    bundle = ask("POST", "/bundles", ci, data={"name": "a", "version": "1"}, files=parts).json()
    run = ask(
        "POST", "/promotions", ci, json={"bundle": bundle["digest"], "environment": "eu-prod"}
    ).json()
    url = f"{place.url}{API}/runs/{run['id']}/stream"
    opened, kinds = threading.Event(), list[str]()

    def follow() -> None:
        with httpx.stream("GET", url, headers=ci, trust_env=False, timeout=60) as answer:
            for line in answer.iter_lines():
                opened.set()
                if line.startswith("event:"):
                    kinds.append(line[6:].strip())

    reader = threading.Thread(target=follow)
    reader.start()
    assert opened.wait(30)
    assert ask("DELETE", f"/tokens/{made['id']}", place.token()).status_code == 200
    reader.join(30)
    assert not reader.is_alive() and kinds[-1] == "signed_out"
    assert ask("GET", "/runs", ci).status_code == 401
