"""The redactor: no secret in any form is left, nothing else is taken, and JSON stays JSON."""

from __future__ import annotations

import base64
import json
import logging
import string
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.core.step_events import StepErrored
from engine.redact import MARK, Redactor, clean, learn

SECRET = 'pl4nted/"5a1c"\\n+é&x'
LETTERS = string.ascii_letters + string.digits + "/+=&%\"\\ é<ß\n'"
secrets = st.text(LETTERS, min_size=8, max_size=24).filter(lambda s: len(s.strip()) >= 8)


def forms(secret: str) -> dict[str, str]:
    raw = secret.encode()
    return {
        "raw": secret,
        "base64": base64.b64encode(raw).decode(),
        "url-safe base64": base64.urlsafe_b64encode(raw).decode(),
        "base64 of more": base64.b64encode(b"user:" + raw + b"\n").decode(),
        "percent": quote(secret, safe=""),
        "percent, slashes kept": quote(secret),
        "form": quote_plus(secret),
        "json": json.dumps(secret)[1:-1],
        "json, not ascii": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json in json": json.dumps(json.dumps({"a": secret})),
    }


@pytest.mark.parametrize("form", forms(SECRET))
def test_a_value_is_taken_out_in_every_form(form: str) -> None:
    redactor = Redactor()
    redactor.learn(SECRET)
    told = redactor.text(f"before {forms(SECRET)[form]} after")
    assert MARK in told
    assert told.startswith("before ")
    assert told.endswith(" after")
    for part in ("pl4nted", base64.b64encode(SECRET.encode()).decode()[4:16]):
        assert part not in told


