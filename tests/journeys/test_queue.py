"""Release manager, journey 9: two promotions to one environment, and freezes, on a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.demo.bundles import build
from tests.journeys.pipeline import PASS, Caller, caller, pipeline_home
from tests.journeys.product import Product, wait_for

pytestmark = pytest.mark.journey

Start = Callable[..., Product]


@pytest.fixture
def server(tmp_path: Path, start: Start) -> Product:
    product = start("serve", home=pipeline_home(tmp_path / "home"), **PASS)
    wait_for("the server", lambda: product.get("/environments"), timeout_s=120)
    return product


def wish(who: Caller, bundle: str, to: str) -> str:
    run: str = who.json("promote", "--bundle", bundle, "--to", to, "--reason", "journey")["run"]
    return run


def seen(server: Product, run_id: str, what: str, **fields: Any) -> dict[str, Any]:
    """The run, once it has these fields."""

    def look() -> dict[str, Any] | None:
        run = server.run(run_id)
        found = run is not None and all(run[name] == value for name, value in fields.items())
        return run if found else None

    return wait_for(f"{run_id} {what}", look, timeout_s=60)


def environments(server: Product) -> dict[str, dict[str, Any]]:
    return {row["environment"]: row for row in server.get("/environments")["items"]}


def waits(server: Product, run_id: str) -> str:
    """Why the run stays queued, once that is on record."""

    def look() -> str | None:
        run = server.run(run_id)
        return run["waits_for"] or None if run is not None else None

    return wait_for(f"{run_id} says why it waits", look, timeout_s=60)


def test_two_promotions_to_one_environment_and_one_to_another(
    server: Product, tmp_path: Path
) -> None:
    ana = caller(server, "ana.li")
    made = build("healthy", tmp_path / "healthy")
    code, out, err = ana(
        "bundle", "create", *map(str, made.components), "--sbom", str(made.sbom),
        "--name", "shop", "--version", made.version,
    )  # fmt: skip
    assert code == 0, err
    bundle = out.strip()

    first = wish(ana, bundle, "asks")
    seen(server, first, "waits for its approvers", status="AWAITING_APPROVAL")
    second, elsewhere = wish(ana, bundle, "asks"), wish(ana, bundle, "open")
    why = waits(server, second)
    assert why.startswith(f"asks is held by {first} (shop {made.version}, requested by ana.li) ")
    assert f"waits      {why}" in ana("run", "show", second)[1]
    # Another environment is nobody's to wait for.
    other = seen(server, elsewhere, "runs", status="RUNNING")
    assert other["started_us"] is not None and server.run(second)["status"] == "QUEUED"  # type: ignore[index]
    rows = environments(server)
    assert rows["asks"]["active_run"] == first and rows["open"]["active_run"] == elsewhere
    assert [one["run"] for one in rows["asks"]["queue"]] == [second]

    assert ana("run", "cancel", first, "--reason", "not today")[0] == 0
    ended = seen(server, first, "has ended", status="CANCELLED")
    follower = seen(server, second, "has taken over", status="AWAITING_APPROVAL")
    assert follower["started_us"] >= ended["ended_us"]
    assert follower["epoch"] > ended["epoch"] and follower["waits_for"] == ""
    told = [event["kind"] for event in server.kinds(second)]
    assert told.index("run.start_barred/1") < told.index("run.started/1")

    frozen(server, ana, bundle)


def frozen(server: Product, ana: Caller, bundle: str) -> None:
    """Nothing leaves the queue of a frozen environment, until the freeze is ended."""
    freeze = ana.json("freeze", "add", "audit week", "--env", "strict", "--reason", "audit")
    assert freeze["stops_the_line"]
    run_id = wish(ana, bundle, "strict")
    why = waits(server, run_id)
    assert why.startswith("strict is frozen: audit week since ")
    assert why.endswith("(owner ana.li: audit). It opens when somebody ends that freeze.")
    row = environments(server)["strict"]
    assert row["frozen"] and row["active_run"] is None and row["queued"] == 1
    code, _, err = caller(server, "bob.smith")("freeze", "end", freeze["id"], "--reason", "now")
    assert code == 3 and "this needs the role release manager or sre" in err
    assert server.run(run_id)["status"] == "QUEUED"  # type: ignore[index]
    assert ana("freeze", "end", freeze["id"], "--reason", "the audit is over")[0] == 0
    # It starts by itself; the strict policy of that environment then says no.
    assert ana("run", "wait", run_id, "--timeout", "60s")[0] == 10
