"""Pass, Succeed and Fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.statemachine.faults import QUERY, StatesError, runtime
from wherry.statemachine.records import Frame
from wherry.statemachine.states import Compiling, State
from wherry.statemachine.templates import Template, compile_reference
from wherry.statemachine.text import to_text

if TYPE_CHECKING:
    from wherry.statemachine.stepping import Walk


class PassState(State):
    """Gives its input, its Result, its Parameters or its Output."""

    kind = "Pass"

    def __init__(
        self, name: str, fields: dict[str, Any], jsonata: bool, compiling: Compiling
    ) -> None:
        super().__init__(name, fields, jsonata, compiling)
        self._has_result = not jsonata and "Result" in fields
        self._result = fields.get("Result")

    def attempt(self, walk: Walk, frame: Frame) -> None:
        result = frame.input
        if not self.flow.plain:
            scope = walk.scope(frame)
            if self.jsonata:
                self.pass_on(walk, frame, scope, frame.input)
                return
            effective = self.flow.effective(scope, frame.input)
            if not self._has_result:
                result = self.flow.arguments(scope, frame.input, effective)
        self.finish(walk, frame, self._result if self._has_result else result)


class SucceedState(State):
    """Ends its block."""

    kind = "Succeed"

    def attempt(self, walk: Walk, frame: Frame) -> None:
        scope = walk.scope(frame)
        self.pass_on(walk, frame, scope, self.flow.effective(scope, frame.input))


class FailState(State):
    """Ends its block with an error."""

    kind = "Fail"

    def __init__(
        self, name: str, fields: dict[str, Any], jsonata: bool, compiling: Compiling
    ) -> None:
        super().__init__(name, {}, jsonata, compiling)
        self._error = _text_field(fields, "Error", jsonata)
        self._cause = _text_field(fields, "Cause", jsonata)

    def attempt(self, walk: Walk, frame: Frame) -> None:
        scope = walk.scope(frame)
        error = None if self._error is None else self._error(scope, frame.input)
        cause = None if self._cause is None else self._cause(scope, frame.input)
        raise StatesError(
            None if error is None else error[: limits.STATE_ERROR_LENGTH],
            None if cause is None else cause[: limits.STATE_CAUSE_LENGTH],
            final=True,
        )


def _text_field(fields: dict[str, Any], name: str, jsonata: bool) -> Template | None:
    if f"{name}Path" in fields:
        read = compile_reference(fields[f"{name}Path"], f"{name}Path")

        def referenced(scope: Any, value: Any) -> str:
            found = read(scope, value)
            if not isinstance(found, str):
                raise runtime(
                    f"The field '{name}Path' must refer to a string, but was: {to_text(found)}"
                )
            return found

        return referenced
    if name not in fields:
        return None
    if not jsonata:
        return lambda _scope, _value: fields[name]
    from wherry.statemachine.jsonata import compile_query, unexpected_type

    query = compile_query(fields[name], name)

    def computed(scope: Any, value: Any) -> str:
        found = query.evaluate(scope, {"input": value})
        if not isinstance(found, str):
            raise StatesError(
                QUERY, unexpected_type(query.text, name, "string", found), location=name
            )
        return found

    return computed
