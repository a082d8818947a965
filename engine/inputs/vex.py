"""OpenVEX documents: what a vendor says about a flaw in a product.

Whose word counts is the policy's business; here it is only found out which statement speaks of
which finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packageurl import PackageURL

from engine.core.errors import Malformed
from engine.inputs.reading import (
    object_of,
    objects_of,
    optional_text,
    read_json,
    seconds_of,
    text_of,
    texts_of,
)

_STATUSES: Final = ("not_affected", "affected", "fixed", "under_investigation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Attributes:
    flaws: ids and aliases of the flaw.
    products: package URLs of products without, or of the subcomponents of products with such.
    stated_s: UTC seconds.
    """

    flaws: frozenset[str]
    products: tuple[str, ...]
    status: str
    justification: str
    author: str
    stated_s: int


def read_openvex(content: bytes, *, where: str) -> tuple[Statement, ...]:
    """Read an OpenVEX document.

    Raises:
        Malformed: naming file, field, expected and found.
    """
    document = read_json(content, where=where)
    context = document.get("@context")
    if not isinstance(context, str) or not context.startswith("https://openvex.dev/ns"):
        raise Malformed(
            f"expected https://openvex.dev/ns, found {context!r}", where=f"{where}.@context"
        )
    author = text_of(document, "author", where)
    dated = text_of(document, "timestamp", where)
    return tuple(
        _statement(item, place, author, dated)
        for place, item in objects_of(document, "statements", where)
    )


def _statement(item: Mapping[str, Any], where: str, author: str, dated: str) -> Statement:
    status = text_of(item, "status", where)
    if status not in _STATUSES:
        raise Malformed(
            f"expected one of {', '.join(_STATUSES)}, found {status!r}", where=f"{where}.status"
        )
    flaw = item.get("vulnerability")
    if isinstance(flaw, str):  # OpenVEX 0.0.1
        flaws = {flaw}
    else:
        place = f"{where}.vulnerability"
        named = object_of(item, "vulnerability", where)
        flaws = {text_of(named, "name", place), *texts_of(named, "aliases", place)}
    stated = optional_text(item, "timestamp", where) or dated
    return Statement(
        flaws=frozenset(flaws),
        products=tuple(_products(item, where)),
        status=status,
        justification=optional_text(item, "justification", where),
        author=author,
        stated_s=seconds_of(stated, f"{where}.timestamp"),
    )


def _products(item: Mapping[str, Any], where: str) -> Iterable[str]:
    products = item.get("products")
    if isinstance(products, list) and all(isinstance(product, str) for product in products):
        yield from products
        return
    for place, product in objects_of(item, "products", where):
        parts = objects_of(product, "subcomponents", place)
        for spot, named in parts or [(place, product)]:
            purl = optional_text(object_of(named, "identifiers", spot), "purl", spot)
            yield purl or optional_text(named, "@id", spot)


def applying(
    statements: Sequence[Statement], *, flaws: frozenset[str], purl: str, now_s: int
) -> Statement | None:
    """The newest statement about one of `flaws` in the package `purl`; None when there is none.

    One that is dated after `now_s` is ignored. Of two of one date the less harmless one counts.
    """
    fitting = [
        statement
        for statement in statements
        if statement.flaws & flaws
        and statement.stated_s <= now_s
        and any(_covers(product, purl) for product in statement.products)
    ]
    harmless = ("not_affected", "fixed", "under_investigation", "affected")
    return max(
        fitting,
        key=lambda s: (s.stated_s, harmless.index(s.status), s.author, s.justification),
        default=None,
    )


def _covers(product: str, purl: str) -> bool:
    """Whether a product's package URL means `purl`; one without a version means every version."""
    try:
        meant, asked = PackageURL.from_string(product), PackageURL.from_string(purl)
    except ValueError:
        return False
    same = (meant.type, meant.namespace, meant.name) == (asked.type, asked.namespace, asked.name)
    return same and meant.version in (None, "", asked.version)
