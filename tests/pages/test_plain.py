"""Other people's text on a page that reads Markdown: it is shown, and does nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.ui import words

# As remark-gfm finds addresses in finished text, behind any escape.
LINKED = re.compile(
    r"(?:https?://|www(?=\.))[-.\w]+|[-.\w+]+@[-\w]+(?:\.[-\w]+)+", re.IGNORECASE | re.ASCII
)
PART = re.compile(r"\\(.)|`[^`]*`", re.DOTALL)


def bare(markdown: str) -> str:
    """What stands outside code, its escapes undone: what remark-gfm looks through."""
    return PART.sub(lambda found: found[1] or " ", markdown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "by the engine, bob.smith@example.com and ana@x.org; log 3.",
            "by the engine, `bob.smith@example.com` and `ana@x.org`; log 3.",
        ),
        ("see https://x.example/a_b?c=*1*).", "see `https://x.example/a_b?c=*1*`)."),
        ("www.evil.example, ok", "`www.evil.example`, ok"),
        ("ask @bob: 5 @ 3 [x](y)", "ask @bob\\: 5 @ 3 \\[x\\](y)"),
    ],
)
def test_an_address_is_shown_as_it_is_written_and_is_no_link(text: str, shown: str) -> None:
    assert words.plain(text) == shown


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["bob@x.org", "https://a.b/c", "www.a.b", "`", "\\", "[", "]", "*"]),
            st.text(max_size=6),
        ),
        max_size=8,
    ).map("".join)
)
def test_nothing_that_anybody_writes_becomes_a_link(text: str) -> None:
    assert not LINKED.search(bare(words.plain(text)))
