"""Policies: who may touch which item, in one place instead of ifs in handlers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_type_hints

from wherry.app.http import Caller
from wherry.app.kinds import shown
from wherry.app.places import Site
from wherry.blueprint.parts import Finding
from wherry.blueprint.records import FunctionSpec, HttpTrigger
from wherry.errors import Refused
from wherry.handles import Table


class Policy:
    """`policy(caller, item)` is False where the caller may not; it may also raise `Forbidden`."""

    __slots__ = ("__name__", "_answers", "_caller", "_fn", "_item")

    def __init__(self, fn: Callable[..., Any], caller: str, item: str, answers: bool) -> None:
        self._fn = fn
        self._caller = caller
        self._item = item
        self._answers = answers
        self.__name__ = fn.__name__

    def __call__(self, caller: Caller, item: Any) -> bool:
        answer = self._fn(**{self._caller: caller, self._item: item})
        if answer is None:
            return not self._answers  # one that forgets to answer says no
        if self._answers and isinstance(answer, bool):
            return answer
        said = f"The policy {self.__name__!r} gave a {type(answer).__name__}"  # no word for yes
        raise Refused(f"{said}, and may give {'True or False' if self._answers else 'None'}.")


def unheld(
    functions: Iterable[FunctionSpec], policies: Mapping[str, Sequence[Policy]]
) -> Iterator[Finding]:
    """Yield the routes without a caller that touch what policies are for."""
    for function in functions:
        touched = {one.resource for one in function.grants if one.kind == "table"} & policies.keys()
        for trigger in function.triggers:
            if touched and isinstance(trigger, HttpTrigger) and trigger.auth is None:
                tables = ", ".join(sorted(touched))
                yield Finding(
                    code="policy_without_caller",
                    message=f"{trigger.method} {trigger.path} has no auth=, and so no caller to "
                    f"hold the policy of {tables} against: anybody may do there what it does.",
                    fix="Give the route auth=, or leave it so if everybody may.",
                    place=trigger.place,
                    severity="warning",
                )


def compile_policies(
    declared: list[tuple[Callable[..., Any], Site]], tables: list[Table[Any]]
) -> tuple[dict[str, list[Policy]], list[Finding]]:
    """Return the policies of each table, and what is wrong with them."""
    policies: dict[str, list[Policy]] = {}
    findings: list[Finding] = []
    for fn, where in declared:
        fault = _compile(fn, where, tables, policies)
        if fault is not None:
            message, fix = fault
            findings.append(
                Finding(code="policy_invalid", message=message, fix=fix, place=where.place)
            )
    return policies, findings


def _is_of(item_type: Any, kind: Any) -> bool:
    both = isinstance(item_type, type) and isinstance(kind, type)
    return item_type is kind or (both and issubclass(item_type, kind))


def _compile(
    fn: Callable[..., Any],
    where: Site,
    tables: list[Table[Any]],
    policies: dict[str, list[Policy]],
) -> tuple[str, str] | None:
    """Add the policy to its tables, or return what is wrong with it and the fix."""
    if not inspect.isfunction(fn):
        return f"A policy is {fn!r}, which is no function.", "Write @app.policy above a function."
    name = fn.__name__
    fix = f"Write `def {name}(caller: Caller, item: YourItem) -> bool`."
    try:
        hints = get_type_hints(fn, localns=where.names)
    except (NameError, TypeError, SyntaxError) as error:
        return f"An annotation of the policy {name!r} cannot be read: {error}.", fix
    if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn):
        return f"The policy {name!r} is not a plain function.", fix
    if hints.get("return", Policy) not in (bool, type(None)):
        return f"The policy {name!r} does not say whether it returns bool or None.", fix
    parameters = list(inspect.signature(fn).parameters.values())
    callers = [one.name for one in parameters if hints.get(one.name) is Caller]
    items = [one for one in parameters if one.name not in callers]
    keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if len(callers) != 1 or len(items) != 1 or any(one.kind not in keyword for one in parameters):
        return f"The policy {name!r} does not take exactly a Caller and an item.", fix
    kind = hints.get(items[0].name)
    matching = [table for table in tables if _is_of(table.item_type, kind)]
    if not matching:
        return (
            f"The policy {name!r} is for {shown(kind)}, which no table of this app holds.",
            "Name the item type of one of its tables"
            + (
                f": {', '.join(sorted({shown(one.item_type) for one in tables}))}."
                if tables
                else "."
            ),
        )
    policy = Policy(fn, callers[0], items[0].name, hints["return"] is bool)
    for table in matching:
        policies.setdefault(table.name, []).append(policy)
    return None
