"""The blueprint: the frozen description of an app that everything else reads."""

from typing import TYPE_CHECKING, Any

from wherry.blueprint.records import (
    ACTIONS,
    Action,
    AuthSpec,
    Blueprint,
    BucketSpec,
    ChangeSource,
    Cors,
    EventSource,
    EventSpec,
    Finding,
    FunctionSpec,
    Grant,
    HttpTrigger,
    IndexSpec,
    ObjectSource,
    Parameter,
    Place,
    QueueSpec,
    QueueTrigger,
    Record,
    ResourceKind,
    ScheduleSource,
    SecretSpec,
    Source,
    TableSpec,
    TaskTrigger,
    Throttle,
    Trigger,
    WorkflowSpec,
)

if TYPE_CHECKING:
    from wherry.blueprint.checks import check
    from wherry.blueprint.form import canonical, digest, load
    from wherry.blueprint.stage import check_stage

_LATE = {  # what a handler's module does not need
    "canonical": "wherry.blueprint.form",
    "digest": "wherry.blueprint.form",
    "load": "wherry.blueprint.form",
    "check": "wherry.blueprint.checks",
    "check_stage": "wherry.blueprint.stage",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_LATE[name]), name)
    globals()[name] = found
    return found


__all__ = [
    "ACTIONS",
    "Action",
    "AuthSpec",
    "Blueprint",
    "BucketSpec",
    "ChangeSource",
    "Cors",
    "EventSource",
    "EventSpec",
    "Finding",
    "FunctionSpec",
    "Grant",
    "HttpTrigger",
    "IndexSpec",
    "ObjectSource",
    "Parameter",
    "Place",
    "QueueSpec",
    "QueueTrigger",
    "Record",
    "ResourceKind",
    "ScheduleSource",
    "SecretSpec",
    "Source",
    "TableSpec",
    "TaskTrigger",
    "Throttle",
    "Trigger",
    "WorkflowSpec",
    "canonical",
    "check",
    "check_stage",
    "digest",
    "load",
]
