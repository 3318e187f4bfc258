"""The blueprint: the frozen description of an app that everything else reads."""

from typing import TYPE_CHECKING, Any

from wherry.blueprint.parts import (
    ACTIONS,
    Action,
    AuthSpec,
    Cors,
    Finding,
    Grant,
    Place,
    Record,
    ResourceKind,
    Throttle,
)

if TYPE_CHECKING:
    from wherry.blueprint.checks import check
    from wherry.blueprint.form import canonical, digest, load
    from wherry.blueprint.records import (
        Blueprint,
        BucketSpec,
        ChangeSource,
        EventSource,
        EventSpec,
        FunctionSpec,
        HttpTrigger,
        IndexSpec,
        ObjectSource,
        Parameter,
        QueueSpec,
        QueueTrigger,
        ScheduleSource,
        SecretSpec,
        Source,
        TableSpec,
        TaskTrigger,
        Trigger,
        WorkflowSpec,
    )
    from wherry.blueprint.stage import check_stage

_LATE = {  # what a handler's module does not need; all else is of `records`
    "canonical": "wherry.blueprint.form",
    "digest": "wherry.blueprint.form",
    "load": "wherry.blueprint.form",
    "check": "wherry.blueprint.checks",
    "check_stage": "wherry.blueprint.stage",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_LATE.get(name, "wherry.blueprint.records")), name)
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
