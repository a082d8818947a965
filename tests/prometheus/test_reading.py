"""What an answer says of the targets: missing is not unhealthy, silent is not current."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.adapters.prometheus_reading import Scene
from engine.adapters.prometheus_series import Counts, Series
from engine.core.metrics import Reading, ReadingStatus, SeriesNames
from tests.prometheus.answers import AT_S, series

NAMES = SeriesNames(durations="")
TARGETS = ("a", "b", "c")


def reading(
    found: Sequence[Series],
    *,
    at_s: int = AT_S + 1,
    names: SeriesNames = NAMES,
    targets: Sequence[str] = TARGETS,
) -> Reading:
    scene = Scene(
        found, targets, names, at_ms=at_s * 1000, age_ms_max=3_000, select='environment="prod"'
    )
    counts = Counts(names, slow_over_ms=250)
    counts.take(scene.counters)
    return scene.reading(counts, query="q", slow_over_ms=250)


def exposed(target: str, *, up: int = 1, ready: int | None = 1, seen: int = 2) -> list[Series]:
    """What a target that counts its own requests leaves behind: `seen` samples, then silence."""
    place = {"job": "shop", "instance": f"{target}:80"}
    found = [series("up", [1, up], **{**place, "target": target})]
    if seen:
        count = series("http_requests_total", [5, 9][:seen], target=target, code="200")
        found.append(replace(count, labels={**count.labels, **place}))
    if ready is not None and seen:
        gauge = series("target_ready", [1, ready][:seen], target=target)
        found.append(replace(gauge, labels={**gauge.labels, **place}))
    return found


def everybody(**others: list[Series]) -> list[Series]:
    return [one for t in TARGETS for one in others.get(t, exposed(t))]


def test_all_is_well() -> None:
    one = reading(everybody())
    assert (one.status, one.note) == (ReadingStatus.OK, "")
    assert {t: c.healthy for t, c in one.targets.items()} == dict.fromkeys(TARGETS, True)
    assert one.at_us == (AT_S + 1) * 1_000_000


def test_not_ready_is_unhealthy_and_no_answer_is_missing() -> None:
    one = reading(everybody(a=exposed("a", ready=0), b=exposed("b", up=0, seen=1)))
    assert one.status is ReadingStatus.OK
    assert one.targets["a"].healthy is False
    # Its last sample is a second old and well: it is its exporter that no longer answers.
    assert "b" not in one.targets


def test_no_word_of_readiness_is_no_health() -> None:
    one = reading(everybody(a=exposed("a", ready=None)))
    assert one.targets["a"].healthy is None
    assert one.targets["b"].healthy is True


def test_a_target_that_nobody_scrapes_makes_it_partial() -> None:
    one = reading(everybody(c=[]))
    assert one.status is ReadingStatus.PARTIAL
    assert one.note == "it knows nothing of c"
    assert "c" not in one.targets


def test_old_samples_are_no_data_and_the_note_says_how_old() -> None:
    one = reading(everybody(), at_s=AT_S + 9)
    assert one.status is ReadingStatus.NODATA
    assert one.note == "the newest sample is 8.0 s old, 3 s are allowed (samples came every 1 s)"


def test_when_not_one_target_answers_it_is_no_data() -> None:
    router = [series("http_requests_total", [5, 9], target=t, code="200") for t in TARGETS]
    silent = [
        series("up", [1, 0], **{"job": "shop", "instance": f"{t}:80", "target": t}) for t in TARGETS
    ]
    one = reading([*router, series("up", [1, 1]), *silent])
    assert one.status is ReadingStatus.NODATA
    assert one.note == "it can't scrape any of the 3 targets"


def test_a_router_that_cannot_be_scraped_takes_all_counts_with_it() -> None:
    router = [series("http_requests_total", [5], target=t, code="200") for t in TARGETS]
    ready = [
        series("target_ready", [1, 1], **{"instance": f"{t}:80", "target": t}) for t in TARGETS
    ]
    one = reading([*router, *ready, series("up", [1, 0])])
    assert one.status is ReadingStatus.NODATA
    assert one.note == "it can't scrape r at p"


def test_without_a_gauge_of_readiness_up_is_health() -> None:
    names = replace(NAMES, ready="")
    one = reading(everybody(b=exposed("b", up=0)), names=names)
    assert one.targets["a"].healthy is True
    assert "b" not in one.targets
    # The `up` of a router speaks for the router, not for the targets behind it.
    router = [series("http_requests_total", [5, 9], target=t, code="200") for t in TARGETS]
    one = reading([*router, series("up", [1, 1])], names=names)
    assert one.status is ReadingStatus.NODATA


def test_a_missing_histogram_makes_it_partial_where_one_is_expected() -> None:
    one = reading(everybody(), names=SeriesNames())
    assert one.status is ReadingStatus.PARTIAL
    assert one.note == "there is no http_request_duration_seconds_bucket of a, b, c"


def test_series_of_strangers_are_left_out() -> None:
    stranger = series("http_requests_total", [1e6, 2e6], target="zz", code="500")
    one = reading([*everybody(), stranger])
    assert set(one.targets) == set(TARGETS)
