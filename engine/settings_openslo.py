"""`env_guard: {openslo: FILE}` in the settings: the file is read, its guard put in its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.core.jcs import JsonValue
from engine.settings_yaml import KeyPath, Located, Problem, problem_at
from engine.slo import Slo, read_slo


class OpenSloFiles:
    """The OpenSLO files that a home's workflows name; each is read once.

    Attributes:
        digests: of every file that was read, by the path under which it is named.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._read: dict[str, Slo | list[Problem]] = {}
        self.digests: dict[str, JsonValue] = {}

    def filled_in(
        self, gate: dict[str, Any], document: Located, place: KeyPath
    ) -> tuple[dict[str, Any], list[Problem]]:
        """The gate with the guard that its file stands for; problems name the place in that file.

        Args:
            place: where the gate stands in `document`, the settings.
        """
        guard = gate.get("env_guard")
        name = guard.get("openslo") if isinstance(guard, Mapping) else None
        if name is None:
            return gate, []
        if name not in self._read:
            self._read[name] = self._load(name, document, (*place, "env_guard", "openslo"))
        found = self._read[name]
        if isinstance(found, Slo):
            return {**gate, "env_guard": found.guard()}, []
        return gate, found

    def _load(self, name: str, document: Located, place: KeyPath) -> Slo | list[Problem]:
        path = self._home / name
        try:
            content = path.read_bytes()
        except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
            why = getattr(error, "strerror", None) or str(error)
            message = f"expected a readable file, found {path}: {why}"
            return [problem_at(document, place, message)]
        slo, problems = read_slo(content, str(path))
        if slo is None:
            return problems
        self.digests[name] = str(slo.digest)
        return slo
