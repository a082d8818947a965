"""What one key of the settings says about another: names that must exist, sums that must add up.

Works on the plain values, whole or broken, so that these problems are said together with those of
the shape. A value of the wrong kind is passed over here: the shape's check has named it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from engine.core.health_criteria import shown
from engine.home import is_loopback
from engine.settings_feeds import check_feeds
from engine.settings_hooks import check_hooks
from engine.settings_integrations import check_integrations
from engine.settings_shape import share_bp
from engine.settings_sign_in import check_sign_in
from engine.settings_trust import check_trust
from engine.settings_yaml import KeyPath, Located, Problem, problem_at

_RESERVED: Final = frozenset({"inputs", "gate-eval", "approval", "seal"})


def check_references(document: Located, home: Path) -> list[Problem]:
    """Every reference, doubled name and file that does not work out."""
    check = _Check(document, home)
    if isinstance(document.value, Mapping):
        check.names()
        check.files()
        check.server()
        check.environments()
        check.people()
        check.workflows()
    others = (check_trust, check_feeds, check_integrations, check_hooks, check_sign_in)
    return check.problems + [problem for other in others for problem in other(document, home)]


class _Check:
    def __init__(self, document: Located, home: Path) -> None:
        self._document, self._home = document, home
        self.problems: list[Problem] = []

    def names(self) -> None:
        for section, key in (
            ("environments", "name"),
            ("workflows", "name"),
            ("policies", "name"),
            ("trust", "name"),
            ("people", "user"),
        ):
            self._unique(((*path, key), item.get(key)) for path, item in self._items(section))
        self._unique(
            ((*path, "targets", i), target)
            for path, item in self._items("environments")
            for i, target in enumerate(_list(item, "targets"))
        )

    def files(self) -> None:
        for path, item in self._items("policies"):
            for key in ("policy", "config"):
                name = item.get(key)
                if isinstance(name, str) and not self._is(name, Path.is_file):
                    self._add((*path, key), "a file", f"none at {self._home / name}")
        feeds = self._document.value.get("feeds")
        folder = feeds.get("folder") if isinstance(feeds, Mapping) else None
        if isinstance(folder, str) and not self._is(folder, Path.is_dir):
            self._add(("feeds", "folder"), "a folder", f"none at {self._home / folder}")

    def server(self) -> None:
        server = self._document.value.get("server")
        if not isinstance(server, Mapping) or server.get("behind_proxy") is True:
            return
        host = server.get("host")
        if isinstance(host, str) and not is_loopback(host):
            expected = "a loopback address like 127.0.0.1, or behind_proxy: true with TLS in front"
            self._add(("server", "host"), expected, shown(host))

    def environments(self) -> None:
        environments = self._known("environments", "name")
        froms: dict[str, str] = {}
        for path, item in self._items("environments"):
            self._refers((*path, "workflow"), item, self._known("workflows", "name"), "workflow")
            self._refers((*path, "policy"), item, self._known("policies", "name"), "policy")
            self._refers((*path, "promotes_from"), item, environments, "environment")
            name, source = item.get("name"), item.get("promotes_from")
            if isinstance(name, str) and isinstance(source, str):
                froms[name] = source
            self._unique(
                ((*path, "inputs", i, "name"), one.get("name"))
                for i, one in enumerate(_list(item, "inputs"))
                if isinstance(one, Mapping)
            )
            self._approval((*path, "approval"), item)
        for path, item in self._items("environments"):
            name = item.get("name")
            if isinstance(name, str) and _returns(name, froms):
                expected = "an environment that does not promote from this one"
                self._add((*path, "promotes_from"), expected, shown(froms[name]))

    def _approval(self, path: KeyPath, item: Mapping[str, Any]) -> None:
        rule, environment = item.get("approval"), item.get("name")
        if not isinstance(rule, Mapping) or not isinstance(environment, str):
            return
        approvers = self._holders("approver", environment)
        wanted = rule.get("min_approvals")
        if isinstance(wanted, int) and wanted > len(approvers):
            self._add(
                (*path, "min_approvals"),
                f"at most the {len(approvers)} people with the role approver in {environment}",
                str(wanted),
            )
        people = self._known("people", "user")
        for i, group in enumerate(_list(rule, "groups")):
            if not isinstance(group, Mapping):
                continue
            for j, member in enumerate(_list(group, "members")):
                spot = (*path, "groups", i, "members", j)
                if not isinstance(member, str):
                    continue
                if member not in people:
                    self._unknown(spot, member, people, "person")
                elif member not in approvers:
                    expected = f"a person with the role approver in {environment}"
                    self._add(spot, expected, shown(member))

    def people(self) -> None:
        environments = self._known("environments", "name")
        for path, item in self._items("people"):
            for i, grant in enumerate(_list(item, "roles")):
                for j, name in enumerate(_list(grant, "in")):
                    if isinstance(name, str) and name not in environments:
                        spot = (*path, "roles", i, "in", j)
                        self._unknown(spot, name, environments, "environment")

    def workflows(self) -> None:
        for path, item in self._items("workflows"):
            self._metrics((*path, "metrics_source"), item.get("metrics_source"))
            stages = [
                ((*path, "stages", i), stage)
                for i, stage in enumerate(_list(item, "stages"))
                if isinstance(stage, Mapping)
            ]
            self._unique(((*spot, "name"), stage.get("name")) for spot, stage in stages)
            self._stages(path, stages, has_defaults=item.get("defaults") is not None)

    def _metrics(self, path: KeyPath, source: object) -> None:
        if not isinstance(source, Mapping):
            return
        kind, url = source.get("type"), source.get("url")
        if kind == "prometheus" and url is None:
            self._add((*path, "url"), "the address of the Prometheus", "nothing")
        for key in ("url", "token", "series"):
            if kind == "router" and source.get(key) is not None:
                self._add((*path, key), "no such key: the router is asked directly", f"{key!r}")
        if kind == "prometheus" and isinstance(url, str):
            self._address((*path, "url"), url, with_token=source.get("token") is not None)
        series = source.get("series")
        if not isinstance(series, Mapping):
            return
        for key in ("select", "requests", "target_label", "code_label", "errors"):
            if key in series and series[key] is None:
                self._add((*path, "series", key), "a text; only durations and ready may be null",
                          "nothing")  # fmt: skip
        if isinstance(errors := series.get("errors"), str):
            try:
                re.compile(errors)
            except re.error as error:
                found = f"{shown(errors)} ({error})"
                self._add((*path, "series", "errors"), "a regular expression", found)

    def _address(self, path: KeyPath, url: str, *, with_token: bool) -> None:
        """What is found is not repeated: it may hold a password."""
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
            _ = parts.port
        except ValueError as error:
            self._add(path, "an address", f"one that can't be read ({error})")
            return
        if "@" in parts.netloc:
            expected = "an address without a name or password (`token: env:NAME` gives a token)"
            self._add(path, expected, "one with them")
        elif "?" in url or "#" in url:
            self._add(path, "an address that ends before ? and #", "one that goes on")
        elif with_token and parts.scheme == "http" and not is_loopback(host):
            expected = "https:// or a loopback address, since a token is sent there"
            self._add(path, expected, shown(url))

    def _stages(
        self,
        path: KeyPath,
        stages: list[tuple[KeyPath, Mapping[str, Any]]],
        *,
        has_defaults: bool,
    ) -> None:
        shares: list[int] = []
        for number, (spot, stage) in enumerate(stages, start=1):
            name = stage.get("name")
            if isinstance(name, str) and name in _RESERVED:
                self._add((*spot, "name"), "a name that no step of ours has", shown(name))
            if stage.get("gate") is None and not has_defaults:
                self._add(spot, "a gate here or in the workflow's defaults", "neither")
            if stage.get("targets") is None:
                if number != len(stages):
                    self._add(spot, "targets; only the last stage may verify", "no targets")
                continue
            if stage.get("for") is not None:
                expected = "no such key in a stage with targets; its gate says how long"
                self._add((*spot, "for"), expected, shown(stage["for"]))
            share = _share_of(stage["targets"])
            if share is None:
                return  # named by the shape's check; the order can't be judged without it
            if shares and share <= shares[-1]:
                expected = "a share above that of the stage before"
                self._add((*spot, "targets"), expected, f"{share / 100:g}%")
            shares.append(share)
        if stages and (not shares or shares[-1] != 10_000):
            last = f"{shares[-1] / 100:g}%" if shares else "none"
            self._add((*path, "stages"), "a last deploy stage of 100%", last)

    def _holders(self, role: str, environment: str) -> set[str]:
        holders = set()
        for _, person in self._items("people"):
            for grant in _list(person, "roles"):
                if not isinstance(grant, Mapping) or grant.get("role") != role:
                    continue
                if "in" not in grant or environment in _list(grant, "in"):
                    holders.add(str(person.get("user")))
        return holders

    def _items(self, section: str) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
        for i, item in enumerate(_list(self._document.value, section)):
            if isinstance(item, Mapping):
                yield (section, i), item

    def _known(self, section: str, key: str) -> list[str]:
        names = [item.get(key) for _, item in self._items(section)]
        return [name for name in names if isinstance(name, str)]

    def _refers(self, path: KeyPath, item: Mapping[str, Any], known: list[str], what: str) -> None:
        name = item.get(str(path[-1]))
        if isinstance(name, str) and name not in known:
            self._unknown(path, name, known, what)

    def _unknown(self, path: KeyPath, name: str, known: list[str], what: str) -> None:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        choice = f"one of {', '.join(known)}" if known else f"a {what} that the settings declare"
        self._add(path, choice, f"{shown(name)}{hint}")

    def _unique(self, named: Iterable[tuple[KeyPath, object]]) -> None:
        first: dict[str, KeyPath] = {}
        for path, name in named:
            if not isinstance(name, str):
                continue
            if name in first:
                spot = self._document.spot(first[name])
                self._add(path, "a name of its own", f"{shown(name)} as in {spot.file}:{spot.line}")
            else:
                first[name] = path

    def _is(self, name: str, test: Any) -> bool:
        try:
            return bool(test(self._home / name))
        except (OSError, ValueError):  # a name that no file can have
            return False

    def _add(self, path: KeyPath, expected: str, found_text: str) -> None:
        message = f"expected {expected}, found {found_text}"
        self.problems.append(problem_at(self._document, path, message))


def _list(item: object, key: str) -> list[Any]:
    value = item.get(key) if isinstance(item, Mapping) else None
    return value if isinstance(value, list) else []


def _share_of(targets: object) -> int | None:
    text = targets.get("share") if isinstance(targets, Mapping) else targets
    try:
        return share_bp(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _returns(name: str, froms: Mapping[str, str]) -> bool:
    """True when following `promotes_from` comes back to `name`."""
    at, seen = froms.get(name), set[str]()
    while at is not None and at not in seen:
        if at == name:
            return True
        seen.add(at)
        at = froms.get(at)
    return False
