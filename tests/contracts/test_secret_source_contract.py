"""The contract of secret sources: the value stays inside, and missing is not unreachable."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.adapters.secrets_consul import ConsulConfig, ConsulHttp
from engine.adapters.secrets_env import EnvSecrets
from engine.adapters.secrets_file import BYTES_MAX, FileSecrets
from engine.adapters.secrets_vault import VaultSecrets
from engine.core.errors import AdapterFailed, NotFound
from engine.ports import SecretSource
from engine.redact import MARK, redact
from tests.integrations.conftest import bao, server
from tests.integrations.kit import Bao, Server, consul_misses, consul_says

__all__ = ["bao", "server"]

KEY = b"k" * 32
VALUE = "planted-5a1c"


@dataclass
class Case:
    """`put` sets a value and returns its path; `absent` is a path without one."""

    scheme: str
    make: Callable[[bytes], SecretSource]
    put: Callable[[str], str]
    absent: str


@pytest.fixture(params=["env", "file", "consul", pytest.param("vault", marks=pytest.mark.house)])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "vault":
        return _vault(request.getfixturevalue("bao"))
    if request.param == "consul":
        return _consul(request.getfixturevalue("server"))
    if request.param == "env":
        env: dict[str, str] = {}

        def put_env(value: str) -> str:
            env["DB_PASSWORD"] = value
            return "DB_PASSWORD"

        return Case("env", lambda key: EnvSecrets(key, env), put_env, "NOT_SET")

    def put_file(value: str) -> str:
        (tmp_path / "token").write_text(value)
        return str(tmp_path / "token")

    return Case("file", FileSecrets, put_file, str(tmp_path / "absent"))


def _vault(real: Bao) -> Case:
    def put(value: str) -> str:
        real.put("secret/eu-prod", password=value)
        return "secret/eu-prod#password"

    return Case("vault", lambda key: VaultSecrets(key, real.client()), put, "secret/absent")


def _consul(told: Server) -> Case:
    def put(value: str) -> str:
        consul_says(told, "eu-prod/db", value.encode())
        return "eu-prod/db"

    consul_misses(told, "eu-prod/absent")
    consul = ConsulHttp(told.url)
    return Case("consul", lambda key: ConsulConfig(key, consul), put, "eu-prod/absent")


def test_the_redactor_knows_what_was_read(case: Case) -> None:
    value = f"known-after-{case.scheme}"
    assert redact(value) == value
    case.make(KEY).resolve("db", case.put(value), deadline_s=5.0)
    assert redact(f"it is {value}") == f"it is {MARK}"


def test_the_value_never_leaves(case: Case) -> None:
    source = case.make(KEY)
    path = case.put(VALUE)
    resolved = source.resolve("db", path, deadline_s=5.0)
    assert source.scheme == case.scheme
    assert (resolved.name, resolved.path) == ("db", f"{case.scheme}:{path}")
    assert resolved.value_hmac == hmac.new(KEY, VALUE.encode(), hashlib.sha256).hexdigest()
    assert VALUE not in repr(resolved)
    assert VALUE not in repr(source)
    assert hashlib.sha256(VALUE.encode()).hexdigest() not in repr(resolved)


def test_equal_values_are_told_equal_and_others_are_not(case: Case) -> None:
    source = case.make(KEY)
    first = source.resolve("db", case.put(VALUE), deadline_s=5.0).value_hmac
    assert source.resolve("db", case.put(VALUE), deadline_s=5.0).value_hmac == first
    assert source.resolve("db", case.put(VALUE + " "), deadline_s=5.0).value_hmac != first
    other = case.make(b"j" * 32)
    assert other.resolve("db", case.put(VALUE), deadline_s=5.0).value_hmac != first


def test_an_empty_value_is_a_value(case: Case) -> None:
    resolved = case.make(KEY).resolve("db", case.put(""), deadline_s=5.0)
    assert resolved.value_hmac == hmac.new(KEY, b"", hashlib.sha256).hexdigest()


def test_missing_is_not_found_and_named(case: Case) -> None:
    with pytest.raises(NotFound, match=os.path.basename(case.absent)):  # noqa: PTH119
        case.make(KEY).resolve("db", case.absent, deadline_s=5.0)


def test_a_file_that_cannot_be_read_is_no_missing_one(tmp_path: Path) -> None:
    source = FileSecrets(KEY)
    pipe, large = tmp_path / "pipe", tmp_path / "large"
    os.mkfifo(pipe)
    large.write_bytes(b"x" * (BYTES_MAX + 1))
    for path in (tmp_path, pipe, large, Path("/dev/zero")):
        with pytest.raises(AdapterFailed, match="expected"):
            source.resolve("db", str(path), deadline_s=1.0)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(AdapterFailed):
        source.resolve("db", str(loop), deadline_s=1.0)
    with pytest.raises(AdapterFailed):
        source.resolve("db", "a\0b", deadline_s=1.0)


def test_bytes_that_are_no_text_are_a_value_too(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"\xff\x00\r\n")
    resolved = FileSecrets(KEY).resolve("db", str(tmp_path / "raw"), deadline_s=1.0)
    assert resolved.value_hmac == hmac.new(KEY, b"\xff\x00\r\n", hashlib.sha256).hexdigest()
    env = EnvSecrets(KEY, {"RAW": os.fsdecode(b"\xff")})
    assert (
        env.resolve("db", "RAW", deadline_s=1.0).value_hmac
        == hmac.new(KEY, b"\xff", hashlib.sha256).hexdigest()
    )
