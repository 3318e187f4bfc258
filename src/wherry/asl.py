"""Amazon States Language, written in Python: states in the order in which they follow each other.

    from wherry import asl

    definition = asl.machine(
        asl.Task("Charge back", charge_back).retry("Unreachable", times=5).catch(then="Undo"),
        asl.Task("Tell the customer", tell_customer, then=asl.END),
        asl.Task("Undo", undo),
        asl.Fail("Not refunded", error="NotRefunded"),
    )

A state leads on to the one below it, unless it says `then=`; the last one ends. Expressions are
JSONata, `asl.expr("$states.input.order_id")`. What comes out is the language itself, as Step
Functions on AWS takes it, and nothing is hidden: every state takes further fields by their own
names (`Label="orders"`), and `wherry check` judges them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self

from wherry.errors import Refused

TOKEN = "{% $states.context.Task.Token %}"
"""The token of a task with `wait_for_token=True`, to be put among its arguments."""

_INVOKE = "arn:aws:states:::lambda:invoke.waitForTaskToken"
_INPUT = "{% $states.input %}"


class _End:
    """The type of `END`."""

    def __repr__(self) -> str:
        return "END"


END = _End()
"""`then=END`: after this state the machine, or its branch, is done."""


def expr(text: str) -> str:
    """Return a JSONata expression as the language has it: `{% $states.input.total %}`."""
    return text if text.startswith("{%") else f"{{% {text} %}}"


class State:
    """A state: its name, its fields, and the name of the state that it leads on to."""

    __slots__ = ("fields", "name", "target")

    def __init__(self, kind: str, name: str, then: str | _End | None, **fields: Any) -> None:
        self.name = name
        self.target = then  # None: the one below
        self.fields: dict[str, Any] = {"Type": kind}
        self.fields.update((key, value) for key, value in fields.items() if value is not None)

    def __repr__(self) -> str:
        return f"{self.fields['Type']}({self.name!r})"

    def retry(
        self,
        *errors: str,
        times: int = 3,
        wait_s: int = 1,
        backoff: float = 2.0,
        longest_s: int | None = None,
        jitter: bool = False,
    ) -> Self:
        """Return this state with one more retrier.

        Args:
            errors: By name: the class of what a function raises, `States.Timeout`; none for any.
            times: How often it is tried again, on top of the first time.
            wait_s: Before the first retry, in whole seconds; then `backoff` times as long each.
            longest_s: The longest wait.
            jitter: Wait any time up to that instead.
        """
        clause: dict[str, Any] = {"ErrorEquals": list(errors) or ["States.ALL"]}
        clause |= {"MaxAttempts": times, "IntervalSeconds": wait_s, "BackoffRate": backoff}
        if longest_s is not None:
            clause["MaxDelaySeconds"] = longest_s
        if jitter:
            clause["JitterStrategy"] = "FULL"
        return self._with("Retry", clause)

    def catch(
        self,
        *errors: str,
        then: str,
        output: Any = None,
        assign: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return this state with one more catcher: after these errors (none: any) it goes there.

        `$states.errorOutput` holds Error and Cause.
        """
        clause: dict[str, Any] = {"ErrorEquals": list(errors) or ["States.ALL"], "Next": then}
        if output is not None:
            clause["Output"] = output
        if assign is not None:
            clause["Assign"] = dict(assign)
        return self._with("Catch", clause)

    def _with(self, field: str, clause: dict[str, Any]) -> Self:
        other = object.__new__(type(self))
        other.name, other.target = self.name, self.target
        other.fields = {**self.fields, field: [*self.fields.get(field, ()), clause]}
        return other


