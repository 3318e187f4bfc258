"""What can be seen of a JSONata expression before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wherry.statemachine.findings import INVALID_QUERY, UNSUPPORTED_QUERY, Findings
from wherry.statemachine.jsonata import QuerySyntax, engine, inner, is_expression, is_half_open

_SKIPPED = ("_outer_instance", "type", "value", "id", "position", "lbp", "bp", "environment")
_RELATIVE = ("predicate", "stages", "group", "update", "delete", "pattern", "terms")


def check_queries(
    findings: Findings, value: Any, location: str, readable: tuple[str, ...] = ()
) -> None:
    """Check every expression inside a value.

    `readable` says which of `result` and `errorOutput` the field can read of `$states`.
    """
    if is_expression(value):
        _check(findings, inner(value), location, readable)
    elif is_half_open(value):
        findings.add(location, "JSONata string must start with {% and end with %}")
    elif isinstance(value, dict):
        for name, one in value.items():
            check_queries(findings, one, f"{location}/{name}", readable)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            check_queries(findings, one, f"{location}[{number}]", readable)


def _check(findings: Findings, text: str, location: str, readable: tuple[str, ...]) -> None:
    try:
        tree = engine().compile_expression(text).tree
    except QuerySyntax as error:
        findings.add(location, error.message, INVALID_QUERY)
        return
    try:
        faults = list(dict.fromkeys(_faults(tree, readable, True)))
    except RecursionError:
        faults = ["The JSONata expression is nested too deeply"]
    for fault in faults:
        findings.add(location, fault, UNSUPPORTED_QUERY)


def _faults(node: Any, readable: tuple[str, ...], top: bool) -> Iterator[str]:
    kind = getattr(node, "type", None)
    if kind == "variable" and node.value == "$":
        yield "Reference to '$$' is not supported."
    if kind == "variable" and node.value == "" and top:
        yield "Reference to '$' at the top level is not supported."
    if kind == "path":
        yield from _path_faults(node, readable, top)
        return
    if kind == "name" and top:
        yield f"Reference to '{node.value}' at the top level is not supported."
    for name, child in _children(node):
        yield from _faults(child, readable, top and name not in _RELATIVE)


def _path_faults(node: Any, readable: tuple[str, ...], top: bool) -> Iterator[str]:
    steps = list(node.steps or ())
    if len(steps) > 1 and steps[0].type == "variable" and steps[0].value == "states":
        field = steps[1].value if steps[1].type == "name" else None
        known = ("input", "context", *readable)
        if field is not None and field not in known:
            yield f"Field '$states.{field}' does not exist."
    for number, step in enumerate(steps):
        yield from _faults(step, readable, top and number == 0)
    for name, child in _children(node):
        if name != "steps":
            yield from _faults(child, readable, False)


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    for name, value in getattr(node, "__dict__", {}).items():
        if name not in _SKIPPED:
            for one in _nodes(value):
                yield name, one


def _nodes(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _nodes(one)
    elif hasattr(value, "type") and hasattr(value, "__dict__"):
        yield value
