"""What Streamlit may be told otherwise, and what not; and that a foreign start is refused too."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from engine.api.safe_options import check_options
from engine.core.errors import UnsafeConfig
from tests.journeys.product import ROOT, environment

SAFE: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "server.enableAgentApi": False,
    "server.trustedUserHeaders": {},
    "server.enableXsrfProtection": True,
    "client.showErrorDetails": "type",
    "server.address": "127.0.0.1",
}


def test_ours_are_safe() -> None:
    check_options(SAFE.__getitem__, behind_proxy=False)
    check_options({**SAFE, "server.address": "0.0.0.0"}.__getitem__, behind_proxy=True)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("browser.gatherUsageStats", True),
        ("server.enableAgentApi", True),
        ("server.trustedUserHeaders", {"X-User": "email"}),
        ("server.enableXsrfProtection", False),
        ("client.showErrorDetails", "full"),
        ("client.showErrorDetails", True),
        ("server.address", "0.0.0.0"),
        ("server.address", None),
    ],
)
def test_what_undoes_a_promise_is_named(option: str, value: object) -> None:
    with pytest.raises(UnsafeConfig) as refused:
        check_options({**SAFE, option: value}.__getitem__, behind_proxy=False)
    assert f"Streamlit's option {option}: expected" in str(refused.value)
    assert f"found {value!r}" in str(refused.value) and "\n" not in str(refused.value)


def test_every_problem_is_said_at_once() -> None:
    wrong = {**SAFE, "server.enableAgentApi": True, "browser.gatherUsageStats": True}
    with pytest.raises(UnsafeConfig) as refused:
        check_options(wrong.__getitem__, behind_proxy=False)
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.house
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--server.enableAgentApi=true"], "server.enableAgentApi: expected false, found True"),
        (["--server.address=0.0.0.0"], "server.address: expected a loopback address"),
    ],
)
def test_streamlit_itself_ends_before_it_listens(
    flags: list[str], said: str, tmp_path: Any
) -> None:
    env = environment(RELEASELINE_HOME=str(tmp_path / "none"))
    words = ["-m", "streamlit", "run", "app.py", *flags]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 78, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
