"""Replays in words: what a cause means and what to do about it, what a mode asks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.core.replays import Cause, Depth, ReplayMode
from pages.ui import words

ASKED_AGAIN: Final = (
    "A recorded decision is asked again from what was frozen with it. The same question has to "
    "give the same answer, byte for byte; there is no tolerance."
)
LEGACY: Final = 'Legacy name/location: "Verdict Replay" (Evidence → Replay/Verify)'
COUNTED: Final = (
    "Only completed verifications are in the match rate. One that is running is neither a match "
    "nor a mismatch and stands apart; the earlier Verdict Replay screen counted it as a mismatch. "
    "What could not be carried out (FAILED) stands apart as well. Without a completed one the rate "
    "is “-”."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseWords:
    """Attributes:
    short: beside the word MISMATCH.
    means: what is known by it, and what is not.
    do: what a person does next.
    """

    short: str
    means: str
    do: str


CAUSES: Final[Mapping[str, CauseWords]] = {
    Cause.INPUT_MISSING: CauseWords(
        short="a frozen input is gone",
        means="A part that the decision rests on is no longer in the store, so the question could "
        "not be asked again. Nothing is said about the decision itself.",
        do="Bring the named part back from a backup or from an audit pack that holds it, check "
        "its digest, and replay again. Find out what removed it.",
    ),
    Cause.INPUT_TAMPERED: CauseWords(
        short="a frozen input has other bytes",
        means="The bytes of a part no longer have the digest that the capsule names. They were "
        "changed, or damaged, after the decision.",
        do="Treat it as an incident: compare the part with the run's audit pack, restore the bytes "
        "whose digest is right, and replay again. Until then nothing rests on this part.",
    ),
    Cause.VERDICT_TAMPERED: CauseWords(
        short="the stored verdict is not what was recorded",
        means="The verdict in the store has another digest than the one on record. The difference "
        "below shows what was taken out or put in.",
        do="Treat it as an incident. The signed policy decision in the run's evidence still says "
        "what was decided; verify that item.",
    ),
    Cause.POLICY_CHANGED: CauseWords(
        short="the policy is another one",
        means="The same facts get another decision, and the policy alone accounts for it.",
        do="Look at the rule in the difference. If the change is wanted, nothing is wrong; if not, "
        "publish the former version again.",
    ),
    Cause.POLICY_CHANGED_SAME_DECISION: CauseWords(
        short="the policy is another one, the decision is the same",
        means="The policy is another one and says something else in detail, but decides the same.",
        do="Nothing is urgent. Look at the difference before the next promotion.",
    ),
    Cause.ENGINE_CHANGED: CauseWords(
        short="another engine evaluates now",
        means="The policy and every input are those of then, and another version of the engine "
        "gives another answer.",
        do="Keep the recorded decision as it is. Report the difference to whoever maintains the "
        "engine, and pin the former version where decisions must replay.",
    ),
    Cause.NONDETERMINISTIC: CauseWords(
        short="fresh processes disagree",
        means="The same question gave more than one answer in fresh processes, so a rule depends "
        "on something that is not in its input.",
        do="Run `policy lint` on the policy and take out what it names (the order of a map is the "
        "usual one). Decisions by this rule can't be relied on until then.",
    ),
    Cause.UNEXPLAINED: CauseWords(
        short="no cause was found",
        means="Policy, inputs and engine are those of then, fresh processes agree, and still the "
        "answer is another one.",
        do="Keep the home as it is, export the run's audit pack, and report it: this must not "
        "happen.",
    ),
}
_UNKNOWN: Final = CauseWords(
    short="for a cause that is not known here",
    means="The cause is not one that this version of the console knows.",
    do="Look at the difference below.",
)


def cause(name: str) -> CauseWords | None:
    """None when there is no cause."""
    return CAUSES.get(name, _UNKNOWN) if name else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeWords:
    label: str
    help: str


MODES: Final[Mapping[str, ModeWords]] = {
    ReplayMode.VERIFY: ModeWords(
        label="Verify",
        help="The same question as then. Only this mode says whether decisions are deterministic.",
    ),
    ReplayMode.WHAT_IF: ModeWords(
        label="What if",
        help="The facts of then under a policy that you choose. It changes nothing and does not "
        "count in the match rate.",
    ),
    ReplayMode.TODAY: ModeWords(
        label="Today",
        help="The same bundle and policy with the feeds and the clock of today. It changes nothing "
        "and does not count in the match rate.",
    ),
}
DEPTHS: Final[Mapping[str, ModeWords]] = {
    Depth.SHALLOW: ModeWords(
        label="Shallow",
        help="From the frozen facts to the verdict: proves the decision.",
    ),
    Depth.DEEP: ModeWords(
        label="Deep",
        help="From SBOMs, feeds and VEX to the facts to the verdict: proves the findings as well.",
    ),
}
DEPTHS_HELP: Final = "  \n".join(f"**{one.label}**: {one.help}" for one in DEPTHS.values())
RESULTS: Final[Mapping[str, str]] = {
    "MATCH": "The same question gives the same answer, byte for byte.",
    "MISMATCH": "The answer of then does not come out again.",
    "SAME": "The decision would be the same.",
    "FLIPPED": "The decision would be another one.",
    "UNPROVEN": "The decision of then does not replay itself, so nothing is said about the change.",
}
PARTS: Final[Mapping[str, words.Look]] = {
    "ok": words.Look(word="OK", shape="check", tone="ok", material="check_circle"),
    "missing": words.Look(word="MISSING", shape="cross", tone="err", material="error"),
    "tampered": words.Look(word="TAMPERED", shape="cross", tone="err", material="gpp_bad"),
    "differs": words.Look(word="DIFFERS", shape="warn", tone="warn", material="difference"),
}
UNREAD: Final = words.Look(word="NOT LOOKED AT", shape="ring", tone="idle", material="help")


def result(row_result: str, status: str) -> words.Look:
    """The look of an outcome: its result, or how far it has come."""
    return words.REPLAY_RESULT.get(row_result) or words.REPLAY[status]


def crosscheck(word: str) -> str:
    """What the second engine said; `word` is not empty."""
    if word == "AGREE":
        return "The second engine gives the same answer."
    if word == "DISAGREE":
        return "The second engine gives ANOTHER answer."
    return "The second engine could not give an answer."


def part(state: str) -> words.Look:
    return PARTS.get(state, UNREAD)


def mode_text(mode: str, depth: str) -> str:
    """`Verify, shallow`."""
    return f"{MODES[mode].label}, {DEPTHS[depth].label.lower()}"
