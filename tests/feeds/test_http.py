"""The HTTP adapter against a real server that misbehaves in every way that servers do."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from engine.adapters.feeds_http import HttpMirror, redirected
from engine.core.errors import AdapterFailed
from engine.core.feed_events import Validator
from engine.inputs.feeds_unpack import FeedLimits
from tests.feeds.mirror import Fault, Mirror, serving

LONG = FeedLimits(deadline_s=10, file_bytes=10_000)
SHORT = FeedLimits(deadline_s=1)
# A busy machine may need more than a second to see an answer break off.
BUSY = FeedLimits(deadline_s=2)
PLACE = "a folder/b.json"


def asking(mirror: Mirror, limits: FeedLimits = LONG, **secret: str) -> HttpMirror:
    mirror.files.setdefault(PLACE, b"content")
    return HttpMirror(mirror.url, limits=limits, secret=secret)


def test_a_file_and_its_state(mirror: Mirror) -> None:
    client = asking(mirror)
    got = client.get(PLACE)
    assert got is not None and got.content == b"content" and got.validator is not None
    assert client.bytes_read == 7
    again = client.get(PLACE, known=got.validator)
    assert again is not None and again.content is None and again.validator == got.validator
    mirror.files[PLACE] = b"changed"
    other = client.get(PLACE, known=got.validator)
    assert other is not None and other.content == b"changed"
    assert client.get("absent.json") is None


def test_the_date_of_a_file_is_asked_by_too(mirror: Mirror) -> None:
    mirror.faults[PLACE] = Fault("header", "last-modified=Wed, 18 Feb 2026 08:31:00 GMT")
    client = asking(mirror)
    got = client.get(PLACE)
    known = Validator(place=PLACE, etag="", modified="Wed, 18 Feb 2026 08:31:00 GMT")
    assert got is not None and got.validator == known
    client.get(PLACE, known=known)
    assert mirror.headers[PLACE]["if-modified-since"] == "Wed, 18 Feb 2026 08:31:00 GMT"


def test_not_modified_without_a_question_is_no_answer(mirror: Mirror) -> None:
    mirror.faults[PLACE] = Fault("status", "304")
    with pytest.raises(AdapterFailed, match="status 304"):
        asking(mirror).get(PLACE)


@pytest.mark.parametrize("status", ["500", "429", "503"])
def test_a_passing_trouble_is_waited_out(status: str, mirror: Mirror) -> None:
    mirror.faults[PLACE] = Fault("status", status, times=1)
    got = asking(mirror).get(PLACE)
    assert got is not None and got.content == b"content"
    assert [answer for _, answer in mirror.asked] == [int(status), 200]


@pytest.mark.parametrize(
    ("fault", "says", "transient"),
    [
        (Fault("status", "500"), "status 500", True),
        (Fault("status", "403"), "status 403", False),
        (Fault("cut"), "the answer broke off", True),
        (Fault("unframed"), "expected Content-Length or chunks, found neither", False),
        (Fault("packed"), "it is sent packed, unasked", False),
        (Fault("drip"), "did not end within 1 s", True),
        (Fault("redirect", ""), "which is no address", False),
        (Fault("redirect", "file:///etc/passwd"), "which is no address", False),
        (Fault("redirect", "/a%20folder/b.json"), "at most 5 redirects, found more", False),
    ],
)
def test_every_other_answer_is_refused_in_words(
    fault: Fault, says: str, transient: bool, mirror: Mirror
) -> None:
    mirror.faults[PLACE] = fault
    mirror.files[PLACE] = b"0123456789" * 10
    began = time.monotonic()
    with pytest.raises(AdapterFailed, match=says) as failed:
        asking(mirror, SHORT if fault.kind == "drip" else BUSY).get(PLACE)
    assert failed.value.transient is transient
    assert time.monotonic() - began < 3


def test_more_than_is_allowed_is_not_read(mirror: Mirror) -> None:
    mirror.files[PLACE] = b"x" * 10_001
    with pytest.raises(AdapterFailed, match="at most 10000 bytes"):
        asking(mirror).get(PLACE)


def test_nobody_there(mirror: Mirror) -> None:
    client = HttpMirror("http://127.0.0.1:9", limits=SHORT)
    with pytest.raises(AdapterFailed, match="cannot be reached"):
        client.get("x")


@pytest.fixture
def elsewhere() -> Iterator[Mirror]:
    with serving() as made:
        yield made


def test_a_secret_stays_with_its_origin(mirror: Mirror, elsewhere: Mirror) -> None:
    elsewhere.files["b.json"] = b"from elsewhere"
    mirror.faults[PLACE] = Fault("redirect", f"{elsewhere.url}/b.json")
    got = asking(mirror, Authorization="Bearer s3cret").get(PLACE)
    assert got is not None and got.content == b"from elsewhere"
    assert mirror.headers[PLACE]["authorization"] == "Bearer s3cret"
    assert "authorization" not in elsewhere.headers["b.json"]


def test_a_redirect_never_leaves_https() -> None:
    with pytest.raises(AdapterFailed, match="redirects from https to http://b"):
        redirected(httpx.URL("https://a/x"), "http://b/y")
    assert str(redirected(httpx.URL("https://a/x"), "/y")) == "https://a/y"
