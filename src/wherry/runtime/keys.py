"""The key of an invocation: the same on every attempt of the same event, here and on AWS.

It is what makes a repeat harmless, and it has the function's name in it.
"""

from __future__ import annotations

from wherry.codec import digest


def request_key(function: str, request_id: str) -> str:
    """Key of a request without an Idempotency-Key: the request itself."""
    return f"http/{function}/{request_id}"


def idempotency_key(function: str, endpoint: str, caller: str | None, key: str) -> str:
    """Key of a request with an Idempotency-Key: scoped by caller and route."""
    return f"idem/{function}/{digest(endpoint, caller or '', key)}"


def message_key(function: str, message_id: str) -> str:
    """Key of a message: the ID of the effect that sent it."""
    return f"message/{function}/{message_id}"


def task_key(function: str, execution: int, entered: int) -> str:
    """Key of a task of a workflow: the event with which its state was entered.

    Each retry of the state is a message of its own, and so is the task after a redrive: all of
    them are attempts at the same thing.
    """
    return f"task/{function}/{execution}/{entered}"
