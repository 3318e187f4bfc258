"""Apps with a workflow, for the tests of what teams declare."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from typing import Any

from msgspec import Struct

from wherry import App
from wherry.blueprint import Finding
from wherry.errors import AppInvalid


class Refund(Struct):
    """What an execution is started with."""

    order_id: str
    cents: int


class Charge(Struct):
    """A payload."""

    order_id: str
    cents: int = 0


class Strict(Struct, forbid_unknown_fields=True):
    """A payload without anything else."""

    order_id: str


class Receipt(Struct):
    """A result."""

    number: int


def one_task(resource: str, **fields: Any) -> dict[str, Any]:
    """A machine of one Task, in JSONPath."""
    return {
        "StartAt": "Do",
        "States": {"Do": {"Type": "Task", "Resource": resource, "End": True, **fields}},
    }


def jsonata(resource: str, arguments: Any) -> dict[str, Any]:
    """A machine of one Task, in JSONata."""
    return {"QueryLanguage": "JSONata", **one_task(resource, Arguments=arguments)}


def charging(definition: Any, payload: Any = Charge, **more: Any) -> App:
    """An app with a workflow and the task `charge`."""
    app = App("shop")
    app.workflow("refund", definition=definition, **more)

    def charge(payload: Any) -> None: ...

    charge.__annotations__["payload"] = payload
    app.task()(charge)
    return app


def found(app: App) -> list[Finding]:
    try:
        app.freeze()
    except AppInvalid as failure:
        return list(failure.findings)
    return app.warnings


def codes(app: App) -> list[str]:
    return [one.code for one in found(app)]
