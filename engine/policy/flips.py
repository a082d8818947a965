"""The report of a policy pull request: what a candidate would have decided otherwise, and why.

The same answers give the same text, whoever asks and when: no clock, no host, no order of work is
in it. The baseline comes first, because a flip says something only when the recorded verdict came
out again under the policy that was in force then. Who asks, and which exit code a flip has, is
not said here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from engine.core.replays import Fired, Flip, ReplayRow
from engine.policy.verdict import FAIL, PASS, word_of

# A pull request's description has room for so much; the rest is counted, and whole in JSON.
ROWS_MAX: Final = 200
_TOLD_MAX: Final = 3
_LENGTH_MAX: Final = 160
_MARKS: Final = frozenset("\\`*~[]<>|#")

SCHEMA: Final = "releaseline.policy-pull-request/1"


class Turn(StrEnum):
    """What becomes of a verdict; in the order in which a report tells them."""

    BLOCKS = "blocks"  # passed then, would fail
    ALLOWS = "allows"  # failed then, would pass
    WARNS = "warns"  # decided alike, with warnings that were not there
    CHANGES = "changes"  # decided alike, by other rules or with fewer warnings
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A candidate against recorded verdicts.

    Attributes:
        name, version, policy: of the candidate; `policy` is its digest.
        asked: recorded verdicts that were looked at, the unproven ones among them.
        changed: every proven verdict that the candidate answers otherwise.
        unproven: outcomes of verdicts that did not come out again under their own policy.
        first_us, last_us: when the first and the last were recorded; 0 without any.
    """

    name: str
    version: str
    policy: str
    asked: int
    changed: tuple[Flip, ...]
    unproven: tuple[ReplayRow, ...]
    first_us: int = 0
    last_us: int = 0

    @property
    def proven(self) -> int:
        return self.asked - len(self.unproven)

    @property
    def flips(self) -> tuple[Flip, ...]:
        """Those that are live now first, then the newest."""
        return tuple(sorted((one for one in self.changed if one.flipped), key=_order))

    @property
    def answer(self) -> str:
        """`unproven`, `flips` or `same`, the worst first."""
        if self.unproven:
            return "unproven"
        return "flips" if self.flips else "same"

    def of(self, turn: Turn) -> list[Flip]:
        return sorted((one for one in self.changed if turn_of(one) is turn), key=_order)

    def count(self, turn: Turn) -> int:
        """Of SAME: all the proven ones about which nothing changes."""
        if turn is Turn.SAME:
            return self.proven - sum(turn_of(one) is not turn for one in self.changed)
        return len(self.of(turn))

    def document(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "candidate": {"name": self.name, "version": self.version, "policy": self.policy},
            "answer": self.answer,
            "sentence": sentence(self),
            "asked": self.asked,
            "proven": self.proven,
            "turns": {turn.value: self.count(turn) for turn in Turn},
            "rules": [{"rule": rule, "flips": count} for rule, count in by_rule(self.flips)],
            "unproven": [
                {
                    "verdict": one.subject,
                    "run": one.run_id,
                    "environment": one.environment,
                    "cause": one.cause,
                    "sentence": one.sentence,
                }
                for one in _by_cause(self.unproven)
            ],
            "changed": [one.document() for one in sorted(self.changed, key=_order)],
        }


def turn_of(one: Flip) -> Turn:
    if one.flipped:
        return Turn.BLOCKS if one.decision_now == FAIL else Turn.ALLOWS
    if one.decision_now == PASS and one.newly_warns:
        return Turn.WARNS
    changed = one.newly_fails or one.newly_warns or one.no_longer
    return Turn.CHANGES if changed else Turn.SAME


def causes(one: Flip) -> tuple[tuple[str, tuple[Fired, ...]], ...]:
    """Why, as (`now fails` | `now warns` | `no longer`, results): of a decision that turns only
    what turned it."""
    match turn_of(one):
        case Turn.BLOCKS:
            return (("now fails", one.newly_fails),)
        case Turn.ALLOWS:
            now = {(fired.rule, fired.subject) for fired in one.fails_now}
            gone = [f for f in one.fails_then if (f.rule, f.subject) not in now]
            return (("no longer fails", tuple(sorted(gone))),)
    found = (
        ("now fails", one.newly_fails),
        ("now warns", one.newly_warns),
        ("no longer", one.no_longer),
    )
    return tuple(pair for pair in found if pair[1])


def by_rule(flips: Iterable[Flip]) -> list[tuple[str, int]]:
    """How many flips each rule had a part in, the most first."""
    counts = Counter(rule for one in flips for rule in one.rules)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def words_then(one: Flip) -> str:
    return word_of(one.decision_then, len(one.fails_then), len(one.warns_then))


def words_now(one: Flip) -> str:
    return word_of(one.decision_now, len(one.fails_now), len(one.warns_now))


