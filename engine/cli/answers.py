"""What a command does with the API's answer, whichever door it came through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final

import httpx

from engine.cli.exits import FORBIDDEN, of_problem

_WHO: Final = (
    "A shell on the home may look, and make links and tokens; for the rest ask as a person: "
    "--token, made by `releaseline token create --user NAME`."
)


class Answers(ABC):
    """What both doors do with an answer."""

    @abstractmethod
    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response: ...

    def get(self, path: str, **params: Any) -> Any:
        return self._json("GET", path, params=params)

    def whole(self, path: str, *, of: str = "items", **params: Any) -> Any:
        """A list with the items of all its pages; beside them what the first page says."""
        first = answer = self.get(path, **params)
        while answer["next"] is not None:
            answer = self.get(path, **params, after=answer["next"])
            first[of] += answer[of]
        return {name: value for name, value in first.items() if name != "next"}

    def post(self, path: str, body: Any = None, *, key: str = "", **more: Any) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        if body is not None:
            more["json"] = body
        return self._json("POST", path, headers=headers, **more)

    def delete(self, path: str, **params: Any) -> Any:
        return self._json("DELETE", path, params=params)

    def download(self, path: str, **params: Any) -> tuple[str, bytes]:
        answer = self._checked("GET", path, params=params)
        disposition = answer.headers.get("content-disposition", "")
        name = disposition.partition('filename="')[2].rstrip('"')
        return Path(name).name, answer.content

    def _json(self, method: str, path: str, **more: Any) -> Any:
        return _body(self._checked(method, path, **more))

    def _checked(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.checked(self._ask(method, path, **more))

    @staticmethod
    def checked(answer: httpx.Response) -> httpx.Response:
        """The answer, when it is a success. Raises `Ended` with what it says."""
        if not answer.is_success:
            ended = of_problem(answer.status_code, _body(answer))
            if ended.code == FORBIDDEN and not ended.hint:
                ended.hint = _WHO
            raise ended
        return answer


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
