"""Counters as a metric source reads them: cumulative, per target, exact integers.

Rates, shares and percentiles are computed from differences of these (engine/core/ticks.py), so
that a decision rests on counts and can be repeated from them. No source is named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

# Upper bounds of the latency histogram, milliseconds; a last, open bucket follows.
LATENCY_BOUNDS_MS: Final = (
    1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750,
    1000, 1500, 2000, 3000, 5000, 10000,
)  # fmt: skip


class ReadingStatus(StrEnum):
    OK = "ok"
    NODATA = "nodata"
    ERROR = "error"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCounters:
    """Cumulative since the source began counting; a lower value than before means it restarted.

    Attributes:
        slow: requests over the source's slow threshold.
        buckets: requests per latency bucket (not cumulative), len(LATENCY_BOUNDS_MS) + 1 values.
        healthy: the target's own probe; None when it gave no answer.
    """

    requests: int
    errors: int
    slow: int
    buckets: tuple[int, ...]
    healthy: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Attributes:
    at_us: when the counters stood like this; of several times the oldest.
    targets: by target id; a target that the source does not know is missing, not zero.
    query: what was asked, so that it can be asked again (text and evaluation time).
    """

    at_us: int
    status: ReadingStatus
    targets: Mapping[str, TargetCounters] = field(default_factory=dict)
    note: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesNames:
    """How a source that keeps series by name and labels calls what we need.

    Attributes:
        select: label matchers that choose one environment's series; `{environment}` stands for its
            name.
        requests: counter, one series per target and code.
        errors: pattern that a whole code has to match to be an error.
        durations: histogram in seconds; empty = there is none, and no request is ever slow.
        ready: gauge, 1 when the target is healthy; empty = a target that can be scraped is.
    """

    select: str = 'environment="{environment}"'
    requests: str = "http_requests_total"
    durations: str = "http_request_duration_seconds_bucket"
    ready: str = "target_ready"
    target_label: str = "target"
    code_label: str = "code"
    errors: str = "5.."
