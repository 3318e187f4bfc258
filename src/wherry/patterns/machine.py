"""Matching: one walk through the event for all fields of a pattern, then the rules.

An event is a set of fields: the path of a leaf (its names joined by dots) and its value. Arrays
leave no trace in a path: each element stands for its own. Instead a leaf below objects or arrays
in an array belongs to elements of that array (leaves that are elements themselves do not), and a
rule must not be matched by leaves in different elements of one array. event-ruler calls this
array consistency.

`{"exists": false}` asks that no leaf with the path could be added consistently, given the leaves
chosen for the paths that sort before it (as UTF-16, like Java); event-ruler tries paths in
this order.

Time: the walk looks at each value once for each list of values with its path. Rules are tried
only where arrays of objects made it necessary, in a number of steps that is linear in the elements
unless names with dots or arrays within arrays make one path lead to several arrays; so steps are
bounded, and an event that needs more does not match.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from wherry import limits
from wherry.patterns.rules import Rule
from wherry.patterns.values import Values

Elements: TypeAlias = tuple[int, ...]
"""Chosen elements of arrays, none of which contains another; () chooses none."""

ROOT = 0
"""The element that stands for the event itself."""


class Node(msgspec.Struct, frozen=True):
    """A place in the tree of all paths of a pattern."""

    path: str
    slots: tuple[int, ...]
    """The lists of values for leaves here."""
    below: tuple[tuple[str, Node], ...]
    """What to look for in an object here: a name or several joined by dots, and its node."""


class Slot(msgspec.Struct, frozen=True):
    """A path that one or more rules ask for, with a list of values."""

    path: str
    values: Values


class Plan(msgspec.Struct, frozen=True):
    """One rule: its slots in order, and after which of them arrays at a path do not matter."""

    slots: tuple[int, ...]
    last_use: dict[str, int]


class Machine(msgspec.Struct, frozen=True):
    """A compiled pattern."""

    root: Node
    slots: tuple[Slot, ...]
    plans: tuple[Plan, ...]

    def matches(self, event: Any) -> bool:
        """Return whether an event (parsed JSON) has fields that match one of the rules."""
        if not isinstance(event, dict):
            return False
        run = _Run(self)
        return run.walk(self.root, event, ROOT, 0) and any(map(run.holds, self.plans))


def build(rules: Sequence[Rule], values: Sequence[Values]) -> Machine:
    """Compile rules whose paths point into `values`."""
    numbers: dict[tuple[str, int], int] = {}
    plans = []
    for rule in rules:
        ordered = sorted(rule.items(), key=lambda item: item[0].encode("utf-16-be"))
        plans.append(
            Plan(
                slots=tuple(numbers.setdefault(item, len(numbers)) for item in ordered),
                last_use={
                    prefix: place
                    for place, (path, _) in enumerate(ordered)
                    for prefix in _prefixes(path)
                },
            )
        )
    slots = tuple(Slot(path, values[place]) for path, place in numbers)
    by_path: dict[str, list[int]] = {}
    for which, slot in enumerate(slots):
        by_path.setdefault(slot.path, []).append(which)
    return Machine(root=_tree(by_path), slots=slots, plans=tuple(plans))


def _prefixes(path: str) -> Iterator[str]:
    yield path
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _tree(by_path: dict[str, list[int]]) -> Node:
    """Build the nodes of all paths, the longest first, and return that of the event itself."""
    paths = {prefix for path in by_path for prefix in _prefixes(path)}
    below: dict[str | None, list[tuple[str, Node]]] = {}
    for path in sorted(paths, key=lambda path: path.count("."), reverse=True):
        node = Node(
            path, tuple(by_path.get(path, ())), tuple(sorted(below.get(path, []), key=_name))
        )
        below.setdefault(None, []).append((path, node))
        for around in _prefixes(path):
            if around != path:
                below.setdefault(around, []).append((path.removeprefix(f"{around}."), node))
    return Node("", (), tuple(sorted(below.get(None, []), key=_name)))


def _name(inner: tuple[str, Node]) -> str:
    return inner[0]


class _TooMuch(Exception):
    """More steps than are allowed."""


class _Run:
    """One event and one pattern."""

    def __init__(self, machine: Machine) -> None:
        self.slots = machine.slots
        self.hits: list[dict[int, None]] = [{} for _ in machine.slots]
        """For each slot: the elements that leaves with a matching value are in."""
        self.seen: list[dict[int, None]] = [{} for _ in machine.slots]
        """For each slot that may be absent: the elements that leaves are in."""
        self.parents = [ROOT]
        self.arrays = [-1]
        self.paths = [""]
        """Of each element: the element around it, its array, and that array's path."""
        self._indexes: dict[tuple[bool, int], _Index] = {}
        self._array_count = 0
        self._steps = 0

    def walk(self, node: Node, value: Any, element: int, depth: int) -> bool:
        """Gather the leaves below a value; return False if it is nested too deep."""
        if isinstance(value, dict):
            if depth > limits.JSON_DEPTH:
                return False
            for name, inner in node.below:
                if name in value and not self.walk(inner, value[name], element, depth + 1):
                    return False
        elif isinstance(value, list):
            if depth > limits.JSON_DEPTH:
                return False
            array = self._array_count
            self._array_count += 1
            for item in value:
                if isinstance(item, dict | list):
                    if not node.below and isinstance(item, dict):
                        continue
                    self.parents.append(element)
                    self.arrays.append(array)
                    self.paths.append(node.path)
                    if not self.walk(node, item, len(self.parents) - 1, depth + 1):
                        return False
                elif node.slots:
                    self._leaf(node, item, element)
        elif node.slots:
            self._leaf(node, value, element)
        return True

    def _leaf(self, node: Node, value: Any, element: int) -> None:
        for slot in node.slots:
            values = self.slots[slot].values
            if values.absent:
                self.seen[slot][element] = None
            if element not in self.hits[slot] and values.matches(value):
                self.hits[slot][element] = None

    def holds(self, plan: Plan) -> bool:
        """Return whether one rule is matched."""
        simple = True
        for slot in plan.slots:
            if ROOT in self.hits[slot]:
                continue
            may_be_absent = self.slots[slot].values.absent and ROOT not in self.seen[slot]
            if may_be_absent and not self.seen[slot]:
                continue
            if not may_be_absent and not self.hits[slot]:
                return False
            simple = False
        if simple:
            return True
        try:
            return self._search(plan)
        except _TooMuch:
            return False

    def _search(self, plan: Plan) -> bool:
        states: dict[Elements, None] = {(): None}
        for place, slot in enumerate(plan.slots):
            continued: dict[Elements, None] = {}
            for state in states:
                for chosen in self._choices(slot, state):
                    continued[self._needed(chosen, plan, place)] = None
            if not continued:
                return False
            states = continued
        return True

    def _choices(self, slot: int, state: Elements) -> Iterator[Elements]:
        """Yield what is chosen if a slot is matched too, after `state`."""
        if self.slots[slot].values.absent:
            seen = self._index(slot, absent=True)
            if next(self._consistent(seen, state), None) is None:
                yield state
        for element in self._consistent(self._index(slot, absent=False), state):
            yield self._joined(state, element)

    def _index(self, slot: int, *, absent: bool) -> _Index:
        index = self._indexes.get((absent, slot))
        if index is None:
            elements = self.seen[slot] if absent else self.hits[slot]
            index = self._indexes[absent, slot] = _Index(elements, self.parents, self.arrays)
        return index

    def _consistent(self, index: _Index, state: Elements) -> Iterator[int]:
        """Yield the elements of an index that can be chosen beside those of a state."""
        if not state:
            found: Iterator[int] = iter(index.below.get(ROOT, ()))
        else:
            found = index.beside(state[0], self.parents, self.arrays)
        work = 1 if len(state) < 2 else 4 * len(state)  # about what a step costs
        self._step(work)
        for element in found:
            self._step(work)
            if all(self._agree(element, other) for other in state[1:]):
                yield element

    def _step(self, work: int) -> None:
        self._steps += work
        if self._steps > limits.PATTERN_STEPS:
            raise _TooMuch

    def _agree(self, one: int, other: int) -> bool:
        """Return whether no array would have to be at two elements."""
        where = {}
        while one:
            where[self.arrays[one]] = one
            one = self.parents[one]
        while other:
            if where.get(self.arrays[other], other) != other:
                return False
            other = self.parents[other]
        return True

    def _joined(self, state: Elements, element: int) -> Elements:
        if len(state) == 1 and self._contains(state[0], element):
            return (element,)
        if any(self._contains(element, other) for other in state):
            return state
        kept = [other for other in state if not self._contains(other, element)]
        return tuple(sorted([*kept, element]))

    def _contains(self, outer: int, inner: int) -> bool:
        # An element is numbered before all within it.
        while inner > outer:
            inner = self.parents[inner]
        return inner == outer

    def _needed(self, state: Elements, plan: Plan, place: int) -> Elements:
        """Forget elements of arrays that no later slot can lie in: fewer states remain."""
        ends = set()
        for element in state:
            while element and plan.last_use.get(self.paths[element], -1) <= place:
                element = self.parents[element]
            ends.add(element)
        ends.discard(ROOT)
        if len(ends) > 1:
            ends -= {
                one for one in ends for other in ends if one != other and self._contains(one, other)
            }
        return tuple(sorted(ends))


class _Index:
    """The elements that leaves of one path are in, by the elements around them."""

    def __init__(self, elements: dict[int, None], parents: list[int], arrays: list[int]) -> None:
        self._at = elements
        self.below: dict[int, list[int]] = {}
        """For each element: those in it, itself included."""
        self._through: dict[int, dict[int, list[int]]] = {}
        """For each element: those further in, by the array in it that they are in."""
        for element in elements:
            outer = element
            self.below.setdefault(outer, []).append(element)
            while outer:
                around = parents[outer]
                self.below.setdefault(around, []).append(element)
                arrays_in = self._through.setdefault(around, {})
                arrays_in.setdefault(arrays[outer], []).append(element)
                outer = around

    def beside(self, element: int, parents: list[int], arrays: list[int]) -> Iterator[int]:
        """Yield those that agree with a chosen element: in it, around it, or in other arrays."""
        yield from self.below.get(element, ())
        while element:
            around = parents[element]
            if around in self._at:
                yield around
            for array, found in self._through.get(around, {}).items():
                if array != arrays[element]:
                    yield from found
            element = around
