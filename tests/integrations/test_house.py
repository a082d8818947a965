"""A whole house with integrations: settings to probes, API, banner and page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from engine import wiring
from engine.adapters.clock_system import SystemClock
from engine.adapters.feeds_dir import write_index
from engine.api.app import PREFIX, in_process
from engine.api.metrics import exposition
from engine.cli.doctor import inputs, integrations
from engine.core.data_health import DataHealth, Level, Source
from engine.core.house import ADMIN, CommandRejected
from engine.homes import create_home
from engine.identity import Principal
from engine.services import Services
from engine.settings import read_settings
from engine.settings_hooks import WebhookConfig
from engine.wiring_integrations import probes_of
from pages.ui import health, session
from tests.integrations.kit import Server, consul_says, serving, vault_says
from tests.pages.reading import components, texts

pytestmark = pytest.mark.house

PASSPHRASE = "correct horse of the integrations"
SCRIPT = Path(__file__).parents[2] / "pages" / "console.py"
US = 1_000_000


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Services, Server]]:
    home = tmp_path_factory.mktemp("integrations") / "home"
    create_home(home, passphrase=PASSPHRASE)
    write_index(home / "feeds", dict.fromkeys(("NVD", "OSV", "KEV"), int(time.time()) - 600))
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOUSE_VAULT_TOKEN", "vault-token-of-the-house-5a1c")
        text = (home / "releaseline.yaml").read_text()
        servers = f"""integrations:
  servers:
    - name: vault
      kind: vault
      url: {server.url}
      auth: {{method: token, token: env:HOUSE_VAULT_TOKEN}}
    - {{name: consul, kind: consul, url: {server.url}}}
    - {{name: jenkins, kind: jenkins, url: {server.url}}}
