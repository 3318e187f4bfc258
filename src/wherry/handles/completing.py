"""Dataclasses that msgspec has read get the defaults that they were read without.

msgspec leaves such a field to the attribute of the class, and writes what the instance holds: what
nobody had sent would be missing in what is stored or answered. Dataclasses with slots are right.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

Defaults: TypeAlias = dict[type, tuple[tuple[str, Any], ...]]

_RECORDS = ("__dataclass_fields__", "__struct_fields__", "__total__", "_fields")


def completing(read: Callable[[Any], Any], kind: Any) -> Callable[[Any], Any]:
    """Return what reads a type as `read` does, and completes it; `read` where nothing can lack."""
    return completed(read, completer(kind))


def completed(
    read: Callable[[Any], Any], complete: Callable[[Any], bool] | None
) -> Callable[[Any], Any]:
    """Return what reads as `read` does, and completes it by what `completer` has returned."""
    if complete is None:
        return read

    def read_whole(data: Any) -> Any:
        value = read(data)
        complete(value)
        return value

    return read_whole


def completer(kind: Any) -> Callable[[Any], bool] | None:
    """Return what completes a value of this type, and says whether it lacked something.

    It is None where nothing can lack.
    """
    defaults = _defaults(kind)
    return (lambda value: _complete(value, defaults)) if defaults else None


def _defaults(kind: Any) -> Defaults:
    """Return the fields with a default of all dataclasses that a value of this type may hold."""
    dataclasses: Any = sys.modules.get("dataclasses")
    if dataclasses is None:  # then nobody has declared one
        return {}
    found: Defaults = {}
    nodes, seen = [kind], set()
    while nodes:
        node = nodes.pop()
        node = getattr(node, "__supertype__", node)  # of a NewType
        nodes += get_args(node)
        bare = get_origin(node) or node
        if bare in seen or not isinstance(bare, type):
            continue
        seen.add(bare)
        if not any(hasattr(bare, mark) for mark in _RECORDS):
            continue
        try:
            nodes += get_type_hints(bare).values()
        except Exception:  # a type that cannot be described cannot be read either
            continue
        if dataclasses.is_dataclass(bare) and bare.__dictoffset__:
            own = [
                (one.name, one.default)
                for one in dataclasses.fields(bare)
                if one.default is not dataclasses.MISSING
            ]
            if own:
                found[bare] = tuple(own)
    return found


def _complete(value: Any, defaults: Defaults) -> bool:
    nodes, lacked = [value], False
    while nodes:
        node = nodes.pop()
        kind = type(node)
        if isinstance(node, list | tuple | set | frozenset):
            nodes += node
        elif isinstance(node, dict):
            nodes += node.values()
        elif hasattr(kind, "__struct_fields__"):
            nodes += [getattr(node, name, None) for name in kind.__struct_fields__]
        elif hasattr(kind, "__dataclass_fields__"):
            held = getattr(node, "__dict__", None)
            if held is None:
                nodes += [getattr(node, name, None) for name in kind.__dataclass_fields__]
                continue
            for name, default in defaults.get(kind, ()):
                if name not in held:
                    held[name] = default
                    lacked = True
            nodes += held.values()
    return lacked
