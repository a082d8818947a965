"""What was worked out and may be asked for again, as long as it is not too much. Pure.

The oldest goes first. What is too much is said in whatever the values weigh: a count of them does
for small ones, but a thousand bills of materials fill a machine.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Not for several threads at once.

    Args:
        most: weight of all values together; the newest value stays whatever it weighs.
    """

    def __init__(self, most: int) -> None:
        self._most, self._weight = most, 0
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Key, value: Value, weight: int = 1) -> None:
        self._weight += weight - self._values.pop(key, (None, 0))[1]
        self._values[key] = value, weight
        while self._weight > self._most and len(self._values) > 1:
            _, (_, gone) = self._values.popitem(last=False)
            self._weight -= gone
