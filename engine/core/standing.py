"""Where a run stands in its house: what other runs did since, what is held, what is frozen. Values.

A run's own log cannot say that a later one replaced it, or that its bundle is held. Whoever decides
about a finished run gets that from here; the shell collects it, `engine.core.heirs` judges it.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A bundle that was rolled back in an environment, and may not start there again until lifted.

    Attributes:
        label: name and version of the bundle, for people.
        run: whose rollback it was, or the run that took a finished promotion back.
        trigger: as in `RollbackStarted`; `promotion` when a finished promotion was taken back.
        why: the reason that was given for going back.
        by: who began it; `engine` when the health gate did.
    """

    environment: str
    bundle: Digest
    label: str
    run: str
    trigger: str
    why: str
    by: str
    since_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Attributes:
    hold: on the run's own bundle in its environment; None when it is free.
    overtaken_by: the first run that changed the environment after this one; empty when none did.
    under_way: a run that holds the environment now, or takes this one back already.
    hold_before: on the bundle that was there before this run; None when it is free.
    """

    hold: Hold | None = None
    overtaken_by: str = ""
    under_way: str = ""
    hold_before: Hold | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What of the freezes bars a run, in words; nothing does when `keys` is empty.

    Attributes:
        keys: of the freezes' windows.
        sentence: by what, since when, and how that ends.
        until_us: when it opens by its windows; None = when somebody ends one.
    """

    keys: tuple[str, ...] = ()
    sentence: str = ""
    until_us: int | None = None
