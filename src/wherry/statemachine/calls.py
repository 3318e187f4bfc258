"""What the states of a definition call and touch, as far as the definition itself says it.

Nothing is evaluated: a name that an expression gives while it runs is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct

from wherry.statemachine.integrations import integration_of, last_name
from wherry.statemachine.resources import Resource
from wherry.statemachine.text import to_text

Touched: TypeAlias = Literal["queue", "table", "event", "workflow", "bucket"]
Right: TypeAlias = Literal["send", "read", "write", "publish", "start", "create"]

_TOUCHES: dict[str, tuple[Touched, str, Right]] = {
    "sqs:sendMessage": ("queue", "QueueUrl", "send"),
    "dynamodb:getItem": ("table", "TableName", "read"),
    "dynamodb:putItem": ("table", "TableName", "write"),
    "dynamodb:updateItem": ("table", "TableName", "write"),
    "dynamodb:deleteItem": ("table", "TableName", "write"),
    "events:putEvents": ("event", "DetailType", "publish"),
    "states:startExecution": ("workflow", "StateMachineArn", "start"),
}
_BODIES: dict[Touched, tuple[str, Any]] = {  # by what is sent, with what its absence means
    "queue": ("MessageBody", UNSET),
    "event": ("Detail", {}),
    "workflow": ("Input", {}),
}
_OF_MAPS: tuple[tuple[str, Right], ...] = (("ItemReader", "read"), ("ResultWriter", "create"))


class Touch(Struct, frozen=True):
    """A resource that a state uses by itself; the name is None where an expression gives it.

    `payload` is what it sends, tells or starts it with, as it is written; `UNSET` where that is not
    known before it runs.
    """

    kind: Touched
    name: str | None
    action: Right
    location: str
    jsonata: bool
    payload: Any = UNSET


class TaskState(Struct, frozen=True):
    """A Task state.

    Attributes:
        location: In the definition: "/States/Charge".
        arguments: `Parameters` or `Arguments` as they are written; None where there are none.
        jsonata: Whether texts in them may be JSONata; else keys that end in ".$" are JSONPath.
        attempts: Of one visit at most, by its `Retry` and those of the states around it.
        wait_s: Between these, at their longest.
    """

    location: str
    name: str
    resource: Resource
    arguments: Any
    jsonata: bool
    attempts: int
    wait_s: float

    @property
    def calls_function(self) -> bool:
        """Whether it calls a function."""
        resource = self.resource
        return resource.family == "LambdaFunction" or resource.is_lambda_invoke

    @property
    def function(self) -> str | None:
        """The function that it calls; None where it calls none, or an expression names it."""
        if self.resource.family == "LambdaFunction":
            return function_name(self.resource.text)
        if not self.resource.is_lambda_invoke:
            return None
        name = _literal(self.arguments, "FunctionName", self.jsonata)
        return None if name is None else function_name(name)

    @property
    def payload(self) -> Any:
        """What a function is called with, as it is written; `UNSET` where that is not known.

        Texts in it may be JSONata; in JSONPath values under keys that end in ".$" are computed.
        """
        if self.resource.is_lambda_invoke:
            return _written(self.arguments, "Payload", UNSET)
        return UNSET if self.arguments is None else self.arguments

    @property
    def tells_its_token(self) -> bool:
        """Whether the token may be among its arguments, by what they say of the context."""
        text = to_text(self.arguments)
        return ("context" if self.jsonata else "$$") in text

    def touches(self) -> Iterator[Touch]:
        """Yield the resources that the state itself uses."""
        found = _TOUCHES.get(integration_of(self.resource))
        if found is None:
            return
        kind, field, action = found
        body = _BODIES.get(kind)
        given = self.arguments
        entries = given.get("Entries") if kind == "event" and isinstance(given, dict) else [given]
        for entry in entries if isinstance(entries, list) else [None]:
            name = _literal(entry, field, self.jsonata)
            if name is not None and kind != "event":
                name = last_name(name)
            payload = UNSET if body is None else _written(entry, *body)
            yield Touch(kind, name, action, self.location, self.jsonata, payload)


def _written(among: Any, name: str, default: Any) -> Any:
    """Return an argument as it is written, `UNSET` where it is computed."""
    if not isinstance(among, dict) or f"{name}.$" in among:
        return UNSET
    return among.get(name, default)


def _literal(among: Any, name: str, jsonata: bool) -> str | None:
    value = among.get(name) if isinstance(among, dict) else None
    if not isinstance(value, str) or (jsonata and value.startswith("{%")):
        return None
    return value


def function_name(text: str) -> str:
    """Return the name of a function by what names it: an ARN, a name, with or without a version."""
    return last_name(text)


def task_states(definition: Any) -> Iterator[TaskState]:
    """Yield the Task states of a definition, in their order, those inside others too.

    What is not as it should be is passed over: `validate` tells of it.
    """
    for state in _states(definition):
        resource = state.fields.get("Resource")
        if state.fields.get("Type") == "Task" and isinstance(resource, str):
            given = state.fields.get("Arguments" if state.jsonata else "Parameters")
            yield TaskState(
                state.location,
                state.name,
                Resource(resource),
                given,
                state.jsonata,
                state.attempts,
                state.wait_s,
            )


def touches(definition: Any) -> Iterator[Touch]:
    """Yield the resources that the states of a definition use by themselves."""
    for task in task_states(definition):
        yield from task.touches()
    for state in _states(definition):
        if state.fields.get("Type") != "Map":
            continue
        for field, action in _OF_MAPS:
            inner = state.fields.get(field)
            given = (
                inner.get("Arguments" if state.jsonata else "Parameters")
                if isinstance(inner, dict)
                else None
            )
            if given is not None:
                bucket = _literal(given, "Bucket", state.jsonata)
                name = None if bucket is None else last_name(bucket)
                yield Touch("bucket", name, action, f"{state.location}/{field}", state.jsonata)


class _State(Struct, frozen=True):
    """A state of any kind, with where it stands and how often it is tried."""

    location: str
    name: str
    fields: dict[str, Any]
    jsonata: bool
    attempts: int
    wait_s: float


def _states(definition: Any) -> Iterator[_State]:
    if isinstance(definition, dict):
        jsonata = definition.get("QueryLanguage") == "JSONata"
        yield from _in_block(definition, "", jsonata, 1, 0.0)


def _in_block(
    block: Any, location: str, jsonata: bool, attempts: int, wait_s: float
) -> Iterator[_State]:
    states = block.get("States") if isinstance(block, dict) else None
    for name, fields in states.items() if isinstance(states, dict) else ():
        if not isinstance(fields, dict):
            continue
        where = f"{location}/States/{name}"
        more, waits_s = _retried(fields.get("Retry"))
        here, here_s = attempts * more, wait_s * more + waits_s
        queries = jsonata or fields.get("QueryLanguage") == "JSONata"
        yield _State(where, name, fields, queries, here, here_s)
        for processor in ("ItemProcessor", "Iterator"):
            inner = fields.get(processor)
            yield from _in_block(inner, f"{where}/{processor}", jsonata, here, here_s)
        branches = fields.get("Branches")
        for number, branch in enumerate(branches if isinstance(branches, list) else ()):
            yield from _in_block(branch, f"{where}/Branches[{number}]", jsonata, here, here_s)


def _retried(retriers: Any) -> tuple[int, float]:
    """Return the attempts that retriers allow together, and the waits between them."""
    attempts, total_s = 1, 0.0
    for one in retriers if isinstance(retriers, list) else ():
        if not isinstance(one, Mapping):
            continue
        most = _number(one, "MaxAttempts", 3)
        wait_s, rate = _number(one, "IntervalSeconds", 1), _number(one, "BackoffRate", 2)
        longest_s = _number(one, "MaxDelaySeconds", float("inf"))
        attempts += int(most)
        for _ in range(min(int(most), 1_000)):
            total_s += min(wait_s, longest_s)
            wait_s = min(wait_s * rate, 1e9)
    return attempts, total_s


def _number(fields: Mapping[str, Any], name: str, default: float) -> float:
    value = fields.get(name, default)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default
