"""View-model of the break-it drill: what was done to each copy, and the check that saw it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.drilling import Drilled
from engine.evidence.drill import DrillCase, Thief
from pages.ui.words import Look

CAUGHT: Final = Look(word="CAUGHT", shape="check", tone="ok", material="check_circle")
MISSED: Final = Look(word="NOT CAUGHT", shape="cross", tone="err", material="error")
# What a person reads before the button is pressed.
EXPLAINED: Final = (
    "Scratch copies of this run's pack are broken one by one, in every known way, and verified as "
    "an auditor would. Nothing is signed, recorded or changed. It takes some seconds."
)
_TITLES: Final = {
    Thief.NO_KEY: "Without any key",
    Thief.OWN_KEYS: "Signed with keys of one's own",
    Thief.STOLEN_KEYS: "With every key stolen, played with scratch keys in their place",
}
_LONG: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRow:
    """`check`, `file`, `expected` and `found` are empty when nothing caught the copy."""

    name: str
    what: str
    look: Look
    check: str
    file: str
    expected: str
    found: str
    more: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillGroup:
    title: str
    rows: tuple[DrillRow, ...]

    @property
    def caption(self) -> str:
        caught = sum(row.look is CAUGHT for row in self.rows)
        return f"{self.title}: {caught} of {len(self.rows)} caught"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillView:
    """Attributes:
    sentence: the whole result.
    basis: on which pack, by which trust root.
    left_out: sentences about what this pack gives no occasion for.
    """

    ok: bool
    sentence: str
    basis: str
    groups: tuple[DrillGroup, ...]
    left_out: tuple[str, ...]


def view(drilled: Drilled) -> DrillView:
    done = drilled.drill
    groups = (
        DrillGroup(title=title, rows=tuple(_row(case) for case in done.cases if case.by is by))
        for by, title in _TITLES.items()
    )
    return DrillView(
        ok=done.ok,
        sentence=done.sentence(),
        basis=f"{drilled.pack}, {drilled.digest}, {len(done.untouched.checks)} checks passed as it "
        f"is; trust root sha256:{done.untouched.fingerprint}",
        groups=tuple(group for group in groups if group.rows),
        left_out=tuple(f"{one.name}: {one.why}." for one in done.left_out),
    )


def _row(case: DrillCase) -> DrillRow:
    check = case.caught_by
    return DrillRow(
        name=case.name,
        what=case.what,
        look=MISSED if check is None else CAUGHT,
        check="" if check is None else check.check,
        file="" if check is None else check.file,
        expected="" if check is None else _short(check.expected),
        found="" if check is None else _short(check.found),
        more="" if not case.more else f"and {case.more} more",
        note=case.note,
    )


def _short(text: str) -> str:
    """One line of it, cut where it gets too long to be read beside others."""
    line = " ".join(text.split())
    return line if len(line) <= _LONG else f"{line[: _LONG - 1]}…"
