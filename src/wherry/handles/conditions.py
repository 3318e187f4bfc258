"""Conditions and sort-key ranges, as a handler writes them.

orders.update(order_id, status="paid", when=field("status") == "open")
orders.query(customer, index="by_customer", sort=begins_with("2026-11"))
"""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any, assert_never
from uuid import UUID

from wherry.codec import is_text_key, key_bytes, prefix_end
from wherry.errors import Refused
from wherry.handles.keys import unusable
from wherry.handles.late import Late

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry import effects
    from wherry.effects import Condition
    from wherry.handles.keys import KeyField
else:
    effects = Late("wherry.effects", globals())

_PLAIN = frozenset((str, int, float, bool, type(None)))


class field:
    """A field of the stored item, to compare: `field("total") >= 100`, `field("note").exists()`.

    Its name is the one in Python, as in `update`; the one in JSON is taken too.
    Combine with `all_of`, `any_of` and `negate`. A missing field stands in no relation.
    """

    __slots__ = ("name",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self.name = name

    def _compare(self, relation: Any, value: Any) -> Condition:
        if type(value) not in _PLAIN:
            value = self._plain(value)
        return effects.Compare(self.name, relation, value)

    def _plain(self, value: Any) -> Any:
        """Return a value as items hold it, if what holds it is ordered as the values are."""
        if isinstance(value, Enum):
            return self._plain(value.value)
        if isinstance(value, UUID) or type(value) is date:
            return str(value)
        if isinstance(value, str | int | float | None):
            return value
        raise Refused(
            f"The field {self.name!r} cannot be compared with {value!r}: an item holds a "
            f"{type(value).__name__} as text, or not at all.",
            advice="Compare text, numbers, bools, dates, UUIDs and Enums of them; hold money in "
            "whole cents, a moment or a duration as a number of seconds.",
        )

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return self._compare("==", value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return self._compare("!=", value)

    def __lt__(self, value: object) -> Condition:
        return self._compare("<", value)

    def __le__(self, value: object) -> Condition:
        return self._compare("<=", value)

    def __gt__(self, value: object) -> Condition:
        return self._compare(">", value)

    def __ge__(self, value: object) -> Condition:
        return self._compare(">=", value)

    def begins_with(self, text: str) -> Condition:
        """The field is text that begins with `text`."""
        return self._compare("begins_with", text)

    def contains(self, value: object) -> Condition:
        """The field is text with this part, or a list with this element."""
        return self._compare("contains", value)

    def exists(self) -> Condition:
        """The field is there and not null."""
        return effects.HasField(self.name)


def all_of(*parts: Condition) -> Condition:
    """Every part holds."""
    return effects.AllOf(parts)


def any_of(*parts: Condition) -> Condition:
    """At least one part holds."""
    return effects.AnyOf(parts)


def negate(part: Condition) -> Condition:
    """The part does not hold."""
    return effects.Negation(part)


def renamed(condition: Condition, names: Mapping[str, str]) -> Condition:
    """Return the condition with the names that fields have in JSON.

    Raises:
        Refused: It is about a field that is not among these, and would never hold, or always.
    """
    match condition:
        case effects.Compare(name, relation, value):
            return effects.Compare(_known(name, names), relation, value)
        case effects.HasField(name):
            return effects.HasField(_known(name, names))
        case effects.AllOf(parts):
            return effects.AllOf(tuple(renamed(part, names) for part in parts))
        case effects.AnyOf(parts):
            return effects.AnyOf(tuple(renamed(part, names) for part in parts))
        case effects.Negation(part):
            return effects.Negation(renamed(part, names))
        case effects.Absent() | effects.Present():
            return condition
        case _:
            assert_never(condition)


def _known(name: str, names: Mapping[str, str]) -> str:
    if name in names:
        return names[name]
    raise Refused(f"A condition is about {name!r}; the items have: {', '.join(names)}.")


class SortRange:
    """A range of sort keys: `low` inclusive, `high` exclusive, None for open."""

    __slots__ = ("high", "is_text", "low")

    def __init__(self, low: bytes | None, high: bytes | None) -> None:
        self.low, self.high = low, high
        self.is_text = is_text_key(low or high or b"")


def begins_with(text: str) -> SortRange:
    """Sort keys that are text beginning with `text`."""
    low = _end(text)
    if not is_text_key(low):
        raise Refused(f"begins_with({text!r}): numbers do not begin with one.")
    return SortRange(low, prefix_end(low))


def between(low: object, high: object) -> SortRange:
    """Sort keys from `low` to `high`, both included."""
    first, last = _end(low), _end(high)
    if is_text_key(first) is not is_text_key(last):
        raise Refused(f"between({low!r}, {high!r}): nothing is between text and a number.")
    return SortRange(first, last + b"\0")


def exactly(value: object) -> SortRange:
    """The one sort key `value`."""
    return between(value, value)


def at_least(value: object) -> SortRange:
    """Sort keys from `value` on."""
    return SortRange(_end(value), None)


def above(value: object) -> SortRange:
    """Sort keys after `value`."""
    return SortRange(_end(value) + b"\0", None)


def at_most(value: object) -> SortRange:
    """Sort keys up to `value`."""
    return SortRange(None, _end(value) + b"\0")


def below(value: object) -> SortRange:
    """Sort keys before `value`."""
    return SortRange(None, _end(value))


def _end(value: object) -> bytes:
    try:
        return key_bytes(value)
    except (TypeError, ValueError) as error:
        raise unusable(value, "The end of a range of sort keys", error) from None


def ends(
    given: SortRange, what: str, name: str | None, fields: Mapping[str, KeyField]
) -> tuple[bytes | None, bytes | None]:
    """Return the ends of a range of the field `name`, which orders a table or an index.

    Raises:
        Refused: Nothing orders it, it is no range, or one that no value of the field is in.
    """
    if name is None:
        raise Refused(f"{what} has no sort field, and sort= was given.")
    if not isinstance(given, SortRange):
        raise Refused(
            f"sort= of a query is a range; {type(given).__name__} was given.",
            advice="Say exactly(...), begins_with(...), between(...), at_least(...) ...",
        )
    orders = fields.get(name)
    if orders is not None and given.is_text is not orders.is_text:
        raise Refused(
            f"{what} is ordered by {name!r}, which is {orders.type}; the range is one of "
            f"{'text' if given.is_text else 'numbers'}."
        )
    return given.low, given.high
