"""JSONata within bounds: a library's evaluator, with steps, depth and memory counted.

Only this module and its functions know the library. It is loaded when it is first needed.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jsonata.jexception import JException  # type: ignore[import-untyped]
from jsonata.jsonata import Jsonata  # type: ignore[import-untyped]
from jsonata.utils import Utils  # type: ignore[import-untyped]

from wherry.statemachine.faults import StatesError
from wherry.statemachine.functions import Draw
from wherry.statemachine.jsonata import QuerySyntax
from wherry.statemachine.jsonata_errors import EvaluationError, message_of
from wherry.statemachine.jsonata_meter import Meter
from wherry.statemachine.overtime import MEMORY, TIMEOUT, Overtime, allowance, exceeded
from wherry.statemachine.regexes import compile_regex

__all__ = ["UNDEFINED", "EvaluationError", "Expression", "Lazy", "Unsupported", "inward"]

UNDEFINED: Any = object()
"""What an expression gives that finds nothing."""

_active = threading.local()
_FRAMES = 10_000  # of Python, for the depth that JSONata may have
_LONG = 2**63


class Unsupported(Exception):
    """The result, or a part of it, is a function."""


class Lazy(dict[str, Any]):
    """`$states`, whose context object is made only where an expression asks for it."""

    def __init__(self, values: dict[str, Any], context: Callable[[], dict[str, Any]]) -> None:
        super().__init__(values)
        self["context"] = None
        self._context: Callable[[], dict[str, Any]] | None = context

    def fill(self) -> None:
        """Make the context object."""
        if self._context is not None:
            self["context"] = inward(self._context())
            self._context = None


class Evaluation:
    """What one evaluation may use, and has used."""

    __slots__ = ("draw", "meter", "now_ms")

    def __init__(self, draw: Draw, now_ms: int) -> None:
        self.draw = draw
        self.now_ms = now_ms
        self.meter = Meter()


def active() -> Evaluation:
    """Return the evaluation that is going on in this thread."""
    found: Evaluation = _active.evaluation
    return found


class _Bounded(Jsonata):  # type: ignore[misc]
    """The library's evaluator with JavaScript's arithmetic."""

    def evaluate_numeric_expression(self, lhs: Any, rhs: Any, op: str | None) -> Any:
        try:
            left_ok, right_ok = _numeric(lhs), _numeric(rhs)
        except OverflowError:
            left_ok = right_ok = True
        if lhs is not None and not left_ok:
            raise JException("T2001", -1, op, lhs)
        if rhs is not None and not right_ok:
            raise JException("T2002", -1, op, rhs)
        if lhs is None or rhs is None:
            return None
        return _number(_arithmetic(float(lhs), float(rhs), op))

    def evaluate_range_expression(self, lhs: Any, rhs: Any) -> Any:
        lhs, rhs = _whole(lhs), _whole(rhs)
        if isinstance(lhs, int) and isinstance(rhs, int) and not isinstance(lhs, bool):
            active().meter.allocate(8 * max(0, rhs - lhs + 1))
            if not isinstance(rhs, bool) and rhs >= lhs:
                return Utils.create_sequence_from_iter(range(lhs, rhs + 1))
        return super().evaluate_range_expression(lhs, rhs)

    def evaluate_includes_expression(self, lhs: Any, rhs: Any) -> bool:
        if lhs is None or rhs is None:
            return False
        values = rhs if isinstance(rhs, list) else [rhs]
        if isinstance(lhs, bool):
            return any(one is lhs for one in values)
        return any(one == lhs and not isinstance(one, bool) for one in values)

    def apply_inner(self, proc: Any, args: Any, input: Any, environment: Any) -> Any:
        if isinstance(proc, str | int | float | list | dict):
            raise JException("T1006", -1)
        return super().apply_inner(proc, args, input, environment)

    def evaluate_string_concat(self, lhs: Any, rhs: Any) -> str:
        return _shown(lhs) + _shown(rhs)


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _arithmetic(left: float, right: float, op: str | None) -> float:
    try:
        match op:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
            case _:
                return math.fmod(left, right)
    except ZeroDivisionError:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left * right)
    except (OverflowError, ValueError):
        return math.nan


def _number(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < _LONG else value


def _shown(value: Any) -> str:
    from wherry.statemachine.jsonata_text import to_string

    return "" if value is None else to_string(value)


class Expression:
    """A parsed expression."""

    __slots__ = ("_engine", "_uses_context")

    def __init__(self, engine: _Bounded, uses_context: bool) -> None:
        self._engine = engine
        self._uses_context = uses_context

    @property
    def tree(self) -> Any:
        """The library's syntax tree."""
        return self._engine.ast

    def evaluate(self, values: Mapping[str, Any], draw: Draw, now_ms: int) -> Any:
        """Return the value, or UNDEFINED.

        Raises:
            EvaluationError: It failed, or used too much.
            Unsupported: It gave a function.
        """
        if allowance.over:
            raise EvaluationError("", TIMEOUT)
        evaluation = Evaluation(draw, now_ms)
        if self._uses_context:
            states = values.get("states")
            if isinstance(states, Lazy):
                states.fill()
        _active.evaluation = evaluation
        Jsonata.CURRENT.jsonata = self._engine
        try:
            allowance.evaluating = True
            with _deep():
                found = self._engine.evaluate(None, dict(values))
            evaluation.meter.measure(found)
            return UNDEFINED if found is None else outward(found)
        except JException as error:
            raise message_of(error) from None
        except StatesError as error:
            raise EvaluationError("", error.cause or "") from None
        except Overtime:
            raise EvaluationError("", TIMEOUT) from None
        except MemoryError:
            raise EvaluationError("", exceeded(MEMORY)) from None
        except RecursionError:
            raise EvaluationError("", STACK) from None
        except (EvaluationError, Unsupported):
            raise
        except Exception as error:  # the library has not foreseen it
            raise EvaluationError("", str(error), internal=True) from None
        finally:
            allowance.evaluating = False
            _active.evaluation = None


