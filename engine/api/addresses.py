"""Every address of the API, found by its path once per request: its methods, and what they read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import params
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Attributes:
    routes: by method. What they read is asked of the one that is meant: it is made only then.
    """

    routes: Mapping[str, Route | APIRoute]

    @property
    def allow(self) -> str:
        return ", ".join(sorted(self.routes))

    def kind_of(self, method: str) -> str:
        """The kind of body that it reads; empty for none, and for a method that is not there."""
        route = self.routes.get(method)
        return "" if route is None else _kind_of(route)


class Addresses:
    """Args:
    routes: of the application, one by one.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        by_path: dict[str, dict[str, Route | APIRoute]] = {}
        regexes: dict[str, re.Pattern[str]] = {}
        for route in routes:
            if isinstance(route, Route | APIRoute):
                regexes[route.path] = route.path_regex
                of_path = by_path.setdefault(route.path, {})
                of_path |= dict.fromkeys(route.methods or (), route)
        # The plainest first: `/feeds/sync` is also a `/feeds/{name}`, and is its own address.
        self._by_head: dict[str, list[tuple[re.Pattern[str], Address]]] = {}
        for path in sorted(by_path, key=lambda path: path.count("{")):
            known = self._by_head.setdefault(_head(path), [])
            known.append((regexes[path], Address(routes=by_path[path])))

    def at(self, scope: Scope) -> Address | None:
        """The address that the path of a request means, whatever its method."""
        path, root = scope["path"], scope.get("root_path", "")
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        for regex, address in self._by_head.get(_head(path), ()):
            if regex.match(path):
                return address
        return None


def _head(path: str) -> str:
    """The first segment, which is a plain word in every address of ours."""
    return path.lstrip("/").partition("/")[0]


def _kind_of(route: Route | APIRoute) -> str:
    if not isinstance(route, APIRoute) or route.body_field is None:
        return ""
    return FORM if isinstance(route.body_field.field_info, params.Form) else JSON
