"""Event patterns: which events a consumer wants, in Amazon EventBridge's language, in full.

    wanted = compile({"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}})
    wanted.matches({"source": "shop", "detail": {"total": 120}})

The language is that of AWS's documentation ("Amazon EventBridge event patterns", "Comparison
operators for use in event patterns"); where it is silent, that of event-ruler, the matcher that
EventBridge runs. Known differences between the two are said where they are decided: `numbers`
(which numbers are equal), `operators` (what is refused), `rules` (`$or`, keys that are there
twice), `machine` (arrays).

Pure: no clock, no chance, no I/O.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.errors import PatternInvalid
from wherry.patterns.faults import Fault
from wherry.patterns.machine import Machine, build
from wherry.patterns.rules import Rules, uses_or
from wherry.patterns.source import (
    Members,
    NotRead,
    event_of_text,
    in_order,
    read,
    repeats_a_key,
    written,
)
from wherry.patterns.values import Values

__all__ = ["Asked", "Fault", "Pattern", "check", "compile", "fields", "lists", "matches"]


class Pattern(msgspec.Struct, frozen=True, eq=False):
    """A compiled pattern. Compile once, match every event.

    Args:
        json: The pattern as canonical JSON text, which compiles to the same: no spaces, keys
            sorted, equal numbers written alike. Keys stay in their order where it has a meaning
            (a field named both outside and inside of a `$or`, a key that is there twice), so
            keep the text as text.
    """

    json: str
    machine: Machine

    def matches(self, event: Any) -> bool:
        """Return whether an event matches.

        Args:
            event: A dict as JSON parses to, or JSON text (str, UTF-8 bytes). What is no JSON of
                an object, or nested deeper than `limits.JSON_DEPTH`, does not match.
        """
        if isinstance(event, str | bytes | bytearray):
            try:
                event = event_of_text(event)
            except ValueError:
                return False
        return self.machine.matches(event)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.json == self.json

    def __hash__(self) -> int:
        return hash(self.json)

    def __repr__(self) -> str:
        return f"Pattern({self.json})"


def matches(pattern: Any, event: Any) -> bool:
    """Return whether an event matches a pattern; see `compile` and `Pattern.matches`.

    Raises:
        PatternInvalid: EventBridge would refuse the pattern.
    """
    return compile(pattern).matches(event)


def compile(pattern: Any) -> Pattern:
    """Compile a pattern.

    Args:
        pattern: A dict as JSON parses to, or JSON text (str, UTF-8 bytes), at most
            `limits.PATTERN_LENGTH` characters.

    Raises:
        PatternInvalid: EventBridge would refuse it; `faults` lists every reason with its path.
    """
    tree, rules, faults = _read(pattern)
    if faults or tree is None or rules is None:
        raise PatternInvalid(faults)
    return Pattern(json=_canonical(tree, rules), machine=build(rules.rules, rules.values))


def check(pattern: Any) -> list[Fault]:
    """Return everything that is wrong with a pattern, in its order; nothing if it is valid."""
    return _read(pattern)[2]


def fields(pattern: Any) -> list[str]:
    """Return the fields that a pattern asks for, in its order: names joined by dots, each once.

    A `$or` asks for those of all its branches.

    Raises:
        PatternInvalid: EventBridge would refuse the pattern.
    """
    return list(dict.fromkeys(asked.path for asked in lists(pattern)))


class Asked(msgspec.Struct, frozen=True):
    """A list of values of a pattern: of which field, compiled, and as JSON."""

    path: str
    values: Values
    text: str


def lists(pattern: Any) -> list[Asked]:
    """Return the lists of values of a pattern, in its order, those of all its branches.

    Raises:
        PatternInvalid: EventBridge would refuse the pattern.
    """
    _, rules, faults = _read(pattern)
    if faults or rules is None:
        raise PatternInvalid(faults)
    found = dict.fromkeys(item for rule in rules.rules for item in rule.items())
    return [Asked(path, rules.values[place], rules.texts[place]) for path, place in found]


def _read(pattern: Any) -> tuple[Members | None, Rules | None, list[Fault]]:
    try:
        tree = read(pattern)
    except NotRead as refusal:
        return None, None, refusal.faults
    rules = Rules(tree, operator=True)
    if rules.faults and not rules.exceeded and uses_or(tree):
        named = Rules(tree, operator=False)
        if not named.faults:
            return tree, named, []
    return tree, rules, rules.faults


def _canonical(tree: Members, rules: Rules) -> str:
    if repeats_a_key(tree):
        return written(tree)
    ordered = in_order(tree)
    assert isinstance(ordered, Members)
    same = Rules(ordered, operator=rules.operator).meaning() == rules.meaning()
    return written(ordered if same else tree)
