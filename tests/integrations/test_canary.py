"""Eight planted secrets go through a whole promotion in which everybody around us tells them on:
afterwards they stand nowhere, in no form."""

from __future__ import annotations

import base64
import gzip
import io
import json
import logging
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from engine import wiring
from engine.adapters.clock_system import SystemClock
from engine.adapters.references import secret_from
from engine.api.app import PREFIX, in_process
from engine.api.metrics import exposition
from engine.catalog import BundleFiles
from engine.cli.exits import Ended
from engine.cli.main import _said
from engine.core.commands import Action, Command
from engine.core.errors import AdapterFailed
from engine.core.metrics import Reading, ReadingStatus
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.homes import create_home
from engine.identity import Principal
from engine.outside import Place
from engine.ports import DriverEvent, StageResult
from engine.redact import MARK
from engine.service import Asker
from engine.services import Services
from engine.settings import read_settings
from pages.ui import session
from tests.faults.outside_world import TARGETS, Fuse, SimClock, SimDriver, SimFleet, SimMetrics
from tests.integrations.kit import Server, consul_says, serving, vault_says

pytestmark = pytest.mark.house

PASSPHRASE = "correct horse of the canary"
EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPT = Path(__file__).parents[2] / "pages" / "console.py"
ENV = "eu-stage"
VALUES = {
    "env": 'canary-env/"q"\\+5a1c&é',
    "file": "canary-file-7b2d=+/x",
    "vault": "canary-vault 9c3e <&> y",
    "consul": "canary-consul/1d4f?z=1",
    "oidc": "canary-oidc-secret-8e5a~",
    "url password": "canary-url-pw-6f6b",
    "vault token": "canary-vault-token-2c7d",
}


def forms(value: str) -> dict[str, str]:
    return {
        "raw": value,
        "base64": base64.b64encode(value.encode()).decode(),
        "percent": quote(value, safe=""),
        "json": json.dumps(value)[1:-1],
    }


@dataclass
class Plot:
    """What everybody around us says, from the moment they know it."""

    clock: SimClock
    server: Server
    values: dict[str, str]
    told: list[str] = field(default_factory=list)

    def gossip(self, *names: str) -> str:
        return " | ".join(
            form for name in names or self.values for form in forms(self.values[name]).values()
        )


class TellingDriver(SimDriver):
    """Fails once, then works; tells everything in its lines and notes."""

    def __init__(self, plot: Plot, fleet: SimFleet) -> None:
        super().__init__(fleet, plot.clock, Fuse())
        self._plot, self._failed = plot, False

    def apply(self, plan: Any, *, emit: Callable[[DriverEvent], None], **given: Any) -> StageResult:
        def telling(said: DriverEvent) -> None:
            emit(replace(said, message=self._plot.gossip()))

        if not self._failed:
            self._failed = True
            raise AdapterFailed(f"ssh says: {self._plot.gossip()}", transient=True)
        result = super().apply(plan, emit=telling, **given)
        told = tuple(replace(one, note=self._plot.gossip()) for one in result.results)
        return replace(result, results=told)


class TellingMetrics(SimMetrics):
    """One reading fails, and tells why."""

    def __init__(self, plot: Plot, fleet: SimFleet) -> None:
        super().__init__(fleet, plot.clock)
        self._plot, self._reads = plot, 0

    def read(self, *, deadline_s: float) -> Reading:
        self._reads += 1
        if self._reads == 3:
            note = f"status 500: {self._plot.gossip()}"
            return Reading(at_us=self._plot.clock.now_us(), status=ReadingStatus.NODATA, note=note)
        return super().read(deadline_s=deadline_s)


def settings_text(url: str) -> str:
    """The example, with inputs of every source and a policy that is always content."""
    text = (EXAMPLES / "releaseline.yaml").read_text()
    text = text.replace("targets: [eu-stage-01, eu-stage-02]", f"targets: [{', '.join(TARGETS)}]")
    inputs = """    inputs:
      - {name: ENV_VALUE, from: "env:CANARY_ENV"}
      - {name: FILE_VALUE, from: "file:inputs/canary"}
      - {name: VAULT_VALUE, from: "vault:kv/eu-stage"}
      - {name: CONSUL_VALUE, from: "consul:eu-stage/value"}
"""
    text = text.replace(
        "    approval: {min_approvals: 0}", f"{inputs}    approval: {{min_approvals: 0}}"
    )
    servers = f"""integrations:
  servers:
    - name: vault
      kind: vault
      url: {url}
      auth: {{method: token, token: env:CANARY_VAULT_TOKEN}}
    - {{name: consul, kind: consul, url: {url}}}
    - {{name: jenkins, kind: jenkins, url: {url}, user: rl, token: env:CANARY_OIDC}}
"""
    return text.replace("\nretention:", f"\n{servers}retention:", 1)


