"""The shipped policy, its case from the examples, and a way to change one thing in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.model import Policy, load_policy

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES


@pytest.fixture(scope="session")
def policy() -> Policy:
    return load_policy(
        (EXAMPLES / "release-gate.yaml").read_bytes(),
        (EXAMPLES / "release-gate.config.json").read_bytes(),
    )


@pytest.fixture(scope="session")
def compiled(policy: Policy) -> CompiledPolicy:
    return compile_policy(policy)


@pytest.fixture
def case() -> dict[str, Any]:
    """The case of the examples: one feed 3 h old, 35 % of the packages seen running."""
    document: dict[str, Any] = json.loads((EXAMPLES / "release-gate.input.json").read_text())
    return document


@pytest.fixture(scope="session")
def write_policy() -> Callable[..., Policy]:
    """Makes a policy of rules given as dicts."""

    def write(
        *rules: dict[str, Any],
        variables: dict[str, str] | None = None,
        config: dict[str, Any] | None = None,
        require: str = "cel-cpp==0.1.3",
    ) -> Policy:
        filled = [
            {"id": f"r{n}", "level": "WARN", "subject": "'s'", "detail": "'d'", **rule}
            for n, rule in enumerate(copy.deepcopy(rules))
        ]
        document = {
            "apiVersion": "releaseline/v1",
            "kind": "ReleaseGatePolicy",
            "metadata": {"name": "test", "version": "1"},
            "engine": {"language": "cel", "require": require},
            "variables": variables or {},
            "rules": filled,
        }
        # JSON is YAML, so the policy goes in by the same door as a shipped one.
        text = json.dumps(document, ensure_ascii=False)
        return load_policy(text.encode(), json.dumps(config or {}).encode())

    return write
