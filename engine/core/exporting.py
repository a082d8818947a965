"""Which packs of a run somebody may take, and why not the others. Pure.

The one rule for a page's buttons, the API and the command line: a page that offers an export and
a door that refuses it cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.core.approvals import Actor
from engine.core.commands import Refusal
from engine.core.scopes import EXPORT, allows
from engine.core.state import Run
from engine.core.statemachine import Role

# Those that only look, and tokens that only ask (decisions 12).
_MAY_NOT: Final = frozenset({Role.VIEWER, Role.CI})
PARTIAL: Final = "partial"
BUNDLE: Final = "bundle"
AUDIT_PACK: Final = "audit-pack"
ADDENDA: Final = "addenda"
KINDS: Final = (PARTIAL, BUNDLE, AUDIT_PACK, ADDENDA)
# Made once, at the seal.
SEALED_KINDS: Final = (AUDIT_PACK, BUNDLE)
FILE_NAMES: Final = {
    BUNDLE: "evidence-bundle.zip",
    AUDIT_PACK: "audit-pack.tar.gz",
    ADDENDA: "audit-addenda.tar.gz",
}
WATERMARK: Final = "PARTIAL"
SIGNATURE: Final = ".sigstore.json"


def file_name(kind: str, run_id: str) -> str:
    """What a pack of a run is called as a file."""
    return FILE_NAMES.get(kind, f"{run_id}-{WATERMARK}-evidence.tar.gz")


def sealed_name(kind: str) -> str:
    """The name of what is made once, at the seal: a pack or its signature. Else empty."""
    bare = kind.removesuffix(SIGNATURE)
    return f"{FILE_NAMES[bare]}{kind[len(bare) :]}" if bare in SEALED_KINDS else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportState:
    """A pack that can be asked for by `kind`; `refusal` says why it can't be had now."""

    kind: str
    refusal: Refusal | None

    @property
    def ok(self) -> bool:
        return self.refusal is None


def role_refusal(run: Run, actor: Actor, *, deed: str = EXPORT) -> Refusal | None:
    """Why `actor` may not have evidence of the run at all; None when they may.

    A pipeline may keep the evidence of what it promoted, where its token says so by name.
    """
    beyond = actor.beyond_token(deed, run.environment)
    if beyond is not None:
        return beyond
    if actor.roles - _MAY_NOT or (Role.CI in actor.roles and allows(actor.limits.scopes, deed)):
        return None
    return Refusal(
        sentence=f"{actor.user} may not {deed} evidence of {run.environment}.", code="role"
    )


def exports(run: Run, actor: Actor, *, addenda: int) -> tuple[ExportState, ...]:
    """Every kind of pack, in the order in which they come to be.

    Args:
        addenda: how many statements were added after the seal.
    """
    role = role_refusal(run, actor)
    return tuple(
        ExportState(kind=kind, refusal=role or state_refusal(run, kind, addenda=addenda))
        for kind in KINDS
    )


def state_refusal(run: Run, kind: str, *, addenda: int = 0) -> Refusal | None:
    """Why there is no such pack of the run now, whoever asks; None when there is one."""
    sealed = run.seal_status == "SEALED"
    match kind:
        case "partial" if sealed:
            return _no(
                f"{run.run_id} is sealed; export its bundle or audit pack instead of a part."
            )
        case "partial" if not run.evidence_count:
            return _no(f"{run.run_id} has no evidence yet.")
        case "bundle" | "audit-pack" if not sealed:
            return _no(f"{run.run_id} is not sealed; until then there is only a partial pack.")
        case "addenda" if run.chain is None or not run.terminal:
            return _no(f"{run.run_id} has no proof chain yet; there is nothing to add to.")
        case "addenda" if not addenda:
            return _no(f"Nothing was added to {run.run_id} after its seal.")
    return None


def _no(sentence: str) -> Refusal:
    return Refusal(sentence=sentence, code="state")
