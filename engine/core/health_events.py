"""Facts about integrations: what each turned into, and when. Looks that change nothing are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

HEALTH = "data-health"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataHealthChanged:
    """An integration has another level than before, or was looked at for the first time.

    Attributes:
        kind: vault, consul, prometheus, registry, jenkins, webhook, http or on_call.
        level: OK, WARN or FAIL.
        last_good_us: of the last look that found it OK; 0 = there was none.
    """

    TYPE: ClassVar = "data_health.changed/1"
    name: str
    kind: str
    level: str
    reason: str
    last_good_us: int
