"""Plays promotions through the HTTP API, as the people and the pipeline of the demo would.

The player holds no power of its own: each call carries the token of the person it plays, and the
server decides. Only the fleet's first bundle is brought up directly, since there is no run yet.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from engine.api.app import PREFIX
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, ReleaselineError
from engine.core.plan import plan_stage
from engine.core.statemachine import TERMINAL, RunStatus
from engine.demo.bundles import Artifacts, build
from engine.evidence.verify import verify_pack
from engine.services import Services

REQUESTER: Final = "ci-demo"
APPROVERS: Final = (
    ("bob.smith", "NVD is three hours old and nothing newer touches us; fine with me"),
    ("carol.wu", "runtime coverage is low but no finding is reachable; approved"),
)
OPERATOR: Final = "ana.li"
# A tenth of it reaches the first canary, and the gate wants 300 requests in its window, which
# `--speed` shortens: so a faster demo needs more traffic to know as much.
_LOAD_RPS_MIN: Final = 300
_LOAD_RPS_PER_SPEED: Final = 16
_POLL_S: Final = 0.5
# The gate measures how noisy the traffic is before it judges a release by it; less than 30 s of
# history tells it nothing (decided with the gate).
_HISTORY_S: Final = 35.0
_BRING_UP_S: Final = 60.0


class DemoFailed(ReleaselineError):
    """The scenario did not go as it should; the message says what was expected and found."""


class Stopped(Exception):
    """The demo was told to stop while it waited."""


class Player:
    """Args:
    speed: divisor of the workflow's waiting times.
    say: prints one line for the person in front of the terminal.
    stopping: set when the demo has to end.
    """

    def __init__(
        self,
        services: Services,
        *,
        speed: int,
        say: Callable[[str], None],
        stopping: threading.Event,
    ) -> None:
        self._services, self._speed, self.say, self._stopping = services, speed, say, stopping
        url = services.settings.server.url
        self._http = httpx.Client(base_url=f"{url}{PREFIX}", timeout=30, trust_env=False)
        self._tokens: dict[str, str] = {}
        self._folder = services.home / "artifacts"
        self._load_since_s: float | None = None

    def close(self) -> None:
        self._http.close()

    def wait(self, seconds: float) -> None:
        """Raises `Stopped` when the demo is told to stop meanwhile."""
        if self._stopping.wait(seconds):
            raise Stopped

    def call(self, user: str, method: str, path: str, **more: Any) -> Any:
        """Ask the API as `user`. Raises `DemoFailed` with the problem's sentence."""
        if user not in self._tokens:
            self._tokens[user] = self._services.identity.create_token(
                user, service=user == REQUESTER, actor="engine"
            ).token
        response = self._http.request(
            method, path, headers={"Authorization": f"Bearer {self._tokens[user]}"}, **more
        )
        if response.is_success:
            kind = response.headers.get("content-type", "")
            return response.json() if kind.startswith("application/json") else response
        detail = response.json().get("detail", response.text)
        raise DemoFailed(f"{user}: {method} {path} -> {response.status_code}: {detail}")

    def _story(self, run_id: str) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            page = {"after": after}
            answer = self.call(OPERATOR, "GET", f"/runs/{run_id}/story", params=page)
            lines += answer["lines"]
            after = answer["next"]
        return lines

    def bundle(self, kind: str) -> dict[str, Any]:
        """Build a bundle's artifacts and register it; the same `kind` gives a new build."""
        made = build(kind, self._folder / kind)
        answer: dict[str, Any] = self.call(
            REQUESTER,
            "POST",
            "/bundles",
            data={"name": made.name, "version": made.version},
            files=_parts(made),
        )
        self.say(f"bundle {made.name} {made.version}: {answer['digest']}")
        return answer

    def bring_up(self, environment: str, bundle: Callable[[], Digest]) -> None:
        """Bring every target of the environment that runs nothing yet to `bundle`."""
        place = self._services.outside.places[environment]
        targets = self._services.settings.environment(environment).targets
        seen = place.driver.observe(deadline_s=10).by_target()
        missing = [t for t in targets if t not in seen or seen[t].digest is None]
        if not missing:
            return
        digest = bundle()
        plan = plan_stage(
            run_id="bring-up",
            step="bring-up",
            environment=environment,
            bundle=digest,
            targets=missing,
            observed={},
        )
        began_s = time.monotonic()
        result = place.driver.apply(
            plan,
            op_id=f"bring-up/{environment}",
            epoch=max((s.epoch for s in seen.values()), default=0),
            deadline_s=_BRING_UP_S,
            cancel=self._stopping,
            emit=lambda _event: None,
        )
        if not result.ok:
            bad = ", ".join(f"{r.target}: {r.note or r.outcome}" for r in result.results)
            raise AdapterFailed(f"{environment} did not come up: {bad}", transient=False)
        self.say(
            f"{environment}: {len(missing)} service processes up in "
            f"{time.monotonic() - began_s:.1f} s, each serving {digest.short}"
        )

    def load(self, environment: str) -> None:
        """Have real requests sent to the environment's router from now on."""
        rate_rps = max(_LOAD_RPS_MIN, _LOAD_RPS_PER_SPEED * self._speed)
        self._services.fleets[environment].ensure_load(rate_rps)
        if self._load_since_s is None:
            self._load_since_s = time.monotonic()
            self.say(f"{environment}: {rate_rps} requests/s through the router")

    def no_load(self, environment: str) -> None:
        self._services.fleets[environment].stop_load()
        self._load_since_s = None
        self.say(f"{environment}: the load generator was stopped, no request arrives")

    def promote(self, digest: str, environment: str, reason: str) -> str:
        answer = self.call(
            REQUESTER,
            "POST",
            "/promotions",
            json={"bundle": digest, "environment": environment, "reason": reason},
        )
        self.say(f"{answer['id']}: {REQUESTER} asks for the promotion to {environment}")
        return str(answer["id"])

    def play(
        self,
        run_id: str,
        *,
        until: frozenset[RunStatus],
        timeout_s: float,
        on_status: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Tell the run's story as it happens, approving when it asks, until a status is reached."""
        told, deadline_s = 0, time.monotonic() + timeout_s
        while True:
            run: dict[str, Any] = self.call(OPERATOR, "GET", f"/runs/{run_id}")
            lines = self._story(run_id)
            for line in lines[told:]:
                self.say(_line(line))
            told = len(lines)
            status = RunStatus(run["status"])
            if status in until or status in TERMINAL:
                return run
            if status is RunStatus.AWAITING_APPROVAL:
                self._approve(run_id)
            if on_status is not None:
                on_status(run_id, run)
            if time.monotonic() > deadline_s:
                raise DemoFailed(f"{run_id} is still {status} after {timeout_s:.0f} s")
            self.wait(_POLL_S)

    def act(self, user: str, run_id: str, action: str, **more: Any) -> None:
        body = {"action": action, **more}
        self.call(user, "POST", f"/runs/{run_id}/actions", json=body)

    def export(self, run_id: str, kind: str) -> Path:
        """Export a pack as the auditor does and keep it in the home's `exports` folder."""
        response = self.call(OPERATOR, "GET", f"/runs/{run_id}/evidence/export?kind={kind}")
        name = response.headers["content-disposition"].partition('filename="')[2].rstrip('"')
        folder = self._services.home / "exports" / run_id
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / Path(name).name
        path.write_bytes(response.content)
        return path

    def verify(self, pack: Path) -> None:
        """Check a pack against the home's own trusted root. Raises `DemoFailed`."""
        root = (self._services.home / "trusted_root.json").read_bytes()
        report = verify_pack(pack, trusted_root=root)
        failed = [check for check in report.checks if not check.ok]
        if failed:
            raise DemoFailed(f"{pack} does not verify: {failed[0]}")
        self.say(f"{pack}: {len(report.checks)} checks passed")
        self.say(
            f"check it yourself: ./run verify {pack} "
            f"--trusted-root-sha256 {hashlib.sha256(root).hexdigest()}"
        )

    def on_bundle(self, environment: str, digest: str) -> int:
        """How many targets are seen to run `digest` and are healthy, by asking them."""
        seen = self._services.outside.places[environment].driver.observe(deadline_s=10)
        return sum(str(t.digest) == digest and t.healthy is True for t in seen.targets)

    def _approve(self, run_id: str) -> None:
        self._enough_history()
        asked = self.call(OPERATOR, "GET", f"/runs/{run_id}/approvals")
        given = {d["person"] for d in asked["decisions"] if d["counts"]}
        for person, comment in APPROVERS:
            if person in given or len(given) >= asked["required"]:
                continue
            shown = self.call(person, "GET", f"/runs/{run_id}/approval-view")
            body = {"action": "approve", "reason": comment, "view": shown["digest"]}
            self.call(person, "POST", f"/runs/{run_id}/approvals", json=body)
            given.add(person)
            self.say(f"{run_id}: {person} approves through the API")

    def _enough_history(self) -> None:
        if self._load_since_s is None:
            return
        left_s = self._load_since_s + _HISTORY_S - time.monotonic()
        if left_s > 0:
            self.say(f"the approvers read on for {left_s:.0f} s, while the gate learns the traffic")
            self.wait(left_s)


def _parts(made: Artifacts) -> list[tuple[str, tuple[str, bytes]]]:
    parts = [("component", (path.name, path.read_bytes())) for path in made.components]
    return [*parts, ("sbom", (made.sbom.name, made.sbom.read_bytes()))]


def _line(line: dict[str, Any]) -> str:
    moment = time.strftime("%H:%M:%SZ", time.gmtime(line["ts_us"] / 1_000_000))
    return f"  {moment}  {line['text']}"