"""
        text = text.replace("\nretention:", f"\n{servers}retention:", 1)
        text = text.replace('"env:DB_PASSWORD"', '"vault:kv/eu-prod"', 1)
        text = text.replace('"file:inputs/service.json"', '"consul:eu-prod/service"', 1)
        old = "type: router "
        text = text.replace(old, f"type: prometheus\n      url: {server.url}/prom ", 1)
        (home / "releaseline.yaml").write_text(text)
        services = wiring.build(read_settings(home), passphrase=PASSPHRASE)
        server.says("/v1/sys/health", {"initialized": True, "sealed": True, "version": "2"}, 503)
        server.says("/v1/status/leader", "10.0.0.1:8300")
        server.says("/api/json", {"quietingDown": True}, X_Jenkins="2.5")
        try:
            yield services, server
        finally:
            services.stop()


@pytest.fixture
def asking(rig: tuple[Services, Server]) -> Callable[[str], TestClient]:
    def client(user: str) -> TestClient:
        principal = Principal(user=user, method="token")
        return TestClient(in_process(rig[0], principal), base_url="http://127.0.0.1:8501")

    return client


def test_before_the_first_look_everything_is_unknown(
    rig: tuple[Services, Server], asking: Callable[[str], TestClient]
) -> None:
    answer = asking("bob.smith").get(f"{PREFIX}/integrations").json()
    items = {one["name"]: one for one in answer["items"]}
    assert list(items) == ["consul", "jenkins", "prometheus", "vault"]
    assert {one["level"] for one in items.values()} == {"UNKNOWN"}
    assert items["vault"]["depends"] == ["inputs of eu-prod (DB_PASSWORD)"]
    gates = ["health gates of eu-stage", "health gates of eu-prod"]
    assert items["prometheus"]["depends"] == gates
    whole = asking("bob.smith").get(f"{PREFIX}/data-health").json()
    assert whole["level"] == "FAIL"  # the engine of this house does not step
    assert {"engine", "feeds", "sources", "line"} <= whole.keys()


def test_a_round_finds_what_is_so_and_what_it_blocks(rig: tuple[Services, Server]) -> None:
    services, _ = rig
    services.prober.look_at_all()
    levels = {one.name: one.level for one in services.prober.integrations()}
    assert levels == {
        "vault": Level.FAIL,
        "consul": Level.OK,
        "jenkins": Level.WARN,
        "prometheus": Level.FAIL,
    }
    odd = {one.name: one for one in services.health.now().odd}
    assert odd["vault"].blocks == ("inputs of eu-prod (DB_PASSWORD)",)
    assert odd["jenkins"].blocks == ()
    stage = {one.name for one in services.health.now("eu-stage").sources}
    assert "vault" not in stage and "prometheus" in stage  # what it does not rest on is left out


def test_a_probe_needs_a_role_and_a_denied_one_is_on_record(
    rig: tuple[Services, Server], asking: Callable[[str], TestClient]
) -> None:
    services, _ = rig
    denied = asking("bob.smith").post(f"{PREFIX}/integrations/vault/probe")
    assert (denied.status_code, denied.json()["code"]) == (403, "role")
    rejected = [r.event for r in services.store.load(ADMIN) if isinstance(r.event, CommandRejected)]
    assert rejected[-1].action == "probe_integration"
    assert asking("ana.li").post(f"{PREFIX}/integrations/nothing/probe").status_code == 404
    asked = asking("ana.li").post(f"{PREFIX}/integrations/vault/probe")
    assert (asked.status_code, asked.json()["name"]) == (202, "vault")
    services.prober.wait()


def test_the_page_and_the_banner_say_it(
    rig: tuple[Services, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    services, server = rig
    services.prober.look_at_all()
    identity = services.identity
    secret = identity.redeem_link(identity.create_link("ana.li", actor="test"))
    monkeypatch.setattr(session, "cookie", lambda: secret)
    at = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
    at.switch_page("operations/integrations.py").run()
    assert not at.exception
    said = texts(at)
    assert "1 of 4 integrations OK; vault FAIL; jenkins WARN; prometheus FAIL" in said
    assert at.button(key="integrations.probe").disabled
    (banner,) = at.error
    assert "[vault does not work" in banner.value and "(/integrations?name=vault)" in banner.value
    assert "blocks inputs of eu-prod" in banner.value.replace("\\", "")
    at.query_params["name"] = "vault"
    at.run()
    assert not at.button(key="integrations.probe").disabled
    before = len(server.asked)
    at.button(key="integrations.probe").click().run()
    services.prober.wait()
    assert not at.exception
    assert len(server.asked) > before
    rows = components(at)["ledger"]["rows"]
    assert isinstance(rows, list) and len(rows) == 1
    assert rows[0]["cells"][1]["look"]["word"] == "FAIL"
    assert rows[0]["cells"][1]["sub"] in {"it is sealed", "being looked at now"}


def test_its_levels_are_metrics(rig: tuple[Services, Server]) -> None:
    services, _ = rig
    services.prober.look_at_all()
    lines = exposition(services).splitlines()
    assert 'releaseline_integration_level{name="vault",kind="vault"} 2' in lines
    assert 'releaseline_integration_level{name="consul",kind="consul"} 0' in lines


def test_doctor_looks_too(rig: tuple[Services, Server]) -> None:
    services, server = rig
    found = {check.name: (check.level, check.told) for check in integrations(services.settings)}
    assert set(found) == {"vault vault", "consul consul", "jenkins jenkins"}
    assert found["vault vault"][0] == "warn" and "sealed" in found["vault vault"][1]
    assert found["consul consul"][0] == "ok"
    vault_says(server, "kv/eu-prod", {"other": "x"})
    consul_says(server, "eu-prod/service", b"{}")
    (check,) = inputs(services.settings)
    assert check.told == "not found from here: DB_PASSWORD (vault:kv/eu-prod)"
    server.says("/v1/kv/data/eu-prod", {"errors": ["permission denied"]}, 403)
    (check,) = inputs(services.settings)
    assert check.told == "Vault, DB_PASSWORD (vault:kv/eu-prod): status 403, permission denied"


def test_receivers_of_the_settings_are_reached_too(rig: tuple[Services, Server]) -> None:
    services, server = rig
    one = WebhookConfig(
        name="chat",
        url=f"{server.url}/hooks/s3cret-path",
        secret="",
        former_secret="",
        events=(),
        environments=(),
        format="slack",
    )
    elsewhere = replace(one, name="hidden", url="env:HOOK_URL")
    settings = replace(services.settings, webhooks=(one, elsewhere))
    found = probes_of(settings, {}, SystemClock())[-1].probe
    assert (found.name, found.kind, found.address) == ("webhook-chat", "webhook", server.url)
    before = len(server.asked)
    assert found.probe(deadline_s=5.0).level is Level.OK
    assert len(server.asked) == before


def source(kind: str, name: str, level: Level, **more: object) -> Source:
    return Source(kind=kind, name=name, level=level, text=f"{name} {level}", **more)  # type: ignore[arg-type]


def test_the_banner_is_one_line_with_ways_to_what_is_wrong() -> None:
    now_us = 1_796_043_200 * US
    fine = source("engine", "engine", Level.OK)
    assert health.banner(DataHealth(sources=(fine,)), now_us=now_us) is None
    odd = (
        source("feed", "NVD", Level.WARN, since_us=now_us - 3_600 * US),
        source(
            "integration",
            "vault",
            Level.FAIL,
            blocks=("inputs of x",),
            since_us=now_us - 86_400 * US,
        ),
    )
    found = health.banner(DataHealth(sources=(fine, *odd)), now_us=now_us)
    assert found is not None
    assert (found.level, found.title) == (Level.FAIL, "Data health: FAIL")
    assert found.markdown == (
        "[vault FAIL](/integrations?name=vault) since Nov 29, 12\\:53 UTC, blocks inputs of x"
        " | [NVD WARN](/feeds?feed=NVD) since 11\\:53 UTC"
    )
    many = tuple(source("integration", f"i{n}", Level.WARN) for n in range(9))
    more = health.banner(DataHealth(sources=many), now_us=now_us)
    assert more is not None and more.markdown.endswith("| [5 more](/integrations?name=i4)")
    dead = health.banner(
        DataHealth(sources=(source("engine", "engine", Level.FAIL),)), now_us=now_us
    )
    assert dead is not None and dead.title == health.ENGINE
