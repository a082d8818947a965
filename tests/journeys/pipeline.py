"""A home for pipelines: small environments whose gates are quick, and tokens for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from engine.fleet.control import Fleet
from engine.homes import create_home
from tests.journeys.product import Product, releaseline

PASS = {"RELEASELINE_KEY_PASSPHRASE": "correct horse"}
SCOPES = ("read", "bundles", "promote", "evidence")
_OPEN_RULE = {
    "id": "name.forbidden",
    "level": "FAIL",
    "all": ["input.promotion.bundle.name == 'forbidden'"],
    "subject": "input.promotion.bundle.name",
    "detail": "'a bundle of this name may not go out'",
}


def pipeline_home(home: Path) -> Path:
    """`open`: whatever is not called `forbidden` goes out within seconds. `asks`: the same after
    two approvals. `needs`: an input that is not there. `strict`: the shipped policy, no SBOM is
    good enough for it."""
    create_home(home, passphrase=PASS["RELEASELINE_KEY_PASSPHRASE"])
    path = home / "releaseline.yaml"
    settings: dict[str, Any] = yaml.safe_load(path.read_text())
    _open_policy(home, settings)
    (workflow,) = settings["workflows"]
    workflow["metrics_source"] |= {"poll": "1s", "timeout": "900ms", "max_sample_age": "5s"}
    quick = workflow["defaults"]
    quick["proceed_if"]["healthy"]["for"] = "2s"
    quick["proceed_if"]["error_rate"] |= {"window": "2s", "min_requests": 1}
    quick["proceed_if"].pop("latency_p95")
    quick["max_hold"] = "20s"
    quick.pop("env_guard")
    for stage in workflow["stages"]:
        stage.pop("gate", None)
        if "for" in stage:
            stage["for"] = "2s"
    settings["environments"] = [
        _environment("open"),
        _environment("asks", approval={"min_approvals": 2}),
        _environment("needs", inputs=[{"name": "DB_PASSWORD", "from": "env:DB_PASSWORD"}]),
        _environment("strict", policy="release-gate"),
    ]
    for person in settings["people"]:
        for role in person["roles"]:
            role.pop("in", None)
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return home


def _open_policy(home: Path, settings: dict[str, Any]) -> None:
    shipped = yaml.safe_load((home / "policies" / "release-gate.yaml").read_text())
    shipped["metadata"] = {"name": "open", "version": "1.0.0"}
    shipped["rules"] = [_OPEN_RULE]
    shipped.pop("variables", None)
    (home / "policies" / "open.yaml").write_text(yaml.safe_dump(shipped, sort_keys=False))
    settings["policies"].append(
        {"name": "open", "policy": "policies/open.yaml",
         "config": "policies/release-gate.config.json"}
    )  # fmt: skip


def _environment(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "region": "EU-West",
        "targets": [f"{name}-01"],
        "driver": {"kind": "local-fleet"},
        "workflow": "canary-10-50-100",
        "policy": "open",
        "approval": {"min_approvals": 0},
        **more,
    }


class Caller:
    """The command line of one person or program, against the home's own server."""

    def __init__(self, server: Product, token: str) -> None:
        self.server, self.token = server, token

    def __call__(self, *words: str, timeout_s: float = 240) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        done = releaseline(
            *words, timeout_s=timeout_s, RELEASELINE_SERVER=self.server.url,
            RELEASELINE_TOKEN=self.token,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def json(self, *words: str) -> Any:
        code, out, err = self(*words, "--json")
        assert code == 0, (words, out, err)
        return json.loads(out)


def under_load(server: Product, name: str) -> None:
    """Real requests to the environment, until whoever ends the home's processes ends them too."""
    fleet = Fleet(server.home / "fleet" / name, environment=name, targets=[f"{name}-01"])
    fleet.ensure_load(40)


def caller(server: Product, user: str, *more: str) -> Caller:
    made = releaseline("token", "create", "--user", user, *more, "--home", str(server.home), **PASS)
    assert made.returncode == 0, made.stderr
    return Caller(server, made.stdout.strip())
