"""SBOM rescans: what is due after any course of tries, and what is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.data_health import Level, rescan_source
from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.events import Event, Recorded
from engine.core.rescan_events import (
    RESCANS,
    BundleProblem,
    BundleRescan,
    RescanFailed,
    RescanFinished,
    RescanStarted,
)
from engine.core.rescans import (
    FIRST_WAIT_US,
    WAIT_US_MAX,
    RescanLog,
    Subject,
    due,
    evolve,
    matched,
    retry_us,
    standing,
)

ZERO = Digest.of(b"")
A, B, C = (Digest.of(name) for name in (b"a", b"b", b"c"))


def feeds(version: int) -> tuple[NamedDigest, ...]:
    return (NamedDigest(name="OSV", digest=Digest.of(b"osv %d" % version)),)


OLD, NEW = feeds(1), feeds(2)


def subject(bundle: Digest, *places: str, gated: tuple[NamedDigest, ...] | None = OLD) -> Subject:
    return Subject(bundle=bundle, label="shop 1", environments=places or ("eu-prod",), gated=gated)


def found(bundle: Digest) -> BundleRescan:
    return BundleRescan(
        bundle=bundle, label="shop 1", packages=2, findings=ZERO, known=1, kev=0, compared=True,
        new=1, gone=0, named=("CVE-1 pkg:pypi/a@1",), unread=0,
    )  # fmt: skip


class Course:
    """A log as it grows; every event is a second after the one before."""

    def __init__(self) -> None:
        self.log, self.now_us, self.number = RescanLog(), 1_000_000_000, 0

    def record(self, event: Event) -> None:
        self.now_us += 1_000_000
        recorded = Recorded(
            gseq=1, stream=RESCANS, seq=1, ts_us=self.now_us, actor="engine", command_id="",
            event=event, prev=ZERO, hash=ZERO,
        )  # fmt: skip
        self.log = evolve(self.log, recorded)

    def start(self, *bundles: Digest, over: tuple[NamedDigest, ...] = NEW) -> None:
        self.number += 1
        started = RescanStarted(
            number=self.number, cause="snapshot", snapshots=over, bundles=bundles
        )
        self.record(started)

    def finish(self, *bundles: Digest) -> None:
        seen = tuple(found(one) for one in bundles)
        self.record(RescanFinished(number=self.number, bundles=seen, took_ms=5))

    def fail(self, code: str, *lost: Digest, seen: tuple[Digest, ...] = ()) -> None:
        self.record(
            RescanFailed(
                number=self.number,
                code=code,
                reason="why",
                bundles=tuple(found(one) for one in seen),
                failed=tuple(BundleProblem(bundle=b, label="", reason="why") for b in lost),
                took_ms=5,
            )
        )

    def due(self, *subjects: Subject, after_us: int = 0) -> tuple[str, list[Digest]] | None:
        told = due(self.log, subjects, NEW, now_us=self.now_us + after_us)
        return None if told is None else (told[0], [one.bundle for one in told[1]])


def test_what_the_gate_saw_against_these_snapshots_needs_no_rescan() -> None:
    course = Course()
    assert course.due(subject(A, gated=NEW)) is None
    assert course.due(subject(A, gated=NEW), subject(B)) == ("snapshot", [B])
    assert course.due(subject(A, gated=None)) == ("snapshot", [A])
    course.start(B)
    course.finish(B)
    assert course.due(subject(A, gated=NEW), subject(B)) is None
    # Other snapshots come into force: what was matched before is matched again.
    told = due(course.log, (subject(B),), feeds(3), now_us=course.now_us)
    assert told is not None and told[0] == "snapshot"


def test_a_worker_that_dies_is_tried_again_ever_later() -> None:
    course, waits = Course(), []
    for _ in range(9):
        course.start(A)
        course.fail("worker", A)
        assert course.due(subject(A)) is None
        waits.append(retry_us(course.log) - course.now_us)
        assert course.due(subject(A), after_us=waits[-1]) == ("retry", [A])
    assert waits[:3] == [FIRST_WAIT_US, 2 * FIRST_WAIT_US, 4 * FIRST_WAIT_US]
    assert waits[-1] == WAIT_US_MAX
    course.start(A)
    course.finish(A)
    assert (course.log.failures, course.log.failing_us) == (0, 0)


def test_other_snapshots_wait_for_no_retry() -> None:
    course = Course()
    course.start(A, over=OLD)
    course.fail("worker", A)
    assert course.due(subject(A)) == ("snapshot", [A])


@pytest.mark.parametrize("code", ["sbom", "feeds"])
def test_what_would_fail_again_is_not_tried_again(code: str) -> None:
    course = Course()
    course.start(A, B)
    course.fail(code, B, seen=(A,))
    assert course.due(subject(A), subject(B), after_us=10**12) is None
    assert course.due(subject(A), subject(B), subject(C)) == ("snapshot", [C])


def test_a_rescan_that_died_with_the_engine_counts_as_a_failure() -> None:
    course = Course()
    course.start(A)
    assert course.due(subject(A)) is None  # it began a moment ago
    told = standing(course.log, [subject(A)], NEW)
    assert (told.code, told.failed) == ("interrupted", 1)
    assert course.due(subject(A), after_us=FIRST_WAIT_US) == ("retry", [A])
    course.start(A)
    assert course.log.failures == 1


def test_the_banner_says_what_failed_since_when_and_what_it_blocks() -> None:
    course = Course()
    course.start(A, B, C)
    course.fail("worker", A, B, C)
    since_us = course.now_us
    subjects = [subject(A), subject(B, "eu-stage"), subject(C)]
    source = rescan_source(standing(course.log, subjects, NEW))
    assert source.level is Level.WARN
    assert source.text == "SBOM rescan failed (worker): 3 of 3 bundles"
    assert (source.since_us, source.blocks) == (since_us, ("news of flaws in eu-prod, eu-stage",))
    course.start(A, B, C)  # the retry, under way: still failing, since the first failure
    source = rescan_source(standing(course.log, subjects, NEW, done=1))
    assert source.level is Level.WARN and source.since_us == since_us
    assert source.text.endswith("under way, 1 of 3 seen")
    course.fail("worker", B, C, seen=(A,))
    source = rescan_source(standing(course.log, subjects, NEW))
    assert source.text == "SBOM rescan failed (worker): 2 of 3 bundles"
    course.start(B, C)
    course.finish(B, C)
    source = rescan_source(standing(course.log, subjects, NEW))
    assert (source.level, source.blocks) == (Level.OK, ())


def test_what_never_ran_is_unknown_and_one_under_way_changes_no_level() -> None:
    course = Course()
    never = rescan_source(standing(course.log, [subject(A, gated=None)], NEW))
    assert (never.level, never.text) == (
        Level.UNKNOWN,
        "SBOM rescan never run for 1 of 1 bundle",
    )
    waits = rescan_source(standing(course.log, [subject(A), subject(B, gated=NEW)], NEW))
    assert (waits.level, waits.text) == (Level.UNKNOWN, "SBOM rescan due for 1 of 2 bundles")
    course.start(A)
    under_way = rescan_source(standing(course.log, [subject(A)], NEW, done=0))
    assert under_way.level is Level.OK and "under way, 0 of 1 seen" in under_way.text
    blind = rescan_source(standing(course.log, [subject(A, gated=None)], NEW, done=0))
    assert blind.level is Level.UNKNOWN


steps = st.lists(
    st.tuples(
        st.sampled_from(["finish", "worker", "sbom", "feeds", "stopped", "cut"]),
        st.sampled_from([OLD, NEW]),
        st.sets(st.sampled_from([A, B, C]), min_size=1),
        st.sets(st.sampled_from([A, B, C])),
    ),
    max_size=12,
)


@given(steps)
def test_after_any_course_nothing_is_forgotten(
    course_of: list[tuple[str, tuple[NamedDigest, ...], set[Digest], set[Digest]]],
) -> None:
    course = Course()
    for word, over, bundles, seen in course_of:
        course.start(*sorted(bundles), over=over)
        if word == "finish":
            course.finish(*bundles)
        elif word != "cut":
            course.fail(word, *(bundles - seen), seen=tuple(bundles & seen))
    subjects = [subject(one) for one in (A, B, C)]
    told = standing(course.log, subjects, NEW)
    missing = [one for one in subjects if not matched(one, course.log, NEW)]
    assert told.missing == len(missing) and told.failed <= told.missing
    source = rescan_source(told)
    # OK exactly when every bundle was seen against the snapshots in force.
    assert (source.level is Level.OK) == (not missing)
    # Whatever is missing is tried sooner or later, but for what would only fail again.
    later = due(course.log, subjects, NEW, now_us=course.now_us + 10 * WAIT_US_MAX)
    tried = set() if later is None else {one.bundle for one in later[1]}
    left = {one.bundle for one in missing} - tried
    assert not left or told.code in {"sbom", "feeds"}
    # New snapshots make everything due at once.
    fresh = due(course.log, [replace(s, gated=OLD) for s in subjects], feeds(9), now_us=0)
    assert fresh is not None and len(fresh[1]) == 3
