"""How data goes into a state and comes out: the fields of both query languages.

A flow is made once per state. `finish` gives the state's output and the variables it assigns;
both are computed from what was there when the state began.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from wherry.statemachine.context import StateScope
from wherry.statemachine.jsonata import Query, compile_query
from wherry.statemachine.paths import Path, parse
from wherry.statemachine.resultpaths import place
from wherry.statemachine.templates import Template, compile_path, compile_template

Assigned: TypeAlias = dict[str, Any] | None


class Flow(Protocol):
    """What both languages do.

    Attributes:
        plain: It changes nothing: no field of it is there, and a scope need not be made for it.
    """

    plain: bool

    def effective(self, scope: StateScope, raw: Any) -> Any:
        """Return the input that the state works on."""
        ...

    def arguments(self, scope: StateScope, raw: Any, effective: Any) -> Any:
        """Return what a task is called with, or a branch begins with."""
        ...

    def finish(self, scope: StateScope, raw: Any, result: Any) -> tuple[Any, Assigned]:
        """Return output and variables of a state that has a result."""
        ...

    def passed(self, scope: StateScope, raw: Any, effective: Any) -> tuple[Any, Assigned]:
        """Return output and variables of a state that has none: Choice, Wait, Succeed."""
        ...


class PathFlow:
    """InputPath, Parameters, ResultSelector, ResultPath, OutputPath and Assign."""

    def __init__(self, fields: dict[str, Any], parameters: str = "Parameters") -> None:
        self._input = _path(fields, "InputPath")
        self._output = _path(fields, "OutputPath")
        self._parameters = _template(fields, parameters)
        self._selector = _template(fields, "ResultSelector")
        self._assign = _template(fields, "Assign")
        self._result_path: Path | None = None
        self._discards = False
        if "ResultPath" in fields:
            text = fields["ResultPath"]
            self._discards = text is None
            self._result_path = None if text is None or text == "$" else parse(text)
        fields_there = self._input, self._output, self._parameters, self._selector, self._assign
        self.plain = not (any(fields_there) or self._discards or self._result_path)

    def effective(self, scope: StateScope, raw: Any) -> Any:
        return raw if self._input is None else self._input(scope, raw)

    def arguments(self, scope: StateScope, raw: Any, effective: Any) -> Any:
        return effective if self._parameters is None else self._parameters(scope, effective)

    def finish(self, scope: StateScope, raw: Any, result: Any) -> tuple[Any, Assigned]:
        if self._selector is not None:
            result = self._selector(scope, result)
        assigned = None if self._assign is None else self._assign(scope, result)
        if self._discards:
            output = raw
        else:
            output = result if self._result_path is None else place(raw, self._result_path, result)
        return self._out(scope, output), assigned

    def passed(self, scope: StateScope, raw: Any, effective: Any) -> tuple[Any, Assigned]:
        assigned = None if self._assign is None else self._assign(scope, effective)
        return self._out(scope, effective), assigned

    def _out(self, scope: StateScope, output: Any) -> Any:
        return output if self._output is None else self._output(scope, output)


class QueryFlow:
    """Arguments, Output and Assign."""

    def __init__(self, fields: dict[str, Any], where: str = "") -> None:
        self._arguments = _query(fields, "Arguments", where)
        self._output = _query(fields, "Output", where)
        self._assign = _query(fields, "Assign", where)
        self.plain = not (self._arguments or self._output or self._assign)

    def effective(self, scope: StateScope, raw: Any) -> Any:
        return raw

    def arguments(self, scope: StateScope, raw: Any, effective: Any) -> Any:
        if self._arguments is None:
            return raw
        return self._arguments.evaluate(scope, {"input": raw})

    def finish(self, scope: StateScope, raw: Any, result: Any) -> tuple[Any, Assigned]:
        return self._made(scope, {"input": raw, "result": result}, result)

    def passed(self, scope: StateScope, raw: Any, effective: Any) -> tuple[Any, Assigned]:
        return self._made(scope, {"input": raw}, raw)

    def caught(self, scope: StateScope, raw: Any, error: dict[str, Any]) -> tuple[Any, Assigned]:
        """Return output and variables of a Catch."""
        return self._made(scope, {"input": raw, "errorOutput": error}, error)

    def _made(
        self, scope: StateScope, states: dict[str, Any], default: Any
    ) -> tuple[Any, Assigned]:
        assigned = None if self._assign is None else self._assign.evaluate(scope, states)
        if self._output is None:
            return default, assigned
        return self._output.evaluate(scope, states), assigned


class Catcher:
    """One element of Catch."""

    def __init__(self, clause: dict[str, Any], jsonata: bool, number: int) -> None:
        self.names: list[str] = clause["ErrorEquals"]
        self.next: str = clause["Next"]
        self._query = QueryFlow(clause, f"Catch[{number}]/") if jsonata else None
        self._paths = None if jsonata else PathFlow(_only(clause, "ResultPath", "Assign"))

    def caught(self, scope: StateScope, raw: Any, error: dict[str, Any]) -> tuple[Any, Assigned]:
        """Return the output and the variables with which the next state is entered."""
        if self._query is not None:
            return self._query.caught(scope, raw, error)
        assert self._paths is not None
        return self._paths.finish(scope, raw, error)


def flow_of(
    fields: dict[str, Any], jsonata: bool, parameters: str = "Parameters"
) -> PathFlow | QueryFlow:
    """Return the flow of a state."""
    return QueryFlow(fields) if jsonata else PathFlow(fields, parameters)


def _only(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}


def _path(fields: dict[str, Any], name: str) -> Template | None:
    if name not in fields or fields[name] == "$":
        return None
    if fields[name] is None:
        return lambda _scope, _value: {}
    return compile_path(fields[name])


def _template(fields: dict[str, Any], name: str) -> Template | None:
    return compile_template(fields[name]) if name in fields else None


def _query(fields: dict[str, Any], name: str, where: str) -> Query | None:
    return compile_query(fields[name], where + name) if name in fields else None
