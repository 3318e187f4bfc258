"""The compiled list of values of one field: does a value of an event hold for it?"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from wherry.patterns.addresses import Network, address
from wherry.patterns.numbers import Digits, Number, comparable, number


class Wildcard(msgspec.Struct, frozen=True):
    """Literal pieces with anything between them. Matched in one pass, piece by piece.

    Taking the leftmost place of each piece is enough: nothing after it gains by another.
    """

    head: str
    middle: tuple[str, ...] = ()
    tail: str | None = None
    """None: there is no `*`, and the head is all."""

    def matches(self, value: str) -> bool:
        """Return whether the whole value has this form."""
        if self.tail is None:
            return value == self.head
        end = len(value) - len(self.tail)
        at = len(self.head)
        if end < at or not value.startswith(self.head) or not value.endswith(self.tail):
            return False
        for piece in self.middle:
            found = value.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True


class Texts(msgspec.Struct, frozen=True):
    """What a string may be; any one of these is enough."""

    exact: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    whole: tuple[re.Pattern[str], ...] = ()
    """Ignoring case: the whole value."""
    starts: tuple[re.Pattern[str], ...] = ()
    """Ignoring case: the beginning of the value."""
    ends: tuple[re.Pattern[str], ...] = ()
    """Ignoring case: the end of the value; both are written backwards."""
    wildcards: tuple[Wildcard, ...] = ()

    def matches(self, value: str) -> bool:
        """Return whether one of these holds for a string."""
        if value in self.exact:
            return True
        if self.prefixes and value.startswith(self.prefixes):
            return True
        if self.suffixes and value.endswith(self.suffixes):
            return True
        if self.wildcards and any(one.matches(value) for one in self.wildcards):
            return True
        if self.whole and any(one.fullmatch(value) for one in self.whole):
            return True
        if self.starts and any(one.match(value) for one in self.starts):
            return True
        if self.ends:
            backwards = value[::-1]
            return any(one.match(backwards) for one in self.ends)
        return False


class Range(msgspec.Struct, frozen=True):
    """A range of numbers; None is no bound on that side."""

    low: int | float | None = None
    low_open: bool = False
    high: int | float | None = None
    high_open: bool = False

    def matches(self, value: int | float) -> bool:
        """Return whether a number is within."""
        if self.low is not None and (value <= self.low if self.low_open else value < self.low):
            return False
        return self.high is None or (value < self.high if self.high_open else value <= self.high)


class Except(msgspec.Struct, frozen=True):
    """`anything-but`: any value, of any type, that is none of these."""

    texts: Texts = Texts()
    numbers: frozenset[Number] = frozenset()


class Values(msgspec.Struct, frozen=True):
    """The list of values of one field in a pattern, compiled: one of them is enough."""

    texts: Texts = Texts()
    numbers: frozenset[Number] = frozenset()
    words: frozenset[bool | None] = frozenset()
    """Those of true, false and null that are in the list."""
    ranges: tuple[Range, ...] = ()
    networks: tuple[Network, ...] = ()
    excepts: tuple[Except, ...] = ()
    present: bool = False
    """`{"exists": true}`"""
    absent: bool = False
    """`{"exists": false}`"""
    numeric: bool = False
    """Something in the list compares numbers."""

    def matches(self, value: Any) -> bool:
        """Return whether one value of the list holds for a leaf of an event."""
        if self.present:
            return True
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool):
            return value in self.words or bool(self.excepts)
        if isinstance(value, int | float | Digits):
            return self._number(value if isinstance(value, Digits) else number(value))
        return bool(self.excepts)  # nothing that JSON knows

    def may_match(self, kind: str) -> bool:
        """Return whether a leaf of this type of JSON Schema's can hold, whatever its value is."""
        if self.present or self.excepts:
            return True
        match kind:
            case "string":
                return self.texts != Texts() or bool(self.networks)
            case "integer" | "number":
                return bool(self.numbers or self.ranges)
            case "boolean":
                return not self.words.isdisjoint((True, False))
            case "null":
                return None in self.words
            case _:
                return True

    def _text(self, value: str) -> bool:
        # event-ruler reads a field's values in one way: as numbers where the list compares
        # numbers, else as addresses where it has addresses. So beside a number no address
        # matches, and beside an address only addresses and anything-but match an address.
        if self.networks and not self.numeric:
            found = address(value)
            if found is not None:
                bits, where = found
                return bool(self.excepts) or any(
                    one.bits == bits and one.low <= where <= one.high for one in self.networks
                )
        return self.texts.matches(value) or any(
            not one.texts.matches(value) for one in self.excepts
        )

    def _number(self, value: Number) -> bool:
        if value in self.numbers:
            return True
        if self.ranges:
            plain = comparable(value)
            if plain is not None and any(one.matches(plain) for one in self.ranges):
                return True
        return any(value not in one.numbers for one in self.excepts)
