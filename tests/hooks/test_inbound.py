"""Calls from outside: who is believed, what they bring about, and what is on record of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from engine.adapters.guarded_http import GuardedHttp
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, NotFound, Refused, Unauthenticated
from engine.core.hook_events import HOOKS, HookReceived
from engine.core.hook_presets import Call, problem, replay_key, wishes
from engine.core.house import ADMIN, CommandRejected
from engine.core.webhook_signing import headers as signed_headers
from engine.core.webhook_signing import key_of, written
from engine.hooks.inbound import Inbound, Received
from engine.settings import InboundConfig, OutboundConfig
from tests.faults.small_house import ENV, SmallHouse, session_keys
from tests.hooks.kit import Clock

SECRET = "s3cret-of-the-sender"
WHSEC = written(b"w" * 32)
RELEASED = {
    "action": "published",
    "release": {"tag_name": "v1.3.0"},
    "repository": {"name": "app", "full_name": "acme/app"},
}


def github(body: Any, secret: str = SECRET, **headers: str) -> Call:
    raw = json.dumps(body).encode()
    mac = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return Call(headers={"x-hub-signature-256": f"sha256={mac}", **headers}, body=raw)


def standard(body: Any, secret: str = WHSEC, *, id: str = "m-1", at_s: float | None = None) -> Call:
    raw = json.dumps(body).encode()
    at = int(time.time() if at_s is None else at_s)
    return Call(headers=signed_headers([key_of(secret, where="")], id, at, raw), body=raw)


def hook(name: str, preset: str, **fields: Any) -> InboundConfig:
    given = {"secret": "env:HOOK", "former_secret": "", "user": "ci", "environment": ENV} | fields
    return InboundConfig(name=name, preset=preset, **given)  # type: ignore[arg-type]


@dataclass
class Files:
    """A server of files, which notes what it was asked."""

    port: int = 0
    at: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def files() -> Iterator[Files]:
    served = Files()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers.get("authorization", "")))
            content = served.at.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield served
    server.shutdown()
    server.server_close()


Receive = Callable[[str, Call], Received]


@dataclass
class World:
    house: SmallHouse
    inbound: Inbound

    def receive(self, name: str, call: Call) -> Received:
        return self.inbound.receive(name, call)

    def rejected(self) -> list[CommandRejected]:
        found = [one.event for one in self.house.real.load(ADMIN)]
        return [event for event in found if isinstance(event, CommandRejected)]


@pytest.fixture
def world(tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("HOOK", SECRET)
    monkeypatch.setenv("HOOK_OLD", "the one before")
    monkeypatch.setenv("WHSEC", WHSEC)
    monkeypatch.setenv("PULL", "pull-token")
    house = SmallHouse(tmp_path / "home", session_keys())
    sources = (f"{files.url}/v2/shop/", f"{files.url}/out/")
    settings = replace(
        house.settings,
        outbound=OutboundConfig(allowed_hosts=("127.0.0.1",)),
        hooks=(
            hook("gh", "github", former_secret="env:HOOK_OLD"),
            hook("gl", "gitlab"),
            hook("gl-signed", "gitlab", secret="env:WHSEC"),
            hook("std", "standard", secret="env:WHSEC", sources=sources, token="env:PULL"),
            hook("reg", "registry", sources=sources, environment=""),
            hook("viewer", "github", user="eve"),
            hook("maker", "standard", secret="env:WHSEC", sources=sources, user="eve"),
        ),
    )
    inbound = Inbound(
        store=house.real,
        clock=Clock(),
        settings=settings,
        service=house.service,
        catalog=house.catalog,
        http=GuardedHttp(settings.outbound.allowed),
    )
    yield World(house, inbound)
    house.close()


def test_a_release_is_promoted_once_by_whom_the_settings_say(world: World) -> None:
    digest = world.house.bundle("1.3.0")
    got = world.receive("gh", github(RELEASED, **{"x-github-delivery": "d-1"}))
    assert (got.what, got.runs, got.before) == (("release 1.3.0 published",), ("run-1",), False)
    run = world.house.real.run("run-1")
    assert (run.bundle, run.requested_by, run.environment) == (digest, "ci", ENV)
    # Again, under another delivery id: nothing signs that, so it changes nothing.
    again = world.receive("gh", github(RELEASED, **{"x-github-delivery": "d-2"}))
    assert again == replace(got, before=True)
    assert world.house.real.last_run_number() == 1
    (received,) = [one.event for one in world.house.real.load(HOOKS)]
    assert isinstance(received, HookReceived) and received.delivery == "d-1"


def test_the_secret_before_is_still_believed_and_no_other(world: World) -> None:
    world.house.bundle("1.3.0")
    assert world.receive("gh", github(RELEASED, "the one before")).runs == ("run-1",)
    for call in (
        github(RELEASED, "another"),
        Call(headers={}, body=b"{}"),
        Call(headers={"x-hub-signature-256": "sha256="}, body=b"{}"),
        Call(headers={"x-hub-signature-256": "sha1=abc"}, body=b"{}"),
        replace(github(RELEASED), body=b"{}"),
    ):
        with pytest.raises(Unauthenticated):
            world.receive("gh", call)
    with pytest.raises(NotFound):
        world.receive("nobody", github(RELEASED))
    codes = [event.code for event in world.rejected()]
    assert codes == ["bad_signature", "unsigned", "unknown"]  # one a minute of each kind


def test_a_flood_of_bad_calls_is_counted_and_not_written_down(world: World) -> None:
    for _ in range(200):
        with pytest.raises(Unauthenticated):
            world.receive("gh", github(RELEASED, "another"))
    assert len(world.rejected()) == 1
    world.inbound._clock.forward(61)  # type: ignore[attr-defined]
    with pytest.raises(Unauthenticated):
        world.receive("gh", github(RELEASED, "another"))
    assert world.rejected()[-1].reason.endswith("199 like it came before.")


def test_gitlab_by_token_and_by_signature(world: World) -> None:
    world.house.bundle("2.0")
    body = {
        "object_kind": "release",
        "action": "create",
        "tag": "v2.0",
        "project": {"path_with_namespace": "acme/platform/app"},
    }
    raw = json.dumps(body).encode()
    got = world.receive("gl", Call(headers={"x-gitlab-token": SECRET}, body=raw))
    assert got.runs == ("run-1",)
    signed = world.receive("gl-signed", standard(body))
    assert signed.runs == ("run-2",)
    with pytest.raises(Unauthenticated):
        world.receive("gl", Call(headers={"x-gitlab-token": SECRET + "x"}, body=raw))
    with pytest.raises(Unauthenticated):  # where a signature is there, it is what counts
        world.receive(
            "gl-signed",
            Call(headers={"x-gitlab-token": WHSEC, "webhook-signature": "v1,eA=="}, body=raw),
        )


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_call_of_another_time_is_refused(world: World, minutes: int) -> None:
    call = standard({"data": {"bundle": "sha256:" + "a" * 64}}, at_s=time.time() + 60 * minutes)
    with pytest.raises(Unauthenticated, match="more than 5 minutes"):
        world.receive("std", call)


def test_what_the_worlds_library_signs_is_believed(world: World) -> None:
    digest = world.house.bundle("x")
    raw = json.dumps({"type": "bundle.ready", "data": {"bundle": str(digest)}})
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "m-7",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": "v1,AAAA " + Webhook(WHSEC).sign("m-7", now, raw),
    }
    assert world.receive("std", Call(headers=headers, body=raw.encode())).runs == ("run-1",)


def test_a_bundle_is_made_of_what_is_named_and_only_of_what_its_digest_says(
    world: World, files: Files
) -> None:
    files.at = {"/out/app.bin": b"app", "/out/sbom.json": b"{}", "/out/evil.bin": b"changed"}

    def call(url: str, content: bytes, id: str) -> Call:
        component = {"name": "app.bin", "url": url, "sha256": hashlib.sha256(content).hexdigest()}
        sbom = {
            "name": "s.json",
            "url": f"{files.url}/out/sbom.json",
            "sha256": hashlib.sha256(b"{}").hexdigest(),
        }
        data = {"name": "app", "version": "3", "components": [component], "sboms": [sbom]}
        return standard({"type": "built", "data": data}, id=id)

    got = world.receive("std", call(f"{files.url}/out/app.bin", b"app", "a"))
    bundle = world.house.catalog.find(got.bundles[0])
    assert (bundle.label, bundle.created_by) == ("app 3", "ci")
    assert [c.digest for c in bundle.components] == [Digest.of(b"app")]
    assert [a.kind for a in bundle.attachments] == ["sbom"]
    assert world.house.real.run(got.runs[0]).bundle == bundle.digest
    assert set(files.asked) == {
        ("/out/app.bin", "Bearer pull-token"),
        ("/out/sbom.json", "Bearer pull-token"),
    }
    with pytest.raises(Malformed, match="digest mismatch"):
        world.receive("std", call(f"{files.url}/out/evil.bin", b"app", "b"))
    asked = len(files.asked)
    for n, url in enumerate(
        (
            f"{files.url}/elsewhere/app.bin",
            f"{files.url}/out/../elsewhere/app.bin",
            f"{files.url}/out/..?x=1",
            f"{files.url}/out/%2e%2e/elsewhere/app.bin",
            f"{files.url}/outer/app.bin",
            f"http://127.0.0.1:{files.port + 1}/out/app.bin",
        )
    ):
        with pytest.raises(Refused, match="not below a source"):
            world.receive("std", call(url, b"app", f"c-{n}"))
    assert len(files.asked) == asked
    with pytest.raises(AdapterFailed, match="status 404"):
        world.receive("std", call(f"{files.url}/out/none.bin", b"app", "d"))


def test_a_push_to_a_registry_makes_a_bundle_of_its_layers(world: World, files: Files) -> None:
    layer = b"layer bytes"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "layers": [
                {
                    "digest": str(Digest.of(layer)),
                    "size": len(layer),
                    "annotations": {"org.opencontainers.image.title": "../../app.bin"},
                }
            ],
        }
    ).encode()
    digest = str(Digest.of(manifest))
    files.at = {
        f"/v2/shop/manifests/{digest}": manifest,
        f"/v2/shop/blobs/{Digest.of(layer)}": layer,
    }
    target = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "repository": "shop",
        "tag": "v4.0",
        "url": f"{files.url}/v2/shop/manifests/{digest}",
    }
    pushed = {
        "events": [
            {"action": "pull", "target": target},
            {"action": "push", "target": target},
            {"action": "push", "target": {"mediaType": "application/octet-stream"}},
        ]
    }
    call = Call(headers={"authorization": f"Bearer {SECRET}"}, body=json.dumps(pushed).encode())
    got = world.receive("reg", call)
    (made,) = got.bundles
    bundle = world.house.catalog.find(made)
    assert (bundle.label, [c.name for c in bundle.components]) == ("shop 4.0", ["app.bin"])
    assert got.runs == ()
    with pytest.raises(Unauthenticated):
        world.receive("reg", replace(call, headers={"authorization": f"Basic {SECRET}"}))


def test_a_call_has_the_rights_of_its_person_and_no_more(world: World, files: Files) -> None:
    world.house.bundle("1.3.0")
    with pytest.raises(Refused, match="eve may not request promotions"):
        world.receive("viewer", github(RELEASED))
    component = {"name": "a", "url": f"{files.url}/out/a", "sha256": "a" * 64}
    data = {"name": "app", "version": "9", "components": [component]}
    with pytest.raises(Refused, match="eve may not create bundles"):
        world.receive("maker", standard({"data": data}))
    assert files.asked == [] and world.house.real.last_run_number() == 0
    assert [event.action for event in world.rejected()] == ["promote", "create_bundle"]


def test_what_was_refused_may_be_sent_again(world: World) -> None:
    with pytest.raises(NotFound, match="no bundle app"):
        world.receive("gh", github(RELEASED))
    world.house.bundle("1.3.0")
    assert world.receive("gh", github(RELEASED)).runs == ("run-1",)


def test_what_is_about_nothing_here_is_taken_and_does_nothing(world: World) -> None:
    for body in (
        {"zen": "Design for failure.", "hook_id": 1},
        {"action": "created", "release": {"tag_name": "v1"}, "repository": {"name": "a"}},
    ):
        assert world.receive("gh", github(body)) == Received(hook="gh")
    assert world.house.real.version(HOOKS) == 0


def test_the_body_names_a_call_whose_id_nobody_signed() -> None:
    one, other = github(RELEASED, **{"x-github-delivery": "1"}), github(RELEASED)
    assert replay_key("github", one) == replay_key("github", other)
    # Words of another preset, which nobody signed here, don't make it another call.
    foreign = {"webhook-signature": "v1,x", "webhook-id": "new"}
    assert replay_key("github", github(RELEASED, **foreign)) == replay_key("github", one)
    first, second = standard(RELEASED, id="a"), standard(RELEASED, id="b")
    assert replay_key("standard", first) != replay_key("standard", second)


FIELDS = (
    "action",
    "release",
    "repository",
    "name",
    "tag_name",
    "deployment",
    "data",
    "payload",
    "bundle",
    "events",
    "target",
    "mediaType",
    "digest",
    "tag",
    "url",
    "components",
    "sha256",
    "object_kind",
    "project",
    "version",
    "type",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(st.sampled_from(["github", "gitlab", "registry", "standard"]), JSON | st.binary(max_size=40))
def test_any_body_is_understood_or_refused_in_words(preset: str, body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        found = wishes(preset, Call(headers={}, body=raw))
    except Malformed as wrong:
        assert ": " in str(wrong)
        return
    for wish in found:
        assert wish.digest is not None or (wish.name and wish.version)


@given(
    st.sampled_from(["github", "gitlab", "registry", "standard"]),
    st.dictionaries(
        st.sampled_from(
            [
                "x-hub-signature-256",
                "x-gitlab-token",
                "authorization",
                "webhook-id",
                "webhook-timestamp",
                "webhook-signature",
            ]
        ),
        st.text(max_size=50) | st.sampled_from(["v1,", "sha256=", "Bearer ", "0"]),
    ),
    st.binary(max_size=20),
)
def test_nothing_unsigned_is_ever_proven(preset: str, headers: dict[str, str], body: bytes) -> None:
    secret = WHSEC if preset == "standard" else base64.b64encode(b"x" * 30).decode()
    assert problem(preset, Call(headers=headers, body=body), [secret], now_s=0)
