"""What a Task's Resource names, and how the history speaks of it."""

from __future__ import annotations

import re
from typing import Any, Literal

_LAMBDA = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:([A-Za-z0-9_-]+)")
_ACTIVITY = re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:activity:(.+)\Z")
_INTEGRATION = re.compile(
    r"arn:aws[a-z-]*:states:[a-z0-9-]*:(?:\d{12})?:((?:aws-sdk:)?[A-Za-z0-9-]+):([A-Za-z0-9]+)"
    r"(?:\.(sync|sync:2|waitForTaskToken))?\Z"
)


class Resource:
    """A resource, read.

    Attributes:
        family: The prefix of the history's events: LambdaFunction, Activity or Task.
        service: `sqs`, `aws-sdk:sqs`; empty for a function and an activity.
        action: `sendMessage.waitForTaskToken`.
        pattern: How the task ends: with its answer, with a job's end, or with its token.
        waits_for_token: Whether SendTaskSuccess ends the task.
        is_lambda_invoke: Whether it is the optimised integration that calls a function.
    """

    __slots__ = (
        "action",
        "family",
        "is_lambda_invoke",
        "name",
        "pattern",
        "service",
        "text",
        "waits_for_token",
    )

    def __init__(self, text: str) -> None:
        self.text = text
        self.service = self.action = ""
        self.pattern: Literal["", "sync", "waitForTaskToken"] = ""
        self.family: Literal["LambdaFunction", "Activity", "Task"] = "LambdaFunction"
        self.name = text
        if match := _ACTIVITY.match(text):
            self.family, self.name = "Activity", match.group(1)
        elif match := _INTEGRATION.match(text):
            service, action, suffix = match.groups()
            self.family = "Task"
            self.service = service
            self.action = action if suffix is None else f"{action}.{suffix}"
            if suffix:
                self.pattern = "waitForTaskToken" if suffix == "waitForTaskToken" else "sync"
        elif match := _LAMBDA.match(text):
            self.name = match.group(1)
        self.waits_for_token = self.family == "Activity" or self.pattern == "waitForTaskToken"
        self.is_lambda_invoke = self.service == "lambda" and self.action.split(".")[0] == "invoke"

    @property
    def known(self) -> bool:
        """Whether the text has a form that AWS knows."""
        return self.family != "LambdaFunction" or _LAMBDA.match(self.text) is not None

    def named(self, details: dict[str, Any]) -> dict[str, Any]:
        """Return an event's details, with the resource where the history has it."""
        if self.family != "Task":
            return details
        return {"resource": self.action, "resourceType": self.service, **details}
