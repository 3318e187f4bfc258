"""Examples of a JSON Schema: the least, the whole, and what differs at one place from the whole.

The same schema gives the same examples. They stand for data of an old form when a new type, or the
team's `upgrade=`, is to show that it reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from msgspec import Struct

from wherry import limits
from wherry.codec import canonical_json
from wherry.registry.branches import branches, shown, words
from wherry.registry.forms import Node, Schema, definitions
from wherry.registry.scalars import LONG, NoExample, scalars, typical_first

_NESTED = 2  # times that a type is found within itself
_DEEPEST = 24  # levels of the least value; a type that needs more has hardly any
_LOOKED = 1_000  # schemas looked at, one within the other, before the rest is made the least


class Example(Struct, frozen=True):
    """One value. `case` says what is special about it: `minimal`, `full`, `lines[].count least`."""

    case: str
    value: Any


class _Made(NamedTuple):
    """A value, and where and how it differs from the first of its schema."""

    path: str
    what: str
    value: Any


class _TooDeep(NoExample):
    """There may be one that is nested more deeply."""


def examples_of(schema: Schema) -> list[Example]:
    """Return examples of a schema, at most `limits.SCHEMA_EXAMPLES`; the first is the least one.

    Raises:
        NoExample: Not even one can be made.
    """
    maker = _Maker(definitions(schema))
    found = [Example("minimal", maker.least(schema))]
    for number, made in enumerate(maker.every(schema)):
        case = f"{made.path} {made.what}".strip() if number else "full"
        found.append(Example(case, made.value))
    unique: dict[bytes, Example] = {}
    for one in found:
        unique.setdefault(canonical_json(one.value), one)
    return list(unique.values())[: limits.SCHEMA_EXAMPLES]


class _Maker:
    def __init__(self, defs: dict[str, Node]) -> None:
        self._defs = defs
        self._within: list[bytes] = []  # the objects around what is being made
        self._known: dict[bytes, Any] = {}  # the least of a schema, by how deep it may be
        self._looked = 0

    # -- the least -------------------------------------------------------------------------------

    def least(self, node: Node) -> Any:
        """Return the smallest value: required fields alone, empty lists, the shortest texts.

        Where a type may hold itself, the one that is nested least.
        """
        for depth in range(1, _DEEPEST):
            with suppress(_TooDeep):
                return self._least(node, depth)
        raise NoExample("it holds itself without an end")

    def _least(self, node: Node, depth: int) -> Any:
        key = canonical_json([node, depth])
        if key not in self._known:
            self._known[key] = self._least_of(node, depth)
        found = self._known[key]
        if isinstance(found, NoExample):
            raise found
        return found

    def _least_of(self, node: Node, depth: int) -> Any:
        """Return the value, or the exception that says why there is none."""
        fault = NoExample("nothing fits the schema")
        for branch in sorted(self._alternatives(node), key=_depth):
            try:
                return self._least_branch(branch, depth)
            except NoExample as error:
                fault = fault if isinstance(fault, _TooDeep) else error
        return fault

    def _least_branch(self, branch: Schema, depth: int) -> Any:
        if "enum" in branch:
            return branch["enum"][0]
        kind = branch.get("type")
        if kind not in ("object", "array"):
            return scalars(branch)[0][1]

        def make(node: Node) -> Any:
            if depth <= 1:
                raise _TooDeep("it is nested deeply")
            return self._least(node, depth - 1)

        if kind == "object":
            of = branch.get("properties", {})
            found = {name: make(of.get(name, True)) for name in branch.get("required", ())}
            return self._filled(branch, found, make)
        parts = branch.get("prefixItems", [])[: branch.get("minItems", 0)]
        return self._lengthened(branch, [make(part) for part in parts], make)

    # -- the whole, and what differs -------------------------------------------------------------

    def every(self, node: Node) -> list[_Made]:
        """Return values, each with what tells it from the first, which is the whole of it."""
        self._looked += 1
        if self._looked > _LOOKED:
            return [_Made("", "", self.least(node))]
        found: list[_Made] = []
        for branch in sorted(self._alternatives(node), key=lambda one: one.get("type") == "null"):
            try:
                made = self._every(branch)
            except NoExample:
                continue
            if found:  # another alternative than the first
                made = [_Made("", f"is {words([branch])}", made[0].value), *made[1:]]
            found += made
        if not found:
            raise NoExample("nothing fits the schema")
        return found

    def _every(self, branch: Schema) -> list[_Made]:
        if "enum" in branch:
            first, *rest = branch["enum"]
            return [_Made("", "", first), *(_Made("", f"is {shown(one)}", one) for one in rest)]
        match branch.get("type"):
            case "object":
                with _Inside(self._within, branch):
                    return self._objects(branch)
            case "array":
                return self._arrays(branch)
            case _:
                return [_Made("", case, value) for case, value in typical_first(scalars(branch))]

    def _objects(self, branch: Schema) -> list[_Made]:
        whole: dict[str, Any] = {}
        differing: list[tuple[str, _Made]] = []
        required = branch.get("required", ())
        for name, node in branch.get("properties", {}).items():
            try:
                first, *others = self.every(node)
            except NoExample:
                if name in required:
                    raise
                continue
            whole[name] = first.value
            differing += [(name, _under(name, one)) for one in others]
        free = "properties" not in branch
        values = branch.get("additionalProperties", True)
        if free and values is not False:
            key = self._key(branch)
            first, *others = self.every(values)
            whole[key] = first.value
            differing += [(key, _under("*", one)) for one in others]
        whole = self._filled(branch, whole, self.least)
        found = [_Made("", "", whole)]
        found += [_Made(one.path, one.what, {**whole, name: one.value}) for name, one in differing]
        if free and not branch.get("minProperties"):
            found.append(_Made("", "empty", {}))
        return found

    def _arrays(self, branch: Schema) -> list[_Made]:
        parts = branch.get("prefixItems", [])
        made = [self.every(part) for part in parts]
        whole = [values[0].value for values in made]
        found = []
        for at, (_, *others) in enumerate(made):
            for one in others:
                value = [*whole[:at], one.value, *whole[at + 1 :]]
                found.append(_Made(_under(f"[{at}]", one).path, one.what, value))
        most = branch.get("maxItems")
        items = branch.get("items", not parts)
        if items is False or len(whole) == most:
            return [_Made("", "", whole), *found]
        values = self._of_items(items, optional=branch.get("minItems", 0) <= len(whole))
        for one in values[1:]:
            value = self._lengthened(branch, [*whole, one.value], self.least)
            found.append(_Made(_under("[]", one).path, one.what, value))
        first = [one.value for one in values[:1]]
        whole = self._lengthened(branch, [*whole, *first], self.least)
        if not branch.get("minItems") and values:
            found.append(_Made("", "empty", []))
        if most is not None and most <= LONG and values and not branch.get("uniqueItems"):
            found.append(_Made("", f"with {most} items", (whole * most)[:most]))
        return [_Made("", "", whole), *found]

    def _of_items(self, items: Node, optional: bool) -> list[_Made]:
        try:
            return self.every(items)
        except NoExample:
            if not optional:
                raise
            return []

    # -- parts -----------------------------------------------------------------------------------

    def _alternatives(self, node: Node) -> list[Schema]:
        return [one or {"type": "anything"} for one in branches(node, self._defs)]

    def _filled(
        self, branch: Schema, found: dict[str, Any], make: Callable[[Node], Any]
    ) -> dict[str, Any]:
        """Add keys until there are as many as there must be."""
        of = branch.get("additionalProperties", True)
        for number in range(branch.get("minProperties", 0) - len(found)):
            found[f"{self._key(branch)}{number or ''}"] = make(of)
        return found

    def _key(self, branch: Schema) -> str:
        names = branch.get("propertyNames")
        return str(self.least({"type": "string", **names})) if names else "key"

    def _lengthened(
        self, branch: Schema, found: list[Any], make: Callable[[Node], Any]
    ) -> list[Any]:
        """Add items until there are as many as there must be."""
        missing = branch.get("minItems", 0) - len(found)
        if missing <= 0:
            return found
        if missing > LONG:
            raise NoExample("too many items must be there")
        items = branch.get("items", True)
        if not branch.get("uniqueItems"):
            return found + [make(items)] * missing
        known = {canonical_json(one) for one in found}
        for one in self.every(items):
            if missing and canonical_json(one.value) not in known:
                known.add(canonical_json(one.value))
                found = [*found, one.value]
                missing -= 1
        if missing:
            raise NoExample("there are not so many different items")
        return found


class _Inside:
    """While an object is made: one that holds itself too often has no end."""

    def __init__(self, within: list[bytes], branch: Schema) -> None:
        self._within = within
        self._key = canonical_json(branch)

    def __enter__(self) -> None:
        if self._within.count(self._key) >= _NESTED:
            raise NoExample("it holds itself without an end")
        self._within.append(self._key)

    def __exit__(self, *_: object) -> None:
        self._within.pop()


# --- telling ------------------------------------------------------------------------------------


def _under(step: str, made: _Made) -> _Made:
    """Return a value's case as it is seen from one step above."""
    join = "." if made.path and not made.path.startswith("[") else ""
    return made._replace(path=f"{step}{join}{made.path}")


def _depth(branch: Schema) -> int:
    return {"object": 2, "array": 1}.get(branch.get("type", ""), 0)
