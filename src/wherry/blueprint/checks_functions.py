"""What can be wrong with functions: their limits, their grants, their endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from wherry import limits
from wherry.blueprint.parts import ACTIONS, Finding, ResourceKind
from wherry.blueprint.records import Blueprint, FunctionSpec, HttpTrigger, WorkflowSpec


def check_functions(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield the faults of every function."""
    resources: dict[ResourceKind, set[str]] = {
        "table": {one.name for one in blueprint.tables},
        "queue": {one.name for one in blueprint.queues},
        "bucket": {one.name for one in blueprint.buckets},
        "secret": {one.name for one in blueprint.secrets},
        "event": {one.name for one in blueprint.events},
        "workflow": {one.name for one in blueprint.workflows},
    }
    for function in blueprint.functions:
        yield from _limits(function)
        yield from _grants(function, resources)
        yield from _endpoints(function)
    for workflow in blueprint.workflows:
        yield from _grants(workflow, resources)


def _limits(function: FunctionSpec) -> Iterator[Finding]:
    routed = any(isinstance(trigger, HttpTrigger) for trigger in function.triggers)
    longest = limits.ROUTE_TIMEOUT_S if routed else limits.FUNCTION_TIMEOUT_MAX_S
    if not 0 < function.timeout_s <= longest:
        yield Finding(
            code="timeout_bounds",
            message=f"{function.name!r} has timeout_s={function.timeout_s:g}; "
            + (
                f"a routed function may run {longest} s, so that its error arrives before the "
                "gateway gives up."
                if routed
                else f"a function may run {longest} s."
            ),
            fix="Move the long work into a consumer and answer 202."
            if routed and function.timeout_s > longest
            else f"Choose a value above 0, up to {longest}.",
            place=function.place,
        )
    bounds = [
        ("memory_mb", function.memory_mb, limits.MEMORY_MIN_MB, limits.MEMORY_MAX_MB),
        ("concurrency", function.concurrency, 1, limits.CONCURRENCY_MAX),
    ]
    for name, value, least, most in bounds:
        if not least <= value <= most:
            yield Finding(
                code=f"{name.split('_')[0]}_bounds",
                message=f"{function.name!r} has {name}={value}, which is not in {least}..{most}.",
                fix=f"Choose {name} in this range.",
                place=function.place,
            )


def _grants(
    function: FunctionSpec | WorkflowSpec, resources: dict[ResourceKind, set[str]]
) -> Iterator[Finding]:
    seen = set()
    for grant in function.grants:
        if grant in seen:
            yield Finding(
                code="grant_twice",
                message=f"{function.name!r} is granted {grant} twice.",
                fix="Remove one of them.",
                place=function.place,
            )
        seen.add(grant)
        if grant.resource not in resources[grant.kind]:
            yield Finding(
                code="grant_to_nothing",
                message=f"{function.name!r} is granted {grant}, and this app has no {grant.kind} "
                f"{grant.resource!r}.",
                fix=f"Declare it with app.{grant.kind}(...), include the app that does, or remove "
                "the grant.",
                place=function.place,
            )
        if grant.action not in ACTIONS[grant.kind]:
            yield Finding(
                code="grant_action",
                message=f"{function.name!r} is granted {grant}, and a {grant.kind} knows no "
                f"{grant.action!r}.",
                fix=f"Use one of {', '.join(ACTIONS[grant.kind])}.",
                place=function.place,
            )


def _endpoints(function: FunctionSpec) -> Iterator[Finding]:
    if not function.triggers:
        yield Finding(
            code="function_empty",
            message=f"The bundle {function.name!r} has no route.",
            fix=f"Add one: @{function.name}.get(...), or remove the bundle.",
            severity="warning",
            place=function.place,
        )
    seen = set()
    for trigger in function.triggers:
        if trigger.endpoint in seen:
            yield Finding(
                code="name_twice",
                message=f"The handler {trigger.endpoint!r} is twice in {function.name!r}.",
                fix="Rename one of them: handlers of a bundle have names of their own.",
                place=trigger.place,
            )
        seen.add(trigger.endpoint)
