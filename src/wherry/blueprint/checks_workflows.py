"""What can be wrong with workflows, and with the functions and resources that their states name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from wherry.blueprint.parts import Finding, Grant
from wherry.blueprint.records import Blueprint, FunctionSpec, TaskTrigger, WorkflowSpec

if TYPE_CHECKING:
    from wherry.statemachine.calls import TaskState, Touch

_DECLARED = {
    "queue": "app.queue(...)",
    "table": "app.table(...)",
    "bucket": "app.bucket(...)",
    "event": "@app.event(...)",
    "workflow": "app.workflow(...)",
}
_LINK = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"


def check_workflows(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield the faults of every workflow, and tasks that none of them calls."""
    called: set[str] = set()
    surely = True  # whether it is known of every state which function it calls
    for workflow in blueprint.workflows:
        check = _Check(workflow, blueprint)
        yield from check.names()
        yield from check.findings()
        called.update(workflow.functions)
        surely = surely and check.surely
    for function in blueprint.functions:
        task = _task_of(function)
        if task is not None and surely and function.name not in called:
            yield Finding(
                code="task_unused",
                message=f"No workflow calls the task {function.name!r}.",
                fix=f'Name it in a state, "Resource": "{function.name}", or remove it.',
                severity="warning",
                place=task.place,
            )


