"""How much one evaluation of JSONata has used: steps, depth, memory.

A value's size is counted as if everything it holds were its own, so that a small value which
holds another a million times over is as large as it would be in JSON.
"""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.statemachine.jsonata_errors import EvaluationError
from wherry.statemachine.overtime import MEMORY, TIMEOUT, exceeded

_STACK = (
    "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as"
    " tail-recursive"
)
_SMALL = 64  # bytes of a text that is not worth counting


class Meter:
    """Counts for one evaluation."""

    __slots__ = ("_depth", "_held", "_sizes", "_steps", "_used")

    def __init__(self) -> None:
        self._steps = 0
        self._depth = 0
        self._used = 0
        self._sizes: dict[int, int] = {}
        self._held: list[Any] = []  # keeps what is measured alive: its id is its name

    def enter(self, expr: Any) -> None:
        """Count one step into an expression."""
        self._depth += 1
        if self._depth > limits.STATE_EXPRESSION_DEPTH:
            raise EvaluationError("", _STACK)
        self.step(1)

    def leave(self, result: Any) -> None:
        """Count a step out of an expression, and what it gave."""
        self._depth -= 1
        if isinstance(result, str | list | dict):
            self.measure(result)

    def step(self, count: int) -> None:
        """Count work."""
        self._steps += count
        if self._steps > limits.STATE_EXPRESSION_STEPS:
            raise EvaluationError("", exceeded(TIMEOUT))

    def allocate(self, size: int) -> None:
        """Count a value about to be made."""
        if size > limits.STATE_EXPRESSION_BYTES:
            raise EvaluationError("", MEMORY)
        self._used += size
        if self._used > limits.STATE_EXPRESSION_TOTAL_BYTES:
            raise EvaluationError("", exceeded(MEMORY))

    def measure(self, value: Any) -> int:
        """Count a value."""
        if isinstance(value, str):
            size = len(value)
            if size > _SMALL:
                self.allocate(size)
            return size
        known = self._sizes.get(id(value))
        if known is not None:
            return known
        if isinstance(value, dict):
            size = 0
            for one in value.values():
                size += self._size(one)
                self._within(size)
        elif isinstance(value, list):
            size = 0
            for one in value:
                size += self._size(one)
                self._within(size)
        else:
            return 8
        self._sizes[id(value)] = size
        self._held.append(value)
        self.allocate(8 * len(value))
        return size

    def _size(self, value: Any) -> int:
        if isinstance(value, str):
            return max(8, len(value))
        return 8 + self.measure(value) if isinstance(value, dict | list) else 8

    def _within(self, size: int) -> None:
        if size > limits.STATE_EXPRESSION_BYTES:
            raise EvaluationError("", MEMORY)
