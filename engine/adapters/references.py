"""Secrets that the settings name by reference: `env:NAME`, or `file:PATH` below the home."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from engine.core.errors import AdapterFailed
from engine.redact import learn

Secret = Callable[[], str]


def secret_from(reference: str, home: Path, env: Mapping[str, str], *, what: str) -> Secret:
    """A secret that is read anew whenever it is asked for, so that it may be rotated.

    Args:
        what: what it is, for the sentence that says why it cannot be read: `token`.

    The returned function raises `AdapterFailed`: it is not there, or holds what no header may.
    """
    scheme, _, place = reference.partition(":")

    def read() -> str:
        try:
            text = (home / place).read_text() if scheme == "file" else env.get(place, "")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not a text"
            raise AdapterFailed(
                f"its {what} {reference} can't be read: {why}", transient=True
            ) from None
        secret = text.strip()
        if not secret:
            raise AdapterFailed(f"its {what} {reference} is not there", transient=True)
        learn(secret)
        return secret

    return read


def header_of(secret: str, *, what: str) -> str:
    """The secret, fit for a header. Raises `AdapterFailed`, without it in the sentence."""
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise AdapterFailed(f"the {what} holds characters that no {what} has", transient=False)
    return secret
