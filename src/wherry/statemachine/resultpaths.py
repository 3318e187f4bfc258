"""ResultPath: a result placed into a state's input, which itself is not changed."""

from __future__ import annotations

from typing import Any

from wherry.statemachine.faults import conflict
from wherry.statemachine.paths import Path
from wherry.statemachine.text import to_text


def place(raw: Any, path: Path, result: Any) -> Any:
    """Return `raw` with `result` at `path`; what is missing on the way is made.

    Raises:
        StatesError: States.ReferencePathConflict.
    """
    if not path.steps:
        return result
    try:
        return _placed(raw, path, 0, result)
    except _Mismatch:
        what = f"ReferencePath {path.text}"
        if isinstance(raw, list):
            what = f'step "{path.steps[0].argument}"'
        raise conflict(f"Unable to apply {what} to input {to_text(raw)}") from None


class _Mismatch(Exception):
    pass


def _placed(value: Any, path: Path, at: int, result: Any) -> Any:
    if at == len(path.steps):
        return result
    step = path.steps[at]
    if step.kind == "key" and isinstance(value, dict):
        inner = value.get(step.argument)
        if inner is None and at + 1 < len(path.steps):
            inner = {}
        return {**value, step.argument: _placed(inner, path, at + 1, result)}
    if step.kind == "index" and isinstance(value, list) and 0 <= step.argument < len(value):
        inner = _placed(value[step.argument], path, at + 1, result)
        return [*value[: step.argument], inner, *value[step.argument + 1 :]]
    raise _Mismatch
