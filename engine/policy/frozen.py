"""The question that a capsule froze, put together again from its parts.

Every replay asks it, and so do the searches around one; there is one way to read it back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.core.digest import Digest
from engine.policy.capsule import OpenedCapsule
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import CLOCK, FACETS, GateInput, gate_input
from engine.policy.model import policy_from_blob
from engine.policy.strictjson import read_strict

# Gives a blob; raises `NotFound`, or `Malformed` when it lost its digest.
Read = Callable[[Digest], bytes]


def frozen_policy(capsule: OpenedCapsule, read: Read) -> CompiledPolicy:
    """The policy that was in force. Raises `NotFound`, `Malformed`."""
    return compile_policy(policy_from_blob(read(capsule.policy)), where="frozen policy")


def frozen_document(capsule: OpenedCapsule, read: Read) -> dict[str, Any]:
    """The input as a document: the clock and every facet. Raises `NotFound`, `Malformed`."""
    document: dict[str, Any] = {CLOCK: dict(capsule.clock)}
    for name in FACETS:
        document[name] = read_strict(read(capsule.refs[name]), where=name)
    return document


def frozen_input(capsule: OpenedCapsule, read: Read) -> GateInput:
    """The input that the verdict was given on. Raises `NotFound`, `Malformed`."""
    return gate_input(frozen_document(capsule, read), where="frozen input")
