"""Inputs from environment variables. The value is hashed here and goes nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping

from engine.adapters.secret_value import resolved
from engine.core.errors import NotFound
from engine.ports import ResolvedInput


class EnvSecrets:
    """`SecretSource` for `env:<NAME>`. An empty variable is a value; an absent one is missing."""

    def __init__(self, key: bytes, env: Mapping[str, str]) -> None:
        self._key = key
        self._env = env

    @property
    def scheme(self) -> str:
        return "env"

    def resolve(self, name: str, path: str, *, deadline_s: float) -> ResolvedInput:
        value = self._env.get(path)
        if value is None:
            raise NotFound(f"There is no environment variable {path}.")
        return resolved(self._key, name, f"env:{path}", os.fsencode(value))
