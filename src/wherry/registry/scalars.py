"""Values without parts: texts, numbers, moments, at their bounds and in between."""

from __future__ import annotations

from typing import Any

from wherry.registry.branches import shown
from wherry.registry.forms import Schema
from wherry.registry.texts import text_matching

_FORMATS = {
    "date": ("2026-01-31", "2024-02-29"),
    "date-time": ("2026-01-31T12:00:00Z", "2026-01-31T23:59:59.999999+02:00"),
    "date-time-local": ("2026-01-31T12:00:00", "2026-01-31T23:59:59.999999"),
    "decimal": ("12.50", "0", "-0.01"),
    "duration": ("PT1H", "P1DT0.5S"),
    "email": ("ada@example.com",),
    "time": ("12:00:00Z", "23:59:59.999999Z"),
    "partial-time": ("12:00:00", "23:59:59.999999"),
    "uri": ("https://example.com/",),
    "uuid": ("3f0e6f2a-6c1b-4f0e-9d6a-2b7c8d9e0f10", "00000000-0000-0000-0000-000000000000"),
    "ipv4": ("192.0.2.1",),
    "ipv6": ("2001:db8::1",),
}
_LARGE = 1 << 33  # more than 32 bits hold
LONG = 1_000  # characters or items beyond which the largest is not made


class NoExample(ValueError):
    """None follows from the schema: bounds without a value between them, an odd pattern."""


def scalars(branch: Schema) -> list[tuple[str, Any]]:
    """Return values of a kind without parts, the least first, each with what it is."""
    match branch.get("type"):
        case "string":
            return _texts(branch)
        case "integer" | "number" as kind:
            return _numbers(branch, whole=kind == "integer")
        case "boolean":
            return [("false", False), ("true", True)]
        case "null":
            return [("None", None)]
        case _:
            return [("None", None), ("text", "text"), ("an object", {"key": [1]})]


def typical_first(values: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Put the value in front that is neither the least nor the most."""
    middle = next((at for at, (case, _) in enumerate(values) if case == "typical"), 0)
    return [values[middle], *values[:middle], *values[middle + 1 :]]


def _texts(branch: Schema) -> list[tuple[str, Any]]:
    least, most = branch.get("minLength", 0), branch.get("maxLength")
    if "contentEncoding" in branch:
        size = -(-least // 4) * 4
        return [("least", "AAAA" * (size // 4)), ("typical", "dGV4dA==".ljust(size, "A"))]
    if "format" in branch and "pattern" not in branch:
        return _formatted(branch, least, most)
    if "pattern" in branch:
        text = text_matching(branch["pattern"], least, most)
        if text is None:
            raise NoExample(f"no text was found that matches {branch['pattern']!r}")
        return [("typical", text)]
    if least > LONG or (most is not None and most < least):
        raise NoExample("no text has such a length")
    typical = "some text".ljust(least, "t")[: most if most is not None else None]
    found = [("least", "t" * least), ("typical", typical)]
    if most is not None and most <= LONG:
        found.append((f"with {most} characters", "ü" * most))
    return found


def _formatted(branch: Schema, least: int, most: int | None) -> list[tuple[str, Any]]:
    known = [
        one for one in _FORMATS.get(branch["format"], ("text",))
        if least <= len(one) <= (len(one) if most is None else most)
    ]  # fmt: skip
    if branch["format"] == "decimal":
        known = [one for one in known if _within(float(one), branch)]
        known = known or [str(value) for _, value in _numbers(branch, whole=False)]
    if not known:
        raise NoExample(f"no {branch['format']} has such a length")
    return [("typical", known[0]), *((shown(one), one) for one in known[1:])]


def _numbers(branch: Schema, *, whole: bool) -> list[tuple[str, Any]]:
    step = branch.get("multipleOf")
    nudge = step or (1 if whole else 0.5)
    low = _edge(branch, "minimum", "exclusiveMinimum", nudge, max)
    high = _edge(branch, "maximum", "exclusiveMaximum", -nudge, min)
    if low is not None and high is not None and low > high:
        low = high = (
            branch.get("exclusiveMinimum", low) + branch.get("exclusiveMaximum", high)
        ) / 2
    start = low if low is not None else 0 if high is None else min(0, high)
    middle = start + nudge
    if high is not None and middle > high:
        middle = start
    given: list[tuple[str, Any]] = [("least" if low is not None else "", start)]
    given.append(("typical", middle))
    given.append(("most", high) if high is not None else ("large", start + _LARGE * nudge))
    if low is None and high is None:
        given.append(("below zero", -nudge))
    found: list[tuple[str, Any]] = []
    for case, value in given:
        if step is not None:
            value = -(-value // step) * step
        value = int(value) if whole or float(value).is_integer() else value
        if _within(value, branch):
            found.append((case or "zero", value))
    if not found:
        raise NoExample("no number is between the bounds")
    return found


def _edge(branch: Schema, near: str, beyond: str, nudge: float, pick: Any) -> Any:
    """Return the outermost value of one side, or None where that side is open."""
    found = [branch[near]] if near in branch else []
    if beyond in branch:
        found.append(branch[beyond] + nudge)
    return pick(found) if found else None


def _within(value: float, branch: Schema) -> bool:
    return bool(
        branch.get("minimum", value) <= value <= branch.get("maximum", value)
        and branch.get("exclusiveMinimum", value - 1) < value
        and value < branch.get("exclusiveMaximum", value + 1)
    )
