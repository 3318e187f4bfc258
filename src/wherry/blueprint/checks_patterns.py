"""Whether the fields that a listener's pattern asks for are fields of the event's type.

One that is not there never matches: a slip that nothing else would tell of. Who publishes writes
the fields of the class and no others, so that its JSON Schema says which there can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from wherry.blueprint.records import Blueprint, EventSource, EventSpec, Finding

_UNIONS = ("anyOf", "oneOf", "allOf")
_NAMED = 12  # fields that are listed where none is near


class _Missing(Struct, frozen=True):
    """A name that is not there: where it was looked for, and what there is."""

    within: str
    name: str
    known: tuple[str, ...]


def check_patterns(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield the fields of patterns that their event's type does not have."""
    events = {(one.name, one.version): one for one in blueprint.events}
    for source in blueprint.sources:
        if isinstance(source, EventSource) and source.pattern is not None:
            event = events.get((source.event, source.version))
            if event is not None:
                yield from _faults(source, event, source.pattern)


def _faults(source: EventSource, event: EventSpec, pattern: str) -> Iterator[Finding]:
    from wherry.patterns import fields

    told: set[tuple[str, str]] = set()
    for path in fields(pattern):
        missing = _missing(event.schema, event.schema.get("$defs", {}), path.split("."), "")
        if missing is None or (missing.within, missing.name) in told:
            continue
        told.add((missing.within, missing.name))
        where = f"{missing.within!r} of " if missing.within else ""
        yield Finding(
            code="pattern_field_unknown",
            message=f"The pattern of {source.queue!r} asks for {missing.name!r}, which is no field "
            f"of {where}{event.payload}: it is never there.",
            fix=_fix(missing),
            place=source.place,
        )


def _fix(missing: _Missing) -> str:
    import difflib

    near = difflib.get_close_matches(missing.name, missing.known, n=3)
    if near:
        return f"Did you mean {' or '.join(map(repr, near))}?"
    if not missing.known:
        return "Nothing is below it: leave it out."
    some = ", ".join(missing.known[:_NAMED])
    return f"There is: {some}{', ...' if len(missing.known) > _NAMED else ''}."


def _missing(
    node: Any, defs: dict[str, Any], names: list[str], within: str, above: tuple[str, ...] = ()
) -> _Missing | None:
    """Look for a field in a schema; None: it may be there.

    Args:
        names: The parts of its path. The name of a field may itself hold dots.
        above: References that led to here without a name between.
    """
    if not names or not isinstance(node, dict):
        return None
    reference = node.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name in above or name not in defs:
            return None
        return _missing(defs[name], defs, names, within, (*above, name))
    for union in _UNIONS:
        if union in node:
            return _least(_missing(one, defs, names, within, above) for one in node[union])
    kinds = node.get("type")
    if isinstance(kinds, list):
        return _least(
            _missing({**node, "type": kind}, defs, names, within, above) for kind in kinds
        )
    if kinds == "array":  # a pattern looks into arrays
        parts = [*node.get("prefixItems", ()), node.get("items", "prefixItems" not in node)]
        looked = [one for one in parts if one is not False]
        return _least(_missing(one, defs, names, within, above) for one in looked)
    if kinds in ("string", "integer", "number", "boolean", "null"):
        return _Missing(within, names[0], ())
    properties = node.get("properties")
    if properties is None or node.get("additionalProperties") or "patternProperties" in node:
        return None  # anything may be there
    found: list[_Missing | None] = []
    for count in range(1, len(names) + 1):
        name = ".".join(names[:count])
        if name in properties:
            inner = f"{within}.{name}" if within else name
            found.append(_missing(properties[name], defs, names[count:], inner))
    return _least(found) if found else _Missing(within, names[0], tuple(properties))


def _least(found: Any) -> _Missing | None:
    """Of several alternatives return None if one may have the field; else who knows most."""
    every = list(found)
    if not every or None in every:
        return None
    best: _Missing = max(every, key=lambda one: (one.within.count("."), len(one.known)))
    return best