def sentence(found: PullRequest) -> str:
    """The whole in one sentence."""
    if not found.asked:
        return "No verdict is recorded yet, so nothing can be said about this policy."
    if found.unproven:
        return (
            f"{len(found.unproven)} of {_many(found.asked, 'recorded verdict')} did not come out "
            "again under their own policy: until that is explained this comparison proves nothing."
        )
    flips = found.flips
    if not flips:
        warned = found.count(Turn.WARNS)
        more = f", {_many(warned, 'verdict')} would warn anew" if warned else ""
        return f"No decision of {_many(found.asked, 'recorded verdict')} would change{more}."
    live = sum(bool(one.live) for one in flips)
    running = f"; {live} of them {'is' if live == 1 else 'are'} live now" if live else ""
    return (
        f"{len(flips)} of {_many(found.asked, 'recorded verdict')} would be decided otherwise: "
        f"{found.count(Turn.BLOCKS)} blocked, {found.count(Turn.ALLOWS)} let through{running}."
    )


def markdown(found: PullRequest) -> str:
    """The report for a pull request. Ends with a line feed."""
    parts = [
        f"# Policy pull request: {_text(found.name)} {_text(found.version)}",
        f"**{sentence(found)}**",
        f"Candidate `{found.policy}`{_span(found)}.",
        _table(("", "Verdicts"), _figures(found)),
    ]
    if found.unproven:
        parts += ["## Not proven", *_unproven(found.unproven)]
    if found.flips:
        rules = [(f"`{rule}`", str(count)) for rule, count in by_rule(found.flips)]
        parts += ["## Flips by rule", _table(("Rule", "Flips"), rules)]
        parts += ["## Flips", *_rows(found.flips)]
    for head, turn in (
        ("## Would warn anew", Turn.WARNS),
        ("## Decided alike, by other rules", Turn.CHANGES),
    ):
        rows = found.of(turn)
        if rows:
            parts += [head, *_rows(rows)]
    return "\n\n".join(parts) + "\n"


def _span(found: PullRequest) -> str:
    if not found.first_us:
        return ""
    return f" against verdicts of {day(found.first_us)} to {day(found.last_us)}"


def _figures(found: PullRequest) -> list[tuple[str, ...]]:
    return [
        ("Asked again", str(found.asked)),
        ("Baseline proven", f"{found.proven} of {found.asked}"),
        ("Would be blocked", _with_live(found.of(Turn.BLOCKS))),
        ("Would be let through", _with_live(found.of(Turn.ALLOWS))),
        ("Would warn anew", _with_live(found.of(Turn.WARNS))),
        ("Decided alike, by other rules", str(found.count(Turn.CHANGES))),
        ("Unchanged", str(found.count(Turn.SAME))),
    ]


def _with_live(flips: Sequence[Flip]) -> str:
    live = sum(bool(one.live) for one in flips)
    return f"{len(flips)} ({live} live now)" if live else str(len(flips))


def _rows(flips: Sequence[Flip]) -> list[str]:
    rows = [
        (
            _text(one.run_id),
            _text(one.environment),
            f"{_text(one.bundle_label)} `{one.bundle.removeprefix('sha256:')[:12]}`".strip(),
            day(one.decided_us),
            words_then(one),
            words_now(one),
            _why(one),
            f"**{_text(', '.join(one.live))}**" if one.live else "no",
        )
        for one in flips[:ROWS_MAX]
    ]
    heads = ("Run", "Environment", "Bundle", "Decided", "Then", "Candidate", "Because", "Live now")
    return [_table(heads, rows), *_more(len(flips) - len(rows))]


def _why(one: Flip) -> str:
    told = [
        f"{word}: `{fired.rule}` {_text(fired.detail)}"
        for word, results in causes(one)
        for fired in results
    ]
    more = len(told) - _TOLD_MAX
    return "; ".join([*told[:_TOLD_MAX], *([f"and {more} more"] if more > 0 else [])])


def _unproven(found: Sequence[ReplayRow]) -> list[str]:
    ordered = _by_cause(found)
    rows = [
        (_text(o.subject), _text(o.run_id), _text(o.environment), o.cause, _text(o.sentence))
        for o in ordered[:ROWS_MAX]
    ]
    heads = ("Verdict", "Run", "Environment", "Cause", "Found")
    return [_table(heads, rows), *_more(len(ordered) - len(rows))]


def _more(count: int) -> list[str]:
    return [f"and {count} more."] if count > 0 else []


def _order(one: Flip) -> tuple[bool, int, str]:
    return (not one.live, -one.decided_us, one.verdict_id)


def _by_cause(found: Iterable[ReplayRow]) -> list[ReplayRow]:
    return sorted(found, key=lambda one: (one.cause, one.subject))


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(text: str) -> str:
    """Foreign text within a table's cell: no column, line, tag or mark of its own."""
    one_line = " ".join(text.split())
    if len(one_line) > _LENGTH_MAX:
        one_line = one_line[: _LENGTH_MAX - 1] + "…"
    return "".join(f"\\{mark}" if mark in _MARKS else mark for mark in one_line)


def day(us: int) -> str:
    return f"{datetime.fromtimestamp(us / 1_000_000, UTC):%Y-%m-%d}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