@given(secrets, st.text(LETTERS, max_size=12), st.text(LETTERS, max_size=12))
def test_no_form_of_a_value_is_left(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    kept = secret.strip()
    for form in forms(kept).values():
        told = redactor.text(before + form + after)
        assert form not in told
        assert redactor.text(told) == told


@given(st.lists(secrets, max_size=4), st.text(max_size=80), st.data())
def test_redacting_twice_changes_nothing(values: list[str], text: str, data: st.DataObject) -> None:
    redactor = Redactor()
    for value in values:
        redactor.learn(value)
    pieces = [text, MARK, "Bearer ", "://a:b@", "\\", '"', "hvs." + "A1" * 12, *values]
    mixed = "".join(data.draw(st.lists(st.sampled_from(pieces), max_size=8)))
    once = redactor.text(mixed)
    assert redactor.text(once) == once


@given(
    secrets.filter(lambda s: '"' not in s.strip().strip('"')),
    st.recursive(
        st.one_of(st.none(), st.integers(), st.text(LETTERS, max_size=8), st.just(None)),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    st.booleans(),
)
def test_a_json_text_stays_one_of_the_same_shape(secret: str, document: Any, ascii: bool) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    kept = secret.strip()
    whole = {"said": ["a " + kept + "\\", kept, json.dumps({"in": kept})], "more": document}
    told = redactor.text(json.dumps(whole, ensure_ascii=ascii))
    found = json.loads(told)
    assert set(found) == {"said", "more"}
    assert len(found["said"]) == 3
    assert kept not in found["said"][0]
    assert kept not in found["said"][1]


@given(st.text(string.ascii_letters + string.digits + " .,:;()[]{}'\"/-_=\n", max_size=200))
def test_a_text_without_secrets_is_left_as_it_is(text: str) -> None:
    lowered = text.lower()
    hints = ("bearer", "basic", "token", "key", "://", "rl_", "whsec_", "hv", "s.", "b.", "r.")
    assume(not any(hint in lowered for hint in hints))
    assert Redactor().text(text) == text


SHAPES = {
    "bearer": ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
    "basic": ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "ours": ("token rl_0a1b2c3d_" + "Xy9_" * 10 + "abc given", "Xy9_Xy9_"),
    "vault": ("uses hvs.CAESIJ0aB1c2D3e4F5g6 for it", "CAESIJ0aB1c2D3e4F5g6"),
    "old vault": ("uses s.0aB1c2D3e4F5g6H7i8J9k0L1 for it", "0aB1c2D3e4F5g6H7i8J9k0L1"),
    "webhook": ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8"),
    "address": ("at postgres://app:tr0ub4dor@db.example:5432/x", "tr0ub4dor"),
    "address with an at": ("https://me:p@ss@host/x", "p@ss"),
    "vault header": ("X-Vault-Token: root1234", "root1234"),
    "key": (
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAbc\n+/x=\n-----END EC PRIVATE KEY-----\nrest",
        "MHcCAQEEIAbc",
    ),
    "key in json": (r'{"k": "-----BEGIN PRIVATE KEY-----\nMHcCAQEE\n"}', "MHcCAQEE"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_looks_like_a_secret_is_taken_out_unasked(name: str) -> None:
    text, secret = SHAPES[name]
    told = Redactor().text(text)
    assert secret not in told
    assert MARK in told
    assert Redactor().text(told) == told
    if text.startswith("{"):
        json.loads(told)


@pytest.mark.parametrize(
    "text",
    [
        "bearer tokens are read from the file",
        "basic authentication is not supported",
        "http://127.0.0.1:8501/runs?run=run-1",
        "see https://user@example.com/a:b@c",
        "the runs. Whatever they are",
        "sha256:" + "ab" * 32,
        "at http://[::1]:8200/v1/kv/data/eu-prod",
    ],
)
def test_what_only_sounds_like_one_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_a_short_value_is_not_looked_for() -> None:
    redactor = Redactor()
    for value in ("", "1", "eu-prod", "x" * 70_000):
        redactor.learn(value)
    assert redactor.text("eu-prod 1 x") == "eu-prod 1 x"


def test_the_oldest_values_are_forgotten_and_the_last_ones_are_not() -> None:
    redactor = Redactor()
    for number in range(1_010):
        redactor.learn(f"value-number-{number:04}")
    assert redactor.text("value-number-1009") == MARK
    assert redactor.text("value-number-0000") != MARK


def test_bytes_that_are_no_text_are_found_in_base64() -> None:
    redactor = Redactor()
    value = bytes(range(200, 220))
    redactor.learn(value)
    assert redactor.text(base64.b64encode(value).decode()).count(MARK) == 1


def test_an_event_loses_its_free_texts_only() -> None:
    redactor = Redactor()
    redactor.learn("canary-50")
    event = StepErrored(
        step="canary-50", attempt=1, cause="adapter", reason="said canary-50", transient=True
    )
    told = redactor.record(event)
    assert (told.step, told.reason) == ("canary-50", f"said {MARK}")
    other = StepErrored(step="x", attempt=1, cause="adapter", reason="fine", transient=True)
    assert redactor.record(other) is other


@dataclass(frozen=True)
class Inner:
    note: str
    name: str


@dataclass(frozen=True)
class Outer:
    parts: tuple[Inner, ...]
    notes: tuple[str, ...]


def test_nested_texts_are_found_too() -> None:
    redactor = Redactor()
    redactor.learn("planted-5a1c")
    told = redactor.record(
        Outer(parts=(Inner("a planted-5a1c", "planted-5a1c"),), notes=("planted-5a1c", "b"))
    )
    assert told == Outer(parts=(Inner(f"a {MARK}", "planted-5a1c"),), notes=(MARK, "b"))


def record_of(msg: str, *args: Any, exc_info: Any = None) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "f", 1, msg, args, exc_info)


def test_a_log_record_is_told_without_secrets() -> None:
    learn("planted-log-77")
    told = clean(record_of("%s has %d of %s", "planted-log-77", 3, "b"))
    assert told.getMessage() == f"{MARK} has 3 of b"
    assert told.args == (MARK, 3, "b")
    # Together they are one, apart they are none.
    assert clean(record_of("planted-%s", "log-77")).getMessage() == MARK
    assert clean(record_of("a %d", "no number")).args == ("no number",)


def test_a_traceback_is_told_without_secrets() -> None:
    learn("planted-trace-9")
    try:
        raise RuntimeError("it said planted-trace-9")
    except RuntimeError as error:
        told = clean(record_of("failed", exc_info=(type(error), error, error.__traceback__)))
    text = logging.Formatter().format(told)
    assert "planted-trace-9" not in text
    assert f"RuntimeError: it said {MARK}" in text
