"""The first step with values from a Vault and a Consul: what is missing is named, and mended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.adapters.secrets_consul import ConsulConfig, ConsulHttp
from engine.adapters.secrets_vault import VaultSecrets
from engine.adapters.vault_http import TokenLogin, VaultHttp
from engine.core.commands import Action
from engine.core.run import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.settings import DeclaredInput
from tests.faults.small_house import SmallHouse, session_keys
from tests.integrations.kit import Server, consul_misses, consul_says, vault_says

pytestmark = pytest.mark.house
KEY = b"k" * 32
INPUTS = tuple(
    DeclaredInput(name=name, scheme=scheme, path=path)
    for name, scheme, path in (
        ("DB_PASSWORD", "vault", "kv/eu-prod"),
        ("API_KEY", "vault", "kv/eu-prod#api_key"),
        ("limits", "consul", "eu-prod/limits"),
    )
)
FIELDS = {"DB_PASSWORD": "planted-db-5a1c", "api_key": "planted-api-5a1c"}


@pytest.fixture
def house(tmp_path: Path, server: Server) -> Iterator[SmallHouse]:
    vault = VaultHttp(server.url, login=TokenLogin(token=lambda: "hvs.tests"))
    one = SmallHouse(
        tmp_path,
        session_keys(),
        inputs=INPUTS,
        secrets={
            "vault": VaultSecrets(KEY, vault),
            "consul": ConsulConfig(KEY, ConsulHttp(server.url)),
        },
    )
    vault_says(server, "kv/eu-prod", FIELDS)
    consul_says(server, "eu-prod/limits", b"planted-limits-5a1c", index=107)
    try:
        yield one
    finally:
        one.close()


def inputs_done(run: Run) -> bool:
    return run.step("inputs").status is StepStatus.SUCCEEDED


def test_what_came_from_where_is_told_and_no_value_is_kept(house: SmallHouse) -> None:
    run = house.drive(house.promote().run_id, until=inputs_done)
    (attempt,) = run.step("inputs").attempts
    summary = "Vault 2, Consul 1 resolved, 1 artifacts re-hashed, 0 missing"
    assert run.step("inputs").summary == summary
    (named,) = [one for one in attempt.outputs if one.name == "resolved-inputs.json"]
    document = json.loads(house.store.blobs.get(named.digest))
    told = {one["name"]: (one["path"], one["version"]) for one in document["inputs"]}
    assert told == {
        "API_KEY": ("vault:kv/eu-prod#api_key", "3"),
        "DB_PASSWORD": ("vault:kv/eu-prod", "3"),
        "limits": ("consul:eu-prod/limits", "107"),
    }
    for path in house.home.rglob("*"):
        if path.is_file():
            assert b"planted-" not in path.read_bytes(), path


def test_what_is_missing_is_named_and_a_retry_makes_a_second_attempt(
    house: SmallHouse, server: Server
) -> None:
    vault_says(server, "kv/eu-prod", {"api_key": "planted-api-5a1c"})
    run = house.drive(house.promote().run_id)
    assert run.status is RunStatus.PAUSED
    (first,) = run.step("inputs").attempts
    assert (first.status, first.reason) == (
        StepStatus.FAILED,
        "1 missing: DB_PASSWORD (vault:kv/eu-prod)",
    )
    sealed = [event.hash for event in house.store.load(run.run_id)]
    vault_says(server, "kv/eu-prod", FIELDS, version=4)
    house.ask(run.run_id, Action.RETRY_STEP, "ana")
    run = house.drive(run.run_id, until=inputs_done)
    kept, second = run.step("inputs").attempts
    assert kept == first  # with its evidence
    assert kept.evidence
    assert (second.number, second.status) == (2, StepStatus.SUCCEEDED)
    after = [event.hash for event in house.store.load(run.run_id)]
    assert after[: len(sealed)] == sealed


def test_two_that_are_missing_are_both_named(house: SmallHouse, server: Server) -> None:
    vault_says(server, "kv/eu-prod", {"api_key": "planted-api-5a1c"})
    consul_misses(server, "eu-prod/limits")
    run = house.drive(house.promote().run_id)
    assert run.step("inputs").attempts[0].reason == (
        "2 missing: DB_PASSWORD (vault:kv/eu-prod), limits (consul:eu-prod/limits)"
    )


def test_no_answer_is_not_missing_and_is_tried_again(house: SmallHouse, server: Server) -> None:
    server.says("/v1/kv/data/eu-prod", {"errors": ["Vault is sealed"]}, 503)
    run = house.drive(
        house.promote().run_id, until=lambda run: len(run.step("inputs").attempts) > 1
    )
    first = run.step("inputs").attempts[0]
    assert first.status is StepStatus.ERRORED
    assert first.reason == ("Vault, DB_PASSWORD (vault:kv/eu-prod): status 503, Vault is sealed")
    vault_says(server, "kv/eu-prod", FIELDS)
    assert inputs_done(house.drive(run.run_id, until=inputs_done))
