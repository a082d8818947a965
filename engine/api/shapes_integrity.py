"""Damage of what is stored, as it goes out. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.core.integrity import Damage, remedy, sentence


def damage_shape(one: Damage) -> dict[str, Any]:
    found = one.found
    return {
        **asdict(found),
        "runs": list(found.runs),
        "since_us": one.since_us,
        "sentence": sentence(found),
        "remedy": remedy(found),
    }
