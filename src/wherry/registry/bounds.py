"""Bounds of numbers, texts, lists and objects: which of them are tighter than they were."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wherry.registry.forms import Schema

_LEAST = {
    "minimum": "at least", "exclusiveMinimum": "above", "minLength": "at least, in characters,",
    "minItems": "at least, in items,", "minProperties": "at least, in keys,",
}  # fmt: skip
_MOST = {
    "maximum": "at most", "exclusiveMaximum": "below", "maxLength": "at most, in characters,",
    "maxItems": "at most, in items,", "maxProperties": "at most, in keys,",
}  # fmt: skip


def tightened(old: Schema, new: Schema) -> Iterator[tuple[str, Any, Any]]:
    """Yield what was allowed and is not: in words, the old bound (None: there was none), the new.

    Both are of one kind of value.
    """
    whole = old.get("type") == "integer"
    for key, said in _LEAST.items():
        if key in new and not _least(old, key, whole) >= _rank(new[key], key, whole):
            yield f"takes {said} {new[key]}", old.get(key), new[key]
    for key, said in _MOST.items():
        if key in new and not _most(old, key, whole) <= _rank(new[key], key, whole):
            yield f"takes {said} {new[key]}", old.get(key), new[key]
    step, before = new.get("multipleOf"), old.get("multipleOf")
    if step is not None and (before is None or before % step):
        yield f"takes multiples of {step}", before, step
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"takes what matches {new['pattern']!r}", old.get("pattern"), new["pattern"]
    if new.get("uniqueItems") and not old.get("uniqueItems"):
        yield "takes each item once", None, True


def _rank(bound: float, key: str, whole: bool) -> tuple[float, int]:
    """Return a bound so that it can be compared with an inclusive one of the same side."""
    if not key.startswith("exclusive"):
        return bound, 0
    if whole:
        return (bound + 1, 0) if key.endswith("Minimum") else (bound - 1, 0)
    return (bound, 1) if key.endswith("Minimum") else (bound, -1)


def _least(old: Schema, key: str, whole: bool) -> tuple[float, int]:
    """Return the least that the old form allowed."""
    keys = ("minimum", "exclusiveMinimum") if key.endswith("inimum") else (key,)
    floor = (float("-inf"), 0) if len(keys) == 2 else (0.0, 0)
    return max([_rank(old[one], one, whole) for one in keys if one in old], default=floor)


def _most(old: Schema, key: str, whole: bool) -> tuple[float, int]:
    keys = ("maximum", "exclusiveMaximum") if key.endswith("aximum") else (key,)
    return min(
        [_rank(old[one], one, whole) for one in keys if one in old], default=(float("inf"), 0)
    )
