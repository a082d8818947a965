"""Peers that answer badly, slowly or not at all: bounded time, one sentence, no false success."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from engine.adapters import prometheus_http
from engine.adapters.metrics_prometheus import SETTLE_MS, PrometheusMetrics
from engine.adapters.references import secret_from
from engine.core.errors import AdapterFailed
from engine.core.metrics import Reading, ReadingStatus
from tests.prometheus.answers import AT_S, document, peer, response, series

TOKEN = "s3cret-t0ken"


class At:
    """A clock that stands."""

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def now_us(self) -> int:
        return round(self.at_s * 1e6) + SETTLE_MS * 1000

    def monotonic_s(self) -> float:
        return time.monotonic()


def source(url: str, *, at_s: float = AT_S + 1, **more: Any) -> PrometheusMetrics:
    return PrometheusMetrics(url, environment="prod", targets=["a"], clock=At(at_s), **more)


def read(answer: bytes, **more: Any) -> Reading:
    with peer(answer) as (url, _):
        return source(url, **more).read(deadline_s=2.0)


GOOD = [
    series("http_requests_total", [5, 9], target="a", code="200"),
    series("http_request_duration_seconds_bucket", [5, 9], target="a", le="0.25"),
    series("http_request_duration_seconds_bucket", [5, 9], target="a", le="+Inf"),
    series("target_ready", [1, 1], target="a"),
]


def test_a_whole_answer_is_read() -> None:
    with peer(response(document(GOOD))) as (url, asked):
        reading = source(url).read(deadline_s=2.0)
    assert (reading.status, reading.note) == (ReadingStatus.OK, "")
    assert reading.targets["a"].requests == 9
    assert reading.at_us == (AT_S + 1) * 1_000_000
    assert b"&time=1800000001.000&" in asked[0]
    assert reading.query.endswith("&time=1800000001.000")


ERRORS: dict[str, tuple[bytes, str]] = {
    "400": (response({"status": "error", "errorType": "bad_data", "error": "1:2: x"}, 400),
            "status 400, bad_data: 1:2: x"),
    "422": (response({"status": "error", "errorType": "execution", "error": "many"}, 422),
            "status 422, execution: many"),
    "503": (response({"status": "error", "errorType": "timeout", "error": "late"}, 503),
            "status 503, timeout: late"),
    "a proxy's page": (response(b"<html>Bad Gateway</html>", 502), "found '<html>Bad Gate"),
    "an error that claims 200": (response({"status": "error", "error": "no"}), "error: no"),
    "a success that claims 500": (response(document(GOOD), 500), "status 500"),
    "no JSON": (response(b'{"status": "succ'), "expected an answer of the Prometheus API"),
    "no object": (response(b"[]"), "expected an answer"),
    "depth": (response(b"[" * 100_000), "expected an answer"),
    "no bytes": (response(b""), "expected an answer"),
    "no data": (response({"status": "success"}), "expected `data`"),
    "another result": (
        response({"status": "success", "data": {"resultType": "vector", "result": []}}),
        "expected a matrix",
    ),
    "a redirect": (response(b"", 302, "Location: http://127.0.0.1:1/"), "redirects are not"),
    "refused": (response(b"who are you", 401), "does not accept the token"),
    "packed": (response(b"x", 200, "Content-Encoding: gzip"), "packed, unasked"),
    "cut short": (response(document(GOOD))[:-9], "cannot be reached"),
    "no HTTP": (b"SSH-2.0-x\r\n\r\n", "cannot be reached"),
    "nothing": (b"", "cannot be reached"),
    "a sample that is no pair": (
        response(b'{"status":"success","data":{"resultType":"matrix","result":'
                 b'[{"metric":{},"values":[1]}]}}'),
        "unreadable series",
    ),
    "times that fall": (
        response(b'{"status":"success","data":{"resultType":"matrix","result":'
                 b'[{"metric":{},"values":[[2,"1"],[1,"1"]]}]}}'),
        "not in the order of time",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS.values(), ids=list(ERRORS))
def test_what_is_no_answer_is_an_error_with_one_sentence(case: tuple[bytes, str]) -> None:
    answer, words = case
    reading = read(answer)
    assert reading.status is ReadingStatus.ERROR
    assert words in reading.note
    assert "\n" not in reading.note
    assert reading.targets == {}


def test_a_deadline_is_over_the_whole_exchange() -> None:
    """A byte every 50 ms: no single read ever times out."""
    with peer(response(document(GOOD)), every_s=0.05) as (url, _):
        began = time.monotonic()
        reading = source(url).read(deadline_s=0.5)
        took_s = time.monotonic() - began
    assert reading.status is ReadingStatus.ERROR
    assert reading.note == "gave no answer within 0.5 s"
    assert took_s < 2.0


def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_http, "ANSWER_BYTES_MAX", 1024**2)
    reading = read(response(b"x" * (2 * 1024**2)))
    assert "answers more than 1 MiB" in reading.note


def test_empty_is_no_data_and_never_0() -> None:
    reading = read(response(document([])))
    assert reading.status is ReadingStatus.NODATA
    assert 'there is no http_requests_total{environment="prod"}' in reading.note
    assert reading.targets == {}


def test_warnings_make_it_partial_and_nothing_of_it_is_counted() -> None:
    half = response(document(GOOD[:1], warnings=["store b did not answer"]))
    with peer(half) as (url, _):
        one = source(url)
        reading = one.read(deadline_s=2.0)
    assert reading.status is ReadingStatus.PARTIAL
    assert reading.note == "the source warns: store b did not answer"
    assert reading.targets == {}
    assert one._taken_ms is None


def test_a_nan_is_no_count() -> None:
    bad = series("http_requests_total", [5, float("nan")], target="a", code="200")
    reading = read(response(document([bad, *GOOD[1:]])))
    assert reading.status is ReadingStatus.ERROR
    assert "found nan" in reading.note


def test_the_token_is_sent_and_never_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    token = secret_from("file:token", tmp_path, {}, what="token")
    told = f"bad Bearer {TOKEN}"
    for answer in (
        response({"status": "error", "errorType": TOKEN, "error": "x" * 190 + TOKEN}, 400),
        response(document(GOOD, warnings=[told])),
        response(told.encode(), 500),
    ):
        with peer(answer) as (url, asked):
            reading = source(url, token=token).read(deadline_s=2.0)
        assert f"authorization: Bearer {TOKEN}\r\n".lower() in asked[0].decode().lower()
        assert TOKEN[:6] not in reading.note + reading.query
        assert "[redacted]" in reading.note


@pytest.mark.parametrize(
    ("reference", "words"),
    [("env:NONE", "env:NONE is not there"), ("file:none", "file:none can't be read: No such file")],
)
def test_a_missing_token_is_an_error_before_anything_is_sent(
    tmp_path: Path, reference: str, words: str
) -> None:
    with peer(response(document(GOOD))) as (url, asked):
        reading = source(url, token=secret_from(reference, tmp_path, {}, what="token")).read(
            deadline_s=2.0
        )
    assert reading.status is ReadingStatus.ERROR
    assert words in reading.note
    assert asked == []


def test_a_token_with_a_line_in_it_is_not_sent(tmp_path: Path) -> None:
    token = secret_from("env:T", tmp_path, {"T": "a\r\nX-Evil: 1"}, what="token")
    with peer(response(document(GOOD))) as (url, asked):
        reading = source(url, token=token).read(deadline_s=2.0)
    assert "characters that no token has" in reading.note
    assert asked == []


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    assert read(response(document(GOOD))).status is ReadingStatus.OK


def test_only_the_query_of_a_reading_can_be_repeated() -> None:
    with pytest.raises(AdapterFailed, match="the query of a reading"):
        source("http://127.0.0.1:1").repeat("router of prod: GET /counters", deadline_s=1.0)
