"""What an approver was shown travels with the approval, and nothing else can take its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.evidence.verify import verify_pack
from tests.evidence.conftest import Played
from tests.evidence.kit import EMAILS, repacked, unpacked, world
from tests.evidence.test_tampered import APPROVAL, bent_item, refused, said, scoped
from tests.evidence.thief import Files, real_log, resummed, statement_of

pytestmark = pytest.mark.house

VIEW = "steps/03-approval/approval-view.json"
BOB = f"mailto:{EMAILS['bob']}"


def claims(files: Files, path: str = APPROVAL) -> dict[str, Any]:
    statement: dict[str, Any] = statement_of(files[path.replace(".dsse", ".sigstore.json")])
    predicate: dict[str, Any] = statement["predicate"]
    return predicate


def test_each_approval_has_the_document_beside_it(healthy: Played) -> None:
    files = unpacked(healthy.audit)
    for given, stem in zip(healthy.run.approvals, ("approval", "approval-2"), strict=True):
        content = files[f"steps/03-approval/{stem}-view.json"]
        assert Digest.of(content) == given.view != given.binding
        predicate = claims(files, f"steps/03-approval/{stem}.dsse")
        assert predicate["scope"]["view"] == {"sha256": given.view.hex}
        shown = json.loads(content)
        assert shown["bound"] == predicate["scope"]["bound"]
        # The second one saw that the first had approved.
        assert [one["person"] for one in shown["quorum"]["decisions"]] == [
            one.person for one in healthy.run.approvals if one.decided_us < given.decided_us
        ]
    report = verify_pack(healthy.audit, trusted_root=healthy.trusted)
    assert report.ok
    assert sum(check.check == "approval.view" for check in report.checks) == 2


def test_an_approval_on_the_binding_alone_stays_good(tmp_path: Path) -> None:
    """As homes of old have them: no document was shown, and the view is the binding again."""
    one = world(tmp_path, shows=False)
    run = one.play()
    files = unpacked(one.pack())
    assert all(given.view == given.binding for given in run.approvals)
    assert not [name for name in files if name.endswith("-view.json")]
    assert verify_pack(one.pack(), trusted_root=one.keys.trusted_root).ok
    one.store.close()


@pytest.mark.parametrize(
    "bend",
    [
        scoped(view={"sha256": "0" * 64}),
        said(saw={"name": "approval-view.json", "digest": {"sha256": "0" * 64}}),
        said(saw={"name": "approval-2-view.json", "digest": {"sha256": "0" * 64}}),
        lambda statement: statement["predicate"].pop("saw"),
    ],
)
def test_a_statement_about_another_document(healthy: Played, bend: Callable[[Any], object]) -> None:
    bent = bent_item(unpacked(healthy.audit), healthy, APPROVAL, bend, identity=BOB)
    assert "approval.view" in refused(repacked(bent), healthy, "another document")


@pytest.mark.parametrize("change", ["left out", "another's", "one word"])
def test_another_file_in_its_place(healthy: Played, change: str) -> None:
    files = unpacked(healthy.audit)
    if change == "left out":
        del files[VIEW]
    elif change == "another's":
        files[VIEW] = files["steps/03-approval/approval-2-view.json"]
    else:
        files[VIEW] = files[VIEW].replace(b'"minApprovals":2', b'"minApprovals":1')
    relisted = resummed(files, healthy, real_log(healthy))
    assert "approval.view" in refused(repacked(relisted), healthy, change)


@pytest.mark.parametrize(
    ("key", "value"), [("run", "run-7"), ("schema", "releaseline.approval-view/2"), ("bound", {})]
)
def test_a_document_about_something_else(healthy: Played, key: str, value: Any) -> None:
    """Signed anew with its digest, and still it has to be about what the approval is bound to."""
    files = unpacked(healthy.audit)
    files[VIEW] = canonical(json.loads(files[VIEW]) | {key: value})
    digest = {"sha256": Digest.of(files[VIEW]).hex}

    def bend(statement: Any) -> None:
        statement["predicate"]["scope"]["view"] = digest
        statement["predicate"]["saw"]["digest"] = digest

    bent = bent_item(files, healthy, APPROVAL, bend, identity=BOB)
    assert "approval.view" in refused(repacked(bent), healthy, key)
