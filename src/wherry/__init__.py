"""wherry: a backend described once in Python, with the same code on one machine and beyond.

    from wherry import App, Struct

    app = App("hello")

The names here are looked up when they are first used: a handler's module pays for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msgspec import Meta, Struct

    from wherry.app.app import App
    from wherry.app.http import Caller, Form, Header, RawBody, Redirect, Reply
    from wherry.errors import (
        BadRequest,
        ConditionFailed,
        Conflict,
        DoNotRetry,
        Forbidden,
        Invalid,
        NotFound,
        Problem,
        TooLarge,
        TooManyRequests,
        Unauthenticated,
        Unavailable,
        UnsupportedMediaType,
    )
    from wherry.handles.batches import Batch, BatchItem
    from wherry.handles.buckets import Bucket, ObjectInfo, StoredObject, UploadTicket
    from wherry.handles.conditions import (
        above,
        all_of,
        any_of,
        at_least,
        at_most,
        begins_with,
        below,
        between,
        exactly,
        field,
        negate,
    )
    from wherry.handles.context import current, new_id, now, outside
    from wherry.handles.events import publish
    from wherry.handles.logs import log
    from wherry.handles.occurrences import Change, Firing, ObjectCreated, ObjectRemoved
    from wherry.handles.queues import Queue
    from wherry.handles.secrets import Secret
    from wherry.handles.tables import Page, Table
    from wherry.handles.workflows import Execution, Workflow

__version__ = "0.1.0"

__all__ = [
    # describing an app
    "App",
    "Struct",
    "Meta",
    "Caller",
    # inside a handler
    "log",
    "new_id",
    "now",
    "current",
    "outside",
    "publish",
    # what a function is called with, for annotations
    "Batch",
    "BatchItem",
    "Firing",
    "ObjectCreated",
    "ObjectRemoved",
    "Change",
    # resources, for annotations
    "Table",
    "Page",
    "Queue",
    "Bucket",
    "StoredObject",
    "ObjectInfo",
    "UploadTicket",
    "Secret",
    "Workflow",
    "Execution",
    # sort keys and conditions
    "begins_with",
    "between",
    "exactly",
    "at_least",
    "above",
    "at_most",
    "below",
    "field",
    "all_of",
    "any_of",
    "negate",
    # requests and answers that are not plain JSON
    "Form",
    "Header",
    "RawBody",
    "Redirect",
    "Reply",
    # errors that are answers
    "Problem",
    "BadRequest",
    "Invalid",
    "Unauthenticated",
    "Forbidden",
    "NotFound",
    "Conflict",
    "ConditionFailed",
    "TooLarge",
    "UnsupportedMediaType",
    "TooManyRequests",
    "Unavailable",
    # a consumer's word that trying again is of no use
    "DoNotRetry",
    "__version__",
]

_PLACES = {
    "msgspec": "Meta Struct",
    "wherry.app.app": "App",
    "wherry.app.http": "Caller Form Header RawBody Redirect Reply",
    "wherry.errors": "BadRequest ConditionFailed Conflict DoNotRetry Forbidden Invalid NotFound "
    "Problem TooLarge TooManyRequests Unauthenticated Unavailable UnsupportedMediaType",
    "wherry.handles.batches": "Batch BatchItem",
    "wherry.handles.buckets": "Bucket ObjectInfo StoredObject UploadTicket",
    "wherry.handles.conditions": "above all_of any_of at_least at_most begins_with below between "
    "exactly field negate",
    "wherry.handles.context": "current new_id now outside",
    "wherry.handles.events": "publish",
    "wherry.handles.logs": "log",
    "wherry.handles.occurrences": "Change Firing ObjectCreated ObjectRemoved",
    "wherry.handles.queues": "Queue",
    "wherry.handles.secrets": "Secret",
    "wherry.handles.tables": "Page Table",
    "wherry.handles.workflows": "Execution Workflow",
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'wherry' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
