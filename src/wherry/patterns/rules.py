"""From a pattern's tree to its rules: each a set of fields that must all match.

A pattern without `$or` is one rule. Each `$or` multiplies: every rule so far is continued by
every branch. Within a rule a path that is written again is overwritten, so the last place in
the document counts; this is what event-ruler does, for duplicate keys as for a field that is
named outside and inside of a `$or`.

Names are joined by dots: `{"a": {"b": [1]}}` and `{"a.b": [1]}` are the same pattern.
"""

from __future__ import annotations

from typing import TypeAlias

from wherry import limits
from wherry.patterns.faults import Fault, member
from wherry.patterns.operators import ListReader
from wherry.patterns.source import Members, Tree, written
from wherry.patterns.values import Values

OR = "$or"

_RESERVED = frozenset([
    "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr",
    "exists", "exactly", "=", "<", "<=", ">", ">=", "regex",
    "not-wildcard", "not-equals-ignore-case",
    "date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
    "ip-address-in-range", "ip-address-not-in-range",
])  # fmt: skip
"""Names that a field in a branch of `$or` cannot have (event-ruler reserves them)."""

Rule: TypeAlias = dict[str, int]
"""Which list of values (a place in `Rules.values`) each path must match."""


class Rules:
    """The rules of a pattern, its lists of values, and what is wrong with it.

    Args:
        tree: The pattern.
        operator: Whether `$or` is the operator. Where that makes no pattern, event-ruler tries
            once more with `$or` as the name of a field, which it was before it was an operator.
    """

    def __init__(self, tree: Members, *, operator: bool) -> None:
        self.values: list[Values] = []
        self.texts: list[str] = []
        """Each list of values as JSON."""
        self.faults: list[Fault] = []
        self.operator = operator
        combinations = _combinations(tree) if operator else 1
        self.exceeded = combinations > limits.PATTERN_COMBINATIONS
        """There are too many rules to make them; no rule is made."""
        if self.exceeded:
            reason = f"has {combinations} combinations of $or branches (their product); "
            reason += f"EventBridge takes {limits.PATTERN_COMBINATIONS}"
            self.faults.append(Fault("$", reason))
            self.rules: list[Rule] = []
            return
        self.rules = self._object([{}], tree, (), "$", within=False)

    def _object(
        self, rules: list[Rule], members: Members, path: tuple[str, ...], at: str, *, within: bool
    ) -> list[Rule]:
        """Return the rules, continued by the members of an object."""
        if not members.pairs:
            self._fault(at, "is an empty object; name at least one field")
        for name, inner in members.pairs:
            where = member(at, name)
            if name == OR and self.operator:
                rules = self._or(rules, inner, path, where)
            elif within and name in _RESERVED:
                self._fault(where, "is a reserved name, which no field within $or can have")
            elif isinstance(inner, Members):
                rules = self._object(rules, inner, (*path, name), where, within=within)
            elif isinstance(inner, list):
                key, place = ".".join((*path, name)), len(self.values)
                if key.count(".") >= limits.JSON_DEPTH:
                    self._fault(where, f"is nested deeper than {limits.JSON_DEPTH} names")
                self.values.append(ListReader(where, self.faults).read(inner))
                self.texts.append(written(inner))
                rules = [{**rule, key: place} for rule in rules]
            else:
                self._fault(where, f"is {written(inner)[:80]}; a list of values or an object "
                            "is needed, as in [" + written(inner)[:80] + "]")  # fmt: skip
        return rules

    def _or(self, rules: list[Rule], branches: Tree, path: tuple[str, ...], at: str) -> list[Rule]:
        if not isinstance(branches, list):
            self._fault(at, "takes a list of at least two objects")
            return rules
        if len(branches) < 2:
            self._fault(at, f"has {len(branches)} branch(es); at least two are needed")
        continued = []
        for place, branch in enumerate(branches):
            where = f"{at}[{place}]"
            if isinstance(branch, Members):
                continued += self._object(rules, branch, path, where, within=True)
            else:
                self._fault(where, "is no object; a branch of $or is one")
        return continued

    def _fault(self, at: str, reason: str) -> None:
        self.faults.append(Fault(at, reason))

    def meaning(self) -> frozenset[frozenset[tuple[str, str]]]:
        """Return what the rules are, whatever the order of the document."""
        return frozenset(
            frozenset((path, self.texts[place]) for path, place in rule.items())
            for rule in self.rules
        )


def _combinations(tree: Tree) -> int:
    """The product of the lengths of all `$or` lists, which AWS's documentation bounds."""
    if not isinstance(tree, Members):
        return 1
    product = 1
    for name, inner in tree.pairs:
        if name == OR and isinstance(inner, list):
            product *= max(len(inner), 1)
            for branch in inner:
                product *= _combinations(branch)
        else:
            product *= _combinations(inner)
    return product


def uses_or(tree: Tree) -> bool:
    """Return whether a field of a pattern is named `$or`."""
    if not isinstance(tree, Members):
        return isinstance(tree, list) and any(map(uses_or, tree))
    return any(name == OR or uses_or(inner) for name, inner in tree.pairs)