STACK = (
    "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as"
    " tail-recursive"
)


def compile_expression(text: str) -> Expression:
    """Parse an expression.

    Raises:
        QuerySyntax: It is none.
    """
    from wherry.statemachine.jsonata_functions import frame

    try:
        with _deep():
            for newer in ("??", "?:"):  # AWS has JSONata 2.0.6
                Jsonata.get_parser().symbol_table.pop(newer, None)
            engine = _Bounded(text, regex_engine=_regex)
    except JException as error:
        escape = error.error == "S0301" and error.current is not None
        said = message_of(JException("S0103", -1, error.current) if escape else error)
        raise QuerySyntax(said.message, said.code) from None
    except Exception as error:  # the library has not foreseen it
        said = message_of(_unforeseen(error))
        raise QuerySyntax(said.message, said.code) from None
    if engine.errors:
        raise QuerySyntax(str(engine.errors[0]))
    engine.set_output_convert_nulls(False)
    engine.set_validate_input(False)
    engine.environment = engine.create_frame(frame())
    engine.environment.set_evaluate_entry_callback(_enter)
    engine.environment.set_evaluate_exit_callback(_leave)
    return Expression(engine, "context" in text or "$states" in text.replace("$states.", ""))


def _unforeseen(error: Exception) -> Any:
    """Return the error of JSONata for where the library's parser itself fails."""
    if isinstance(error, IndexError):
        return JException("S0106", -1)
    if isinstance(error, KeyError):
        token = error.args[0]
        if token in ("??", "?:"):
            return JException("S0211", -1, token[1])
        return JException("S0204", -1, token)
    return JException(f"Syntax error: {error}", -1)


@contextmanager
def _deep() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _enter(expr: Any, value: Any, environment: Any) -> None:
    active().meter.enter(expr)


def _leave(expr: Any, value: Any, environment: Any, result: Any) -> None:
    active().meter.leave(result)


def _regex(pattern: str, flags: Any) -> Any:
    from wherry.statemachine.jsonata_builtins import MatcherRegex

    found = compile_regex(pattern, ignore_case=flags.case_insensitive, multiline=flags.multiline)
    return MatcherRegex(found.compiled)


def inward(value: Any) -> Any:
    """Return JSON as the engine has it: its null is not None. Without nulls it is the same."""
    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, dict):
        changed = {key: inward(one) for key, one in value.items()}
        return value if all(changed[key] is value[key] for key in value) else changed
    if isinstance(value, list):
        elements = [inward(one) for one in value]
        same = all(new is old for new, old in zip(elements, value, strict=True))
        return value if same else elements
    return value


def outward(value: Any) -> Any:
    """Return what the engine gave as JSON."""
    match value:
        case bool() | str():
            return value
        case int():
            return value if -_LONG <= value < _LONG else float(value)
        case float():
            if not math.isfinite(value):
                return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            return int(value) if value.is_integer() and abs(value) < _LONG else value
        case dict():
            return {str(key): outward(one) for key, one in value.items()}
        case list() | tuple():
            return [outward(one) for one in _elements(value)]
        case None:
            return None
        case _ if value is Utils.NULL_VALUE:
            return None
        case _:
            raise Unsupported


def _elements(value: Any) -> Iterator[Any]:
    return iter(value)
