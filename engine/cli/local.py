"""The API in this process, over a home on which no server runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx

from engine import wiring
from engine.api.app import PREFIX, in_process
from engine.cli.answers import Answers
from engine.cli.exits import UNREACHABLE, Ended
from engine.identity import Principal
from engine.service import LOCAL_ADMIN
from engine.settings import read_settings


class Local(Answers):
    """Args:
    token: of the person who asks; empty = whoever has a shell on this home.
    """

    def __init__(self, home: Path, token: str) -> None:
        self._services = wiring.build(read_settings(home.resolve()))
        self._runner = asyncio.Runner()
        try:
            shell = Principal(user=LOCAL_ADMIN, method="shell", key=f"uid {os.getuid()}")
            principal = self._services.identity.token(token) if token else shell
            self._http = self._runner.run(self._client(principal))
        except BaseException:
            self._runner.close()
            self._services.stop()
            raise

    def renew(self) -> None:
        """A home does not move."""

    def close(self) -> None:
        try:
            self._runner.run(self._http.aclose())
            self._runner.close()
        finally:
            self._services.stop()

    def stream(
        self, path: str, *, headers: Mapping[str, str], timeout_s: float
    ) -> AbstractContextManager[httpx.Response]:
        raise Ended(
            UNREACHABLE,
            "No server runs on this home, so nothing moves that could be followed.",
            hint="Start it with `releaseline serve`; open runs go on from where they are.",
        )

    async def _client(self, principal: Principal) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=in_process(self._services, principal))
        return httpx.AsyncClient(transport=transport, base_url=f"http://home{PREFIX}")

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._runner.run(self._http.request(method, path, **more))
