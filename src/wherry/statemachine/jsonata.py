"""Values that hold JSONata: `{% $states.input.total * 2 %}`, alone or anywhere in an object.

The engine itself is loaded when the first expression is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wherry.statemachine.faults import QUERY, StatesError
from wherry.statemachine.functions import Draw, uuid4
from wherry.statemachine.overtime import TIMEOUT, allowance
from wherry.statemachine.text import to_text

if TYPE_CHECKING:
    from types import ModuleType

    from wherry.statemachine.jsonata_engine import Expression

Part: TypeAlias = Callable[["Bindings"], Any]


class QuerySyntax(ValueError):
    """The text between the marks is no JSONata; `message` says why, without JSONata's code."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.message = message


class QueryScope(Protocol):
    """What an expression can see."""

    draw: Draw
    now_ms: int

    def context(self) -> dict[str, Any]:
        """Return the context object."""
        ...

    def variables(self) -> dict[str, Any]:
        """Return the variables in sight."""
        ...


def engine() -> ModuleType:
    """Return the module of the engine; importing it does not change Python's recursion limit."""
    import sys

    loaded = sys.modules.get("wherry.statemachine.jsonata_engine")
    if loaded is not None:
        return loaded
    limit = sys.getrecursionlimit()
    from wherry.statemachine import jsonata_engine

    sys.setrecursionlimit(limit)
    return jsonata_engine


class Bindings:
    """The names of one evaluation; made ready for the engine once for all its expressions."""

    __slots__ = ("draw", "now_ms", "values")

    def __init__(self, scope: QueryScope, states: dict[str, Any]) -> None:
        inward, lazy = engine().inward, engine().Lazy
        self.draw = scope.draw
        self.now_ms = scope.now_ms
        self.values: dict[str, Any] = {
            name: inward(value) for name, value in scope.variables().items()
        }
        self.values["states"] = lazy(
            {name: inward(value) for name, value in states.items()}, scope.context
        )


class Query:
    """A compiled value."""

    __slots__ = ("_part", "text")

    def __init__(self, part: Part | None, value: Any) -> None:
        self._part = part
        self.text = inner(value) if is_expression(value) else to_text(value)
        if part is None:
            self._part = lambda _bindings: value

    def evaluate(self, scope: QueryScope, states: dict[str, Any]) -> Any:
        """Return the value.

        Raises:
            StatesError: States.QueryEvaluationError.
        """
        assert self._part is not None
        return self._part(Bindings(scope, states))


def is_expression(value: object) -> bool:
    """Whether a text is, as a whole, an expression between its marks."""
    return (
        isinstance(value, str)
        and len(value) >= 4
        and value.startswith("{%")
        and value.endswith("%}")
    )


def is_half_open(value: object) -> bool:
    """Whether only one of the marks stands where it would make a text an expression."""
    if not isinstance(value, str) or is_expression(value):
        return False
    return value.startswith("{%") or value.endswith("%}")


def inner(value: str) -> str:
    """Return the expression between the marks."""
    return value[2:-2].strip()


def compile_query(value: Any, field: str) -> Query:
    """Make a value with all expressions inside it ready; `field` is where it stands.

    One that is none fails when it is evaluated: `validate` finds it before.
    """
    return Query(_compile(value, field), value)


def _compile(value: Any, field: str) -> Part | None:
    """Return what computes a value, or None where it is constant."""
    if is_expression(value):
        return _expression(inner(value), field)
    if isinstance(value, dict):
        parts = {name: _compile(one, f"{field}/{name}") for name, one in value.items()}
        if not any(parts.values()):
            return None
        fields = [(name, part, value[name]) for name, part in parts.items()]
        return lambda bindings: {
            name: constant if part is None else part(bindings) for name, part, constant in fields
        }
    if isinstance(value, list):
        elements = [(_compile(one, f"{field}[{n}]"), one) for n, one in enumerate(value)]
        if not any(part for part, _ in elements):
            return None
        return lambda bindings: [
            constant if part is None else part(bindings) for part, constant in elements
        ]
    return None


def _expression(text: str, field: str) -> Part:
    compiled: list[Expression] = []  # when it is first needed: who only looks never needs it
    named = f"The JSONata expression '{text}' specified for the field '{field}'"

    def evaluate(bindings: Bindings) -> Any:
        module = engine()
        try:
            if not compiled:
                if allowance.over:
                    raise module.EvaluationError("", TIMEOUT)
                compiled.append(module.compile_expression(text))
            found = compiled[0].evaluate(bindings.values, bindings.draw, bindings.now_ms)
        except module.EvaluationError as error:
            if error.internal:  # AWS tells no more, and an ID of its own
                cause = f"{named} threw an internal error during evaluation. {uuid4(bindings.draw)}"
            else:
                mark = f". {error.code}: " if error.code else ": "
                cause = f"{named} threw an error during evaluation{mark}{error.message}"
            raise StatesError(QUERY, cause, location=field) from None
        except QuerySyntax as error:
            raise StatesError(QUERY, f"{named} is not valid: {error}", location=field) from None
        except module.Unsupported:
            cause = f"{named} returned an unsupported result type."
            raise StatesError(QUERY, cause, location=field) from None
        if found is module.UNDEFINED:
            raise StatesError(QUERY, f"{named} returned nothing (undefined).", location=field)
        return found

    return evaluate


def unexpected_type(text: str, field: str, expected: str, found: Any) -> str:
    """Return the cause of a value that is not of the type the field needs."""
    return (
        f"The JSONata expression '{text}' specified for the field '{field}' returned an unexpected"
        f" result type. Expected '{expected}', but was '{_type(found)}' for value: {to_text(found)}"
    )


def _type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
