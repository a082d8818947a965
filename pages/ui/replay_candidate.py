"""The policy of a What-if: a version that is known here, or one that is pasted. Drawing only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import streamlit as st

from data import queries_replays
from engine.core.digest import Digest
from engine.services import Services
from pages.ui import replay_models

_KNOWN: Final = "A known version"
_PASTED: Final = "Paste one"
# Verdicts that are looked at for the policies they were made by, the newest.
_VERDICTS_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """`known` is a digest; empty = `policy` and `config` are what was pasted."""

    known: str
    policy: str
    config: str

    def digest(self, house: Services) -> Digest:
        """The candidate as the engine keeps it. Raises `Malformed` naming every problem in it."""
        if self.known:
            return house.replaying.candidate_of(Digest.parse(self.known))
        return house.replaying.candidate(self.policy.encode(), self.config.encode())


def choose(house: Services, *, key: str) -> Candidate:
    how = st.segmented_control(
        "Candidate policy", [_KNOWN, _PASTED], default=_KNOWN, key=f"{key}.policy.how"
    )
    if how != _PASTED:
        versions = replay_models.versions(_in_force(house), _of_verdicts(house))
        known = st.selectbox(
            "Version",
            list(versions),
            format_func=lambda digest: versions[digest],
            key=f"{key}.policy.known",
            label_visibility="collapsed",
        )
        return Candidate(known=str(known or ""), policy="", config="")
    policy, config = st.columns(2, gap="small")
    return Candidate(
        known="",
        policy=policy.text_area("Rules (YAML)", key=f"{key}.policy.rules", height=180) or "",
        config=config.text_area("Configuration (JSON)", key=f"{key}.policy.config", height=180)
        or "",
    )


def _in_force(house: Services) -> dict[str, list[str]]:
    """Digest of each policy in force to the environments in which it is."""
    found: dict[str, list[str]] = {}
    for name in sorted(house.settings.environments):
        found.setdefault(str(house.outside.desk.policy_digest(name)), []).append(name)
    return found


def _of_verdicts(house: Services) -> list[tuple[str, int]]:
    """Policies of recorded verdicts and when each judged last, the newest first."""
    frame = queries_replays.verdicts(house.store.cursor(), limit=_VERDICTS_MAX)
    newest = frame.unique("policy", keep="first", maintain_order=True)
    return [(str(row["policy"]), int(row["ts_us"])) for row in newest.iter_rows(named=True)]
