"""Options of Streamlit that would undo what the server promises: refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import UnsafeConfig
from engine.home import is_loopback


@dataclass(frozen=True, slots=True)
class _Promise:
    option: str
    holds: Callable[[Any], bool]
    expected: str
    else_: str


_PROMISES: Final = (
    _Promise(
        "browser.gatherUsageStats",
        lambda value: value is False,
        "false",
        "browsers would report to a server elsewhere who uses this one",
    ),
    _Promise(
        "server.enableAgentApi",
        lambda value: value is False,
        "false",
        "pages could be driven over HTTP, past the people whom they are drawn for",
    ),
    _Promise(
        "server.trustedUserHeaders",
        lambda value: not value,
        "none",
        "whoever sends such a header would be taken at their word",
    ),
    _Promise(
        "server.enableXsrfProtection",
        lambda value: value is True,
        "true",
        "a page of another site could upload files with a person's cookie",
    ),
    _Promise(
        "client.showErrorDetails",
        lambda value: str(value).lower() in {"type", "none"},
        "type or none",
        "a defect would show the server's inside to whoever looks",
    ),
)


def check_options(get: Callable[[str], Any], *, behind_proxy: bool) -> None:
    """Args:
        get: an option of Streamlit by its name, as it is in force.
        behind_proxy: TLS ends in a proxy, so that another address than loopback is meant.

    Raises:
        UnsafeConfig: one line per option that undoes a promise.
    """
    wrong = [
        f"Streamlit's option {one.option}: expected {one.expected}, found {value!r}; {one.else_}"
        for one in _PROMISES
        if not one.holds(value := get(one.option))
    ]
    address = get("server.address")
    if not behind_proxy and not (isinstance(address, str) and is_loopback(address)):
        wrong.append(
            "Streamlit's option server.address: expected a loopback address, or "
            f"server.behind_proxy: true in the settings, found {address!r}; strangers could reach "
            "this server without TLS"
        )
    if wrong:
        raise UnsafeConfig(
            "\n".join(wrong),
            hint="Take them out of the command line, the environment and .streamlit/config.toml.",
        )
