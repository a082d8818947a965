"""Who may add something to a run after its seal, and what that has to be. Pure.

An addendum is never an edit: what was sealed stays as it is, and the addition is signed, logged and
kept beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from engine.core.approvals import Actor
from engine.core.commands import Refusal
from engine.core.errors import Malformed
from engine.core.scopes import ANNOTATE
from engine.core.state import Run
from engine.core.statemachine import Role

TEXT_MAX: Final = 10_000
FILES_MAX: Final = 8
FILE_BYTES_MAX: Final = 5 * 1024 * 1024
_MAY: Final = (Role.RELEASE_MANAGER, Role.SRE, Role.APPROVER, Role.AUDITOR)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
# Endings under which the signature of an addendum itself lies beside its attachments.
_RESERVED: Final = (".dsse", ".sigstore.json", "rekor-entry.json")


def refusal(run: Run, actor: Actor) -> Refusal | None:
    """Say why `actor` may not add to the run now; None when they may."""
    beyond = actor.beyond_token(ANNOTATE, run.environment)
    if beyond is not None:
        return beyond
    if actor.service:
        return Refusal(
            sentence=f"{actor.user} is a service account; an addendum is signed by a person.",
            code="role",
        )
    if not any(role in actor.roles for role in _MAY):
        who = " or ".join(role.value.replace("_", " ") for role in _MAY)
        return Refusal(
            sentence=f"This needs the role {who} in {run.environment}; {actor.user} has none.",
            code="role",
        )
    if not run.terminal:
        return Refusal(
            sentence=f"{run.run_id} has not ended: comment on it, and what you say is sealed with "
            "it.",
            code="state",
        )
    if run.chain is None:
        return Refusal(
            sentence=f"{run.run_id} ended without a proof chain, so there is nothing to add to.",
            code="state",
        )
    return None


def checked(text: str, files: Mapping[str, bytes]) -> str:
    """The text without blanks around it.

    Raises:
        Malformed: an empty or endless text, or attachments that a pack cannot hold; names the
            field, what was expected and what was found.
    """
    text = text.strip()
    if not 1 <= len(text) <= TEXT_MAX:
        raise Malformed(
            f"expected 1 to {TEXT_MAX} characters, found {len(text)}", where="addendum.text"
        )
    if any(not sign.isprintable() and sign not in "\n\t" for sign in text):
        raise Malformed("expected printable text, found control characters", where="addendum.text")
    if len(files) > FILES_MAX:
        raise Malformed(
            f"expected at most {FILES_MAX} files, found {len(files)}", where="addendum.attach"
        )
    for name, content in files.items():
        where = f"addendum.attach {name!r}"
        if not _NAME.fullmatch(name) or name.endswith(_RESERVED):
            raise Malformed(
                "expected a file name of letters, digits, dot, dash and underscore that is not "
                "one of a signature's",
                where=where,
            )
        if len(content) > FILE_BYTES_MAX:
            raise Malformed(
                f"expected at most {FILE_BYTES_MAX} bytes, found {len(content)}", where=where
            )
    return text
