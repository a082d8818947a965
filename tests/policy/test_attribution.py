"""Which change made the answer another one, against an oracle that tries everything."""

from __future__ import annotations

from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.digest import Digest
from engine.policy.attribution import FLIPS, SAME, UNKNOWN, attribute, bisect

OLD, NEW, OTHER = (Digest.of(text) for text in (b"old", b"new", b"other"))
NAMES = ("approvals", "clock", "components", "feeds", "findings")


def test_the_grid_names_the_axis_that_flips_alone() -> None:
    policy = attribute(
        recorded=OLD,
        new_policy_old_engine=NEW,
        old_policy_new_engine=OLD,
        new_policy_new_engine=NEW,
    )
    assert (policy.policy_alone, policy.engine_alone, policy.first) == (FLIPS, SAME, "policy")
    engine = attribute(
        recorded=OLD,
        new_policy_old_engine=OLD,
        old_policy_new_engine=NEW,
        new_policy_new_engine=NEW,
    )
    assert (engine.policy_alone, engine.engine_alone, engine.first) == (SAME, FLIPS, "engine")
    together = attribute(
        recorded=OLD,
        new_policy_old_engine=OLD,
        old_policy_new_engine=OLD,
        new_policy_new_engine=OTHER,
    )
    assert together.first == "both"
    nothing = attribute(
        recorded=OLD,
        new_policy_old_engine=None,
        old_policy_new_engine=None,
        new_policy_new_engine=None,
    )
    assert (nothing.policy_alone, nothing.engine_alone, nothing.first) == (UNKNOWN, UNKNOWN, "")


def test_an_engine_that_is_not_here_leaves_the_policys_share_tellable() -> None:
    found = attribute(
        recorded=OLD,
        new_policy_old_engine=None,
        old_policy_new_engine=OLD,
        new_policy_new_engine=NEW,
    )
    assert (found.policy_alone, found.engine_alone, found.first) == (FLIPS, SAME, "policy")


@given(
    needs=st.lists(st.frozensets(st.sampled_from(NAMES), min_size=1), min_size=0, max_size=4),
    impossible=st.frozensets(st.sampled_from(NAMES), max_size=1),
)
def test_the_named_change_is_one_that_the_other_answer_needs(
    needs: list[frozenset[str]], impossible: frozenset[str]
) -> None:
    """The answer flips when one of `needs` is changed as a whole; one can't be made alone."""

    def answer(changed: frozenset[str]) -> Digest | None:
        if changed and changed == impossible:
            return None
        return NEW if any(need <= changed for need in needs) else OLD

    found = bisect(NAMES, answer)
    alone = [name for name in NAMES if answer(frozenset({name})) == NEW]
    everything = answer(frozenset(NAMES))
    if alone:
        assert found.first == alone[0]
    elif everything == NEW:
        cuts = [NAMES[:end] for end in range(2, len(NAMES) + 1)]
        assert found.first == next(c[-1] for c in cuts if answer(frozenset(c)) == NEW)
        # Without it the same beginning says what it said before.
        place = NAMES.index(found.first)
        assert answer(frozenset(NAMES[:place])) in {OLD, None}
    else:
        assert found.first == ""
    subsets = chain.from_iterable(combinations(NAMES, n) for n in range(len(NAMES) + 1))
    if all(answer(frozenset(s)) in {OLD, None} for s in subsets):
        assert found.first == ""