def policy_text() -> str:
    head = (EXAMPLES / "release-gate.yaml").read_text().partition("rules:")[0]
    rule = """rules:
  - id: test.content
    level: FAIL
    over: '[1]'
    all: ['it > 10']
    subject: "'limit'"
    detail: "'over the limit'"
"""
    return head + rule


@pytest.fixture
def plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Plot, Services, Path]]:
    home = tmp_path / "home"
    create_home(home, passphrase=PASSPHRASE)
    clock = SimClock()
    # Time is simulated, and everything that the engine does with it is real.
    monkeypatch.setattr(SystemClock, "now_us", lambda _: clock.now_us())
    monkeypatch.setattr(SystemClock, "monotonic_s", lambda _: clock.monotonic_s())
    monkeypatch.setenv("CANARY_ENV", VALUES["env"])
    monkeypatch.setenv("CANARY_OIDC", VALUES["oidc"])
    monkeypatch.setenv("CANARY_VAULT_TOKEN", VALUES["vault token"])
    (home / "inputs" / "canary").write_text(VALUES["file"] + "\n")
    (home / "policies" / "release-gate.yaml").write_text(policy_text())
    (home / "policies" / "release-gate.tests.yaml").unlink()
    with serving() as server:
        (home / "releaseline.yaml").write_text(settings_text(server.url))
        services = wiring.build(read_settings(home), speed=15, passphrase=PASSPHRASE)
        told = Plot(clock, server, dict(VALUES))
        fleet = SimFleet()
        places: Any = services.outside.places
        places[ENV] = Place(
            driver=TellingDriver(told, fleet), metrics=TellingMetrics(told, fleet), runtime=None
        )
        try:
            yield told, services, tmp_path
        finally:
            services.stop()


def drive(services: Services, clock: SimClock, run_id: str, until: Callable[[Run], bool]) -> Run:
    for _ in range(2_000):
        wait_s = services.runner.advance(run_id)
        run = services.store.run(run_id)
        if run.terminal or until(run):
            return run
        clock.sleep(wait_s or 0.5)
    steps = [(s.id, s.status.value, s.gate and s.gate.reason) for s in run.steps]
    raise AssertionError(f"{run_id} never gets there: {run.status}, {steps}")


def promoted(services: Services, folder: Path) -> str:
    artifact = folder / "app.json"
    artifact.write_text('{"version": "1"}')
    files = BundleFiles(name="Shop", version="1.0", components=(artifact,))
    digest = services.catalog.create(files, actor="dev.eva").digest
    return services.service.promote(digest, ENV, Asker(user="ci-demo", service=True)).run_id


def step_is(step: str, *words: str) -> Callable[[Run], bool]:
    return lambda run: run.step(step).status.value in words


def play(plot: Plot, services: Services, folder: Path) -> tuple[str, dict[str, bytes]]:
    """The promotion with its failures. Returns the run, and what the doors said meanwhile."""
    server, clock, said = plot.server, plot.clock, dict[str, bytes]()
    ours = services.identity.create_token("ana.li", service=False, actor="test").token
    hook = "whsec_" + base64.b64encode(b"canary-webhook-secret-3a9e").decode()
    for name, value in (("OIDC", VALUES["oidc"]), ("HOOK", hook)):
        secret_from(f"env:{name}", services.home, {name: value}, what="secret")()
    plot.values |= {"token": ours, "webhook secret": hook}
    url = f"https://me:{VALUES['url password']}@hooks.example.com/x"
    leaking = {"errors": [plot.gossip("vault token", "env", "file")]}
    server.says("/v1/kv/data/eu-stage", leaking, 500)
    run_id = promoted(services, folder)
    drive(services, clock, run_id, step_is("inputs", "ERRORED"))
    vault_says(server, "kv/eu-stage", {"VAULT_VALUE": VALUES["vault"]})
    server.says("/v1/kv/eu-stage/value", plot.gossip("vault", "env").encode(), 500)
    drive(services, clock, run_id, lambda run: len(run.step("inputs").attempts) == 2)
    consul_says(server, "eu-stage/value", VALUES["consul"].encode())
    # From here on everything is known, but for what only looks like a secret.
    plot.values = {k: v for k, v in plot.values.items() if k not in ("url password", "token")}
    plot.values["webhook secret"] = hook
    drive(services, clock, run_id, step_is("canary-10", "RUNNING"))
    ana = Asker(user="ana.li")
    why = f"uses {ours} at {url} with {plot.gossip('oidc', 'consul')}, Bearer {ours}"
    services.service.ask(run_id, Command(action=Action.PAUSE, reason=why), ana)
    drive(services, clock, run_id, lambda run: run.status is RunStatus.PAUSED)
    services.service.ask(run_id, Command(action=Action.RESUME, reason=hook), ana)
    logging.getLogger("engine.canary").warning("at %s: %s", url, plot.gossip())
    try:
        raise RuntimeError(plot.gossip())
    except RuntimeError:
        logging.getLogger("engine.canary").exception("it failed with %s", ours)
    server.says("/api/json", plot.gossip().encode(), 500)
    server.says("/v1/sys/health", plot.gossip("vault token").encode(), 500)
    server.says("/v1/status/leader", plot.gossip().encode(), 500)
    run = drive(services, clock, run_id, lambda _: False)
    assert run.status is RunStatus.SUCCEEDED, run.label
    services.prober.look_at_all()
    return run_id, said | doors(services, run_id, plot, ours, hook)