class _Check:
    def __init__(self, workflow: WorkflowSpec, blueprint: Blueprint) -> None:
        self._workflow = workflow
        self._blueprint = blueprint
        self._functions = {one.name: one for one in blueprint.functions}
        self.surely = True

    def _find(self, code: str, message: str, fix: str, warning: bool = False) -> Finding:
        workflow = self._workflow
        return Finding(
            code=code,
            message=f"The workflow {workflow.name!r}{message}",
            fix=fix,
            severity="warning" if warning else "error",
            place=workflow.place,
        )

    def names(self) -> Iterator[Finding]:
        """Yield that the name is that of a function whose queue does not say so already."""
        name = self._workflow.name
        queues = [one.name for one in self._blueprint.queues].count(name)
        if name in self._functions and queues < 2:
            yield self._find(
                "name_twice",
                " has the name of a function.",
                "Rename one of them: what waits for either is in the queue of its name.",
            )

    def findings(self) -> Iterator[Finding]:
        from msgspec import DecodeError
        from msgspec.json import decode

        from wherry.statemachine.calls import task_states, touches
        from wherry.statemachine.integration_checks import check_integrations
        from wherry.statemachine.validation import validate

        workflow = self._workflow
        if not workflow.definition:  # it could not be read, which has been said
            return
        faults = validate(workflow.definition, functions=None)
        for fault in faults:
            yield self._find(
                "workflow_invalid",
                f", {fault.location}: {fault.message} ({fault.code}).",
                "Correct it there: Step Functions on AWS would refuse it too.",
            )
        try:
            definition = decode(workflow.definition)
        except DecodeError:
            return
        for fault in [] if faults else check_integrations(definition):
            yield self._find(
                "workflow_unsupported",
                f", {fault.location}: {fault.message}.",
                "Call a function that does it: name one with @app.task(...) as the Resource.",
            )
        for state in task_states(definition):
            yield from self._function(state)
            if state.resource.waits_for_token and not state.tells_its_token:
                yield self._find(
                    "workflow_token_untold",
                    f", {state.location}: it waits until somebody gives its token back, and tells "
                    "it to nobody.",
                    'Put it among what it passes on: "{% $states.context.Task.Token %}".'
                    if state.jsonata
                    else 'Put it among what it passes on: "token.$": "$$.Task.Token".',
                    warning=True,
                )
        yield from self._grants(list(touches(definition)))

    # -- functions ---------------------------------------------------------------------------------

    def _function(self, state: TaskState) -> Iterator[Finding]:
        name = state.function
        if name is None:
            self.surely = self.surely and not state.calls_function
            return
        function = self._functions.get(name)
        task = None if function is None else _task_of(function)
        if task is None:
            yield self._find(
                "workflow_function",
                f", {state.location}: it calls {name!r}, which is "
                + ("no function of this app." if function is None else "not declared as a task."),
                f"Write it: @app.task() above `def {name}`."
                if function is None
                else f"Declare {name!r} with @app.task(...); what calls it now keeps a function of "
                "its own.",
            )
        elif task.schema is not None:
            who = f"the function {name!r}"
            yield from self._payload(state.location, who, state.payload, task.schema, state.jsonata)

    def _payload(
        self, location: str, who: str, payload: Any, schema: dict[str, Any], jsonata: bool
    ) -> Iterator[Finding]:
        if payload is UNSET:
            return
        from wherry.blueprint.checks_payloads import misfits

        for one in misfits(schema, payload, jsonata):
            yield self._find(
                "workflow_payload",
                f", {location}: what it gives {who} does not fit: {one.said}.",
                "Correct it there, or change the type.",
                warning=not one.refused,
            )

    # -- resources ---------------------------------------------------------------------------------

    def _grants(self, touched: list[Touch]) -> Iterator[Finding]:
        """Hold what the states use against what there is, and against the grants, both ways."""
        used: set[Grant] = set()
        for touch in touched:
            if touch.name is not None:
                grant = Grant(kind=touch.kind, resource=touch.name, action=touch.action)
                write = Grant(kind=touch.kind, resource=touch.name, action="write")
                enough = {grant, write} if touch.action == "create" else {grant}
                used |= enough
                yield from self._touched(touch, grant, bool(enough & {*self._workflow.grants}))
        unknown = {touch.kind for touch in touched if touch.name is None}
        for grant in self._workflow.grants:
            if grant not in used and grant.kind not in unknown:
                yield self._find(
                    "workflow_grant_unused",
                    f" is granted {grant}, and no state of it uses that.",
                    "Take it away: functions that its states call have grants of their own.",
                    warning=True,
                )

    def _touched(self, touch: Touch, grant: Grant, granted: bool) -> Iterator[Finding]:
        blueprint = self._blueprint
        there: dict[str, tuple[Any, ...]] = {
            "queue": blueprint.queues,
            "table": blueprint.tables,
            "bucket": blueprint.buckets,
            "event": blueprint.events,
            "workflow": blueprint.workflows,
        }
        if grant.resource not in {one.name for one in there[grant.kind]}:
            yield self._find(
                "workflow_names_nothing",
                f", {touch.location}: this app has no {grant.kind} {grant.resource!r}.",
                f"Declare it with {_DECLARED[grant.kind]}, or name one that there is.",
            )
            return
        yield from self._sent(touch, grant)
        if not granted:
            right = f"publish[...] of {grant.resource!r}" if grant.kind == "event" else str(grant)
            written = f'"{right}"' if self._has_no_handle(grant) else right
            yield self._find(
                "workflow_grant_missing",
                f", {touch.location}: it needs the grant {right}.",
                f"Add it: app.workflow({self._workflow.name!r}, ..., grants=[{written}]).",
            )

    def _has_no_handle(self, grant: Grant) -> bool:
        """Whether Python knows no handle yet where this workflow is declared."""
        names = [one.name for one in self._blueprint.workflows]
        return (
            grant.kind == "workflow" and grant.resource in names[names.index(self._workflow.name) :]
        )

    def _sent(self, touch: Touch, grant: Grant) -> Iterator[Finding]:
        """Hold what a state sends, tells or starts with against the type that is declared."""
        blueprint = self._blueprint
        schemas: list[dict[str, Any] | None] = []
        payload = touch.payload
        if touch.kind == "workflow":
            schemas = [one.schema for one in blueprint.workflows if one.name == grant.resource]
            if isinstance(payload, dict):  # AWS's own way to show which execution has started it
                payload = {key: one for key, one in payload.items() if not key.startswith(_LINK)}
        elif touch.kind == "event":
            schemas = [one.schema for one in blueprint.events if one.name == grant.resource]
        elif touch.kind == "queue" and isinstance(payload, dict):  # a text may be JSON, or not
            schemas = [one.schema for one in blueprint.queues if one.name == grant.resource]
        if len(schemas) == 1 and schemas[0] is not None and not isinstance(payload, str):
            who = f"the {touch.kind} {grant.resource!r}"
            yield from self._payload(touch.location, who, payload, schemas[0], touch.jsonata)


def _task_of(function: FunctionSpec) -> TaskTrigger | None:
    return next((one for one in function.triggers if isinstance(one, TaskTrigger)), None)