class Task(State):
    """Calls a function, or does what a service integration does.

    Args:
        call: The handler with `@app.task(...)`, its name, or the ARN of an integration.
        arguments: What it is called with; without them the state's input.
        wait_for_token: The state ends when somebody gives the token back (`refund.succeed(...)`),
            and not when the function returns. Put `asl.TOKEN` among the arguments.
        timeout_s, heartbeat_s: After so long without an end, or a sign of life: States.Timeout.
        output, assign: What the state gives, and variables; `$states.result` is the result.
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        call: Callable[..., Any] | str,
        arguments: Any = None,
        *,
        wait_for_token: bool = False,
        timeout_s: int | str | None = None,
        heartbeat_s: int | str | None = None,
        output: Any = None,
        assign: Mapping[str, Any] | None = None,
        then: str | _End | None = None,
        **fields: Any,
    ) -> None:
        resource = call if isinstance(call, str) else getattr(call, "__name__", repr(call))
        if wait_for_token and resource.startswith("arn:"):
            resource = f"{resource}.waitForTaskToken"
        elif wait_for_token:
            payload = _INPUT if arguments is None else arguments
            resource, arguments = _INVOKE, {"FunctionName": resource, "Payload": payload}
        super().__init__(
            "Task",
            name,
            then,
            Resource=resource,
            Arguments=arguments,
            TimeoutSeconds=timeout_s,
            HeartbeatSeconds=heartbeat_s,
            Output=output,
            Assign=assign,
            **fields,
        )


class Pass(State):
    """Gives `output` (without it, its input) and sets variables."""

    __slots__ = ()

    def __init__(
        self,
        name: str,
        output: Any = None,
        *,
        assign: Mapping[str, Any] | None = None,
        then: str | _End | None = None,
        **fields: Any,
    ) -> None:
        super().__init__("Pass", name, then, Output=output, Assign=assign, **fields)


class Wait(State):
    """Waits so many seconds, or until a moment; either may be an expression."""

    __slots__ = ()

    def __init__(
        self,
        name: str,
        seconds: int | str | None = None,
        *,
        until: str | None = None,
        then: str | _End | None = None,
        **fields: Any,
    ) -> None:
        super().__init__("Wait", name, then, Seconds=seconds, Timestamp=until, **fields)


class When:
    """One way on from a Choice: `When("$states.input.cents > 10000", then="Ask")`.

    The condition is JSONata; in a state of JSONPath it is a rule: `{"Variable": "$.cents", ...}`.
    """

    __slots__ = ("clause",)

    def __init__(
        self,
        condition: str | Mapping[str, Any],
        *,
        then: str,
        output: Any = None,
        assign: Mapping[str, Any] | None = None,
    ) -> None:
        self.clause: dict[str, Any] = (
            {"Condition": expr(condition)} if isinstance(condition, str) else dict(condition)
        )
        self.clause["Next"] = then
        if output is not None:
            self.clause["Output"] = output
        if assign is not None:
            self.clause["Assign"] = dict(assign)


class Choice(State):
    """Goes where the first condition that holds says; else on to `otherwise`, or the one below."""

    __slots__ = ()

    def __init__(
        self, name: str, *whens: When, otherwise: str | None = None, **fields: Any
    ) -> None:
        clauses = [one.clause for one in whens]
        super().__init__("Choice", name, otherwise, Choices=clauses, **fields)


class Parallel(State):
    """Runs branches side by side, each a list of states; gives a list of what they gave."""

    __slots__ = ()

    def __init__(
        self,
        name: str,
        *branches: Iterable[State],
        output: Any = None,
        assign: Mapping[str, Any] | None = None,
        then: str | _End | None = None,
        **fields: Any,
    ) -> None:
        blocks = [_block(branch, f"a branch of {name!r}") for branch in branches]
        super().__init__("Parallel", name, then, Branches=blocks, Output=output, Assign=assign,
                         **fields)  # fmt: skip


class Map(State):
    """Runs the states of `each` for every one of `items`; gives a list of what they gave.

    Args:
        items: A list, or an expression that gives one; without it the state's input.
        max_concurrency: Items at once; without it as many as the platform does.
        distributed: Every item is an execution with a history of its own: for very many.
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        items: list[Any] | str | None = None,
        *,
        each: Iterable[State],
        max_concurrency: int | None = None,
        distributed: bool = False,
        output: Any = None,
        assign: Mapping[str, Any] | None = None,
        then: str | _End | None = None,
        **fields: Any,
    ) -> None:
        config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"} if distributed else None
        processor: dict[str, Any] = {} if config is None else {"ProcessorConfig": config}
        processor |= _block(each, f"the items of {name!r}")
        super().__init__(
            "Map",
            name,
            then,
            Items=items,
            MaxConcurrency=max_concurrency,
            ItemProcessor=processor,
            Output=output,
            Assign=assign,
            **fields,
        )


class Succeed(State):
    """Ends the machine, or its branch, well."""

    __slots__ = ()

    def __init__(self, name: str, output: Any = None, **fields: Any) -> None:
        super().__init__("Succeed", name, END, Output=output, **fields)


class Fail(State):
    """Ends the machine, or its branch, as failed."""

    __slots__ = ()

    def __init__(self, name: str, *, error: str = "", cause: str = "", **fields: Any) -> None:
        super().__init__("Fail", name, END, Error=error or None, Cause=cause or None, **fields)


class Machine:
    """A state machine; `definition` is what `app.workflow` and Step Functions take, as JSON."""

    __slots__ = ("definition",)

    def __init__(self, definition: dict[str, Any]) -> None:
        self.definition = definition


def machine(
    *states: State,
    comment: str = "",
    timeout_s: int | None = None,
    query_language: Literal["JSONata", "JSONPath"] = "JSONata",
) -> Machine:
    """Return a machine of these states, which begins with the first.

    Args:
        timeout_s: After so long the execution ends as TIMED_OUT.
        query_language: With "JSONPath" states take its fields by name: `Parameters={...}`.

    Raises:
        Refused: There is no state, or two have one name.
    """
    head: dict[str, Any] = {"Comment": comment} if comment else {}
    head["QueryLanguage"] = query_language
    if timeout_s is not None:
        head["TimeoutSeconds"] = timeout_s
    return Machine(head | _block(states, "a machine"))


def _block(states: Iterable[State], where: str) -> dict[str, Any]:
    listed = list(states)
    if not listed:
        raise Refused(f"There is no state in {where}.")
    found: dict[str, Any] = {}
    for at, state in enumerate(listed):
        if state.name in found:
            raise Refused(f"Two states in {where} are named {state.name!r}.")
        below = listed[at + 1].name if at + 1 < len(listed) else END
        found[state.name] = {**state.fields, **_way_on(state, below)}
    return {"StartAt": listed[0].name, "States": found}


def _way_on(state: State, below: str | _End) -> dict[str, Any]:
    target = below if state.target is None else state.target
    kind = state.fields["Type"]
    if kind in ("Succeed", "Fail"):
        return {}
    if kind == "Choice":
        return {} if isinstance(target, _End) else {"Default": target}
    return {"End": True} if isinstance(target, _End) else {"Next": target}
