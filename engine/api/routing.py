"""How routes of this API are made and answer: when asked for, and in one go.

FastAPI makes a schema of every parameter of every route before the first request; a command on a
stopped home asks one of them, and waited a third of its time for the others. It also checks what a
plain function returned in one more thread and writes it on the event loop, where everybody waits
for it. Ours are documents of our own; tests hold them against what the OpenAPI document says.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path

# The OpenAPI document is made in a thread, beside the loop that serves requests.
_MAKING: Final = threading.RLock()


class AnsweringRoute(APIRoute):
    """A route of whatever returns a document, as plain data, or a response as it is.

    Until somebody asks for more it knows just what a request is matched by.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        self.path, self.endpoint = path, _answering(endpoint, more.get("status_code") or 200)
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self.methods = {method.upper() for method in more.get("methods") or ["GET"]}
        self._more = more | {"response_model": None}

    def __getattr__(self, name: str) -> Any:
        """Whatever is not there yet is made, with all the rest."""
        with _MAKING:
            more = self.__dict__.pop("_more", None)
            if more is not None:
                super().__init__(self.path, self.endpoint, **more)
            return object.__getattribute__(self, name)


def _answering(endpoint: Callable[..., Any], status: int) -> Callable[..., Any]:
    def answer(found: Any) -> Response:
        if isinstance(found, Response):
            return found
        return JSONResponse(found, status_code=status)

    if inspect.iscoroutinefunction(endpoint):

        @functools.wraps(endpoint)
        async def coming(*given: Any, **named: Any) -> Response:
            return answer(await endpoint(*given, **named))

        return coming

    @functools.wraps(endpoint)
    def plain(*given: Any, **named: Any) -> Response:
        return answer(endpoint(*given, **named))

    return plain
