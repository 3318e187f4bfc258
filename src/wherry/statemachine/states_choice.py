"""Choice: the first rule that holds says where to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry.statemachine.choices import compile_rule
from wherry.statemachine.context import StateScope
from wherry.statemachine.dataflow import PathFlow, QueryFlow
from wherry.statemachine.faults import QUERY, StatesError, runtime
from wherry.statemachine.jsonata import compile_query, unexpected_type
from wherry.statemachine.records import Frame
from wherry.statemachine.states import Compiling, State

if TYPE_CHECKING:
    from wherry.statemachine.stepping import Walk


class ChoiceState(State):
    """A rule's own Assign and Output count where it holds; the state's, for Default."""

    kind = "Choice"

    def __init__(
        self, name: str, fields: dict[str, Any], jsonata: bool, compiling: Compiling
    ) -> None:
        super().__init__(name, fields, jsonata, compiling)
        make = _queried if jsonata else _compared
        self._rules = [make(rule, number) for number, rule in enumerate(fields["Choices"])]
        self._default: str | None = fields.get("Default")
        self._paths = {key: fields[key] for key in ("OutputPath",) if key in fields}
        self._flows: list[PathFlow | QueryFlow] = [
            QueryFlow(rule, f"Choices[{number}]/")
            if jsonata
            else PathFlow({**self._paths, **_assign(rule)})
            for number, rule in enumerate(fields["Choices"])
        ]
        self._targets: list[str] = [rule["Next"] for rule in fields["Choices"]]

    def attempt(self, walk: Walk, frame: Frame) -> None:
        scope = walk.scope(frame)
        effective = self.flow.effective(scope, frame.input)
        flow, target = self.flow, self._default
        for number, rule in enumerate(self._rules):
            if rule(scope, effective):
                flow, target = self._flows[number], self._targets[number]
                break
        if target is None:
            raise runtime(
                "Failed to transition out of the state. The state does not point to a next state."
            )
        output, assigned = flow.passed(scope, frame.input, effective)
        self.leave(walk, frame, output, assigned, target)


def _assign(rule: dict[str, Any]) -> dict[str, Any]:
    return {"Assign": rule["Assign"]} if "Assign" in rule else {}


def _compared(rule: dict[str, Any], number: int) -> Any:
    return compile_rule(rule)


def _queried(rule: dict[str, Any], number: int) -> Any:
    condition = rule["Condition"]
    if isinstance(condition, bool):
        return lambda _scope, _value: condition
    field = f"Choices[{number}]/Condition"
    query = compile_query(condition, field)

    def holds(scope: StateScope, value: Any) -> bool:
        found = query.evaluate(scope, {"input": value})
        if not isinstance(found, bool):
            raise StatesError(
                QUERY, unexpected_type(query.text, field, "boolean", found), location=field
            )
        return found

    return holds
