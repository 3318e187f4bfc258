"""Bundles are boundaries: the modules of one do not import those of another."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from wherry.app.declared import Function
from wherry.app.places import shown_path
from wherry.blueprint.parts import Finding, Place


def check_boundaries(bundles: list[Function]) -> Iterator[Finding]:
    """Yield every import from a module of one bundle into a module of another one."""
    owners: dict[str, set[str]] = {}
    for bundle in bundles:
        for endpoint in bundle.endpoints:
            owners.setdefault(endpoint.fn.__module__, set()).add(bundle.name)
    if len(owners) < 2:
        return
    for module, mine in owners.items():
        for imported, line in _imports(module):
            theirs = owners.get(imported, set())
            if theirs and not theirs & mine:
                yield Finding(
                    code="boundary_crossed",
                    message=f"{module!r} of bundle {_names(mine)} imports {imported!r} of bundle "
                    f"{_names(theirs)}.",
                    fix="Move what both need into a module of its own, which defines no route.",
                    place=Place(file=shown_path(_file(module)), line=line),
                )


def _names(bundles: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(bundles))


def _file(module: str) -> str:
    return getattr(sys.modules.get(module), "__file__", None) or ""


def _imports(module: str) -> Iterator[tuple[str, int]]:
    """Yield (module, line) for every import, also those inside functions; not those for types."""
    try:
        tree = ast.parse(Path(_file(module)).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # without a source there is nothing to read
    package = getattr(sys.modules.get(module), "__package__", None) or ""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                waiting.extend(node.orelse)
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=name, names=names, level=level):
                origin = _absolute(name or "", level, package)
                yield origin, node.lineno
                yield from ((f"{origin}.{alias.name}", node.lineno) for alias in names)
            case _:
                waiting.extend(ast.iter_child_nodes(node))


def _absolute(name: str, level: int, package: str) -> str:
    if not level:
        return name
    parts = package.split(".")
    base = parts[: len(parts) - level + 1]
    return ".".join([*base, name] if name else base)
