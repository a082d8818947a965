"""What an approver was shown: the file beside the approval is the document that they signed for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.core.approval_view import SCHEMA
from engine.core.digest import Digest
from engine.evidence.item import Item
from engine.evidence.report import Ledger
from engine.evidence.statement import resources
from engine.evidence.strict import parse_object

CHECK: Final = "approval.view"


def check_view(
    item: Item, scope: Mapping[str, Any], files: Mapping[str, bytes], ledger: Ledger
) -> None:
    """The view's digest is that of the file beside the approval, which is about the same binding.

    An approval without such a file was given on the binding alone, and its view says so.

    Raises:
        Malformed: the statement, or the file, does not have the form of one.
    """
    where, view = item.path, scope.get("view")
    saw = item.statement.predicate.get("saw")
    if saw is None:
        ledger.equal(where, CHECK, expected=scope.get("binding"), found=view)
        return
    (named,) = resources([saw], where=f"{where}.saw")
    stem = where.rpartition("/")[2].removesuffix(".dsse")
    ledger.equal(where, CHECK, expected=f"{stem}-view.json", found=named.name)
    ledger.equal(where, CHECK, expected=view, found={"sha256": named.digest.hex})
    path = f"{item.folder}/{named.name}"
    content = files.get(path)
    if content is None:
        ledger.no(path, CHECK, expected="what the approver was shown", found="no such file")
        return
    if not ledger.equal(path, CHECK, expected=named.digest, found=Digest.of(content)):
        return
    shown = parse_object(content, where=path)
    fits = [
        ledger.equal(path, CHECK, expected=SCHEMA, found=shown.get("schema")),
        ledger.equal(path, CHECK, expected=scope.get("runId"), found=shown.get("run")),
        ledger.equal(path, CHECK, expected=scope.get("bound"), found=shown.get("bound")),
    ]
    if all(fits):
        ledger.ok(path, CHECK, "what the approver was shown")
