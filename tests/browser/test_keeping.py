"""Release manager, journeys 8 and 9 in a browser: a night's promotion and a queue, seen live.

Everything waits on real clocks: windows of minutes, feeds that a sync makes fresh, real servers.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from engine.adapters.feeds_dir import write_index
from engine.demo.bundles import build
from tests.browser.conftest import Watched, watch
from tests.hooks.receiver import Receiver, receiving
from tests.journeys.pipeline import PASS, Caller, caller, pipeline_home
from tests.journeys.product import Product, as_json, releaseline, starting, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.ci]

FEEDS = ("KEV", "NVD", "OSV")
HOUR = 3_600
SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
SHOTS = os.environ.get("RELEASELINE_SHOTS", "")


@dataclass
class House:
    server: Product
    receiver: Receiver
    ana: Caller
    bundle: str

    def feeds_are(self, age_s: int) -> None:
        """What a sync of that age would have left."""
        newest_s = int(time.time()) - age_s
        write_index(self.server.home / "feeds", dict.fromkeys(FEEDS, newest_s))

    def names_told(self, run: str) -> list[str]:
        """What the webhook was told of a run."""
        bodies = [json.loads(one.body) for one in list(self.receiver.got)]
        told = [one["data"]["customData"]["releaseline"] for one in bodies]
        return [one["event"] for one in told if one.get("run") == run]

    def words(self, run: str) -> list[str]:
        found = self.server.get("/scheduler/ticks")["items"]
        return [one["word"] for one in reversed(found) if one["run"] == run]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    home = pipeline_home(tmp_path / "home")
    with receiving() as receiver, starting(tmp_path) as start:
        path = home / "releaseline.yaml"
        settings: dict[str, Any] = yaml.safe_load(path.read_text())
        settings["outbound"] = {"allowed_hosts": [f"127.0.0.1:{receiver.port}"]}
        settings["webhooks"] = [{"name": "room", "url": receiver.url, "secret": "env:ROOM_SECRET"}]
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
        server = start("serve", home=home, ROOM_SECRET=SECRET, **PASS)
        wait_for("the server", lambda: server.get("/environments"), timeout_s=240)
        ana, made = caller(server, "ana.li"), build("healthy", tmp_path / "bundle")
        code, out, err = ana(
            "bundle", "create", *map(str, made.components), "--sbom", str(made.sbom),
            "--name", "shop", "--version", made.version,
        )  # fmt: skip
        assert code == 0, err
        yield House(server, receiver, ana, out.strip())


@pytest.fixture
def visit(browser: Browser, house: House) -> Iterator[Callable[[str], Watched]]:
    made = releaseline(
        "admin", "link", "--user", "ana.li", "--home", str(house.server.home), **PASS
    )
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, timezone_id="Europe/Sofia"
    )
    context.set_default_timeout(60_000)
    first = context.new_page()
    first.goto(made.stdout.split()[-1])
    first.wait_for_url(f"{house.server.url}/")

    def open_page(path: str) -> Watched:
        watched = watch(context.new_page(), house.server.url)
        watched.page.goto(house.server.url + path)
        return watched

    yield open_page
    context.close()


def minute(ahead_s: int) -> datetime:
    at = datetime.now(UTC) + timedelta(seconds=ahead_s + 59)
    return at.replace(second=0, microsecond=0)


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def scheduled_in_the_page(page: Page, opens: datetime) -> str:
    """The run of a schedule to `open`, made with the form; feeds younger than 1 h are enforced."""
    expect(page.get_by_role("heading", name="Schedule promotion")).to_be_visible()
    chosen = page.get_by_role("combobox", name="To")
    chosen.click()
    page.get_by_role("option", name="open", exact=True).click()
    zone = page.get_by_role("combobox", name="Time zone")
    zone.fill("UTC")
    page.get_by_role("option", name="UTC", exact=True).click()
    for part, text in (
        ("year, Day", f"{opens:%Y}"),
        ("month, Day", f"{opens:%m}"),
        ("day, Day", f"{opens:%d}"),
        ("hour, Time", f"{opens:%H}"),
        ("minute, Time", f"{opens:%M}"),
    ):
        page.get_by_role("spinbutton", name=part).click()
        page.keyboard.type(text)
    page.keyboard.press("Tab")
    # "SBOM rescans complete" is asked for from the start; here it is the feeds that are looked at.
    scans = page.get_by_role("radiogroup", name="SBOM rescans complete")
    scans.get_by_text("OFF").click()
    expect(page.get_by_text(f"at {opens:%H:%M} UTC").first).to_be_visible()
    shot(page, "form")
    page.get_by_role("button", name="Create schedule").click()
    expect(page.get_by_role("heading", name="schedule-")).to_be_visible()
    text = page.get_by_role("link", name="Open run-").inner_text()
    return text.rpartition(" ")[2]


@pytest.mark.long
def test_stale_at_its_start_fresh_later_and_stale_to_the_end(
    house: House, visit: Callable[[str], Watched]
) -> None:
    house.feeds_are(3 * HOUR)
    form = visit("/schedule")
    opens = minute(40)
    run = scheduled_in_the_page(form.page, opens)
    at = ("--at", f"{opens:%Y-%m-%dT%H:%M}", "--zone", "UTC")
    ended: list[tuple[int, str, str]] = []
    waits = threading.Thread(
        target=lambda: ended.append(
            house.ana(
                "promote", "--bundle", house.bundle, "--to", "asks", *at, "--window", "1m",
                "--require", "feeds_fresh=1h", "--wait", "--timeout", "10m", "--json",
            )
        )
    )  # fmt: skip
    waits.start()
    seen = visit(f"/run?run={run}")
    expect(seen.page.get_by_text("Waits for its window").first).to_be_visible()
    # From here on nobody touches the page.
    stale = seen.page.get_by_text("Feeds fresh: KEV 3 h").first
    expect(stale).to_be_visible(timeout=120_000)
    expect(seen.page.get_by_text("it waits for its preconditions").first).to_be_visible()
    shot(seen.page, "waiting")
    assert house.words(run) == ["DUE", "WAITING_PRECONDITIONS"]
    code, out, _ = house.ana("run", "show", run)
    assert code == 0 and "Feeds fresh: KEV 3 h" in out

    waits.join(240)
    code, out, err = ended[0]
    assert code == 14, out + err
    expired = as_json(out)["run"]
    assert house.words(expired) == ["DUE", "WAITING_PRECONDITIONS", "EXPIRED"]
    late = visit(f"/run?run={expired}")
    expect(late.page.get_by_text("its window closed: Feeds fresh: KEV 3 h").first).to_be_visible()
    shot(late.page, "expired")
    wait_for(
        "the webhook's word", lambda: "run.expired" in house.names_told(expired) or None,
        timeout_s=30,
    )  # fmt: skip
    targets = house.server.get(f"/runs/{expired}")["targets"]
    assert all(not one["changed"] for one in targets)

    house.feeds_are(0)
    expect(stale).to_be_hidden(timeout=120_000)
    expect(seen.page.get_by_text("SUCCEEDED").first).to_be_visible(timeout=120_000)
    shot(seen.page, "succeeded")
    assert house.words(run) == ["DUE", "WAITING_PRECONDITIONS", "STARTED"]
    for watched in (form, seen, late):
        watched.clean()


def test_two_to_one_environment_and_one_to_another(
    house: House, visit: Callable[[str], Watched]
) -> None:
    def wish(to: str) -> str:
        asked = house.ana.json("promote", "--bundle", house.bundle, "--to", to, "--reason", "now")
        found: str = asked["run"]
        return found

    first = wish("asks")
    held = visit("/environments")
    row = held.page.locator("tbody tr").filter(has_text="asks")
    expect(row).to_contain_text(first)
    second, other = wish("asks"), wish("open")
    queued = visit(f"/run?run={second}")
    expect(queued.page.get_by_text(f"asks is held by {first}").first).to_be_visible()
    shot(queued.page, "queued")
    # The other environment is nobody's to wait for.
    beside = visit(f"/run?run={other}")
    expect(beside.page.get_by_text("SUCCEEDED").first).to_be_visible(timeout=120_000)
    expect(row).to_contain_text(second)
    shot(held.page, "environments")
    assert house.ana("run", "cancel", first, "--reason", "not today")[0] == 0
    # Taken over, and told without a reload.
    expect(queued.page.get_by_text(f"asks is held by {first}")).to_have_count(0)
    expect(queued.page.get_by_text("AWAITING APPROVAL").first).to_be_visible(timeout=60_000)
    for watched in (held, queued, beside):
        watched.clean()
