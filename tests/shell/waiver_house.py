"""A small house whose bundle ships a package that is known to be exploited."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from engine.adapters.feeds_dir import FeedsDir, write_index
from engine.asker import Asker
from engine.catalog import BundleFiles
from engine.core.digest import Digest
from engine.core.run import Run
from engine.core.scopes import GRANT_WAIVER
from engine.core.waiver_rules import WaiverWish
from engine.core.waivers import Waiver
from engine.policy.model import Policy, load_policy
from tests.faults.small_house import ENV, EXAMPLES, Fuse, SimClock, SmallHouse, session_keys
from tests.shell.gate_house import sbom

FINDING, PURL = "CVE-2025-3248", "pkg:pypi/langflow@1.2.0"
POL, BOB, CAROL = Asker(user="pol"), Asker(user="bob"), Asker(user="carol")
DAY_S = 24 * 3600.0


def gate() -> Policy:
    """The shipped policy's head and its rule about what is exploited; bob and carol may grant."""
    text = (EXAMPLES / "release-gate.yaml").read_text()
    head, _, rules = text.partition("rules:\n")
    rule = rules[: rules.index("  - id: vuln.critical_reachable")]
    config: dict[str, Any] = json.loads((EXAMPLES / "release-gate.config.json").read_bytes())
    config["exception_approvers"] = ["bob", "carol"]
    return load_policy(f"{head}rules:\n{rule}".encode(), json.dumps(config).encode())


def opened(
    home: Path, *, approvals: int = 0, fuse: Fuse | None = None, clock: SimClock | None = None
) -> SmallHouse:
    feeds = home.parent / "feeds"
    if not feeds.exists():
        shutil.copytree(EXAMPLES / "advisories", feeds)
        now_s = 1_800_000_000 - 60
        write_index(feeds, {"KEV": now_s, "NVD": now_s, "OSV": now_s})
    return SmallHouse(
        home,
        session_keys(),
        gate=gate(),
        feeds=FeedsDir(feeds),
        approvals=approvals,
        fuse=fuse,
        clock=clock,
    )


def bundle(house: SmallHouse, *packages: str, name: str = "app") -> Digest:
    folder = house.home / "artifacts"
    folder.mkdir(exist_ok=True)
    (folder / "app.bin").write_text(name)
    (folder / "app.cdx").write_bytes(sbom(*packages, generated_at_s=1_800_000_000 - 60))
    files = BundleFiles(
        name=name,
        version="1",
        components=(folder / "app.bin",),
        sboms=(folder / "app.cdx",),
    )
    return house.catalog.create(files, actor="dev").digest


def promote(house: SmallHouse, digest: Digest, *, command_id: str, to: str = ENV) -> Run:
    asked = house.service.promote(
        digest, to, Asker(user="ci"), reason="test", command_id=command_id
    )
    return house.drive(asked.run_id)


def wish(**fields: Any) -> WaiverWish:
    given = {"finding": FINDING, "purl": PURL, "reason": "not reachable", "days": 14}
    return WaiverWish(**(given | {"environments": (ENV,)} | fields))


def granted(house: SmallHouse, **fields: Any) -> Waiver:
    made = house.waiving.request(wish(**fields), POL)
    return house.waiving.act(GRANT_WAIVER, made.id, BOB, reason="agreed")
