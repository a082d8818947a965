"""What may not stand in a page: SQL, script in the page, a status spelled out."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
import streamlit.config as streamlit_config

from engine.core.statemachine import RunStatus, StepStatus

pytestmark = pytest.mark.house

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "pages").rglob("*.py"))
SQL = re.compile(r"\b(select|insert|update|delete)\b.+\b(from|into|set)\b", re.IGNORECASE)
STATUSES = {status.value for status in (*RunStatus, *StepStatus)}


def constants(path: Path) -> list[str]:
    tree = ast.parse(path.read_text("utf-8"))
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_page_holds_no_sql_and_no_script(path: Path) -> None:
    assert not [text for text in constants(path) if SQL.search(text)]
    assert "unsafe_allow_javascript" not in path.read_text("utf-8")
    assert "unsafe_allow_html" not in path.read_text("utf-8")


@pytest.mark.parametrize(
    "path", [p for p in PAGES if p.name != "words.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_status_word_is_spelled_in_one_place_only(path: Path) -> None:
    assert not STATUSES & set(constants(path))


def test_components_draw_text_and_never_markup() -> None:
    for script in (ROOT / "pages" / "ui" / "assets").glob("*.js"):
        text = script.read_text("utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function", text)
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_the_two_settings_that_the_console_stands_on() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert config["runner"]["postScriptGC"] is False
    assert config["server"]["fileWatcherType"] == "none"
    assert config["browser"]["gatherUsageStats"] is False


def test_every_option_in_the_config_still_exists() -> None:
    """Two are hidden options: a new Streamlit could drop them without a word."""
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    known = streamlit_config.get_config_options()
    for section in ("server", "runner", "browser", "client", "logger"):
        for name in config[section]:
            assert f"{section}.{name}" in known
    assert "server.trustedUserHeaders" in known
