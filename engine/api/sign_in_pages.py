"""The pages of somebody who is not signed in. They need nothing of the console."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

_STYLE: Final = (
    "<style>:root{color-scheme:light dark;--ink:#18202c;--soft:#525d6b;--line:#dde2ea;"
    "--card:#fff;--page:#f5f6f9;--go:#3048c8;--code:#f3f5f8;--bad:#97211b;--badbg:#fcebea}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6eaf1;--soft:#a9b4c2;--line:#28313d;"
    "--card:#151b24;--page:#0c1016;--go:#4f6bea;--code:#1c232d;--bad:#ff9f98;--badbg:#331715}}"
    "*{box-sizing:border-box}body{font:15px/1.5 Inter,system-ui,sans-serif;margin:0;display:grid;"
    "place-items:center;min-height:100vh;background:var(--page);color:var(--ink)}"
    "main{width:min(30rem,calc(100vw - 2rem));padding:2rem;background:var(--card);"
    "border:1px solid var(--line);border-radius:12px}"
    "img{height:28px;display:block;margin-bottom:1.25rem}h1{font-size:1.3rem;margin:0 0 .5rem}"
    "p{margin:.5rem 0;color:var(--soft)}code{background:var(--code);color:var(--ink);"
    "padding:.5rem .65rem;border-radius:6px;display:block;overflow-x:auto;font-size:.85rem}"
    ".go{display:block;text-align:center;margin:1.25rem 0;padding:.65rem 1rem;border-radius:8px;"
    "background:var(--go);color:#fff;font-weight:600;text-decoration:none}"
    ".go:focus-visible{outline:3px solid var(--ink);outline-offset:2px}"
    ".bad{background:var(--badbg);color:var(--bad);border-radius:8px;padding:.65rem .85rem}"
    "</style>"
)
_HEAD: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width,initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    f"<title>Releaseline</title>{_STYLE}"
    '<main><picture><source srcset="/app/static/logo-dark.svg" '
    'media="(prefers-color-scheme:dark)">'
    '<img src="/app/static/logo-light.svg" alt="Releaseline"></picture>'
)
FIRST_RUN: Final = (
    _HEAD + '<h1>Signing you in …</h1><p id="said" role="status"></p></main>'
    '<script src="/sign-in/script.js"></script></html>'
)
SCRIPT: Final = """
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
# Words of ours only: what comes from outside is never shown here.
_WHY: Final[Mapping[str, str]] = {
    "denied": "the provider says that you, or it, declined.",
    "provider": "the provider gave no usable answer. Try again; if it stays so, an admin finds "
    "the reason in the server's log.",
    "stale": "the provider's word was too old. Try again.",
    "incomplete": "the provider does not say what is needed to know you by. An admin has to look "
    "at sign_in in the settings.",
    "unverified": "the provider has not verified your e-mail address.",
    "domain": "accounts of your domain may not sign in here.",
    "unknown": "your account is no person of the settings here. An admin has to add you.",
    "account": "another account signed in under your name before. An admin has to release it.",
}


def signed_out_page(provider: str, why: str) -> str:
    """Args:
    provider: what the OpenID provider is called; empty when people sign in by links only.
    why: code of the last sign-in's failure; one that is not known says nothing.
    """
    head = "You are signed out" if why == "signed-out" else "You are not signed in"
    parts = [_HEAD, f"<h1>{head}</h1>"]
    if why in _WHY:
        parts.append(f'<p class="bad" role="alert">The last sign-in failed: {_WHY[why]}</p>')
    if provider:
        parts.append(f'<a class="go" href="/sign-in/oidc">Sign in with {escape(provider)}</a>')
        parts.append("<p>Or with a one-time link, made on the server's machine:</p>")
    else:
        parts.append(
            "<p>Open the one-time link that was printed when the server started, or make a new one "
            "on that machine:</p>"
        )
    parts.append("<p><code>./run admin link --user YOUR.NAME</code></p></main></html>")
    return "".join(parts)
