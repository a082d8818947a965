"""The section `sign_in`: what it means, and every mistake in it with its line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.asker import Asker, actor_of
from engine.core.errors import UnsafeConfig
from engine.core.statemachine import Role
from engine.settings import read_settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GOOD = """sign_in:
  oidc:
    metadata_url: https://sso.example.com/.well-known/openid-configuration
    client_id: releaseline
    client_secret: env:OIDC_CLIENT_SECRET
    redirect_uri: http://localhost:8501/oauth2callback
    allowed_domains: [Example.COM]
    groups:
      - group: on-call
        roles: [{role: sre, in: [eu-prod]}]
"""
Home = Callable[[str], Path]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a home whose settings are the shipped ones with a section `sign_in` at the end."""

    def make(section: str) -> Path:
        for folder in ("policies", "feeds"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for name in ("release-gate.yaml", "release-gate.config.json"):
            shutil.copyfile(EXAMPLES / name, tmp_path / "policies" / name)
        text = (EXAMPLES / "releaseline.yaml").read_text("utf-8")
        (tmp_path / "releaseline.yaml").write_text(f"{text}\n{section}", "utf-8")
        return tmp_path

    return make


def test_what_it_means(home: Home) -> None:
    without = read_settings(home(""))
    settings = read_settings(home(GOOD))
    assert without.oidc is None and without.digest != settings.digest
    oidc = settings.oidc
    assert oidc is not None
    assert (oidc.user_claim, oidc.prompt, oidc.allowed_domains) == (
        "email",
        "login",
        ("example.com",),
    )


def test_groups_add_roles_where_they_say_and_a_token_has_none(home: Home) -> None:
    settings = read_settings(home(GOOD))
    bob = Asker(user="bob.smith", groups=("on-call", "unknown"))
    assert actor_of(settings, bob, "eu-prod").roles == {Role.APPROVER, Role.SRE}
    assert actor_of(settings, bob, "eu-stage").roles == frozenset()
    assert actor_of(settings, Asker(user="bob.smith"), "eu-prod").roles == {Role.APPROVER}


@pytest.mark.parametrize(
    ("change", "into", "said"),
    [
        ("https://sso", "http://sso", "metadata_url: expected https:// or a loopback address"),
        ("http://localhost:8501", "http://other.example", "redirect_uri: expected https://"),
        ("http://localhost:8501", "https://other.example", "expected an address of this server"),
        ("/oauth2callback", "/callback", "redirect_uri"),
        ("env:OIDC_CLIENT_SECRET", "hunter2", "client_secret"),
        ("role: sre", "role: approver", "expected a role that a group may give"),
        ("role: sre", "role: admin", "expected a role that a group may give"),
        ("in: [eu-prod]", "in: [mars]", "expected an environment, found 'mars'"),
        ("client_id: releaseline", "client_di: releaseline", "client_id"),
    ],
)
def test_a_mistake_is_named(home: Home, change: str, into: str, said: str) -> None:
    assert change in GOOD
    with pytest.raises(UnsafeConfig) as caught:
        read_settings(home(GOOD.replace(change, into)))
    assert "sign_in.oidc" in str(caught.value) and said in str(caught.value)
