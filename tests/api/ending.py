"""Runs that a test wants ended: asked once, and never waited for without an end."""

from __future__ import annotations

import time
from typing import Any

from starlette.testclient import TestClient

from engine.core.statemachine import TERMINAL, RunStatus

API = "/api/v1"
ENDED_WITHIN_S = 60


def ended(client: TestClient, header: dict[str, str], run_id: str, *, said: str = "") -> Any:
    """The run's document once it is terminal; a run that does not end fails the test."""
    deadline_s = time.monotonic() + ENDED_WITHIN_S
    while True:
        run = client.get(f"{API}/runs/{run_id}", headers=header).json()
        if RunStatus(run["status"]) in TERMINAL:
            return run
        assert time.monotonic() < deadline_s, f"{run_id} is still {run['status']}. {said}"
        time.sleep(0.05)


def cancelled(client: TestClient, header: dict[str, str], run_id: str) -> Any:
    """Cancel the run and wait for its seal. It may have ended by itself meanwhile."""
    body = {"action": "cancel", "reason": "test"}
    said = client.post(f"{API}/runs/{run_id}/actions", json=body, headers=header)
    return ended(client, header, run_id, said=f"Cancel: {said.text}")
