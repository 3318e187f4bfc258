"""From the list of values of one field, as it stands in a pattern, to what it matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from wherry import limits
from wherry.patterns.addresses import Network, address, network
from wherry.patterns.complexity import STAR, Token, most_beginnings
from wherry.patterns.faults import Fault, member
from wherry.patterns.numbers import Digits, Number, comparable
from wherry.patterns.source import Members, Tree
from wherry.patterns.values import Except, Range, Texts, Values, Wildcard

NAMES = (
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "anything-but",
    "numeric",
    "cidr",
    "exists",
    "exactly",
)
"""The operators. `exactly` is not in EventBridge's documentation; event-ruler takes it."""

_NEGATED = ("prefix", "suffix", "equals-ignore-case", "wildcard")
_LOWER, _UPPER = (">", ">="), ("<", "<=")


def _is_number(value: Tree) -> bool:
    return isinstance(value, int | float | Digits) and not isinstance(value, bool)


def _kind(value: Tree) -> str:
    """Name a value for a person."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return "a string"
    if isinstance(value, Members):
        return "an object"
    return "a list" if isinstance(value, list) else "a number"


class ListReader:
    """Reads one field's list of values; `faults` gathers what is wrong with it."""

    def __init__(self, at: str, faults: list[Fault]) -> None:
        self._at = at
        self._faults = faults
        self._texts = _TextsReader()
        self._numbers: set[Number] = set()
        self._words: set[bool | None] = set()
        self._ranges: list[Range] = []
        self._networks: list[Network] = []
        self._excepts: list[Except] = []
        self._tokens: list[list[Token]] = []
        self._present = self._absent = False

    def read(self, values: list[Tree]) -> Values:
        """Return what the list matches; with faults, something that is not to be used."""
        if not values:
            self._fault(self._at, "is an empty list; name at least one value")
        for place, value in enumerate(values):
            self._value(value, f"{self._at}[{place}]")
        bound = limits.PATTERN_WILDCARD_COMPLEXITY
        if self._tokens and most_beginnings(self._tokens, bound) >= bound:
            self._fault(
                self._at,
                "has wildcards that are too complex for EventBridge: use fewer '*', or fewer "
                "repetitions of the same characters after one",
            )
        numeric = bool(self._ranges) or any(
            comparable(one) is not None
            for numbers in (self._numbers, *(one.numbers for one in self._excepts))
            for one in numbers
        )
        return Values(
            texts=self._texts.done(),
            numbers=frozenset(self._numbers),
            words=frozenset(self._words),
            ranges=tuple(self._ranges),
            networks=tuple(self._networks),
            excepts=tuple(self._excepts),
            present=self._present,
            absent=self._absent,
            numeric=numeric,
        )

    def _fault(self, at: str, reason: str) -> None:
        self._faults.append(Fault(at, reason))

    def _value(self, value: Tree, at: str) -> None:
        if isinstance(value, Members):
            self._operator(value, at)
        elif isinstance(value, list):
            self._fault(at, "is a list within the list of values; write its values directly")
        elif isinstance(value, str):
            found = address(value)
            if found is None:
                self._texts.exact.add(value)
            else:  # another way to write the same address matches too
                self._networks.append(Network(bits=found[0], low=found[1], high=found[1]))
        elif value is None or isinstance(value, bool):
            self._words.add(value)
        else:
            self._numbers.add(value)

    def _operator(self, operators: Members, at: str) -> None:
        if len(operators.pairs) != 1:
            named = ", ".join(name for name, _ in operators.pairs) or "none"
            self._fault(at, f"names one operator, not {named}; write each in an object of its own")
        readers: dict[str, Callable[[str, Tree, str], None]] = {
            "prefix": self._affix,
            "suffix": self._affix,
            "equals-ignore-case": self._text,
            "wildcard": self._text,
            "exactly": self._text,
            "anything-but": self._anything_but,
            "numeric": self._numeric,
            "cidr": self._cidr,
            "exists": self._exists,
        }
        for name, operand in operators.pairs:
            if name in readers:
                readers[name](name, operand, member(at, name))
            else:
                known = ", ".join(NAMES[:-1])
                self._fault(member(at, name), f"is no operator; those are {known}")

    def _affix(self, operator: str, operand: Tree, at: str) -> None:
        if not isinstance(operand, Members):
            self._text(operator, operand, at)
            return
        if len(operand.pairs) != 1 or operand.pairs[0][0] != "equals-ignore-case":
            self._fault(at, 'takes a string, or {"equals-ignore-case": "..."}')
            return
        text = operand.pairs[0][1]
        if not isinstance(text, str):
            self._fault(member(at, "equals-ignore-case"), f"takes a string, not {_kind(text)}")
            return
        (self._texts.starts if operator == "prefix" else self._texts.ends).add(text)

    def _text(self, operator: str, operand: Tree, at: str) -> None:
        if not isinstance(operand, str):
            self._fault(at, f"takes a string, not {_kind(operand)}")
            return
        self._add(self._texts, operator, operand, at)

    def _add(self, texts: _TextsReader, operator: str, operand: str, at: str) -> None:
        if operator == "wildcard":
            tokens = self._wildcard(operand, at)
            self._tokens.append(tokens)
            texts.wildcards.append(tokens)
        else:
            texts.of_operator(operator).add(operand)

    def _wildcard(self, text: str, at: str) -> list[Token]:
        tokens: list[Token] = []
        letters = iter(enumerate(text))
        for place, letter in letters:
            if letter == "*":
                if tokens and tokens[-1] is STAR:
                    self._fault(at, f"has two '*' in a row at character {place}; one is enough")
                tokens.append(STAR)
            elif letter == "\\":
                _, escaped = next(letters, (0, ""))
                if escaped not in ("*", "\\"):
                    self._fault(
                        at,
                        f"has a '\\' at character {place} that is before neither '*' nor '\\'; "
                        "write it twice if it is meant itself",
                    )
                tokens.append(escaped)
            else:
                tokens.append(letter)
        return tokens

    def _anything_but(self, _: str, operand: Tree, at: str) -> None:
        if isinstance(operand, Members):
            self._negated(operand, at)
            return
        several = isinstance(operand, list)
        values = operand if isinstance(operand, list) else [operand]
        if not values:
            self._fault(at, "is an empty list; name at least one string or number")
        exact: set[str] = set()
        numbers: set[Number] = set()
        for place, value in enumerate(values):
            where = f"{at}[{place}]" if several else at
            if isinstance(value, str):
                exact.add(value)
            elif _is_number(value):
                numbers.add(self._compared(value, where))
            else:
                allowed = (
                    "strings or numbers"
                    if several
                    else "a string, a number, a list, or "
                    + ("an object with one of " + ", ".join(_NEGATED))
                )
                self._fault(where, f"is {_kind(value)}; anything-but takes {allowed}")
        if exact and numbers:
            self._fault(at, "mixes strings and numbers; EventBridge takes one kind in a list")
        self._excepts.append(Except(Texts(exact=frozenset(exact)), frozenset(numbers)))

    def _negated(self, operators: Members, at: str) -> None:
        if len(operators.pairs) != 1 or operators.pairs[0][0] not in _NEGATED:
            self._fault(at, f"takes an object with one of {', '.join(_NEGATED)}")
            return
        operator, operand = operators.pairs[0]
        at = member(at, operator)
        several = isinstance(operand, list)
        values = operand if isinstance(operand, list) else [operand]
        if not values:
            # event-ruler takes it and fails later; it would mean any value at all.
            self._fault(at, "is an empty list; name at least one string")
        texts = _TextsReader()
        for place, value in enumerate(values):
            where = f"{at}[{place}]" if several else at
            if not isinstance(value, str):
                self._fault(where, f"is {_kind(value)}; a string is needed")
            elif not value and operator in ("prefix", "suffix"):
                self._fault(where, f"is empty: every string has that {operator}")
            else:
                self._add(texts, operator, value, where)
        self._excepts.append(Except(texts.done()))

    def _numeric(self, _: str, operand: Tree, at: str) -> None:
        if not isinstance(operand, list) or len(operand) not in (2, 4):
            self._fault(at, 'takes a list such as ["=", 5], ["<", 5] or [">", 0, "<=", 5]')
            return
        comparisons, bounds = operand[::2], operand[1::2]
        for place, comparison in enumerate(comparisons):
            known = ("=", *_LOWER, *_UPPER)
            if not isinstance(comparison, str) or comparison not in known:
                shown = repr(comparison) if isinstance(comparison, str) else _kind(comparison)
                self._fault(f"{at}[{2 * place}]", f"is {shown}; comparisons are {' '.join(known)}")
                return
        for place, bound in enumerate(bounds):
            if not _is_number(bound):
                self._fault(f"{at}[{2 * place + 1}]", f"is {_kind(bound)}; a number is needed")
                return
        values = [self._compared(bound, f"{at}[{2 * n + 1}]") for n, bound in enumerate(bounds)]
        if len(comparisons) == 2:
            self._range(comparisons, values, at)
        elif comparisons[0] == "=":
            self._numbers.add(values[0])
        elif comparisons[0] in _LOWER:
            self._ranges.append(Range(low=comparable(values[0]), low_open=comparisons[0] == ">"))
        else:
            self._ranges.append(Range(high=comparable(values[0]), high_open=comparisons[0] == "<"))

    def _range(self, comparisons: list[Tree], values: list[Number], at: str) -> None:
        low, high = map(comparable, values)
        if comparisons[0] not in _LOWER or comparisons[1] not in _UPPER:
            self._fault(at, "is no range: the lower bound (> or >=) comes first, then < or <=")
        elif low is not None and high is not None and low >= high:
            self._fault(at, "is an empty range: the lower bound must be below the upper one")
        else:
            self._ranges.append(
                Range(
                    low=low,
                    low_open=comparisons[0] == ">",
                    high=high,
                    high_open=comparisons[1] == "<",
                )
            )

    def _compared(self, value: Any, at: str) -> Number:
        if comparable(value) is None:
            self._fault(at, "is a number that no double holds exactly, so it cannot be compared")
        found: Number = value
        return found

    def _cidr(self, _: str, operand: Tree, at: str) -> None:
        if not isinstance(operand, str):
            self._fault(at, f"takes a string, not {_kind(operand)}")
            return
        found = network(operand)
        if isinstance(found, str):
            self._fault(at, found)
        else:
            self._networks.append(found)

    def _exists(self, _: str, operand: Tree, at: str) -> None:
        if not isinstance(operand, bool):
            self._fault(at, f"is {_kind(operand)}; exists takes true or false")
        elif operand:
            self._present = True
        else:
            self._absent = True


