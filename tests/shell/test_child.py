"""A process of ours that dies is told by what it ended with, never by what it left half said."""

from __future__ import annotations

import pytest

from engine.child import Child, ChildEnded


def test_a_torn_last_line_is_no_answer() -> None:
    said = []
    with pytest.raises(ChildEnded, match="ended with 9"):
        for document in Child("tests.shell.torn_child", deadline_s=30).talk("{}", lambda _: None):
            said.append(document)
    assert said == [{"whole": 1}]
