"""Pages of a list: at most a hundred items, and an opaque cursor to the ones behind them.

A cursor names the list it came from with its filters, and the place of the last item that was
seen; never a count. New rows therefore neither repeat nor hide an item, and the cursor of another
list, or a damaged one, is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from fastapi import Depends, Query

from engine.core.errors import Malformed

LIMIT_MAX: Final = 100
_CHECK_BYTES: Final = 6
_EXPECTED: Final = "expected the `next` of an earlier page of this list"
_WHERE: Final = "after"

# What an item is found again by: numbers and texts, of the same kinds for every item of a list.
Place: TypeAlias = tuple[int | str, ...]
T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="items on a page at most")]
After = Annotated[
    str,
    Query(max_length=1_000, pattern=r"^[A-Za-z0-9_-]*$", description="`next` of the page before"),
]


@dataclass(frozen=True, slots=True)
class Page:
    """What was asked for: how many items, and behind which cursor ("" = from the beginning)."""

    limit: int
    after: str


async def _asked(limit: Limit = LIMIT_MAX, after: After = "") -> Page:
    """Waits for nothing; a plain function would cost a thread."""
    return Page(limit=limit, after=after)


Paged = Annotated[Page, Depends(_asked)]


def cursor_to(of: str, place: Place) -> str:
    """The cursor behind the item at `place` of the list `of`."""
    text = json.dumps([of, *place], ensure_ascii=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_check(text) + text).decode().rstrip("=")


def place_of(of: str, after: str, kinds: Sequence[type] | None) -> Place | None:
    """The place that a cursor names; None for the first page.

    Args:
        of: the list with its filters, as it was given to `cursor_to`.
        kinds: int or str for each part of a place; None where nothing is there to compare with.

    Raises:
        Malformed: it is damaged, or of another list.
    """
    if not after:
        return None
    try:
        raw = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True)
        check, text = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        found = json.loads(text) if check == _check(text) else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or found[:1] != [of] or cursor_to(of, tuple(found[1:])) != after:
        raise Malformed(_EXPECTED, where=_WHERE)
    place = tuple(found[1:])
    if kinds is not None and [type(part) for part in place] != list(kinds):
        raise Malformed(_EXPECTED, where=_WHERE)
    return place


def page_of(
    items: Iterable[T],
    page: Page,
    of: str,
    place: Callable[[T], Place],
    *,
    newest_first: bool = False,
) -> tuple[list[T], str | None]:
    """The items of one page of a list that is at hand as a whole, and the cursor to the next.

    Args:
        of: name of the list with its filters.
        place: what orders the items and tells each from every other; new items must not change it.
        newest_first: in falling order of their places.
    """
    ordered = sorted(items, key=place, reverse=newest_first)
    kinds = [type(part) for part in place(ordered[0])] if ordered else None
    behind = place_of(of, page.after, kinds)
    if behind is not None:
        ordered = [
            one for one in ordered if (place(one) < behind if newest_first else place(one) > behind)
        ]
    shown = ordered[: page.limit]
    more = len(ordered) > len(shown)
    return shown, cursor_to(of, place(shown[-1])) if more else None


def rows_page(
    rows: Sequence[dict[str, Any]], page: Page, of: str, *keys: str
) -> tuple[list[dict[str, Any]], str | None]:
    """Of rows that a query gave in order, with one more than the page holds, asked for behind its
    cursor: those of the page, and the cursor to the next."""
    shown = list(rows[: page.limit])
    if len(rows) <= page.limit:
        return shown, None
    return shown, cursor_to(of, tuple(shown[-1][key] for key in keys))


def filtered(name: str, **filters: object) -> str:
    """The name of a list with the filters that were asked for; the same list for the same ones."""
    said = {key: value for key, value in sorted(filters.items()) if value not in {"", None}}
    return f"{name}?{json.dumps(said, sort_keys=True)}" if said else name


def _check(text: bytes) -> bytes:
    """Tells a damaged cursor from a whole one; it keeps no secret and gives no right."""
    return hashlib.sha256(b"releaseline cursor\n" + text).digest()[:_CHECK_BYTES]