class _TextsReader:
    """Gathers what strings may be, and compiles it."""

    def __init__(self) -> None:
        self.exact: set[str] = set()
        self.prefixes: set[str] = set()
        self.suffixes: set[str] = set()
        self.whole: set[str] = set()
        self.starts: set[str] = set()
        self.ends: set[str] = set()
        self.wildcards: list[list[Token]] = []

    def of_operator(self, operator: str) -> set[str]:
        """Return the set that an operator adds its operand to."""
        return {
            "exactly": self.exact,
            "prefix": self.prefixes,
            "suffix": self.suffixes,
            "equals-ignore-case": self.whole,
        }[operator]

    def done(self) -> Texts:
        """Return all of it, compiled."""
        return Texts(
            exact=frozenset(self.exact),
            prefixes=tuple(sorted(self.prefixes)),
            suffixes=tuple(sorted(self.suffixes)),
            whole=tuple(map(_ignoring_case, sorted(self.whole))),
            starts=tuple(map(_ignoring_case, sorted(self.starts))),
            ends=tuple(_ignoring_case(text, backwards=True) for text in sorted(self.ends)),
            wildcards=tuple(map(_pieces, self.wildcards)),
        )


def _ignoring_case(text: str, *, backwards: bool = False) -> re.Pattern[str]:
    """Each character of the pattern may be its lower or its upper form, as event-ruler has it.

    So "ß" in a pattern takes "SS", and "SS" in a pattern takes no "ß". Characters beyond the
    basic plane stand for themselves (event-ruler spoils them).
    """
    parts = []
    for letter in text:
        forms = {letter.lower(), letter.upper()} if letter <= "\uffff" else {letter}
        ordered = sorted(form[::-1] if backwards else form for form in forms)
        parts.append("(?:" + "|".join(map(re.escape, ordered)) + ")")
    return re.compile("".join(reversed(parts) if backwards else parts))


def _pieces(tokens: Iterable[Token]) -> Wildcard:
    pieces = [""]
    for token in tokens:
        if token is STAR:
            pieces.append("")
        else:
            pieces[-1] += token
    if len(pieces) == 1:
        return Wildcard(head=pieces[0])
    return Wildcard(head=pieces[0], middle=tuple(pieces[1:-1]), tail=pieces[-1])
