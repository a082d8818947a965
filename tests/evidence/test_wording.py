"""Expected and found in words: digest, name, time with its zone, and one line whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.evidence.report import Ledger, Report, Vouched, Witnessing
from engine.evidence.trust import Window
from engine.evidence.wording import both, moment, plain, span, worded

D = Digest.of(b"a")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "nothing"),
        ("", "nothing"),
        (True, "yes"),
        (7, "7"),
        (D, f"sha256:{D.hex}"),
        (NamedDigest(name="a.dsse", digest=D), f"a.dsse with sha256:{D.hex}"),
        ((NamedDigest(name="a", digest=D), 3), f"a with sha256:{D.hex}, 3"),
        ([], "nothing"),
        ({"sha256": D.hex}, f"sha256:{D.hex}"),
        ({"sha256": "odd"}, "sha256 odd"),
        ({"name": "a", "digest": {"sha256": D.hex}}, f"a with sha256:{D.hex}"),
        ({"b": None, "a": {"c": 1}}, "a c 1, b nothing"),
    ],
)
def test_a_value_in_words(value: object, said: str) -> None:
    assert worded(value) == said


def test_of_two_documents_only_what_differs() -> None:
    one = {"outcome": "FAILED", "count": 1, "run": "run-1"}
    other = {"outcome": "SUCCEEDED", "count": True, "run": "run-1", "more": None}
    assert both(one, other) == (
        "count 1, no more, outcome FAILED",
        "count yes, more nothing, outcome SUCCEEDED",
    )


def test_of_two_digests_both() -> None:
    other = {"sha256": "0" * 64}
    assert both({"sha256": D.hex}, other) == (f"sha256:{D.hex}", f"sha256:{'0' * 64}")
    assert both({"sha256": D.hex}, None) == (f"sha256:{D.hex}", "nothing")


def test_of_deep_documents_the_place_as_deep_as_it_lies() -> None:
    long = {"a": [{"raw": "x" * 2_000 + "1", "same": 0}, {"raw": "y"}], "d": {"sha256": D.hex}}
    other = {"a": [{"raw": "x" * 2_000 + "2", "same": 0}, {}], "d": {"sha256": "0" * 64}}
    expected, found = both(long, other)
    assert expected.startswith("a[0].raw …xxx") and expected.split(", ")[0] != found.split(", ")[0]
    assert expected.split(", ")[1:] == ["a[1].raw y", f"d sha256:{D.hex}"]
    assert found.split(", ")[1] == "no a[1].raw" and len(expected) < 400
    ledger = Ledger()
    ledger.same("f", "c", expected={"x": long}, found={"x": other})
    assert ledger.checks[0].expected != ledger.checks[0].found


def test_of_two_long_texts_the_place_where_they_part() -> None:
    one, other = "x" * 500 + "a" + "y" * 500, "x" * 500 + "b" + "y" * 500
    expected, found = both(one, other)
    assert expected != found and len(expected) < 200
    assert "xay" in expected and "xby" in found and "sign 500" in found
    assert both(one, one[:400])[1].endswith("(ends at sign 400)")
    assert both("", "x" * 500)[0] == "nothing"


def test_times_have_their_zone() -> None:
    assert moment(1_771_400_000) == "2026-02-18 07:33:20 UTC"
    assert span(0, None) == "from 1970-01-01 00:00:00 UTC to now" == str(Window(start_s=0))
    assert moment(10**17) == f"second {10**17} of 1970"


@given(st.text())
def test_a_stranger_draws_no_lines_into_a_report(text: str) -> None:
    ledger = Ledger()
    ledger.no("a", "b", expected="c", found=text)
    line = str(ledger.checks[0])
    assert line.isprintable() and len(line.splitlines()) == 1
    line.encode()


def test_a_forged_line_and_a_turned_one_are_seen() -> None:
    assert plain("a\nok      b: c") == "a\\nok      b: c"
    assert plain("\x1b[2J\u202e") == "\\x1b[2J\\u202e"
    assert plain("\\n") != plain("\n")
    assert plain("x" * 5_000).endswith("… (5000 signs)")


@given(st.integers() | st.text(max_size=5), st.integers() | st.text(max_size=5))
def test_what_differs_is_told_as_different(one: object, other: object) -> None:
    ledger = Ledger()
    if not ledger.equal("a", "b", expected=[one], found=[other]) and type(one) is type(other):
        assert ledger.checks[0].expected != ledger.checks[0].found


def test_what_is_known_of_a_witness_is_said() -> None:
    def said(vouched: Vouched, *, anchored: bool) -> str:
        return Report(
            checks=(),
            fingerprint="",
            anchored=anchored,
            witness=Witnessing(vouched=vouched, keys=("w.example+0a0b0c0d+KEY",)),
        ).witness_sentence

    assert said(Vouched.GIVEN, anchored=True).startswith(
        "The key of the witness w.example+0a0b0c0d"
    )
    own = said(Vouched.PACK, anchored=True)
    assert "only the pack's own" in own and "--witness FILE" in own
    assert said(Vouched.ROOT, anchored=False) == own
    assert "the trusted root names" in said(Vouched.ROOT, anchored=True)
    assert "No witness" in said(Vouched.NOBODY, anchored=True)
    assert Report(checks=(), fingerprint="", anchored=True).witness_sentence == ""
