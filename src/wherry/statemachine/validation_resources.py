"""What is wrong with a Task's Resource, and with what an integration is given.

The patterns, the messages and the required fields were measured with
ValidateStateMachineDefinition; which services and actions there are is in the Developer Guide,
"Integrating services". An unknown argument is taken, as AWS takes it: it fails when it runs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from wherry.statemachine.findings import Findings
from wherry.statemachine.integration_fields import FIELDS
from wherry.statemachine.resources import Resource

_SERVICES = frozenset({
    "apigateway", "athena", "batch", "bedrock", "bedrockagentcore", "codebuild", "databrew",
    "dynamodb", "ecs", "eks", "elasticmapreduce", "emr-containers", "emr-serverless", "events",
    "glue", "http", "lambda", "mediaconvert", "sagemaker", "sns", "sqs", "states",
})  # fmt: skip
_ACTIONS: dict[str, tuple[str, ...]] = {
    "apigateway": ("invoke",),
    "batch": ("submitJob",),
    "bedrockagentcore": ("invokeHarness",),
    "dynamodb": ("getItem", "putItem", "updateItem", "deleteItem"),
    "ecs": ("runTask",),
    "events": ("putEvents",),
    "glue": ("startJobRun",),
    "http": ("invoke",),
    "lambda": ("invoke",),
    "sns": ("publish",),
    "sqs": ("sendMessage",),
    "states": ("startExecution",),
}
_WITHOUT_SYNC = frozenset({
    "lambda", "sns", "sqs", "dynamodb", "events", "apigateway", "aws-sdk", "bedrockagentcore",
})  # fmt: skip
_WITHOUT_TOKEN = frozenset({
    "athena", "batch", "codebuild", "elasticmapreduce", "emr-containers", "emr-serverless", "glue",
    "databrew", "mediaconvert", "sagemaker", "dynamodb", "bedrockagentcore",
})  # fmt: skip
_REQUIRED: dict[str, tuple[str, ...]] = {
    "apigateway:invoke": ("ApiEndpoint", "Method"),
    "batch:submitJob": ("JobDefinition", "JobName", "JobQueue"),
    "ecs:runTask": ("TaskDefinition",),
    "glue:startJobRun": ("JobName",),
    "sns:publish": ("Message",),
    **{
        action: tuple(name for name, field in known.items() if field.required)
        for action, known in FIELDS.items()
    },
}
"""Of wherry's own integrations it is said with their arguments."""


def check_resource(
    findings: Findings,
    fields: dict[str, Any],
    location: str,
    jsonata: bool,
    express: bool,
    functions: Collection[str] | None,
) -> None:
    """Check the Resource of a Task with its arguments and Credentials."""
    text = fields.get("Resource")
    if not isinstance(text, str):
        return
    where, resource = f"{location}/Resource", Resource(text)
    activity = resource.family == "Activity"
    _check_credentials(findings, fields, location, activity)
    if not resource.known:
        named = functions is None or text in functions
        if text.startswith("arn:"):
            findings.add(where, _unrecognized(text))
        elif not named or not text:
            findings.add(where, "Value is not a valid resource ARN")
        return
    if resource.family == "Task":
        if not _offered(resource):
            findings.add(where, _unrecognized(text))
            return
        _check_arguments(findings, resource, fields, location, jsonata)
    if express and activity:
        findings.add(where, "Express state machine does not support Activity ARN")
    elif express and resource.pattern:
        suffix = resource.action.split(".", 1)[1]
        findings.add(
            where, f"Express state machine does not support '.{suffix}' service integration "
        )


def _unrecognized(text: str) -> str:
    return (
        f"The resource provided {text} is not recognized. The value is not a valid resource ARN,"
        " or the resource is not available in this region."
    )


def _offered(resource: Resource) -> bool:
    service, _, _ = resource.service.partition(":")
    action, _, suffix = resource.action.partition(".")
    if service != "aws-sdk" and service not in _SERVICES:
        return False
    if action not in _ACTIONS.get(service, (action,)):
        return False
    if suffix == "sync:2":
        return service == "states"
    if suffix == "sync":
        return service not in _WITHOUT_SYNC
    return not suffix or service not in _WITHOUT_TOKEN


def _check_arguments(
    findings: Findings, resource: Resource, fields: dict[str, Any], location: str, jsonata: bool
) -> None:
    name = "Arguments" if jsonata else "Parameters"
    if name not in fields:
        findings.add(location, f"{name} field is required for resource ARN: {resource.text}")
    given = fields.get(name)
    if not isinstance(given, dict):
        return
    action = resource.action.split(".")[0]
    for field in _REQUIRED.get(f"{resource.service}:{action}", ()):
        if field not in given and (jsonata or f"{field}.$" not in given):
            findings.add(f"{location}/{name}", _missing(field))


def _check_credentials(
    findings: Findings, fields: dict[str, Any], location: str, activity: bool
) -> None:
    if "Credentials" not in fields:
        return
    given = fields["Credentials"]
    if activity:
        findings.add(location, "The field 'Credentials' is not supported for activities")
    elif isinstance(given, dict) and not {"RoleArn", "RoleArn.$"} & given.keys():
        findings.add(f"{location}/Credentials", _missing("RoleArn"))


def _missing(field: str) -> str:
    return f"The field '{field}' is required but was missing"
