"""What the evidence pages draw alike. Drawing only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import streamlit as st

from data import queries
from engine.services import Services
from pages.ui import cards, evidence_exports, parts

# Address of a page to its script, for links that stay in the session.
PAGES: Final = {
    "evidence-packets": "evidence/packets.py",
    "proof-chains": "evidence/proof_chains.py",
    "exports": "evidence/exports.py",
    "audit": "evidence/audit.py",
    "auditor-bundle": "evidence/auditor.py",
    "drill": "evidence/drill.py",
    "evidence": "evidence/timeline.py",
    "evidence-item": "evidence/item.py",
    "feeds": "operations/feeds.py",
    "integrations": "operations/integrations.py",
    "dead-letter": "operations/dead_letter.py",
    "orchestrator": "operations/orchestrator.py",
    "platform-health": "operations/platform_health.py",
    "replay": "evidence/replay.py",
    "replay-run": "evidence/replay_run.py",
    "replay-request": "evidence/replay_one.py",
    "policies": "insights/policies.py",
    "approval": "releases/approval.py",
    "freezes": "operations/freezes.py",
    "run": "releases/run.py",
    "schedule": "releases/schedule.py",
    "step": "releases/step.py",
}


def ledger(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Mapping[str, str]],
    *,
    key: str,
    caption: str,
) -> None:
    """A list whose rows open what explains them."""
    result = parts.draw(
        parts.LEDGER,
        key=key,
        live={"end": True},
        now_ms=0,
        shape=json.dumps([rows, columns]),
        rows=list(rows),
        columns=list(columns),
        caption=caption,
    )
    follow(result.open)


def chain(view: Any, *, key: str) -> None:
    result = parts.draw(
        parts.CHAIN,
        key=key,
        live={"end": True},
        now_ms=0,
        shape=json.dumps([view.rows, view.graph]),
        rows=view.rows,
        graph=view.graph,
        caption=view.caption,
    )
    follow(result.open)


def hasher(*, key: str) -> str:
    """Digest and name of a file that the reader chose just now; empty otherwise."""
    result = parts.draw(
        parts.HASHER,
        key=key,
        live={"end": True},
        now_ms=0,
        shape="one",
        label=evidence_exports.HASH_LABEL,
        note=evidence_exports.HASH_NOTE,
        no_crypto=evidence_exports.NO_CRYPTO,
    )
    return str(result.open or "")


def follow(opened: str | None) -> None:
    """Go where a row leads: `[address, parameters]`."""
    if opened:
        page, parameters = json.loads(opened)
        st.switch_page(PAGES[page], query_params=parameters)


def runs_with_evidence(house: Services, *, sealed: bool = False) -> dict[str, str]:
    """Of the newest runs those that have something signed: id to label.

    Args:
        sealed: only what is sealed, and the run that the address names, which is told why not.
    """
    frame = queries.runs_list(house.store.cursor(), limit=200)
    named = st.query_params.get("run", "")
    return evidence_exports.with_evidence(
        row
        for row in frame.iter_rows(named=True)
        if not sealed or row["seal_status"] == "SEALED" or row["run_id"] == named
    )


def choose_run(runs: Mapping[str, str], *, key: str) -> str:
    """The run that the address names, or the newest; changing it changes the address."""
    ids = list(runs)
    named = st.query_params.get("run", "")
    index = ids.index(named) if named in ids else 0
    chosen = st.selectbox(
        "Run", ids, index=index, format_func=lambda run: runs[run], key=f"{key}.{named}"
    )
    if chosen != named and (named or chosen != ids[0]):
        st.query_params["run"] = chosen
        st.rerun()  # the box follows the address: without it the next choice would be lost
    return str(chosen)


def crumbs(run_id: str, here: str) -> None:
    """The way back from a page about a run's evidence."""
    cards.crumbs(
        ("releases/promotions.py", "Promotions", {}),
        ("releases/run.py", run_id, {"run": run_id}),
        here=here,
    )