def doors(services: Services, run_id: str, plot: Plot, ours: str, hook: str) -> Mapping[str, bytes]:
    person = Principal(user="ana.li", method="token")
    client = TestClient(in_process(services, person), base_url="http://127.0.0.1:8501")
    said = {}
    for path in (
        f"/runs/{run_id}",
        f"/runs/{run_id}/events",
        f"/runs/{run_id}/evidence/export",
        f"/runs/{run_id}/steps/inputs/logs",
        f"/runs/{run_id}/steps/canary-10/logs",
        f"/runs/{quote(ours, safe='')}",
        f"/bundles/{quote(VALUES['vault'], safe='')}",
        "/data-health",
        "/integrations",
    ):
        answer = client.get(f"{PREFIX}{path}")
        assert answer.status_code < 500, (path, answer.text)
        said[path] = answer.content
    wrong = client.post(f"{PREFIX}/runs/{run_id}/actions", json={"action": VALUES["env"]})
    assert wrong.status_code == 422
    said["problem"] = wrong.content
    said["/metrics"] = exposition(services).encode()
    return said


def shown(services: Services, run_id: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The pages, as text."""
    identity = services.identity
    secret = identity.redeem_link(identity.create_link("ana.li", actor="test"))
    monkeypatch.setattr(session, "cookie", lambda: secret)
    found = {}
    for page, parameters in (
        ("releases/run.py", {"run": run_id}),
        ("releases/step.py", {"run": run_id, "step": "inputs"}),
        ("releases/step.py", {"run": run_id, "step": "canary-10"}),
        ("operations/integrations.py", {"name": "vault"}),
    ):
        at = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
        at.switch_page(page)
        for name, value in parameters.items():
            at.query_params[name] = value
        at.run()
        assert not at.exception, at.exception
        tree = [str(element.proto) for element in at.main] + [str(at.sidebar)]
        found[f"{page} {parameters}"] = "\n".join(tree).encode()
    return found


def unpacked(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """The bytes, and everything that is packed in them."""
    yield name, content
    if content[:2] == b"\x1f\x8b":
        inner = gzip.decompress(content)
        yield from unpacked(f"{name}!", inner)
    if content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive.getmembers():
                file = archive.extractfile(member)
                if file is not None:
                    yield from unpacked(f"{name}!{member.name}", file.read())
    for match in _coded(content):
        yield f"{name}!base64", match


def _coded(content: bytes) -> Iterator[bytes]:
    """Payloads of envelopes, which are base64 of JSON."""
    try:
        document = json.loads(content)
    except ValueError:
        return
    payload = document.get("payload") if isinstance(document, dict) else None
    if isinstance(payload, str):
        yield base64.b64decode(payload)


def leaks(places: Mapping[str, bytes], values: Mapping[str, str]) -> list[str]:
    found = []
    for place, content in places.items():
        for name, packed in unpacked(place, content):
            for secret, value in values.items():
                for form, text in forms(value).items():
                    if text.encode() in packed:
                        at = packed.index(text.encode())
                        found.append(
                            f"{secret} ({form}) in {name}: {packed[max(0, at - 60) : at]!r}"
                        )
    return found


def test_no_planted_secret_is_left_anywhere(
    plot: tuple[Plot, Services, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told, services, folder = plot
    log = folder / "server.log"
    handler = logging.FileHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        run_id, said = play(told, services, folder)
        said |= shown(services, run_id, monkeypatch)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    values = {**VALUES, **told.values}
    token = next(v for k, v in told.values.items() if k == "webhook secret")
    assert token.startswith("whsec_")
    _said(True, Ended(1, f"it failed: {told.gossip()}", hint=told.gossip("oidc")))
    printed = capsys.readouterr()
    said["cli"] = (printed.out + printed.err).encode()
    services.stop()
    home = services.home
    hidden = {home / "keys", home / "inputs"}
    for path in home.rglob("*"):
        if path.is_file() and not hidden & set(path.parents):
            said[str(path.relative_to(home))] = path.read_bytes()
    said["server.log"] = log.read_bytes()
    assert {"releaseline.duckdb", "server.log", "cli", "/metrics", "problem"} <= said.keys()
    assert leaks(said, values) == []
    # It was told: a test in which nobody speaks would prove nothing.
    for place in ("server.log", "cli", "/runs/run-1/steps/canary-10/logs", "/integrations"):
        assert MARK.encode() in said[place], place
