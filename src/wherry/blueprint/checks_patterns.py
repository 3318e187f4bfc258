"""Whether the fields that a listener's pattern asks for are fields of the event's type.

One that is not there never matches, nor does text where the field is a number: slips that nothing
else would tell of. Who publishes writes the fields of the class as their types say and no others,
so that its JSON Schema says which there can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from wherry.blueprint.parts import Finding
from wherry.blueprint.records import Blueprint, EventSource, EventSpec

if TYPE_CHECKING:
    from wherry.patterns import Asked
    from wherry.patterns.values import Values

_UNIONS = ("anyOf", "oneOf", "allOf")
_NAMED = 12  # fields that are listed where none is near
_SHOWN = 80  # characters of a list of values
_KINDS = {
    "string": "text",
    "integer": "a number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object, whose fields are to be asked for",
}
_LEAVES = ("string", "integer", "number", "boolean", "null")


class _Missing(Struct, frozen=True):
    """A name that is not there: where it was looked for, and what there is."""

    within: str
    name: str
    known: tuple[str, ...]


class _Leaf(Struct, frozen=True):
    """What may stand at a path: values of a type of JSON Schema's, or these."""

    kind: str
    values: tuple[Any, ...] = ()

    def may_match(self, asked: Values) -> bool:
        """Whether such a value may hold. An object is none: a pattern asks for its fields."""
        if self.values:
            return any(map(asked.matches, self.values))
        return self.kind != "object" and asked.may_match(self.kind)


_End: TypeAlias = _Missing | _Leaf | None
"""Where a path leads in one of the forms that an event may have; None: it may be anything."""


def check_patterns(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield the fields of patterns that their event's type does not have, or never so."""
    events = {(one.name, one.version): one for one in blueprint.events}
    for source in blueprint.sources:
        if isinstance(source, EventSource) and source.pattern is not None:
            event = events.get((source.event, source.version))
            if event is not None:
                yield from _faults(source, event, source.pattern)


def _faults(source: EventSource, event: EventSpec, pattern: str) -> Iterator[Finding]:
    from wherry.patterns import lists

    told: set[tuple[str, str]] = set()
    for asked in lists(pattern):
        names = asked.path.split(".")
        ends = list(_ends(event.schema, event.schema.get("$defs", {}), names, ""))
        missing = [end for end in ends if isinstance(end, _Missing)]
        leaves = [end for end in ends if isinstance(end, _Leaf)]
        if len(missing) + len(leaves) < len(ends) or not ends:
            continue
        if event.serializes and (leaves or not all(one.known for one in missing)):
            continue  # what it writes for a value may be another value, or an object
        if leaves:
            if not asked.values.absent and not any(one.may_match(asked.values) for one in leaves):
                yield _never(source, event, asked, leaves)
            continue
        best = max(missing, key=lambda one: (one.within.count("."), len(one.known)))
        if (best.within, best.name) not in told:
            told.add((best.within, best.name))
            yield _unknown(source, event, best)


def _unknown(source: EventSource, event: EventSpec, missing: _Missing) -> Finding:
    where = f"{missing.within!r} of " if missing.within else ""
    return Finding(
        code="pattern_field_unknown",
        message=f"The pattern of {source.queue!r} asks for {missing.name!r}, which is no field "
        f"of {where}{event.payload}: it is never there.",
        fix=_fix(missing),
        place=source.place,
    )


def _never(source: EventSource, event: EventSpec, asked: Asked, leaves: list[_Leaf]) -> Finding:
    kinds = " or ".join(dict.fromkeys(map(_said, leaves)))
    return Finding(
        code="pattern_value_never",
        message=f"The pattern of {source.queue!r} asks for {asked.path!r} of {event.payload} to be "
        f"{asked.text[:_SHOWN]}, which it never is.",
        fix=f"It is {kinds}.",
        place=source.place,
    )


def _said(leaf: _Leaf) -> str:
    if leaf.values:
        return " or ".join(map(repr, leaf.values[:_NAMED]))
    return _KINDS.get(leaf.kind, leaf.kind)


def _fix(missing: _Missing) -> str:
    import difflib

    near = difflib.get_close_matches(missing.name, missing.known, n=3)
    if near:
        return f"Did you mean {' or '.join(map(repr, near))}?"
    if not missing.known:
        return "Nothing is below it: leave it out."
    some = ", ".join(missing.known[:_NAMED])
    return f"There is: {some}{', ...' if len(missing.known) > _NAMED else ''}."


def _ends(
    node: Any, defs: dict[str, Any], names: list[str], within: str, above: tuple[str, ...] = ()
) -> Iterator[_End]:
    """Look for a field in a schema, in each of its forms.

    Args:
        names: The parts of its path. The name of a field may itself hold dots.
        above: References that led to here without a name between.
    """
    if not isinstance(node, dict):
        yield None
        return
    reference = node.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        known = name not in above and name in defs
        yield from _ends(defs[name], defs, names, within, (*above, name)) if known else (None,)
        return
    parts = _parts(node)
    if parts is not None:
        for one in parts:
            yield from _ends(one, defs, names, within, above)
    elif not names:
        yield _leaf(node)
    elif node.get("type") in _LEAVES:
        yield _Missing(within, names[0], ())
    else:
        yield from _below(node, defs, names, within)


def _parts(node: dict[str, Any]) -> list[Any] | None:
    """Return the forms that a schema is one of, if it is; a pattern looks into arrays."""
    for union in _UNIONS:
        if union in node:
            return list(node[union])
    kinds = node.get("type")
    if isinstance(kinds, list):
        return [{**node, "type": kind} for kind in kinds]
    if kinds == "array":
        parts = [*node.get("prefixItems", ()), node.get("items", "prefixItems" not in node)]
        return [one for one in parts if one is not False]
    return None


def _leaf(node: dict[str, Any]) -> _Leaf | None:
    values = node.get("enum", [node["const"]] if "const" in node else [])
    kind = node.get("type")
    return _Leaf(str(kind), tuple(values)) if values or kind is not None else None


def _below(
    node: dict[str, Any], defs: dict[str, Any], names: list[str], within: str
) -> Iterator[_End]:
    """Look for a field among those of an object."""
    properties = node.get("properties")
    if properties is None or node.get("additionalProperties") or "patternProperties" in node:
        yield None  # anything may be there
        return
    found = False
    for count in range(1, len(names) + 1):
        name = ".".join(names[:count])
        if name in properties:
            found = True
            inner = f"{within}.{name}" if within else name
            yield from _ends(properties[name], defs, names[count:], inner)
    if not found:
        yield _Missing(within, names[0], tuple(properties))
