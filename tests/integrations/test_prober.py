"""The engine's looks in the background: what is kept, recorded, and who may ask for one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.store import Store
from engine.asker import Asker
from engine.core.data_health import Level
from engine.core.errors import AdapterFailed, NotFound, Refused
from engine.core.health_events import HEALTH, DataHealthChanged
from engine.core.house import ADMIN, CommandRejected
from engine.core.scopes import Limits, Scope
from engine.integrations.prober import Probed, Prober
from engine.ports_integrations import ProbeResult
from tests.faults.outside_world import SimClock
from tests.faults.small_house import settings

SRE, VIEWER = Asker(user="sam"), Asker(user="eve")
FEEDS_TOKEN = Asker(user="sam", limits=Limits(scopes=frozenset({Scope.FEEDS})))


class Told:
    """A probe that answers as told; `gate` holds it back until somebody opens it."""

    kind = "http"
    address = "http://127.0.0.1:1"

    def __init__(self, name: str) -> None:
        self.name = name
        self.next: ProbeResult | Exception = ProbeResult(level=Level.OK, reason="ok", latency_ms=3)
        self.gate = threading.Event()
        self.gate.set()
        self.asked = 0

    def probe(self, *, deadline_s: float) -> ProbeResult:
        self.asked += 1
        self.gate.wait(10)
        if isinstance(self.next, Exception):
            raise self.next
        return self.next


class Rig:
    def __init__(self, home: Path) -> None:
        self.home, self.clock = home, SimClock()
        self.store = Store.open(home, clock=self.clock)
        self.a, self.b = Told("a"), Told("b")
        self.prober = self.again()

    def again(self) -> Prober:
        """Another life of the engine on the same home."""
        probes = [Probed(probe=one, deadline_s=1.0) for one in (self.a, self.b)]
        return Prober(
            store=self.store, clock=self.clock, settings=settings(self.home), probes=probes
        )

    def levels(self) -> list[Level]:
        return [one.level for one in self.prober.integrations()]

    def events(self) -> list[DataHealthChanged]:
        found = [one.event for one in self.store.load(HEALTH)]
        return [one for one in found if isinstance(one, DataHealthChanged)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    try:
        yield one
    finally:
        one.prober.stop()
        one.store.close()


def test_before_the_first_look_nothing_is_known(rig: Rig) -> None:
    assert rig.levels() == [Level.UNKNOWN, Level.UNKNOWN]
    rig.prober.look_at_all()
    assert rig.levels() == [Level.OK, Level.OK]


def test_only_a_change_is_on_record(rig: Rig) -> None:
    for _ in range(3):
        rig.prober.look_at_all()
    rig.a.next = AdapterFailed("cannot be reached: refused", transient=True)
    for _ in range(4):
        rig.clock.sleep(30)
        rig.prober.look_at_all()
    told = [(one.name, one.level) for one in rig.events()]
    assert sorted(told[:2]) == [("a", "OK"), ("b", "OK")]
    assert told[2:] == [("a", "WARN"), ("a", "FAIL")]
    assert rig.levels() == [Level.FAIL, Level.OK]
    last_good = rig.prober.integrations()[0].last_good_us
    assert last_good is not None and rig.events()[-1].last_good_us == last_good


def test_an_answer_that_says_no_counts_at_once(rig: Rig) -> None:
    rig.a.next = AdapterFailed("status 403: it does not accept the token", transient=False)
    rig.b.next = RuntimeError("a defect of ours")
    rig.prober.look_at_all()
    assert rig.levels() == [Level.FAIL, Level.WARN]
    assert "RuntimeError" in rig.prober.integrations()[1].reason


def test_what_nobody_looks_at_any_more_becomes_unknown(rig: Rig) -> None:
    rig.prober.look_at_all()
    rig.clock.sleep(91)
    assert rig.levels() == [Level.UNKNOWN, Level.UNKNOWN]
    rig.prober.look_at_all()
    assert rig.levels() == [Level.OK, Level.OK]


def test_since_when_survives_a_restart(rig: Rig) -> None:
    rig.a.next = AdapterFailed("status 403", transient=False)
    rig.prober.look_at_all()
    since = [one.since_us for one in rig.prober.integrations()]
    rig.clock.sleep(600)
    rig.prober = rig.again()
    assert rig.levels() == [Level.UNKNOWN, Level.UNKNOWN]  # ten minutes ago is not now
    rig.prober.look_at_all()
    assert rig.levels() == [Level.FAIL, Level.OK]
    for one, before_us in zip(rig.prober.integrations(), since, strict=True):
        assert one.since_us is not None and before_us is not None
        assert 0 <= one.since_us - before_us < 1_000  # told a moment after it was found
    assert len(rig.events()) == 2


def test_a_look_on_request_runs_in_the_background(rig: Rig) -> None:
    rig.a.gate.clear()
    rig.prober.wake("a", SRE)
    while not rig.prober.looking():
        threading.Event().wait(0.01)
    assert rig.levels() == [Level.UNKNOWN, Level.UNKNOWN]
    with pytest.raises(Refused, match="being looked at right now"):
        rig.prober.wake("a", SRE)
    rig.a.gate.set()
    rig.prober.wait()
    assert rig.levels() == [Level.OK, Level.UNKNOWN]
    assert rig.a.asked == 1


def test_who_may_not_ask_is_told_so_and_it_is_on_record(rig: Rig) -> None:
    with pytest.raises(Refused, match="may not have an integration probed: this needs the role"):
        rig.prober.wake("a", VIEWER)
    with pytest.raises(NotFound, match="there are: a, b"):
        rig.prober.wake("c", SRE)
    with pytest.raises(Refused, match="probe integration is in none of them"):
        rig.prober.wake("a", FEEDS_TOKEN)
    denied = [one.event for one in rig.store.load(ADMIN)]
    told = [(one.action, one.code) for one in denied if isinstance(one, CommandRejected)]
    assert told == [("probe_integration", "role"), ("probe_integration", "scope")]
    assert rig.a.asked == 0
