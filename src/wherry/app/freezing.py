"""From declarations to the blueprint: everything wrong is found here, all of it at once."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.app.boundaries import check_boundaries
from wherry.app.consumers import consumer_endpoint, triggered_endpoint, with_claims
from wherry.app.conversions import conversion_faults
from wherry.app.declared import Consumer, Declared, Function, Route, Task, Triggered
from wherry.app.definitions import definition_file, workflow_spec
from wherry.app.endpoints import UNSET, Argument, Endpoint, Signature
from wherry.app.including import with_included
from wherry.app.policies import Policy, compile_policies, unheld
from wherry.app.schemas import reply_kinds, reply_schema, schema_of
from wherry.app.signatures import Reading
from wherry.app.specs import bucket_spec, event_spec, queue_spec, secret_spec, table_spec
from wherry.app.tasks import not_stacked, task_endpoint
from wherry.app.values import check_values
from wherry.blueprint.checks import check, in_order
from wherry.blueprint.parts import AuthSpec, Finding, Grant, Place
from wherry.blueprint.records import (
    Blueprint,
    FunctionSpec,
    HttpTrigger,
    Parameter,
    ReplyKind,
    Source,
    Trigger,
    WorkflowSpec,
)
from wherry.errors import AppInvalid
from wherry.handles import Queue
from wherry.handles.claims import claims_bucket

_ACTIONS = (
    "read", "write", "create", "delete", "send", "start", "stop", "redrive", "complete",
)  # fmt: skip

if TYPE_CHECKING:
    from wherry.app.app import App
    from wherry.handles import Table
    from wherry.handles.workflows import Workflow


class Frozen:
    """What comes of freezing."""

    def __init__(self) -> None:
        self.blueprint: Blueprint
        self.endpoints: dict[str, dict[str, Endpoint]] = {}
        self.tables: dict[str, Table[Any]] = {}
        self.policies: dict[str, list[Policy]] = {}
        self.findings: list[Finding] = []
        self.sent: dict[str, tuple[Argument, ...]] = {}  # by queue of what runs after a commit
        self.sources: list[Source] = []
        self.warnings: list[Finding] = []
        self.files: list[str] = []  # what was read besides Python

    def find(self, code: str, message: str, fix: str, place: Place | None) -> None:
        """Note that something is wrong."""
        self.findings.append(Finding(code=code, message=message, fix=fix, place=place))


def freeze(app: App) -> Frozen:
    """Compile an app with all that it includes.

    Raises:
        AppInvalid: With every error.
    """
    apps = with_included(app)
    frozen = Frozen()
    frozen.findings = [finding for one in apps for finding in one._early]
    declared = [table for one in apps for table in one._tables]
    tables = [table_spec(table) for table in declared]
    frozen.tables = {table.name: table for table in declared}
    functions, dropped, faults = not_stacked(
        [function for one in apps for function in one._functions]
    )
    frozen.findings.extend(faults)
    function_specs = tuple(_function(function, frozen) for function in functions)
    workflows = _workflows([workflow for one in apps for workflow in one._workflows], frozen)
    fed = {source.queue: "what its sources tell" for source in frozen.sources}
    declared_queues = [queue for one in apps for queue in one._queues if queue not in dropped]
    queues = [
        queue_spec(queue, frozen.sent.get(queue.name), fed.get(queue.name, ""))
        for queue in declared_queues
    ]
    queues += [
        queue_spec(_queue_of(one), fed="what happens to its executions") for one in workflows
    ]
    event_types = [event for one in apps for event in one._events]
    events = [event_spec(event) for event in event_types]
    frozen.findings.extend(conversion_faults(declared, declared_queues, event_types))
    for _, faults in (*tables, *queues, *events):
        frozen.findings.extend(faults)
    buckets = [bucket for one in apps for bucket in one._buckets]
    buckets += [claims_bucket(one.name, one.place) for one in declared_queues if one.claim_check]
    frozen.blueprint = Blueprint(
        app=app.name,
        functions=with_claims(function_specs, declared_queues),
        tables=tuple(spec for spec, _ in tables),
        queues=tuple(spec for spec, _ in queues),
        buckets=tuple(map(bucket_spec, buckets)),
        secrets=tuple(secret_spec(secret) for one in apps for secret in one._secrets),
        auths=tuple(auth for one in apps for auth in one._auths),
        events=tuple(spec for spec, _ in events),
        sources=tuple(frozen.sources),
        workflows=workflows,
        cors=_only([one._cors for one in apps], "CORS", frozen),
        throttle=_only([one._throttle for one in apps], "A throttle", frozen),
    )
    frozen.policies, faults = compile_policies(
        [policy for one in apps for policy in one._policies], declared
    )
    frozen.findings.extend(faults)
    frozen.findings.extend(unheld(function_specs, frozen.policies))
    frozen.findings.extend(check_boundaries([one for one in functions if one.is_bundle]))
    faults, checkable = check_values(frozen.blueprint)
    faults += check(checkable) if checkable is not None else []
    findings = in_order([*frozen.findings, *faults])
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise AppInvalid(errors)
    frozen.warnings = findings
    return frozen


def _only(values: list[Any], what: str, frozen: Frozen) -> Any:
    """Return the one value that the app and those it includes agree on."""
    given = [value for value in values if value is not None]
    if any(value != given[0] for value in given):
        frozen.find(
            "edge_twice",
            f"{what} is declared in two ways by the app and one that it includes.",
            "Declare it once, on the app that includes the others.",
            None,
        )
    return given[0] if given else None


# --- functions ----------------------------------------------------------------------------------


def _function(function: Function, frozen: Frozen) -> FunctionSpec:
    triggers: list[Trigger] = []
    endpoints = frozen.endpoints.setdefault(function.name, {})
    plain = False
    for declared in function.endpoints:
        endpoint = _endpoint(function, declared, frozen)
        triggers.append(endpoint.trigger)
        endpoints[endpoint.name] = endpoint
        plain = plain or endpoint.plain
    routed = all(isinstance(one, Route) for one in function.endpoints)
    default_s = limits.ROUTE_TIMEOUT_S if routed else limits.FUNCTION_TIMEOUT_S
    if plain and function.is_bundle and not all(one.plain for one in endpoints.values()):
        frozen.find(
            "plain_mixed",
            f"The bundle {function.name!r} mixes handler(event, context) with others.",
            "Give them functions of their own.",
            function.site.place,
        )
    return FunctionSpec(
        name=function.name,
        module=function.module,
        triggers=tuple(triggers),
        grants=_grants(function, function.site.place, frozen),
        timeout_s=default_s if function.timeout_s is None else function.timeout_s,
        memory_mb=function.memory_mb,
        concurrency=function.concurrency,
        reserved=function.reserved,
        reads=function.reads,
        plain=plain,
        description=inspect.cleandoc(function.description),
        place=function.site.place,
    )


def _grants(
    function: Function | Workflow[Any], place: Place | None, frozen: Frozen
) -> tuple[Grant, ...]:
    found = []
    for one in function.grants:
        grant = one if isinstance(one, Grant) else getattr(one, "grant", None)
        if isinstance(grant, Grant):
            found.append(grant)
            continue
        name = getattr(one, "name", None)
        actions = [action for action in _ACTIONS if hasattr(one, action) and isinstance(name, str)]
        frozen.find(
            "grant_kind",
            f"The grants of {function.name!r} hold {one!r}, which is no grant.",
            "Say what it may do: " + ", ".join(f"{name}.{action}" for action in actions) + "."
            if actions
            else "Write grants like orders.read.",
            place,
        )
    return tuple(found)


def _workflows(declared: list[Workflow[Any]], frozen: Frozen) -> tuple[WorkflowSpec, ...]:
    specs = []
    for workflow in declared:
        spec, faults = workflow_spec(workflow, _grants(workflow, workflow.place, frozen))
        frozen.findings.extend(faults)
        file = definition_file(workflow)
        frozen.files += [file] if file is not None else []
        specs.append(spec)
    return tuple(specs)


def _queue_of(workflow: WorkflowSpec) -> Queue[Any]:
    """Return the queue of what happens to a workflow's executions.

    None of it may be lost while nodes die, or an execution would wait for ever.
    """
    return Queue(
        dict,
        name=workflow.name,
        max_attempts=limits.MAX_ATTEMPTS_MAX,
        retention_s=limits.MESSAGE_RETENTION_MAX_S,
        place=workflow.place,
    )


def _endpoint(function: Function, declared: Declared, frozen: Frozen) -> Endpoint:
    reading = Reading(declared.fn, declared.site.place, declared.site.names)
    reading.generator()
    match declared:
        case Route():
            signature = reading.routed(str(declared.path))
            endpoint = Endpoint(
                name=declared.fn.__name__,
                function=function.name,
                fn=declared.fn,
                trigger=_http_trigger(declared, signature, reading),
                signature=signature,
                is_async=reading.is_async(),
                plain=reading.plain,
            )
        case Consumer():
            endpoint = consumer_endpoint(function, declared, reading)
            if declared.after is not None:
                frozen.sent[declared.queue.name] = endpoint.signature.arguments
        case Triggered():
            endpoint = triggered_endpoint(function, declared, reading, frozen.tables)
            frozen.sources.extend(feed.source for feed in endpoint.feeds)
        case Task():
            endpoint = task_endpoint(function, declared, reading)
    frozen.findings.extend(reading.findings)
    return endpoint


def _http_trigger(route: Route, signature: Signature, reading: Reading) -> HttpTrigger:
    summary, _, description = inspect.cleandoc(route.fn.__doc__ or "").partition("\n")
    auth: Any = route.auth
    if auth is not None and not isinstance(auth, AuthSpec):
        reading.find(
            "auth_kind",
            f"The auth of {reading.name!r} is {auth!r}.",
            "Give it what app.auth(...) returned.",
        )
    return HttpTrigger(
        endpoint=route.fn.__name__,
        method=route.method,
        path=route.path,
        auth=auth if isinstance(auth, str) else getattr(auth, "name", None),
        roles=route.roles,
        status=route.status,
        parameters=tuple(_parameter(argument, reading) for argument in signature.arguments),
        reply=_reply(signature, reading),
        replies=_replies(signature, reading),
        throttle=route.throttle,
        summary=summary.strip(),
        description=description.strip(),
        place=route.site.place,
    )


def _parameter(argument: Argument, reading: Reading) -> Parameter:
    schema: dict[str, Any] = {}
    if argument.source not in ("caller", "raw"):
        try:
            schema = schema_of(list[argument.type] if argument.many else argument.type)  # type: ignore[name-defined]
        except TypeError as error:
            reading.find(
                "argument_unsupported",
                f"The argument {argument.name!r} of {reading.name!r} cannot be used: {error}",
                "Use a Struct, a dataclass, a typed dict or a Pydantic model.",
            )
    source: Any = argument.source
    return Parameter(
        name=argument.name,
        source=source,
        alias=argument.alias,
        schema=schema,
        required=argument.required,
    )


def _reply(signature: Signature, reading: Reading) -> dict[str, Any] | None:
    if signature.returns is UNSET or reading.plain or reading.yields:
        return None
    try:
        return reply_schema(signature.returns)
    except TypeError as error:
        reading.find(
            "return_unsupported",
            f"What {reading.name!r} returns cannot be encoded: {error}.",
            "Return a Struct, a dataclass, a Pydantic model, JSON types, bytes or a Reply.",
        )
        return None


def _replies(signature: Signature, reading: Reading) -> tuple[ReplyKind, ...]:
    if reading.plain:  # handler(event, context) chooses its status as a Reply does
        return ("reply",)
    return () if signature.returns is UNSET else reply_kinds(signature.returns)
