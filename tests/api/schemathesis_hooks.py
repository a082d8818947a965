"""What schemathesis leaves out, because no schema can tell it."""

from __future__ import annotations

import os
import re

import schemathesis

# An identity that takes its own right to ask away asks no more.
_OWN = os.environ.get("OWN_TOKEN", "")
# A cursor is opaque and carries a check: whatever only looks like one is refused, which
# tests/fuzz asks for by the million.
_LOOKS_LIKE_A_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,1000}")


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    if case.operation.path == "/tokens/{token_id}":
        return (case.path_parameters or {}).get("token_id") != _OWN
    after = (case.query or {}).get("after", "")
    return not (isinstance(after, str) and _LOOKS_LIKE_A_CURSOR.fullmatch(after))
