"""Whatever somebody writes into releaseline.yaml: settings or sentences, nothing else."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.errors import UnsafeConfig
from engine.settings import read_settings
from engine.settings_yaml import read_yaml

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TEXT = (EXAMPLES / "releaseline.yaml").read_text("utf-8")
LINES = TEXT.splitlines()
_FEW = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def _read(content: bytes) -> None:
    """Read as a home's settings. Anything but settings or `UnsafeConfig` is a finding."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "policies").mkdir()
        (home / "feeds").mkdir()
        for name in ("release-gate.yaml", "release-gate.config.json"):
            shutil.copyfile(EXAMPLES / name, home / "policies" / name)
        file = home / "releaseline.yaml"
        file.write_bytes(content)
        try:
            read_settings(home)
        except UnsafeConfig as error:
            said = str(error).splitlines()
            assert said
            assert all(line.startswith(str(file)) for line in said), said
            str(error).encode()


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["10%", "5m", "eu-prod", "ana.li", "router", "pause", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "for", "targets", "in", "gate"]), inner)
    ),
    max_leaves=6,
)


@_FEW
@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    _read(content)


@_FEW
@given(st.text(st.sampled_from("abc:-[]{}&*!<>|%@`'\"#,? \n\t01.~\\x"), max_size=60))
def test_any_yaml_like_text(text: str) -> None:
    _read(text.encode())


@_FEW
@given(st.integers(0, len(LINES) - 1), st.integers(0, len(LINES) - 1), st.booleans())
def test_lines_lost_or_doubled(first: int, second: int, double: bool) -> None:
    lines = list(LINES)
    if double:
        lines.insert(second, lines[first])
    else:
        del lines[min(first, second) : max(first, second)]
    _read("\n".join(lines).encode())


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        found += _paths(inner, (*path, key))
    return found


DOCUMENT = yaml.safe_load(TEXT)
PATHS = [path for path in _paths(DOCUMENT) if path]


@settings(_FEW, max_examples=30)
@given(st.sampled_from(PATHS), _VALUES)
def test_any_value_anywhere(path: tuple[Any, ...], value: Any) -> None:
    document = yaml.safe_load(TEXT)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    _read(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


def test_aliases_do_not_multiply() -> None:
    """Nine levels of nine aliases each are a billion values, and ten merges of two are too."""
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
    )
    _, problems = read_yaml(bomb, "bomb.yaml")
    assert any("at most 30000 values" in str(p) for p in problems)
    merges = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)
    )
    read_yaml(merges, "merges.yaml")
    _, problems = read_yaml("a: &a [*a]\n", "loop.yaml")
    assert any("an alias to what it stands in" in str(p) for p in problems)
    _, problems = read_yaml("[" * 3_000, "deep.yaml")
    assert problems
